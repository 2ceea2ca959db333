"""The models and batches that engines are tried on."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ..model import Model
from ..schedules import Constant, LearningRate
from ..training import Batches, Plan

Arrays = dict[str, np.ndarray]

BINARY, REAL = "bernoulli", "gaussian"
MODELS = {
    "independent": Model((4, 3), (2, 3), (BINARY, REAL), hidden=(5,), prior="independent"),
    "orthogonal": Model((4, 3), (3, 3), (BINARY, REAL), hidden=(5, 4), prior="orthogonal", alpha=0.8),
    "orthogonal, negative": Model((4, 3), (2, 2), (REAL, REAL), hidden=(5,), prior="orthogonal", alpha=-0.6),
    "orthogonal, learned": Model((4, 3), (3, 3), (BINARY, REAL), hidden=(5,), prior="orthogonal", learn_alpha=True),
    "svd": Model((4, 3), (2, 4), (BINARY, REAL), hidden=(5,), prior="svd", alpha=0.7),
    "svd, tanh, rank 1": Model((4, 3), (3, 2), (BINARY, REAL), hidden=(5,), prior="svd", bound="tanh", rank=1),
    "canonical": Model((4, 3, 5), (3, 2, 4), (BINARY, REAL, BINARY), hidden=(5,), prior="canonical", alpha=0.7),
    "orthogonal, three views": Model((4, 3, 2), (2, 2, 2), (REAL, BINARY, REAL), hidden=(4,), alpha=0.9),
}
PATTERNS = tuple(itertools.product(("complete", "holes"), ("elbo", "subset")))


def parameters(model: Model) -> Arrays:
    """Parameters away from their start: float32 numbers in float64, so that engines of both dtypes are given the same."""
    rng = np.random.default_rng(5)
    return {k: float32(v + 0.3 * rng.standard_normal(v.shape)) for k, v in model.initial_parameters(1).items()}


def batches(
    model: Model, holes: str = "complete", objective: str = "subset", *, rows: int = 7, weights: tuple[float, ...] | None = None
) -> Batches:
    """Batches of the same rows with noise of their own; "holes" has every pattern of missing views.

    Two views have K = 3 subsets under "subset", three have K = 2, and "elbo" has K = 1.
    """
    rng, M = np.random.default_rng(6), model.views
    patterns = [bits for bits in itertools.product([True, False], repeat=M) if any(bits)] if holes == "holes" else [(True,) * M]
    observed = np.asarray([patterns[r % len(patterns)] for r in range(rows)])
    views = []
    for name, c, seen in zip(model.likelihood_names, model.features, observed.T, strict=True):
        values = float32(rng.standard_normal((rows, c)))
        views.append(np.where(seen[:, None], values > 0 if name == BINARY else values, 0.0))
    plan = Plan(9, rows, Constant(), LearningRate(), objective, weights or ((0.5, 0.2, 0.3) if M == 2 else (0.6, 0.4)))
    return Batches(views, observed, model, plan)


def float32(x: Any) -> np.ndarray:
    """Rounded to float32, held in float64."""
    return np.asarray(x, dtype=np.float32).astype(np.float64)
