"""How far a float evaluation of a model may be from dense.py's answers, that answer's own rounding included.

An error is at most ``relative`` (the relative error of all factors) times a scale: the same formula with every term in
absolute value, times the slopes that errors pass through. A derivative's is ``depth`` times that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import densities
from .dense import Arrays, alike, blocks, cells, complete, coordinates, covariance, network, own_parameters, posteriors
from .dense import fused as draw


def stiffness(S: np.ndarray) -> float:
    """Lambda = |S^-1|, the condition number of S but for a factor |S| <= M (1 where S is empty)."""
    return float(1.0 / np.linalg.eigvalsh(S)[0]) if len(S) else 1.0


def frame_condition(p: Arrays) -> float:
    """kappa = sqrt(1 + |A|^2), the condition of I - A for the frames; |A| is at most sqrt(2) times its entries' norm."""
    entries = [x for name, x in p.items() if name.startswith("prior.") and name not in ("prior.logits", "prior.alpha")]
    return max([1.0, *(float(np.sqrt(1.0 + 2.0 * np.sum(x**2))) for x in entries)])


def prior_roundings(model: Any, p: Arrays) -> float:
    """16 M^2 n^2 kappa: how many eps a coefficient of size 1 of the prior may be off (4 where there is no coupling).

    A frame is off by 3 n^2 kappa eps, for LU has |L||U| <= n |I - A| and I - A the condition kappa; it is used at most four
    times in each of at most M^2 blocks.
    """
    if model.prior == "independent":
        return 4.0
    found: float = 16.0 * model.views**2 * max(model.latent_dims) ** 2 * frame_condition(p)
    return found


def prior_relative(model: Any, p: Arrays, eps: float) -> float:
    """How far a coefficient of size 1 may be off, on both sides: the dense solves and inverses cost 3 N^2 cond |gain|.

    cond <= M Lambda, since |Sigma| <= M, and |gain|^2 <= M Lambda, since G Sigma_oo G^T <= Sigma_hh.
    """
    solves = 3 * sum(model.latent_dims) ** 2 * (model.views * stiffness(covariance(model, p))) ** 1.5
    found: float = prior_roundings(model, p) * (eps + 2.0**-52) + solves * 2.0**-52
    return found


def relative(model: Any, p: Arrays, eps: float) -> float:
    """The relative error of the loss' factors, on both sides: of the prior's coefficients, and of the layers.

    A layer of fan-in f makes f + 1 roundings relative to |W||h| + |b| (Higham, section 3.5), through ReLU, of slope 1.
    """
    layers: int = sum(x.shape[0] + 1 for name, x in p.items() if name.endswith(".weight"))
    return layers * (eps + 2.0**-52) + prior_relative(model, p, eps)


def depth(model: Any, p: Arrays) -> float:
    """The derivative along r_i p_i, |r_i| <= 1, of a product of parameters is at most as many times its size as it has factors.

    Of layers a term has all of an encoder and a decoder, squared. Of the prior it has a correlation, whose ratios to 1 - s and
    1 + s move by at most |t| relatively, and four frames, |dQ| <= 2 |A| <= 2 kappa. Each of these has as many roundings
    again as the loss, a frame's with kappa once more, for the adjoint solve.
    """
    kappa = frame_condition(p)
    logits = max([0.0, *(float(np.abs(p[name]).max()) for name in ("prior.logits", "prior.alpha") if name in p)])
    layers: int = max(map(model.depth, range(model.views)))
    return 4.0 * layers + logits + (8.0 * kappa**2 if kappa > 1.0 else 0.0)


def kl_scale(S: np.ndarray, mean: np.ndarray, variance: np.ndarray, log_var: np.ndarray) -> Any:
    """The KL's terms in absolute value, (..., n) -> (...): no weight of a square or of a variance exceeds Lambda."""
    terms = stiffness(S) * (mean**2 + variance) + np.abs(log_var) + 1.0
    return terms.sum(axis=-1) + abs(np.linalg.slogdet(S)[1])


def log_prob_scale(model: Any, p: Arrays, view: int, z: np.ndarray, size: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What an entry's rounding errors are relative to, where z's are to ``size``: its terms, and its slope times |W| size."""
    out, size = network(p, f"decoder.{view}", z), network({k: np.abs(v) for k, v in p.items()}, f"decoder.{view}", size)
    x, bits = cells(model, view, x)
    found: np.ndarray = bits * densities.scale(model.likelihood_names[view], own_parameters(p, view), out, size, x)
    return found


def loss_scale(model: Any, p: Arrays, batch: Any, beta: float) -> dict[str, Any]:
    """What the rounding errors of ``loss`` are relative to: its terms in absolute value, times the slopes they pass through.

    The fused posterior multiplies an encoder's error by at most |N_i^{-1}| <= 1/min v (docs/core.md), and its latents are as
    large as the means of all views, and the noise, together.
    """
    S, at, total, count = covariance(model, p), blocks(model), 0.0, len(batch.observed)
    centre, log_var = posteriors(p, batch.views)
    mean, spread = posteriors({name: np.abs(value) for name, value in p.items()}, [np.abs(x) for x in batch.views])
    fused = model.posterior == "fused"
    log_var = -np.log1p(np.exp(log_var)) if fused else log_var
    sharp = 1.0 / np.exp(log_var.min()) if fused else 1.0
    targets, weights = batch.targets or batch.views, batch.view_weights or (1.0,) * model.views
    reconstruction, divergence = np.zeros(model.views), 0.0
    for k, w in enumerate(batch.weights):
        for rows, inside, observed in alike(batch, k):
            o = coordinates(model, inside)
            at_o = np.ix_(rows, o)
            variance = np.exp(log_var[rows]) * (1.0 + spread[rows])
            kls = sharp * kl_scale(S[np.ix_(o, o)], mean[at_o], variance[:, o], spread[at_o]).sum()
            if fused:
                noise = batch.posterior_noise[k, rows]
                z = np.stack([draw(model, p, centre[r], log_var[r], inside, batch.posterior_noise[k, r])[0] for r in rows])
                length = np.linalg.norm(mean[at_o], axis=1) + np.linalg.norm(noise, axis=1) * (1.0 + spread[rows].max(axis=1))
                size = sharp * np.broadcast_to(length[:, None], z.shape)
            else:
                deviation = np.exp(log_var[rows] / 2) * batch.posterior_noise[rows]
                z, size = centre[rows] + deviation, mean[rows] + np.abs(deviation) * (1.0 + spread[rows])
            total += w * beta * kls
            for j in np.flatnonzero(observed).tolist():
                crossed = k > 0 and not inside[j]
                noise = batch.completion_noise[..., k - 1, rows, :] if crossed else np.zeros((len(rows), 1))
                for e in noise if noise.ndim == 3 else noise[None]:  # a log-mean-exp is off by at most the sum of its terms
                    latents, sizes = z, size
                    if crossed:  # the matrices of regression and of conditional deviations have norms of at most 1
                        latents = complete(model, p, z, inside, e)
                        length = np.linalg.norm(size[:, o], axis=1) + np.linalg.norm(e, axis=1)
                        sizes = np.broadcast_to(length[:, None], size.shape)
                    entries = log_prob_scale(model, p, j, latents[:, at[j]], sizes[:, at[j]], targets[j][rows])
                    fit = entries.sum() if batch.column_weights is None else (entries @ batch.column_weights[j]).sum()
                    total += w * weights[j] * fit
                    if k == 0:
                        reconstruction[j] += entries.sum()
            divergence += kls if k == 0 else 0.0
    rows = np.maximum(batch.observed.sum(axis=0), 1)
    return {"loss": total / count, "reconstruction": reconstruction / rows, "kl": divergence / count}
