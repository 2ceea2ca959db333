"""Views that are related by curves are recognised, and trained so that they are filled by curves."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from jpvae import JPVAE
from jpvae.request import Request
from jpvae.training import nonlinearity
from jpvae.training.nonlinearity import FEWEST_ROWS, explained_by_lines, gain_of_curves

QUIET = {"likelihood": "gaussian", "missing": "nan", "progress": False}


def circle(rows, seed=0):
    """An angle seen by its first harmonics, and by the next two: all correlations across the views are 0."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(0.0, 2.0 * np.pi, rows)
    waves = [np.stack([wave(k * t) for k in harmonics for wave in (np.cos, np.sin)], axis=1) for harmonics in ((1, 1), (2, 3))]
    return [
        x @ np.random.default_rng(j).standard_normal((4, 6)) + 0.3 * rng.standard_normal((rows, 6)) for j, x in enumerate(waves)
    ]


def lines(rows, seed=0):
    rng = np.random.default_rng(seed)
    shared, maps = rng.standard_normal((rows, 3)), np.random.default_rng(9).standard_normal((2, 3, 5))
    return [shared @ A + 0.7 * rng.standard_normal((rows, 5)) for A in maps]


def test_left_out_errors_are_those_of_refits_at_the_penalty_of_cross_validation():
    x, y = lines(30)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    K, errors, scores = x @ x.T, [], []
    for penalty in nonlinearity._PENALTIES * np.linalg.eigvalsh(K).clip(0.0).mean():
        rest = [np.delete(np.arange(30), i) for i in range(30)]
        predicted = [Ridge(alpha=penalty).fit(x[r], y[r]).predict(x[[i]])[0] for i, r in enumerate(rest)]
        errors.append(((y - predicted) ** 2).sum(axis=1))
        left = np.eye(30) - K @ np.linalg.inv(K + penalty * np.eye(30)) - 1.0 / 30.0
        scores.append(((left @ y) ** 2).sum() / np.trace(left) ** 2)
    wanted = errors[int(np.argmin(scores))]
    np.testing.assert_allclose(nonlinearity._left_out(K, y), wanted, rtol=1e-9)  # systems of condition 1e6 at most


@pytest.mark.parametrize("seed", range(3))
def test_curves_are_told_from_lines(seed):
    assert gain_of_curves(lines(200, seed)) < 0.05
    assert gain_of_curves(circle(200, seed)) > 0.3


def test_what_lines_explain_is_what_regressions_on_the_other_views_predict_of_rows_they_have_not_seen():
    """Beside a sum of columns of the other view, which it knows, a constant and noise, which it does not."""
    first, second = lines(300)
    noise = np.random.default_rng(1).standard_normal((300, 1))
    second = np.concatenate([second, first[:, :1] - first[:, 1:2], np.full((300, 1), 7.0), noise], axis=1)
    for j, (x, found) in enumerate(zip((first, second), explained_by_lines([first, second]), strict=True)):
        others = (second, first)[j]
        predicted = cross_val_predict(LinearRegression(), others, x, cv=LeaveOneOut())
        spread = x.var(axis=0)
        wanted = np.maximum(0.0, 1.0 - ((x - predicted) ** 2).mean(axis=0) / np.where(spread > 0, spread, np.inf))
        wanted[spread == 0] = 0.0
        np.testing.assert_allclose(found, wanted, atol=0.02)  # a penalty moves R^2 by less than its standard error, 0.04
    assert found[5] > 0.999
    assert found[6:].max() < 0.01
    assert [x.tolist() for x in explained_by_lines([first[:39], second[:39]])] == [[0.0] * 5, [0.0] * 8]
    assert explained_by_lines([first])[0].tolist() == [0.0] * 5


@pytest.mark.parametrize("seed", range(5))
def test_one_far_row_is_no_curve(seed):
    """Its own error outweighs those of all other rows, by lines and by curves."""
    x, y = lines(200, seed)
    x[7] *= 30.0
    y[7] *= 20.0
    assert gain_of_curves([x, y]) < 0.1


def test_more_columns_than_rows_tell_what_their_products_tell():
    """Repeated columns have the same products of rows, and so the same gain."""
    views = circle(60)
    repeated = [np.tile(x, (1, 20)) for x in views]
    assert gain_of_curves(repeated) == pytest.approx(gain_of_curves(views), rel=1e-9)  # condition 1e4 times 1e-16, and some


def test_units_empty_cells_constants_and_more_views_change_little():
    views = circle(200)
    found = gain_of_curves(views)
    assert gain_of_curves([1e4 * views[0] - 7.0, 1e-4 * views[1]]) == pytest.approx(
        found, rel=1e-6
    )  # rounding 1e4 / 1e-4 of 1e-16
    assert gain_of_curves([np.hstack([x, np.full((200, 1), 0.1)]) for x in views]) == pytest.approx(found, rel=1e-9)
    holed = [np.where(np.random.default_rng(j).random(x.shape) < 0.1, np.nan, x) for j, x in enumerate(views)]
    assert gain_of_curves(holed) > 0.2
    assert gain_of_curves([*views, np.random.default_rng(1).standard_normal((200, 4))]) > 0.2


@pytest.mark.parametrize(
    "tables", [circle(FEWEST_ROWS - 1), circle(200)[:1], [np.zeros((50, 2)), np.ones((50, 3))], [np.full((50, 2), np.nan)] * 2]
)
def test_what_cannot_tell_says_nothing(tables):
    assert gain_of_curves(tables) == 0.0


def test_a_circle_is_filled_by_its_curve():
    """Regression by lines can do no better than the means, whose error is a column's deviation."""
    train, new = circle(200), circle(200, seed=1)
    model = JPVAE(4, **QUIET, steps=250).fit(train)  # a quarter of its own: enough
    filled = model.impute([new[0], np.full_like(new[1], np.nan)])[1]
    error, by_lines = (np.sqrt(np.mean((x - new[1]) ** 2)) for x in (filled, RidgeCV().fit(*train).predict(new[0])))
    assert error < 2.0 / 3.0 * by_lines


def planned(views, **options):
    with JPVAE(4, **QUIET, **options)._begun(views, None, Request()) as begun:
        return begun.plan.steps, begun.plan.cross_weight


def test_only_what_is_not_given_follows_the_curves():
    straight, bent = planned(lines(200)), planned(circle(200))
    assert bent == (2 * straight[0], 16.0)
    assert 0 < straight[1] <= 1.0
    assert planned(circle(200), steps=7) == (7, 16.0)
    assert planned(circle(200), cross_weight=1.0) == (straight[0], 1.0)
    assert planned(circle(200), prior="independent")[0] == straight[0]
