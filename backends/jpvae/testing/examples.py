"""The models and batches that engines are tried on."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

from ..model.model import Model
from ..training.batches import Batches
from ..training.plan import Plan
from ..training.schedules import Constant, LearningRate
from ..views.units import Prepared

Arrays = dict[str, np.ndarray]

BINARY, REAL = "bernoulli", "gaussian"
MIXED = (("gaussian", 2), ("categorical", 4, 2), ("poisson_unscaled", 1))
MODELS = {
    "independent": Model((4, 3), (2, 3), (BINARY, REAL), hidden=(5,), prior="independent"),
    "every likelihood": Model(
        (3, 7, 3), (2, 3, 2), ("negative_binomial", MIXED, "categorical"), hidden=(5,), prior="independent"
    ),
    "missing cells": Model(
        (4, 7, 3),
        (2, 2, 2),
        ("student_t", MIXED, "poisson"),
        hidden=(5,),
        prior="independent",
        entries="marginalise",
        cell_bits=True,
    ),
    "orthogonal": Model((4, 3), (3, 3), (BINARY, REAL), hidden=(5, 4), prior="orthogonal", alpha=0.8),
    "orthogonal, negative": Model((4, 3), (2, 2), (REAL, REAL), hidden=(5,), prior="orthogonal", alpha=-0.6),
    "orthogonal, learned": Model((4, 3), (3, 3), (BINARY, REAL), hidden=(5,), prior="orthogonal", learn_alpha=True),
    "svd": Model((4, 3), (2, 4), (BINARY, REAL), hidden=(5,), prior="svd", alpha=0.7),
    "svd, tanh, rank 1": Model((4, 3), (3, 2), (BINARY, REAL), hidden=(5,), prior="svd", bound="tanh", rank=1),
    "canonical": Model((4, 3, 5), (3, 2, 4), (BINARY, REAL, BINARY), hidden=(5,), prior="canonical", alpha=0.7),
    "orthogonal, three views": Model((4, 3, 2), (2, 2, 2), (REAL, BINARY, REAL), hidden=(4,), alpha=0.9),
    "fused, independent": Model((4, 3), (2, 3), (BINARY, REAL), hidden=(5,), prior="independent", posterior="fused"),
    "fused, orthogonal": Model((4, 3), (3, 3), (BINARY, REAL), hidden=(5,), learn_alpha=True, posterior="fused"),
    "fused, svd": Model((7, 3), (3, 2), (MIXED, REAL), hidden=(5,), prior="svd", bound="tanh", rank=1, posterior="fused"),
    "fused, canonical": Model(
        (4, 3, 5), (3, 2, 4), (BINARY, REAL, BINARY), hidden=(5,), prior="canonical", alpha=0.7, posterior="fused"
    ),
    "fused in frames, orthogonal": Model((4, 3), (3, 3), (BINARY, REAL), hidden=(5,), posterior="fused", coordinates="frame"),
    "fused in frames, canonical, linear paths": Model(
        (4, 3, 5),
        (2, 2, 2),
        (BINARY, REAL, BINARY),
        hidden=((5,), (), (4, 3)),
        prior="canonical",
        alpha=0.7,
        posterior="fused",
        coordinates="frame",
        linear_skip=True,
    ),
}
PATTERNS = tuple(itertools.product(("complete", "holes"), ("elbo", "subset")))


def parameters(model: Model) -> Arrays:
    """Parameters away from their start: float32 numbers in float64, so that engines of both dtypes are given the same."""
    rng = np.random.default_rng(5)
    return {k: float32(v + 0.3 * rng.standard_normal(v.shape)) for k, v in model.initial_parameters(1).items()}


def batches(
    model: Model,
    holes: str = "complete",
    objective: str = "subset",
    *,
    rows: int = 7,
    weights: tuple[float, ...] | None = None,
    level_weight: float = 2.5,
) -> Batches:
    """Batches of the same rows with noise of their own; "holes" has every pattern of missing views.

    Two views have K = 3 subsets under "subset", three have K = 2, and "elbo" has K = 1. Where cells may be missing a fifth are,
    and views and columns have weights.
    """
    rng, M = np.random.default_rng(6), model.views
    patterns = [bits for bits in itertools.product([True, False], repeat=M) if any(bits)] if holes == "holes" else [(True,) * M]
    observed = np.asarray([patterns[r % len(patterns)] for r in range(rows)])
    views = []
    for i, (c, has) in enumerate(zip(model.features, observed.T, strict=True)):
        values = _of_family(model.likelihood_names[i], float32(rng.standard_normal((rows, c))))
        if model.entries == "marginalise":
            values = np.where(rng.random((rows, c)) < 0.2, np.nan, values)
        views.append(_prepared(model.likelihoods[i], np.where(has[:, None], values, np.nan), has))
    plan = Plan(9, rows, Constant(), LearningRate(), objective, weights or ((0.5, 0.2, 0.3) if M == 2 else (0.6, 0.4)))
    if model.posterior == "fused":
        plan = replace(plan, cross_draws=3, cross_weight=0.6)
    if model.entries == "marginalise":
        plan = replace(plan, view_weights=tuple(0.5 + i for i in range(M)))
    levels = [family.of_levels(c) for family, c in zip(model.likelihoods, model.features, strict=True)]
    if level_weight != 1.0 and (model.posterior == "fused" or model.entries == "marginalise"):
        plan = replace(plan, column_weights=tuple(tuple(np.where(each, level_weight, 1.0).tolist()) for each in levels))
    return Batches(views, observed, model, plan)


def _of_family(spec: Any, normal: np.ndarray) -> np.ndarray:
    """Data of a likelihood from standard normals (R, c)."""
    if not isinstance(spec, str):
        ends = np.cumsum([width for _, width, *_ in spec])[:-1]
        pieces = zip(spec, np.split(normal, ends, axis=1), strict=True)
        return np.concatenate([_of_family(name, piece) for (name, *_), piece in pieces], axis=1)
    if spec == "categorical":  # in groups of two, and what is left
        groups = np.split(normal, [2] if normal.shape[1] == 4 else [], axis=1)
        return np.concatenate([(g == g.max(axis=1, keepdims=True)).astype(float) for g in groups], axis=1)
    if "poisson" in spec or "binomial" in spec:
        return np.floor(np.exp(1.0 + normal))
    return (normal > 0).astype(float) if spec == BINARY else normal


def _prepared(family: Any, values: np.ndarray, observed: np.ndarray) -> Prepared:
    """What an encoder reads and what a likelihood is of, as units.py makes them."""
    scaling = family.scaling(values, observed) if family.extra(values.shape[1]) else (np.zeros(1), np.ones(1))
    location, scale = (np.broadcast_to(part, values.shape[1]) for part in scaling)
    targets = family.targets(values, location, scale)
    inputs = family.inputs(targets, location, scale)
    held = float32(np.nan_to_num(inputs))
    return Prepared(held, held if targets is inputs else float32(np.nan_to_num(targets)))


def float32(x: Any) -> np.ndarray:
    """Rounded to float32, held in float64."""
    return np.asarray(x, dtype=np.float32).astype(np.float64)
