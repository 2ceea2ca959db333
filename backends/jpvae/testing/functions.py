"""Every public function of the core on one set of inputs, and what dense float64 NumPy says to that, with bounds.

A coefficient of size 1 of a prior is off by ``rounding.prior_relative``, the dense answer's own error included. All inputs
are float32 numbers, so that both dtypes have the same exact answers. ``*_functions`` take arrays of any library,
``*_answers`` NumPy's.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import jpvae_core as jc

from ..model.model import Model
from . import dense, rounding
from .examples import float32

Pair = tuple[Any, Any]  # a value and the bound on errors from it
Answers = dict[str, list[Pair]]


def _model(prior: str, *dims: int, **options: Any) -> Model:
    return Model((1,) * len(dims), dims, ("gaussian",) * len(dims), hidden=(), prior=prior, **{"alpha": 0.7} | options)


# Unequal sizes, d below min n_i, two and three views; where True, a stack of two models.
PRIORS = {
    "independent": (_model("independent", 2, 3), False),
    "orthogonal": (_model("orthogonal", 3, 3, alpha=-0.8), False),
    "orthogonal, learned": (_model("orthogonal", 2, 2, learn_alpha=True), True),
    "orthogonal, three views": (_model("orthogonal", 2, 2, 2), False),
    "svd": (_model("svd", 3, 4, rank=2), False),
    "svd, tanh": (_model("svd", 3, 2, bound="tanh"), True),
    "canonical": (_model("canonical", 3, 2, 4), True),
    "canonical, rank 1": (_model("canonical", 3, 2, rank=1), False),
}


def prior_inputs(model: Model, seed: int) -> dict[str, Any]:
    """A prior's parameters away from their start, a row per pattern of missing views, and noise."""
    rng, M = np.random.default_rng(seed), model.views
    p = {k: float32(v + 0.4 * rng.standard_normal(v.shape)) for k, v in model.initial_parameters(seed).items() if "prior" in k}
    mask = np.asarray(list(itertools.product([True, False], repeat=M)))
    latents = [float32(rng.standard_normal((len(mask), n))) for n in model.latent_dims]
    log_vars = [float32(rng.uniform(-2, 1, (len(mask), n))) for n in model.latent_dims]
    return {
        "p": p,
        "z": latents,
        "log_vars": log_vars,
        "mask": mask,
        "z with holes": [np.where(mask[:, i, None], x, np.nan) for i, x in enumerate(latents)],
        "log_vars with holes": [np.where(mask[:, i, None], x, np.nan) for i, x in enumerate(log_vars)],
        "noise": float32(rng.standard_normal((len(mask), model.noise_dim))),
    }


def prior_functions(model: Model, x: dict[str, Any]) -> dict[str, Any]:
    """Everything that takes a joint prior, by name; masks by row, and one pattern for all rows."""
    prior, noise = model.joint_prior(x["p"]), x["noise"]
    z, log_vars, mask, holes, log_var_holes = (x[k] for k in ("z", "log_vars", "mask", "z with holes", "log_vars with holes"))
    one = mask[1, :] if mask.ndim == 2 else mask[0, 1, :]
    means, covariances = jc.condition(prior, holes, mask)
    propagated = jc.condition(prior, holes, mask, log_vars=log_var_holes).covariances
    fused = jc.fuse(prior, holes, [v - 1.0 for v in log_var_holes], mask)  # log-variances of at most 0
    results = {
        "fuse": [*fused.mean(), fused.kl(), fused.covariance(), fused.log_density(z)],
        "log_density": [jc.log_density(prior, z), jc.log_density(prior, holes, mask)],
        "kl_divergence": [
            jc.kl_divergence(prior, z, log_vars),
            jc.kl_divergence(prior, holes, log_var_holes, mask),
            jc.kl_divergence(prior, z, log_vars, one),
        ],
        "conditional_mean": [*jc.conditional_mean(prior, holes, mask), *jc.conditional_mean(prior, z, one)],
        "condition": [*means, *itertools.chain(*covariances, *propagated)],
        "complete": jc.complete(prior, holes, mask, noise),
        "sample": jc.sample(prior, noise),
    }
    if not prior.arrays:  # it holds no array to imitate: its dense forms are NumPy's
        return results
    results |= {
        "JointPrior.covariance": [prior.covariance()],
        "JointPrior.precision": [prior.precision()],
        "JointPrior.cross_covariance": [prior.cross_covariance(1, 0)],
        "JointPrior.log_det": [prior.log_det()],
        "JointPrior.max_singular_value": [prior.max_singular_value()],
        "kl_dense": [jc.kl_dense(z, log_vars, prior.covariance())],
    }
    if model.views == 2:
        results["kl_eq9"] = [jc.kl_eq9(z, log_vars, prior.cross_covariance(1, 0))]
    if "prior.rotation" in x["p"]:
        alpha = jc.tanh_bound(x["p"]["prior.alpha"]).value if model.learn_alpha else model.alpha
        results["kl_eq16"] = [jc.kl_eq16(z, log_vars, prior.frames[1], alpha)]
    return results


def prior_answers(model: Model, x: dict[str, Any], eps: float) -> Answers:
    """The same by dense NumPy."""
    p, mask, noise = x["p"], x["mask"], x["noise"]
    S, at, N = dense.covariance(model, p), dense.blocks(model), sum(model.latent_dims)
    z, log_var = np.concatenate(x["z"], axis=-1), np.concatenate(x["log_vars"], axis=-1)
    stiff, count = rounding.stiffness(S), rounding.prior_roundings(model, p)
    unit = rounding.prior_relative(model, p, eps)

    def kl(patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = []
        for r, bits in enumerate(patterns):
            o = dense.coordinates(model, bits)
            S_oo, mu, variance = S[np.ix_(o, o)], z[r, o], np.exp(log_var[r, o])
            rows.append((dense.kl(mu, np.diag(variance), 0 * mu, S_oo), rounding.kl_scale(S_oo, mu, variance, log_var[r, o])))
        values, scales = np.asarray(rows).T
        return values, scales

    def log_normal(patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = []
        for r, bits in enumerate(patterns):
            o = dense.coordinates(model, bits)
            S_oo, constant = S[np.ix_(o, o)], len(o) * np.log(2 * np.pi)
            square, log_det = z[r, o] @ np.linalg.solve(S_oo, z[r, o]), np.linalg.slogdet(S_oo)[1]
            scale = rounding.stiffness(S_oo) * z[r, o] @ z[r, o] + abs(log_det) + constant
            rows.append((-0.5 * (square + log_det + constant), scale))
        values, scales = np.asarray(rows).T
        return values, scales

    def conditional(r: int, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        o = dense.coordinates(model, bits)
        G = dense.gain(S, o, np.arange(N))  # all of z from z_O: the identity on O itself
        return G @ z[r, o], S - G @ S[o], S - G @ S[o] + G @ np.diag(np.exp(log_var[r, o])) @ G.T

    def views(rows: Any, bound: np.ndarray) -> list[Pair]:
        return [(np.asarray(rows)[:, a], bound) for a in at]

    def blocks(matrices: Any, bound: np.ndarray) -> list[Pair]:
        return [(np.asarray(matrices)[:, a][:, :, b], bound[:, None, None]) for a in at for b in at]

    def fused(r: int, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray, Any, Any]:
        """Mean, covariance, KL and log q(z_O) of the product of Gaussians, dense."""
        o, variance = dense.coordinates(model, bits), np.exp(log_var[r] - 1.0)
        seen = np.isin(np.arange(N), o)
        C = np.linalg.inv(np.linalg.inv(S) + np.diag(np.where(seen, 1.0 / variance - 1.0, 0.0)))
        m, at_o = C @ np.where(seen, z[r] / variance, 0.0), np.ix_(o, o)
        off = z[r, o] - m[o]
        square, log_det = off @ np.linalg.solve(C[at_o], off), np.linalg.slogdet(2 * np.pi * C[at_o])[1]
        return m, C, dense.kl(m[o], C[at_o], 0 * m[o], S[at_o]), -0.5 * (square + log_det)

    rows, once = range(len(mask)), np.broadcast_to(mask[1], mask.shape)
    means, covariances, propagated = zip(*map(conditional, rows, mask), strict=True)
    size = unit * (1.0 + np.abs(z).sum(axis=-1, keepdims=True))
    noisy = size + unit * np.abs(noise).sum(axis=-1, keepdims=True)
    spread = unit * (1.0 + np.exp(log_var).sum(axis=-1))
    drawn = [dense.complete(model, p, z[r], mask[r], noise[r]) for r in rows]
    sampled = [dense.complete(model, p, z[r], [False] * model.views, noise[r]) for r in rows]
    # Evidence of variances of at least e^-3: no |N_i^{-1}| is larger than e^3 (docs/core.md), and a density has it once more.
    joined, sharp = list(zip(*map(fused, rows, mask), strict=True)), unit * np.exp(3.0)
    large = sharp * (1.0 + (z**2).sum(axis=-1)) * N * stiff
    answers = {
        "fuse": [
            *views(joined[0], sharp * (1.0 + np.abs(z).sum(axis=-1, keepdims=True)) * stiff),
            (np.asarray(joined[2]), large),
            (np.asarray(joined[1]), np.full((len(mask), 1, 1), sharp * stiff)),
            (np.asarray(joined[3]), np.exp(3.0) * large),
        ],
        "kl_divergence": [(v, unit * scale) for v, scale in map(kl, (np.ones_like(mask), mask, once))],
        "log_density": [(v, unit * scale) for v, scale in map(log_normal, (np.ones_like(mask), mask))],
        "conditional_mean": views(means, size) + views([conditional(r, once[r])[0] for r in rows], size),
        "condition": views(means, size) + blocks(covariances, np.full(len(mask), unit)) + blocks(propagated, spread),
        "complete": views(drawn, noisy),
        "sample": views(sampled, noisy),
    }
    if model.prior == "independent":
        return answers
    log_det, entry = np.linalg.slogdet(S)[1], np.full((1, 1), unit)
    singular = [np.linalg.svd(S[np.ix_(a, b)], compute_uv=False)[0] for a, b in itertools.combinations(at, 2)]
    full, scale = kl(np.ones_like(mask))
    # Forms that invert: eps in Sigma or in I - C^T C becomes Lambda eps; they run over N <= 2 max n_i coordinates, squared.
    inverted = [(full, 4 * count * stiff * (eps + stiff * 2.0**-52) * scale)]
    answers |= {
        "JointPrior.covariance": [(S, entry)],
        "JointPrior.precision": [(np.linalg.inv(S), stiff * entry)],
        "JointPrior.cross_covariance": [(S[np.ix_(at[1], at[0])], entry)],
        "JointPrior.log_det": [(log_det, unit * (1.0 + abs(log_det)))],
        "JointPrior.max_singular_value": [(np.max(singular), unit)],
        "kl_dense": inverted,
    }
    if model.views == 2:
        answers["kl_eq9"] = inverted
    if "prior.rotation" in p:
        answers["kl_eq16"] = inverted
    return answers


def matrices() -> dict[str, Any]:
    """Entries of a skew 3 x 3 matrix, its rotation, signs, logits, a Gaussian in four dimensions, and rows of it."""
    rng = np.random.default_rng(0)
    entries, root = float32([0.5, -1.25, 0.75]), rng.standard_normal((4, 6))
    A = np.zeros((3, 3))
    A[np.triu_indices(3, 1)] = entries
    cov = float32(root @ root.T / 6)
    return {
        "entries": entries,
        "A": A - A.T,
        "Q": float32(dense.rotation(entries, 3)),
        "signs": np.asarray([1.0, -1.0, 1.0]),
        "logits": float32([-3.0, -0.7, 0.6, 2.5]),
        "mean": float32(rng.standard_normal(4)),
        "cov": np.tril(cov) + np.tril(cov, -1).T,
        "rows": float32(rng.standard_normal((4, 4))),
    }


def matrix_functions(x: dict[str, Any]) -> dict[str, Any]:
    """Everything else, by name."""
    entries, logits, mean, rows = x["entries"], x["logits"], x["mean"], x["rows"]
    s, pair = jc.tanh_bound(logits).value, jc.JointPrior.independent([1, 1])
    return {
        "skew": [jc.skew(entries, 3)],
        "skew_entries": [jc.skew_entries(x["A"])],
        "cayley": [jc.cayley(x["A"])],
        "inverse_cayley": [jc.inverse_cayley(x["Q"])],
        "frame": [jc.frame(entries, 3, 2)],
        "orthogonal": [jc.orthogonal(entries, 3), jc.orthogonal(entries, 3, signs=x["signs"])],
        "sign_matrix": [jc.sign_matrix(3, 1, like=entries)],
        "sigmoid_bound": jc.sigmoid_bound(logits),
        "tanh_bound": jc.tanh_bound(logits),
        "number_bound": [*jc.number_bound(0.25, logits), *jc.number_bound(s, logits)],
        "condition_gaussian": jc.condition_gaussian(mean, x["cov"], (3, 1), rows[:, :2]),
        "reparameterize": [jc.reparameterize(mean, rows, mean)],
        "subset_loss": [jc.subset_loss(pair, [rows[:3, :], -rows[:3, :]], rows[:3, :], jc.subsets(pair), cross=0.5)],
    }


def matrix_answers(x: dict[str, Any], eps: float) -> Answers:
    """The same by textbook NumPy."""
    A, Q, t, one, rows, cov = x["A"], x["Q"], x["logits"], np.eye(3), x["rows"], x["cov"]
    kappa, eps = np.sqrt(1.0 + np.linalg.norm(A) ** 2), eps + 2.0**-52
    solve = 4 * 9 * kappa * eps  # 3 n^2 kappa eps and the sums before and after
    R, skew = (one + A) @ np.linalg.inv(one - A), (Q - one) @ np.linalg.inv(Q + one)

    def bounded(s: np.ndarray) -> list[Pair]:
        # A few roundings each, exp's of an argument up to 3 and, of the subtractions here, those of 1 - |s|.
        values = s, s / (1 - s), -s / (1 + s), s * s / (1 - s * s)
        return [(v, 16 * eps * np.abs(v) / (1 - np.abs(s))) for v in values]

    o, h = np.asarray([3, 1]), np.asarray([0, 2])
    G, apart = dense.gain(cov, o, h), rows[:, :2] - x["mean"][o]
    # solve is backward stable, 3 N^2 eps: the gain is off by that times cond |gain|.
    error = 4 * 16 * np.linalg.cond(cov[np.ix_(o, o)]) * np.linalg.norm(G) * eps
    sigma = np.exp(rows / 2)
    return {
        "skew": [(A, 0.0)],
        "skew_entries": [(A[np.triu_indices(3, 1)], 0.0)],
        "cayley": [(R, solve)],
        "inverse_cayley": [((skew - skew.T) / 2, solve * kappa)],  # |A| < kappa
        "frame": [(R[:, :2], solve)],
        "orthogonal": [(R, solve), (np.diag(x["signs"]) @ R, solve)],
        "sign_matrix": [(np.asarray([1.0, 1.0, -1.0]), 0.0)],
        "sigmoid_bound": bounded(1 / (1 + np.exp(-t))),
        "tanh_bound": bounded((1 - np.exp(-t)) / (1 + np.exp(-t))),
        "number_bound": bounded(np.asarray(0.25)) + bounded((1 - np.exp(-t)) / (1 + np.exp(-t))),
        "condition_gaussian": [
            (x["mean"][h] + apart @ G.T, error * (1 + np.linalg.norm(apart)) + 8 * eps * np.abs(x["mean"]).max()),
            (cov[np.ix_(h, h)] - G @ cov[np.ix_(o, h)], (error + 8 * eps) * np.linalg.norm(cov)),
        ],
        "reparameterize": [(x["mean"] + sigma * x["mean"], 8 * eps * np.abs(x["mean"]) * (1 + sigma))],
        # weights 2/3, 1/6, 1/6; the terms x and -x give 0 to the first subset, -(x - x/2) and -(-x + x/2) to the others
        "subset_loss": [((4 * rows[0] + 0.5 * rows[1] + 1.5 * rows[2]) / 6, 8 * eps * np.abs(rows[:3]).sum(axis=0))],
    }
