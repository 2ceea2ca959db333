"""Scores are what their definitions give in plain loops; intervals that are honest cover what they promise."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from jpvae.tables.fillers import FromRival
from jpvae.tables.rivals import METHODS
from jpvae.tables.scoring import DRAWS, FLOOR, Filled, Scores, crps
from jpvae.views.columns import Columns, Group

GAUSSIAN = Columns((Group("gaussian", (0, 1)),))
MIXED = Columns((Group("gaussian", (0,)), Group("bernoulli", (1,)), Group("categorical", (2,), ((0.0, 1.0, 2.0),))))


def test_crps_is_the_integral_over_the_distribution_of_many_draws():
    """integral (F(x) - [x >= truth])^2 dx, F standard normal; 200,000 quantiles in place of draws leave 1e-5."""
    from statistics import NormalDist

    normal = NormalDist()
    draws = np.array([normal.inv_cdf((k + 0.5) / 200_000) for k in range(200_000)])
    for truth in (-1.0, 0.3, 4.0):
        below, above = (
            quad(lambda x, y=y: (normal.cdf(x) - y) ** 2, *ends)[0] for y, ends in ((0, (-9, truth)), (1, (truth, 9)))
        )
        assert crps(np.array(truth), draws) == pytest.approx(below + above, abs=3e-5)


def test_crps_by_its_definition():
    rng = np.random.default_rng(0)
    truth, draws = rng.standard_normal((3, 2)), rng.standard_normal((5, 3, 2))
    for at in np.ndindex(3, 2):
        x = draws[:, *at]
        near = sum(abs(a - truth[at]) for a in x) / 5
        apart = sum(abs(x[k] - x[i]) for k in range(5) for i in range(5) if i != k) / 20
        assert crps(truth, draws)[at] == pytest.approx(near - apart / 2, abs=1e-14)


def test_scores_of_measurements_by_plain_loops():
    rng = np.random.default_rng(1)
    scale, truth = np.array([2.0, 0.1]), rng.standard_normal((8, 2)) * (2.0, 0.1)
    truth[3, 1] = np.nan
    mean, draws = truth + 0.5 * scale * rng.standard_normal((8, 2)), rng.standard_normal((DRAWS, 8, 2)) * scale
    mean[3, 1] = 7.0
    training = np.array([[5.0, -1.0], [9.0, -1.2], [np.nan, np.nan]])  # means 7, -1.1; deviations 2, 0.1
    scores = Scores(GAUSSIAN, training)
    for rows in (slice(0, 5), slice(5, 8)):  # blocks of rows add up
        scores.add(truth[rows], Filled(mean[rows], draws[:, rows], {}))
    result = scores.result()
    cells = [(r, c) for r in range(8) for c in range(2) if truth[r, c] == truth[r, c]]
    x, y = ([float((of[r, c] - (7.0, -1.1)[c]) / scale[c]) for r, c in cells] for of in (truth, mean))
    assert result["error"] == pytest.approx(math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) / len(cells)))
    mx, my = sum(x) / len(x), sum(y) / len(y)
    products = [
        sum((a - p) * (b - q) for a, b in zip(s, t, strict=True))
        for s, t, p, q in ((x, y, mx, my), (x, x, mx, mx), (y, y, my, my))
    ]
    assert result["correlation"] == pytest.approx(products[0] / math.sqrt(products[1] * products[2]))
    for level, (low, high) in {"95": (2, 78), "50": (20, 60)}.items():
        ordered = {(r, c): sorted(draws[:, r, c].tolist()) for r, c in cells}
        inside = [ordered[at][low - 1] <= truth[at] <= ordered[at][high - 1] for at in cells]
        wide = [(ordered[at][high - 1] - ordered[at][low - 1]) / scale[at[1]] for at in cells]
        assert result[f"coverage_{level}"] == pytest.approx(sum(inside) / len(cells))
        assert result[f"width_{level}"] == pytest.approx(sum(wide) / len(cells))
    assert (result["accuracy"], result["log_loss"]) == (None, None)


def test_scores_of_classes_by_hand():
    truth = np.array([[0.0, 1.0, 2.0], [0.0, 0.0, np.nan]])
    p = {1: np.array([[0.2, 0.8], [0.4, 0.6]]), 2: np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])}
    scores = Scores(MIXED, np.array([[1.0, 0.0, 1.0], [3.0, 1.0, 1.0]]))  # deviations 1, 0.5 and, of a constant, 1
    scores.add(truth, Filled(np.array([[1.0, 0.8, 0.0], [1.0, 0.6, 0.0]]), np.zeros((DRAWS, 2, 3)), p))
    result = scores.result()
    assert result["accuracy"] == pytest.approx(1 / 3)  # 0.8 is right, 0.6 is wrong, the category is wrong
    assert result["log_loss"] == pytest.approx(-(math.log(0.8) + math.log(0.4) + math.log(FLOOR)) / 3)
    # Numbers and zeros and ones have errors, categories none: 1, 1, 0.2/0.5, 0.6/0.5.
    assert result["error"] == pytest.approx(math.sqrt((1 + 1 + 0.4**2 + 1.2**2) / 4))
    assert result["coverage_95"] == 1.0  # of column 0 alone


@pytest.mark.parametrize("method", ["column means", "ridge", "factor analysis"])
def test_intervals_of_rivals_cover_normal_data(method):
    """Two views of one normal distribution: 95 and 50 % of what is hidden lies within."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((1600, 2)) @ rng.standard_normal((2, 6)) + rng.standard_normal((1600, 6))
    tables, columns = [x[:, :3], x[:, 3:]], [Columns.of_one_family("gaussian", 3)] * 2
    filler = FromRival(METHODS[method], [t[:800] for t in tables], columns, seed=0)
    scores = Scores(columns[1], tables[1][:800])
    scores.add(tables[1][800:], filler.fill([tables[0][800:], np.full((800, 3), np.nan)])[1])
    found = scores.result()
    # 2,400 cells in rows of three that go together, so some 800 of them count: deviations .0077 and .0177. The intervals' own
    # width is known to 1/sqrt(2 * 160) = .056 of itself, which moves .95 by .013 and .50 by .024.
    assert found["coverage_95"] == pytest.approx(0.95, abs=3 * 0.015)
    assert found["coverage_50"] == pytest.approx(0.50, abs=3 * 0.030)


def test_shares_of_a_category_are_probabilities():
    rng = np.random.default_rng(3)
    z = rng.standard_normal(300)
    first = np.stack([z, rng.standard_normal(300)], axis=1)
    second = np.stack([z + rng.standard_normal(300), z > 0.5, np.digitize(z, (-0.5, 0.5))], axis=1).astype(float)
    columns = [Columns.of_one_family("gaussian", 2), MIXED]
    filler = FromRival(METHODS["ridge"], [first, second], columns, seed=0)
    filled = filler.fill([first, np.full_like(second, np.nan)])[1]
    for j, levels in ((1, 2), (2, 3)):
        p = filled.probabilities[j]
        assert p.shape == (300, levels)
        assert (p >= 0).all()
        assert p.sum(axis=1) == pytest.approx(np.ones(300))
        assert (p.argmax(axis=1) == second[:, j]).mean() > 0.6  # z tells them all but for linear regression's middle
    assert set(np.unique(filled.mean[:, 2])) <= {0.0, 1.0, 2.0}
