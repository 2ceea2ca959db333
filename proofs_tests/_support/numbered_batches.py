"""Batches of rows that hold their own numbers, and whether two batches are the same, bit for bit."""

import itertools

import numpy as np

from jpvae.model.model import Model
from jpvae.training.batches import Batches
from jpvae.training.plan import Plan
from jpvae.training.schedules import Constant, LearningRate


def batches(rows=10, size=4, views=2, objective="subset", seed=0, steps=30, share=(0, 1), **plan):
    """Views of one column that holds the row's number; every pattern of missing views occurs."""
    patterns = [bits for bits in itertools.product([True, False], repeat=views) if any(bits)]
    observed = np.asarray([patterns[r % len(patterns)] for r in range(rows)])
    model = Model((1,) * views, (2,) * views, ("gaussian",) * views, hidden=(), prior="canonical")
    weights = (1.0, 0.5, 0.5) if views == 2 else (1.0, 1.0)
    plan = Plan(steps, size, Constant(), LearningRate(), objective, weights, seed=seed, **plan)
    return Batches([np.arange(rows, dtype=float)[:, None]] * views, observed, model, plan, share=share)


def contents(batch):
    return [*batch.views, batch.observed, batch.subsets, batch.weights, batch.posterior_noise, batch.completion_noise]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(contents(first), contents(second), strict=True))
