"""Zeros and ones and categories weigh more in the loss than numbers, so that what they tell of each other is read."""

import numpy as np
import pytest

from jpvae import JPVAE
from jpvae.model.model import Model
from jpvae.training.batches import Batches
from jpvae.training.plan import Plan
from jpvae.training.schedules import Constant, LearningRate

MIXED = (("gaussian", 1), ("bernoulli", 2))
MODEL = Model((3, 2, 2), (1, 1, 1), (MIXED, "gaussian", "bernoulli"))


def dummies(rows, seed):
    """A category of four levels as zeros and ones, two of them in either view; and a coin beside them."""
    rng = np.random.default_rng(seed)
    levels, coins = np.eye(4)[rng.integers(4, size=rows)], rng.integers(2, size=(rows, 2))
    return [np.concatenate([levels[:, :2], coins[:, :1]], axis=1), np.concatenate([levels[:, 2:], coins[:, 1:]], axis=1)]


def off(level_weight):
    """How far the third level's probability is from the truth: 0 where one of the first two is there, else a half."""
    train, new = dummies(200, 0), dummies(200, 1)
    options = {"hidden": (8,), "likelihood": "bernoulli", "steps": 300, "backend": "numpy", "progress": False, "missing": "nan"}
    model = JPVAE(3, level_weight=level_weight, **options).fit(train)
    told = model.impute([new[0], np.full_like(new[1], np.nan)])[1][:, 0]
    return np.abs(told - np.where(new[0][:, :2].any(axis=1), 0.0, 0.5)).mean()


def test_what_zeros_and_ones_tell_of_each_other_is_read():
    assert off("auto") < 0.75 * off(1.0)


def of(plan):
    rng = np.random.default_rng(0)
    views = [rng.integers(2, size=(6, c)).astype(float) for c in MODEL.features]
    return Batches(views, np.ones((6, 3), dtype=bool), MODEL, plan).at(0)


def test_a_view_has_the_weight_of_its_levels_and_numbers_beside_them_less():
    plan = Plan(3, 6, Constant(), LearningRate(), weights=(1.0, 0.5), view_weights=(2.0, 3.0, 1.0), level_weight=4.0)
    batch = of(plan)
    assert batch.view_weights == (8.0, 3.0, 4.0)
    assert [each.tolist() for each in batch.column_weights] == [[0.25, 1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    plain = of(Plan(3, 6, Constant(), LearningRate(), weights=(1.0, 0.5), view_weights=(2.0, 3.0, 1.0)))
    assert (plain.view_weights, plain.column_weights) == ((2.0, 3.0, 1.0), None)


@pytest.mark.parametrize("name", ["gaussian", "poisson", "student_t"])
def test_numbers_alone_have_no_weights(name):
    model = Model((2, 2), (1, 1), (name,) * 2)
    batch = Batches(
        [np.ones((4, 2))] * 2, np.ones((4, 2), dtype=bool), model, Plan(3, 4, Constant(), LearningRate(), level_weight=4.0)
    ).at(0)
    assert (batch.view_weights, batch.column_weights) == (None, None)


@pytest.mark.parametrize("entries", ["error", "marginalise"])
def test_columns_of_levels(entries):
    spec = (("gaussian", 2), ("categorical", 3, 3), ("poisson_unscaled", 1), ("bernoulli", 1))
    model = Model((7, 2), (1, 1), (spec, "gaussian"), entries=entries)
    assert model.likelihoods[0].of_levels(7).tolist() == [False] * 2 + [True] * 3 + [False, True]
    assert not model.likelihoods[1].of_levels(2).any()
