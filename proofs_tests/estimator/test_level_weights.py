"""Zeros and ones and categories weigh more in the loss than numbers, so that what they tell of each other is read."""

import numpy as np
import pytest
from sklearn.base import clone

from jpvae import JPVAE
from jpvae.ensembles import fit_together
from jpvae.errors import ConfigError
from jpvae.model.likelihoods.bernoulli import Bernoulli
from jpvae.model.model import Model
from jpvae.request import Request
from jpvae.training.batches import Batches
from jpvae.training.plan import Plan
from jpvae.training.schedules import Constant, LearningRate

MIXED = (("gaussian", 1), ("bernoulli", 2))
MODEL = Model((3, 2, 2), (1, 1, 1), (MIXED, "gaussian", "bernoulli"))


def dummies(rows, seed):
    """A category of four levels as zeros and ones, three of them in one view and the fourth in the other; coins beside them."""
    rng = np.random.default_rng(seed)
    levels, coins = np.eye(4)[rng.integers(4, size=rows)], rng.integers(2, size=(rows, 2))
    return [np.concatenate([levels[:, :3], coins[:, :1]], axis=1), np.concatenate([levels[:, 3:], coins[:, 1:]], axis=1)]


def off(level_weight):
    """How far the fourth level's probability, which the three others leave no doubt of, is from the truth."""
    train, new = dummies(200, 0), dummies(200, 1)
    options = {"hidden": (8,), "likelihood": "bernoulli", "steps": 200, "backend": "numpy", "progress": False, "missing": "nan"}
    model = JPVAE(2, level_weight=level_weight, **options).fit(train)
    told = model.impute([new[0], np.full_like(new[1], np.nan)])[1][:, 0]
    return np.abs(told - new[1][:, 0]).mean()


def test_what_zeros_and_ones_tell_of_each_other_is_read():
    assert off("auto") < 0.75 * off(1.0)


def batch_of(weights, views=(2.0, 3.0, 1.0)):
    rng = np.random.default_rng(0)
    tables = [rng.integers(2, size=(6, c)).astype(float) for c in MODEL.features]
    plan = Plan(3, 6, Constant(), LearningRate(), weights=(1.0, 0.5), view_weights=views, column_weights=weights)
    return Batches(tables, np.ones((6, 3), dtype=bool), MODEL, plan).at(0)


def test_a_view_has_its_largest_weight_and_columns_less_beside_it():
    batch = batch_of(((1.0, 4.0, 2.0), (1.0, 1.0), (5.0, 5.0)))
    assert batch.view_weights == (8.0, 3.0, 5.0)
    assert [each.tolist() for each in batch.column_weights] == [[0.25, 1.0, 0.5], [1.0, 1.0], [1.0, 1.0]]
    alike = batch_of(((1.0,) * 3, (1.0,) * 2, (5.0, 5.0)), None)
    assert (alike.view_weights, alike.column_weights) == ((1.0, 1.0, 5.0), None)
    assert (batch_of(None).view_weights, batch_of(None).column_weights) == ((2.0, 3.0, 1.0), None)


def planned(views, **options):
    model = JPVAE(2, steps=4, backend="numpy", progress=False, **options)
    with model._begun(views, None, Request()) as begun:
        return begun.plan.column_weights


def test_levels_weigh_by_what_lines_in_the_other_views_explain_of_them():
    """Three dummies of a category of four, the fourth in the other view; coins are not explained, and numbers have 1."""
    rng = np.random.default_rng(0)
    levels, coins = np.eye(4)[rng.integers(4, size=300)], rng.integers(2, size=(300, 2))
    first = np.concatenate([levels[:, :3], coins[:, :1]], axis=1)
    second = np.concatenate([levels[:, 3:], coins[:, 1:], levels[:, 3:] + rng.standard_normal((300, 1))], axis=1)
    likelihood = [
        {0: "bernoulli", 1: "bernoulli", 2: "bernoulli", 3: "bernoulli"},
        {0: "bernoulli", 1: "bernoulli", 2: "gaussian"},
    ]
    one, other = planned([first, second], likelihood=likelihood)
    assert other == pytest.approx((10.0, 1.0, 1.0), abs=0.05)
    # Of a level that is there in a quarter of the rows, 1 / (4 * 3) of the variance 3 / 16 is known by the fourth's: R^2 = 1/9.
    assert one == pytest.approx((9 / 8,) * 3 + (1.0,), abs=0.1)
    assert planned([first, second], likelihood=likelihood, level_weight=3.0) == ((3.0,) * 4, (3.0, 3.0, 1.0))
    for off in ({"level_weight": 1.0}, {"objective": "elbo"}, {"prior": "independent"}):
        assert planned([first, second], likelihood=likelihood, **off) is None
    assert planned([first[:30], second[:30]], likelihood=likelihood) is None  # too few rows to tell
    assert planned([rng.standard_normal((300, 3))] * 2, likelihood="gaussian") is None


def test_the_levels_of_a_category_weigh_alike():
    """sum_k v_k q_k log p_k is largest at p_k ~ v_k q_k: other weights than one for all would move its probabilities."""
    rng = np.random.default_rng(0)
    codes = rng.integers(3, size=300)
    first = np.stack([codes.astype(float), rng.standard_normal(300)], axis=1)
    second = np.stack([(codes == 0).astype(float), rng.standard_normal(300)], axis=1)
    likelihood = [{0: "categorical", 1: "gaussian"}, {0: "bernoulli", 1: "gaussian"}]
    one, other = planned([first, second], likelihood=likelihood)
    assert one[:3] == (one[0],) * 3
    assert one[3] == 1.0
    assert 1.5 < one[0] < 3.0  # R^2 is 1 of the first level, and a quarter of both others
    assert other == pytest.approx((10.0, 1.0), abs=1e-6)


class Odd(Bernoulli):
    """Says something else than which columns have levels."""

    answer = None

    def of_levels(self, features):
        return self.answer


@pytest.mark.parametrize("answer", [None, True, np.ones(3, dtype=bool), np.array([0.5, 1.0])])
def test_an_odd_answer_of_which_columns_have_levels_is_refused(monkeypatch, answer):
    monkeypatch.setattr(Odd, "answer", answer)
    rng = np.random.default_rng(0)
    views = [rng.integers(2, size=(60, 2)).astype(float) for _ in range(2)]
    with pytest.raises(
        ConfigError, match=r"likelihood of view 'view0' has .* from its method of_levels; expected 2 truth values"
    ):
        planned(views, likelihood=Odd())


@pytest.mark.parametrize("order", [(30, 200), (200, 30)])
def test_models_with_and_without_weights_train_together_as_alone(order):
    tables = [dummies(rows, rows) for rows in order]
    options = {"hidden": (4,), "likelihood": "bernoulli", "steps": 20, "batch_size": 16, "calibration": 0.0, "progress": False}
    options |= {"weight_decay": 0.1, "cross_weight": 1.0, "init": "random"}  # by default they differ with the rows too
    models = [JPVAE(2, backend="torch", dtype="float64", seed=k, **options) for k in range(2)]
    alone = [clone(model).fit(table) for model, table in zip(models, tables, strict=True)]
    for one, other in zip(fit_together(models, tables, each=True), alone, strict=True):
        for name, x in one.parameters_.items():
            np.testing.assert_allclose(x, other.parameters_[name], rtol=0, atol=1e-10)  # sums of 20 steps in another order


@pytest.mark.parametrize("entries", ["error", "marginalise"])
def test_columns_of_levels(entries):
    spec = (("gaussian", 2), ("categorical", 3, 3), ("poisson_unscaled", 1), ("bernoulli", 1))
    model = Model((7, 2), (1, 1), (spec, "gaussian"), entries=entries)
    assert model.likelihoods[0].of_levels(7).tolist() == [False] * 2 + [True] * 3 + [False, True]
    assert not model.likelihoods[1].of_levels(2).any()
