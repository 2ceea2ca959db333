"""Where the linear paths of a training may start: at the factor analysis of all views together.

    x = W s + m + e,  s ~ N(0, I_k), e_c ~ N(0, psi_c)        by EM, on the encoders' inputs as numbers
    z_i = a s + sqrt(1 - a^2) e_i,  a^2 = alpha               a latent k of every view; a learned alpha is 0.99 or more
    decoder   x_i = D_i z_i + m_i,  D_i = W_i / a             then cov(x_i, x_j) = W_i W_j' as in the factor analysis
    encoder   mean (I + L)^-1 D_i' psi^-1 (x_i - m_i),  variances 1/(1 + L_kk),  L = D_i' psi^-1 D_i

Encoders' variances are diagonal, and L shall be: z_i = R_i (a s + ...), R_i the eigenvectors of L as rows, which the frame of a
prior whose rotations are learned starts at; then the fused posterior of linear views is exact, whichever are observed. Of views
that have no frame L is taken for its diagonal, in coordinates in which the sum of theirs is diagonal.

A column of another family than the normal has its outputs o = o_0 + g D z: o_0 the constant that fits it best, g one step of
Fisher's scoring from it, cov(d log p/do, x) / (var(x) E[(d log p/do)^2]); that is 1 for a normal column and
1/(p (1 - p)) for zeros and ones. Latents beyond the k keep a tenth of their random weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

import jpvae_core as jc

from ..model.factor_analysis import FactorAnalysis
from ..model.likelihoods import Likelihood, has_slopes
from ..model.model import Model
from ..views.units import Prepared

MOST_ROWS, LEAST_ALPHA = 2_000, 0.5
_PART = 5  # of the rows, one by which the number of factors is chosen
_ROUNDS, _ENOUGH, _LEAST_NOISE = 50, 1e-4, 0.002  # psi, of a column's variance: encoders stay moderate
_OTHER_LATENTS, _OTHER_PRECISION = 0.1, 0.14  # what a view tells of the other latents: next to nothing yet
_TIED = 0.99  # alpha: what a view does not share with the others is noise, to factor analysis
_ROUNDS_OF_A_CONSTANT, _NEAR, _PULL = 60, 0.1, 1.0  # in standard errors; and a pull to 0 as of one row


class _Columns(NamedTuple):
    """Of one view: its rows of the factor analysis, in standard deviations; these and the means (c,); the step g (c,) and o_0
    (c,) of its outputs."""

    table: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    slope: np.ndarray
    constant: np.ndarray


def suits(model: Model) -> bool:
    """Whether the views are coupled, every one has linear maps between columns and latents, and all likelihoods have slopes.

    alpha is positive and no less than a half: each view's own variance is that of the factors over alpha.
    """
    linear = all(_linear(model, part, i) is not None for i in range(model.views) for part in ("encoder", "decoder"))
    sloped = all(has_slopes(family) for family in model.likelihoods)
    return model.joint.couples and model.joint.alpha >= LEAST_ALPHA and linear and sloped


def at_factor_analysis(
    parameters: Mapping[str, np.ndarray], model: Model, views: Sequence[Prepared], observed: np.ndarray
) -> dict[str, np.ndarray]:
    """Fresh ``parameters`` of a model that ``suits``, moved there. views: rows to learn from, observed (R, M)."""
    columns = [
        _columns(view, observed[:, i], model, i, parameters[f"decoder.{i}.{model.depth(i) - 1}.bias"])
        for i, view in enumerate(views)
    ]
    owner = np.repeat(np.arange(model.views), model.features)
    analysis = _best(np.concatenate([each.table for each in columns], axis=1), model.joint.directions, owner)
    noise = np.maximum(analysis.noise_, _LEAST_NOISE)
    moved, ends = dict(parameters), np.cumsum(model.features)[:-1]
    frames = {} if model.in_frames else {view: name for name, view in model.joint.frames().items()}
    W = _principal(analysis.loadings_, noise, ~np.isin(owner, list(frames)))
    alpha, correlations = _correlations(model, parameters, W.shape[1])
    moved |= correlations
    for i, (each, w, psi, m) in enumerate(zip(columns, *(np.split(x, ends) for x in (W, noise, analysis.mean_)), strict=True)):
        D = w / np.sqrt(alpha)
        if i in frames:
            R, moved[frames[i]] = _turn((D / psi[:, None]).T @ D, model.latent_dims[i])
            D = D @ R.T
        moved |= _of_view(parameters, model, i, each, D, psi, m)
    return moved


def _correlations(model: Model, p: Mapping[str, np.ndarray], k: int) -> tuple[float, dict[str, np.ndarray]]:
    """alpha of the k factors and the prior's parameters that say so: where correlations are learned, no less than ``_TIED``."""
    tied = replace(model.joint, alpha=max(model.joint.alpha, _TIED))
    moved = {name: np.where(np.arange(x.shape[-1]) < k, x, p[name]) if x.ndim else x for name, x in tied.correlations().items()}
    return tied.alpha if moved else model.joint.alpha, moved


def _best(table: np.ndarray, most: int, owner: np.ndarray) -> FactorAnalysis:
    """Of 1, 2, 4, ... factors, at most so many: those that fill views of rows that are left out best, learned of all rows.

    By absolute errors: few cells far out decide a likelihood or a square. owner (C,): each column's view.
    """
    order = np.random.default_rng(0).permutation(len(table))
    left_out, rest = table[order[: len(table) // _PART]], table[order[len(table) // _PART :]]
    analyses = {2**j: FactorAnalysis(2**j, rounds=_ROUNDS, enough=_ENOUGH) for j in range(most.bit_length())}
    errors = {k: _error(each.fit(rest), left_out, owner) for k, each in analyses.items()}
    return analyses[min(errors, key=errors.__getitem__)].fit(table)


def _error(analysis: FactorAnalysis, table: np.ndarray, owner: np.ndarray) -> float:
    """The mean absolute error over the cells of every view, hidden in turn."""
    errors = [np.abs(table - analysis.fill(np.where(owner == i, np.nan, table)))[:, owner == i] for i in np.unique(owner)]
    known = [each[~np.isnan(each)] for each in errors]
    return float(np.mean([each.mean() for each in known if each.size] or [0.0]))


def _principal(W: np.ndarray, noise: np.ndarray, of: np.ndarray) -> np.ndarray:
    """W turned so that W' psi^-1 W is diagonal over the columns ``of`` (C,), the largest first: what one cannot tell from these
    of the latents is then apart."""
    _, turn = np.linalg.eigh((W[of] / noise[of, None]).T @ W[of])
    turned: np.ndarray = W @ turn[:, ::-1]
    return turned


def _turn(L: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """R, which makes R L R' (k, k) diagonal, the largest first, and the entries of a frame of n latents that begins with R."""
    whole = np.eye(n)
    whole[: len(L), : len(L)] = np.linalg.eigh(L)[1][:, ::-1].T
    entries, signs = jc.inverse_frame(whole)
    return (signs[:, None] * whole)[: len(L), : len(L)], entries  # a latent's sign means nothing


def _of_view(
    p: Mapping[str, np.ndarray], model: Model, i: int, columns: _Columns, D: np.ndarray, psi: np.ndarray, m: np.ndarray
) -> dict[str, np.ndarray]:
    """D (c, k), psi (c,), m (c,): of columns in standard deviations from their means."""
    (c, k), n, last = D.shape, model.latent_dims[i], model.depth(i) - 1
    names = {part: f"{part}.{i}.{_linear(model, part, i)}.weight" for part in ("encoder", "decoder")}
    biases = {part: f"{part}.{i}.{last}.bias" for part in names}
    encoder, decoder = (_OTHER_LATENTS * p[name] for name in names.values())
    precision = (D / psi[:, None]).T @ D
    reading = np.linalg.solve(np.eye(k) + precision, (D / psi[:, None]).T)
    encoder[:, :k] = encoder[:, n : n + k] = 0.0
    encoder[:c, :k] = (reading / columns.deviation).T
    gained = np.full(n, _OTHER_PRECISION)
    gained[:k] = np.maximum(np.diag(precision), 1e-3)
    told = np.zeros(2 * n)
    told[:k] = -reading @ (m + columns.mean / columns.deviation)
    told[n:] = np.log(gained) if model.posterior == "fused" else -np.log1p(gained)  # model.log_variances
    if model.cell_bits:  # L_kk is a sum over the cells that are there: to first order about all of them
        missed = D**2 / psi[:, None] / gained[:k]
        missed *= 1.0 if model.posterior == "fused" else -gained[:k] / (1.0 + gained[:k])
        encoder[c:, n : n + k] = missed
        told[n : n + k] -= missed.sum(axis=0)
    decoder[:k] = (D * (columns.slope * columns.deviation)[:, None]).T
    outputs = columns.constant + columns.slope * columns.deviation * m
    moved = {names["encoder"]: encoder, biases["encoder"]: told, names["decoder"]: decoder, biases["decoder"]: outputs}
    for name, at in model.likelihoods[i].normal_noise(c).items():
        moved[f"likelihood.{i}.{name}"] = np.log((psi * columns.deviation**2)[at])
    return moved


def _linear(model: Model, part: str, view: int) -> str | None:
    """What the linear map is called that leads from a part's inputs to its outputs: beside hidden layers, or without any."""
    if model.linear_path(part, view) is not None:
        return "linear"
    return "0" if len(model.layers(part, view)) == 1 else None


def _columns(view: Prepared, observed: np.ndarray, model: Model, i: int, outputs: np.ndarray) -> _Columns:
    family, c = model.likelihoods[i], model.features[i]
    targets = view.targets.astype(np.float64)
    known = family.cells(targets, c)[1] & observed[:, None]
    x = np.where(known, view.inputs[:, :c].astype(np.float64), np.nan)
    count = known.sum(axis=0)
    mean = np.where(count > 0, np.nansum(x, axis=0) / np.maximum(count, 1), 0.0)
    variance = np.nansum((x - mean) ** 2, axis=0) / np.maximum(count, 1)
    deviation = np.where(variance > 0, np.sqrt(variance), 1.0)
    own = family.parameters(c)
    own |= {name: 2.0 * np.log(deviation[at]) for name, at in family.normal_noise(c).items()}
    constant, score = _constant(family, outputs, targets, known, own)
    information = (score**2).sum(axis=0) / np.maximum(count, 1)
    along = np.nansum(score * (x - mean), axis=0) / np.maximum(count, 1)
    slope = along / np.where(variance * information > 0, variance * information, np.inf)
    return _Columns((x - mean) / deviation, mean, deviation, slope, constant)


def _constant(
    family: Likelihood, outputs: np.ndarray, targets: np.ndarray, known: np.ndarray, own: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Of each column the output that fits it best (c,), to within a tenth of its standard error, and d log p/do there (R, c),
    0 where a cell is not known. Steps from ``outputs`` go up the slope, and are halved where it turns: its size is not trusted.
    """
    step, before = np.ones(len(outputs)), np.zeros(len(outputs))
    score = np.zeros(known.shape)
    for _ in range(_ROUNDS_OF_A_CONSTANT):
        score = np.where(known, _score(family, outputs, targets, own), 0.0)
        total = score.sum(axis=0) - _PULL * outputs
        if (enough := np.abs(total) <= _NEAR * np.sqrt((score**2).sum(axis=0))).all():
            break
        step = np.where(np.sign(total) * before < 0, 0.5 * step, step)
        before = np.where(enough, before, np.sign(total))
        outputs = np.where(enough, outputs, outputs + step * np.sign(total))
    return outputs, score


def _score(family: Likelihood, outputs: np.ndarray, targets: np.ndarray, own: Mapping[str, np.ndarray]) -> np.ndarray:
    spread = np.broadcast_to(outputs, (len(targets), len(outputs)))
    slopes: np.ndarray = family.log_prob_vjp(np, spread, targets, own, np.ones((len(targets), 1)))[0]
    return slopes
