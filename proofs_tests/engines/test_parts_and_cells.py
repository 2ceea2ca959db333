"""Which values a likelihood can have and which cells of a target are known, part by part; by hand."""

import array_api_compat.numpy as xp
import numpy as np
import pytest

from jpvae.model.likelihoods import Gaussian, Marginal, Mixed, StudentT, likelihood
from jpvae.training.batches import _shares

nan = np.nan


def test_a_group_of_categories_is_there_or_missing_as_a_whole():
    """Two variables of two levels; row by row, whether the first and the second can be."""
    family = likelihood((("categorical", 4, 2),))
    yes, no = [True, True], [False, False]
    rows = {
        (1, 0, nan, nan): yes + yes,
        (nan, nan, 0, 1): yes + yes,
        (1, 0, 1, 1): yes + no,
        (0, 0, 1, 0): no + yes,
        (nan, 1, 0, 1): [False, False, True, True],
    }
    found = family.valid(np.asarray(list(rows), dtype=float))
    # An empty cell is for whoever looks for those: only what is there can be impossible.
    there = ~np.isnan(np.asarray(list(rows), dtype=float))
    assert np.array_equal(found & there, np.asarray(list(rows.values())) & there)


def test_counts_are_whole_and_at_most_as_large_as_rates_reach():
    values = np.asarray([[0.0, 1e12, np.nextafter(1e12, 2e12), -1.0, 0.5, 3.0]])
    assert likelihood("poisson").valid(values).tolist() == [[True, True, False, False, False, True]]


def test_parameters_of_parts_belong_to_their_columns():
    family = Mixed([(Gaussian(), 2), (likelihood("bernoulli"), 1), (StudentT(), 3)])
    found = family.own_columns(6)
    assert {name: at.tolist() for name, at in found.items()} == {"0.log_var": [0, 1], "2.log_scale": [3, 4, 5]}
    assert {name: len(at) for name, at in found.items()} == {name: len(x) for name, x in family.parameters(6).items()}


@pytest.mark.parametrize("name", ["gaussian", "poisson", "student_t"])
def test_an_empty_cell_is_not_known(name):
    family, location, scale = Marginal(likelihood(name)), np.full(2, 0.5), np.ones(2)
    values = np.asarray([[1.0, nan], [nan, 4.0], [2.0, 3.0]])
    found, known = family.cells(family.targets(values, location, scale), 2)
    assert known.tolist() == (~np.isnan(values)).tolist()
    assert np.array_equal(found[known], likelihood(name).cells(likelihood(name).targets(values, location, scale), 2)[0][known])


def test_the_cells_of_a_part_that_has_a_column_more_in_its_target():
    """Counts before measurements: the size of the row stands between them."""
    family = Marginal(Mixed([(likelihood("poisson"), 2), (Gaussian(), 1)]))
    values = np.asarray([[2.0, 8.0, 0.5], [nan, 16.0, nan]])
    location, scale = np.r_[np.log1p([4.0, 16.0]), 0.0], np.ones(3)
    targets = family.targets(values, location, scale)
    assert targets.shape == (2, 3 + family.extra(3))
    found, known = family.cells(targets, 3)
    assert known.tolist() == [[True, True, True], [False, True, False]]
    assert found[known].tolist() == [2.0, 8.0, 0.5, 16.0]


class Titled(Gaussian):
    """Its advice depends on the column."""

    def expected(self, column):
        return f"column {column}"


def test_a_part_s_advice_is_of_its_own_column():
    family = Mixed([(Gaussian(), 2), (Titled(), 2)])
    assert [family.expected(column) for column in range(4)] == [Gaussian.expects] * 2 + ["column 0", "column 1"]


@pytest.mark.parametrize("out", [-1e4, -90.0, 0.0, 90.0, 1e4])
def test_the_slope_and_the_mean_of_a_zero_or_one_stay_finite_at_every_logit(out):
    """x - p, p = 0 and 1 to the last digit there."""
    x, p = np.float32([[0.0, 1.0, 0.25]]), {-1: 0.0, 0: 0.5, 1: 1.0}[np.sign(out)]
    found, _ = likelihood("bernoulli").log_prob_vjp(xp, np.full((1, 3), out, np.float32), x, {}, np.ones((1, 1), np.float32))
    assert found == pytest.approx(x - p, abs=1e-30)
    assert likelihood("bernoulli").mean(xp, np.full((1, 3), out, np.float32)) == pytest.approx(p, abs=1e-30)


def test_a_rate_beyond_all_integers_stands_for_its_draw():
    rng = np.random.default_rng(0)
    found = likelihood("poisson").draw_many(np.asarray([[1e19, 4.0, 1e30]]), {}, rng)
    assert found[0, [0, 2]].tolist() == [1e19, 1e30]
    assert found[0, 1] == np.rint(found[0, 1]) < 40


def test_the_mean_of_cells_knows_the_size_of_its_row():
    """With the row's counts it is of the row's own depth, without of a row of median depth."""
    plain, counts = likelihood("poisson"), np.asarray([[2.0, 8.0], [4.0, 16.0], [8.0, 32.0]])
    location, scale = plain.scaling(counts, np.ones(3, dtype=bool))
    outputs, family = np.tile(plain.initial_outputs(location, scale), (3, 1)), Marginal(plain)
    assert family.mean(xp, outputs) == pytest.approx(np.tile([4.0, 16.0], (3, 1)))
    assert family.mean(xp, outputs, family.targets(counts, location, scale)) == pytest.approx(counts)


def test_sizes_of_rows_where_counts_are_rare():
    """Two columns of a quarter of a count each: a row of two counts has four times the usual depth."""
    family, location = likelihood("poisson"), np.log1p(np.full(2, 0.25))
    targets = family.targets(np.asarray([[2.0, 0.0], [0.0, 1.0]]), location, np.ones(2))
    assert np.exp(targets[:, -1]) == pytest.approx([4.0, 2.0])


def test_the_mean_of_parts_knows_the_size_of_its_row():
    counts = np.asarray([[2.0, 8.0], [4.0, 16.0], [8.0, 32.0]])
    family, values = Mixed([(likelihood("poisson"), 2), (Gaussian(), 1)]), np.column_stack([counts, [0.5, 1.0, 1.5]])
    location, scale = family.scaling(values, np.ones(3, dtype=bool))
    outputs = np.tile(family.initial_outputs(location, scale), (3, 1))
    assert family.mean(xp, outputs, family.targets(values, location, scale))[:, :2] == pytest.approx(counts)
    assert family.mean(xp, outputs)[:, :2] == pytest.approx(np.tile([4.0, 16.0], (3, 1)))


def test_the_share_of_a_view_that_nobody_has_is_0():
    observed = np.asarray([[True, False], [True, False], [False, False], [True, False]])
    assert _shares(observed, slice(0, 2)).tolist() == [0.5, 2 / 3, 0.0]
