"""Small multi-view data with holes, and models fitted to it once for all tests (which must not change them)."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from jpvae import JPVAE

OPTIONS: dict[str, Any] = {
    "latent_dims": (3, 2, 2),
    "prior": "canonical",
    "alpha": 0.9,
    "likelihood": "gaussian",
    "hidden": (16,),
    "steps": 200,
    "batch_size": 32,
    "learning_rate": 2e-2,
    "dtype": "float64",
    "progress": False,
    "posterior": "factorised",  # whose formulas the tests write out; test_posterior_predictive.py has the fused one's
    "init": "random",
    "linear_skip": False,  # plain layers, Adam and objective, so that few steps of small models learn what a test looks at
    "weight_decay": 0.0,
    "calibration": 0.0,
    "max_gradient_norm": None,
    "coupling_rate": 0.1,
    "cross_draws": 1,
    "cross_weight": 1.0,
}
PRIORS: dict[str, dict[str, Any]] = {  # options of every prior, for the first views of three
    "independent": {"prior": "independent", "latent_dims": (3, 2)},
    "svd, n1 > n2": {"prior": "svd", "latent_dims": (3, 2)},
    "svd, n1 < n2, tanh": {"prior": "svd", "bound": "tanh", "latent_dims": (2, 4)},
    "svd, rank 1": {"prior": "svd", "rank": 1, "latent_dims": (2, 3)},
    "orthogonal": {"prior": "orthogonal", "latent_dims": 3},
    "orthogonal, negative": {"prior": "orthogonal", "latent_dims": 2, "alpha": -0.8},
    "orthogonal, learned": {"prior": "orthogonal", "latent_dims": 3, "learn_alpha": True},
    "orthogonal, three views": {"prior": "orthogonal", "latent_dims": 2},
    "canonical": {"prior": "canonical", "latent_dims": (2, 3)},
    "canonical, three views": {"prior": "canonical", "latent_dims": (4, 2, 3)},
    "canonical, rank 1": {"prior": "canonical", "latent_dims": (4, 2, 3), "rank": 1},
    "one view": {"prior": "independent", "latent_dims": 2},
}


def three_views(rows: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Tables of 5, 4 and 3 columns driven by two shared numbers per row, unequal units, noise a tenth of the signal; and a
    mask with every pattern of at least one observed view."""
    rng = np.random.default_rng(seed)
    u = rng.standard_normal((rows, 2))
    views = []
    for i, c in enumerate((5, 4, 3)):
        loadings = np.random.default_rng(100 + i).standard_normal((2, c))
        views.append((u @ loadings + 0.1 * rng.standard_normal((rows, c))) * 3.0**i + i)
    mask = rng.random((rows, 3)) < 0.7
    mask[~mask.any(axis=1), 0] = True
    mask[:7] = [[(k + 1) >> i & 1 for i in range(3)] for k in range(7)]
    return views, mask


def binary_views(rows: int, seed: int) -> list[np.ndarray]:
    """Two tables of zeros and ones, 6 and 5 columns, that share one number per row."""
    rng = np.random.default_rng(seed)
    u = rng.standard_normal((rows, 1))
    return [(u + 0.5 * rng.standard_normal((rows, c)) > 0).astype(float) for c in (6, 5)]


@functools.cache
def fitted() -> JPVAE:
    """Three views, unequal latent sizes, a third of the cells missing, float64."""
    return JPVAE(**OPTIONS).fit(*three_views(600, 0))


@functools.cache
def linear() -> JPVAE:
    """Two Gaussian views and no hidden layer: everything about this model is a Gaussian that can be written down."""
    options = OPTIONS | {"latent_dims": (2, 2), "prior": "svd", "hidden": (), "steps": 150}
    return JPVAE(**options).fit(three_views(300, 3)[0][:2])
