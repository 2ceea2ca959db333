"""Location and scale: in which units the networks see a column, and the size factors of counts."""

import math
import statistics

import array_api_compat.numpy
import array_api_compat.torch
import numpy as np
import pytest

from jpvae.model.likelihoods import (
    Bernoulli,
    Gaussian,
    Marginal,
    Mixed,
    StudentT,
    likelihood,
    observed_moments,
)


def test_an_outlier_reaches_the_student_s_encoder_as_a_few_units():
    """arsinh x = log(x + sqrt(x^2 + 1)); the target, whose density it is, stays as it was."""
    values = np.asarray([[0.0], [1.0], [-1.0], [1e12]])
    targets = StudentT().targets(values, np.zeros(1), np.ones(1))
    assert targets is values
    expected = [0.0, math.log(1 + math.sqrt(2)), -math.log(1 + math.sqrt(2)), math.log(2e12)]
    assert StudentT().inputs(targets, np.zeros(1), np.ones(1))[:, 0] == pytest.approx(expected, rel=1e-14)


def test_gaussian_units_are_those_of_the_observed_rows():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((40, 3)) * [1e-4, 1.0, 1e6] + [0.0, -5.0, 1e7]
    observed = rng.random(40) < 0.6
    location, scale = Gaussian().scaling(values, observed)
    kept = values[observed].T.tolist()
    # Two passes over 40 numbers, means up to 100 deviations from 0: 40 * 100 eps.
    assert location == pytest.approx([statistics.fmean(c) for c in kept], rel=1e-14, abs=1e-18)
    assert scale == pytest.approx([statistics.pstdev(c) for c in kept], rel=1e-12)
    holes = np.where(rng.random((40, 3)) < 0.3, np.nan, values)
    kept = [[x for x in c if x == x] for c in holes[observed].T.tolist()]
    location, scale = Gaussian().scaling(holes, observed)
    assert location == pytest.approx([statistics.fmean(c) for c in kept], rel=1e-14, abs=1e-18)
    assert scale == pytest.approx([statistics.pstdev(c) for c in kept], rel=1e-12)
    location, scale = StudentT().scaling(holes, observed)
    medians = [statistics.median(c) for c in kept]
    assert location.tolist() == medians
    mads = [statistics.median([abs(x - m) for x in c]) for c, m in zip(kept, medians, strict=True)]
    assert scale == pytest.approx(np.asarray(mads) / statistics.NormalDist().inv_cdf(0.75), rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, -1e9 / 7])
@pytest.mark.parametrize("rows", [1, 3, 7, 1000])
@pytest.mark.parametrize("family", [Gaussian, StudentT])
def test_a_constant_column_keeps_scale_one(family, value, rows):
    """Its computed deviation may be a rounding error instead of 0: dividing by that would make noise of the next row."""
    _, scale = family().scaling(np.full((rows, 1), value), np.ones(rows, dtype=bool))
    assert scale.tolist() == [1.0]


def test_a_student_s_scale_where_most_of_a_column_is_one_number():
    values = np.asarray([[0.0]] * 7 + [[3.0], [-2.0]])
    location, scale = StudentT().scaling(values, np.ones(9, dtype=bool))
    assert (location[0], scale[0]) == (0.0, pytest.approx(statistics.pstdev(values[:, 0].tolist())))


def test_bernoulli_has_no_units():
    location, scale = Bernoulli().scaling(np.full((4, 2), 0.3), np.ones(4, dtype=bool))
    assert (location.tolist(), scale.tolist()) == ([0.0, 0.0], [1.0, 1.0])


def test_size_factors():
    """Three rows of depths 10, 20 and 40: s is 1/2, 1, 2; of what a row has where cells are missing; 1 for a missing row."""
    counts = np.asarray([[2.0, 8.0], [4.0, 16.0], [8.0, 32.0]])
    made = likelihood("poisson")
    location, scale = made.scaling(counts, np.ones(3, dtype=bool))
    assert np.expm1(location) == pytest.approx([4.0, 16.0])  # the profile of a row of median depth
    targets = made.targets(np.asarray([*counts, [np.nan, np.nan], [np.nan, 8.0], [0.0, 0.0]]), location, scale)
    assert np.exp(targets[:, -1]) == pytest.approx([0.5, 1.0, 2.0, 1.0, 0.5, 1 / 20])  # no count at all: taken for one
    # What the encoder reads: rows that differ in depth alone are one profile.
    inputs = made.inputs(targets, location, scale)
    assert inputs[:3] == pytest.approx(np.zeros((3, 2)), abs=1e-12)
    assert scale.tolist() == [1.0, 1.0]
    # The decoder starts at the typical counts, and a row's mean is of its own depth.
    start = np.tile(made.initial_outputs(location, scale), (3, 1))
    assert made.mean(array_api_compat.numpy, start, targets[:3]) == pytest.approx(counts)
    assert made.mean(array_api_compat.numpy, start) == pytest.approx(np.tile([4.0, 16.0], (3, 1)))
    plain = likelihood("poisson_unscaled")
    location, scale = plain.scaling(counts, np.ones(3, dtype=bool))
    assert np.expm1(location) == pytest.approx(counts.mean(axis=0))
    assert plain.targets(counts, location, scale)[:, -1].tolist() == [0.0] * 3


def test_a_row_of_counts_that_nobody_else_has_is_of_the_usual_depth():
    """Nothing is expected of the one column that it shows."""
    targets = likelihood("poisson").targets(np.asarray([[7.0, np.nan]]), np.log1p([0.0, 4.0]), np.ones(2))
    assert targets[0, -1] == 0.0


@pytest.mark.parametrize(("location", "scale"), [([0.0, 2.0], [1.0, 1.0]), ([0.0, 0.0], [1.0, 4.0]), ([1.0, 2.0], [2.0, 2.0])])
def test_a_target_is_shifted_and_scaled_where_any_column_is(location, scale):
    values = np.asarray([[3.0, 10.0], [np.nan, -2.0]])
    found = Gaussian().targets(values, np.asarray(location), np.asarray(scale))
    expected = [[(x - a) / s for x, a, s in zip(row, location, scale, strict=True)] for row in values.tolist()]
    np.testing.assert_array_equal(found, expected)


def test_a_column_whose_deviation_is_below_all_numbers_keeps_scale_one():
    """It varies, by 1e-170, whose square is 0."""
    values = np.stack([np.r_[0.0, 1e-170, 0.0], np.r_[0.0, 1e-3, 0.0]], axis=1)
    for family in (Gaussian, StudentT):
        _, scale = family().scaling(values, np.ones(3, dtype=bool))
        assert scale == pytest.approx([1.0, np.sqrt(2) / 3 * 1e-3])


def test_counts_are_read_at_a_common_depth_in_units_of_their_spread():
    """Row by row with Python's numbers: s is the row's total over that of the typical counts, where cells are missing of the
    columns that are there; an encoder reads log(1 + x/s)."""
    rng = np.random.default_rng(3)
    counts = rng.poisson([2.0, 30.0, 400.0], (9, 3)) * rng.integers(1, 6, (9, 1)).astype(float)
    counts[2, 1], counts[5, 2], observed = np.nan, np.nan, np.arange(9) != 7
    location, scale = likelihood("poisson").scaling(counts, observed)
    rows = [[x if x == x else None for x in row] for row in counts[observed].tolist()]
    profile = [statistics.fmean(x for x in column if x is not None) for column in zip(*rows, strict=True)]

    def size(row, typical):
        there = [(x, t) for x, t in zip(row, typical, strict=True) if x is not None]
        return sum(x for x, _ in there) / sum(t for _, t in there)

    middle = statistics.median(size(row, profile) for row in rows)
    typical = [t * middle for t in profile]
    read = [[None if x is None else math.log1p(x / size(row, typical)) for x in row] for row in rows]
    deviations = [statistics.pstdev([x for x in column if x is not None]) for column in zip(*read, strict=True)]
    assert location == pytest.approx([math.log1p(t) for t in typical], rel=1e-13)
    assert scale == pytest.approx(deviations, rel=1e-12)
    targets = likelihood("poisson").targets(counts, location, scale)
    inputs = likelihood("poisson").inputs(targets, location, scale)[observed]
    for row, made in zip(read, inputs.tolist(), strict=True):
        for x, at, unit, found in zip(row, location, scale, made, strict=True):
            assert x is None or found == pytest.approx((x - at) / unit, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["gaussian", "student_t", "poisson", "negative_binomial", "bernoulli", "categorical"])
def test_what_is_drawn_keeps_its_dtype(name, dtype):
    family, rng = likelihood(name), np.random.default_rng(0)
    mean = np.full((4, 3), 1 / 3, dtype)
    own = {key: x.astype(dtype) for key, x in family.parameters(3).items()}
    for one in (family, Marginal(family)):
        for drawn in (one.draw(mean, own, rng), one.draw_many(mean, own, rng)):
            assert (drawn.dtype, drawn.shape) == (dtype, (4, 3))
        assert one.variance(mean, own).shape == (4, 3)


@pytest.mark.parametrize("rows", range(2, 30))
def test_observed_moments_of_a_constant_column(rows):
    """The deviation of equal numbers is 0, or a rounding error: of ten times 0.1 it is 1.4e-17."""
    values = np.stack([np.full(rows, 0.1), np.full(rows, -7.3), np.arange(rows)], axis=1)
    values[0, 1] = np.nan
    mean, scale = observed_moments(values, np.ones(rows, dtype=bool))
    assert scale[:2].tolist() == [1.0, 1.0]
    assert scale[2] == pytest.approx(np.sqrt((rows**2 - 1) / 12), rel=1e-12)
    assert mean[:2] == pytest.approx([0.1, -7.3], rel=1e-14)


def test_log_units_are_the_logarithm_of_how_far_a_unit_of_the_target_reaches():
    """In the data's units, by ``to_data`` at 0 and 1; of a mixed view each column's own family's."""
    scale, location = np.array([0.5, 3.0, 7.0]), np.array([1.0, -2.0, 0.25])
    made = [Mixed([(Gaussian(), 1), (likelihood("negative_binomial"), 1), (StudentT(), 1)])]
    made += [likelihood(name) for name in ("gaussian", "student_t", "poisson", "negative_binomial", "bernoulli")]
    for one in [*made, *map(Marginal, made)]:
        reach = one.to_data(np.ones(3), location, scale) - one.to_data(np.zeros(3), location, scale)
        np.testing.assert_allclose(one.log_units(scale), np.log(reach), rtol=1e-15, atol=1e-15)
