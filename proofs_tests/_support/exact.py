"""A three-view model that is one big Gaussian, set by hand, whose encoders are the exact posteriors of each view ALONE.

    x_i = W_i z_i + b_i + noise of variance v_i,   W_i with orthogonal columns: p(z_i | x_i) under z_i ~ N(0, I) is diagonal,
    z = (z_1, z_2, z_3) ~ N(0, Sigma), a shared source with unequal loadings in random frames

Everything asked of it, p(x_missing | x_observed) for one, is a formula of Gaussian regression in float64 that knows nothing of
latents' posteriors, fusion or draws.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from jpvae import JPVAE
from jpvae.testing import dense

COLUMNS = (4, 5, 3)
LATENTS = (2, 3, 2)
PATTERNS = np.array([[(k + 1) >> i & 1 for i in range(3)] for k in range(7)], dtype=bool)  # every one with a view


@dataclass(frozen=True)
class Exact:
    """The model, and x ~ N(mean, covariance) in the data's units; the columns of all views side by side."""

    model: JPVAE
    mean: np.ndarray
    covariance: np.ndarray
    noise: np.ndarray  # the part of the covariance's diagonal that is the likelihood's own

    def sample(self, rows: int, seed: int) -> list[np.ndarray]:
        """New subjects, a table per view."""
        x = np.random.default_rng(seed).multivariate_normal(self.mean, self.covariance, rows)
        return split(x)

    def conditional(self, views: list[np.ndarray], seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """p(x_missing | x_observed) of rows that have the views, or the columns, ``seen``: means (N, h), covariance (h, h)."""
        columns = np.repeat(seen, COLUMNS) if len(seen) == len(COLUMNS) else seen
        o, h = np.flatnonzero(columns), np.flatnonzero(~columns)
        gain = np.linalg.solve(self.covariance[np.ix_(o, o)], self.covariance[np.ix_(o, h)])
        x = np.concatenate(views, axis=1)
        means = self.mean[h] + (x[:, o] - self.mean[o]) @ gain
        return means, self.covariance[np.ix_(h, h)] - self.covariance[np.ix_(h, o)] @ gain

    def log_density(self, views: list[np.ndarray], mask: np.ndarray) -> np.ndarray:
        """log p(x_O) of every row, in nats."""
        x, found = np.concatenate(views, axis=1) - self.mean, np.zeros(len(mask))
        for seen in np.unique(mask, axis=0):
            rows, o = (mask == seen).all(axis=1), np.flatnonzero(np.repeat(seen, COLUMNS))
            K = self.covariance[np.ix_(o, o)]
            quad = np.sum(x[rows][:, o] * np.linalg.solve(K, x[rows][:, o].T).T, axis=1)
            found[rows] = -0.5 * (quad + np.linalg.slogdet(2 * np.pi * K)[1])
        return found


def split(x: np.ndarray) -> list[np.ndarray]:
    """Columns side by side (..., N, 12) -> a table per view."""
    return np.split(x, np.cumsum(COLUMNS)[:-1], axis=-1)


@functools.cache
def exact(posterior: str = "fused", prior: str = "canonical", **options: Any) -> Exact:
    """The model under a posterior; ``options`` of the estimator. Tests must not change it."""
    rng = np.random.default_rng(7)
    data = [rng.standard_normal((60, c)) * rng.uniform(0.2, 5.0, c) + rng.standard_normal(c) for c in COLUMNS]
    chosen = {"latent_dims": LATENTS, "prior": prior, "alpha": 0.9, "likelihood": "gaussian", "hidden": (), "steps": 1}
    chosen |= {"dtype": "float64", "backend": "numpy", "progress": False, "posterior": posterior}
    model = JPVAE(**chosen | options).fit(data)
    p, offsets, noise = model.parameters_, [], []
    W = np.zeros((sum(COLUMNS), sum(LATENTS)))
    for i, (c, n) in enumerate(zip(COLUMNS, LATENTS, strict=True)):
        Q, g = np.linalg.qr(rng.standard_normal((c, n)))[0], rng.uniform(0.5, 1.5, n)
        w, b, v = Q * g, 0.3 * rng.standard_normal(c), 0.2 + 0.2 * i
        precision = 1.0 + g**2 / v  # of z_i given x_i alone
        towards, log_var = w / v / precision, -np.log(precision)
        raw = np.log(precision - 1.0) if posterior == "fused" else log_var  # there log_var = -softplus(raw)
        p[f"decoder.{i}.0.weight"], p[f"decoder.{i}.0.bias"] = w.T.copy(), b
        bits = len(p[f"encoder.{i}.0.weight"]) - c  # of cells: these encoders ignore them
        p[f"encoder.{i}.0.weight"] = np.concatenate([towards, np.zeros((c, n))], axis=1)
        p[f"encoder.{i}.0.weight"] = np.pad(p[f"encoder.{i}.0.weight"], ((0, bits), (0, 0)))
        p[f"encoder.{i}.0.bias"] = np.concatenate([-b @ towards, raw])
        p[f"likelihood.{i}.log_var"] = np.full(c, np.log(v))
        offsets.append(b)
        noise.append(np.full(c, v))
        W[sum(COLUMNS[:i]) : sum(COLUMNS[: i + 1]), sum(LATENTS[:i]) : sum(LATENTS[: i + 1])] = w
    if "prior.logits" in p:
        p["prior.logits"] = rng.uniform(0.5, 3.0, p["prior.logits"].shape)
    for name in [name for name in p if name.startswith("prior.frame")]:
        p[name] = rng.standard_normal(p[name].shape)
    predictor = model.predictor()
    for name, x in p.items():
        predictor.p[name][...] = x
    predictor.prior = model.model_.joint_prior(predictor.p)
    location, scale = (np.concatenate(part) for part in zip(*model.scaling_, strict=True))
    S = dense.covariance(model.model_, p)
    v = np.concatenate(noise)
    covariance = scale[:, None] * (W @ S @ W.T + np.diag(v)) * scale
    return Exact(model, np.concatenate(offsets) * scale + location, covariance, v * scale**2)
