"""Rubin's rules: a published example, the formulas in exact fractions, their limits, and coverage by simulation."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from jpvae import pool
from jpvae.errors import ConfigError, ViewError

# SAS/STAT 9.22 User's Guide, the MIANALYZE procedure, Example 57.1: a mean and its standard error from each of five imputed
# data sets of 31 men (EDF=30), and what it prints for them.
OXYGEN = [47.0120, 47.2407, 47.4995, 47.1485, 47.0042], [0.95984, 0.93540, 1.00766, 0.95439, 0.96528]
PUBLISHED = {
    # name: (printed, what the inputs' own rounding, 5e-5 and 5e-6, and the last printed digit may make of it)
    "estimate": (47.180993, 6e-5),
    "between": (0.041478, 2e-5),  # 2 |deviations| 5e-5 / 4, and their squares
    "within": (0.930853, 1e-5),  # 2 * 1 * 5e-6
    "total": (0.980626, 4e-5),
    "df": (26.298, 2e-3),
    "relative_increase": (0.053471, 3e-5),
    "fraction_missing": (0.051977, 3e-5),
    "std_error": (0.990266, 2e-5),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_example(name):
    pooled, (printed, room) = pool(OXYGEN[0], np.square(OXYGEN[1]), complete_df=30), PUBLISHED[name]
    assert abs(getattr(pooled, name) - printed) < room


def test_a_published_interval():
    """R's mice 2.30, help page of pool: estimate 22.01313, se 4.94086, 12.016 degrees of freedom, 11.24954 to 32.77673."""
    pooled = pool([0.0, 1.0], [1.0, 1.0])
    given = type(pooled)(22.01313, 0.0, 0.0, 4.94086**2, 12.016, 0.0, 0.0)
    # The degrees of freedom are rounded to 5e-4, of which t_0.975 (2.18) moves by 1e-5, and se to 5e-6.
    assert given.confidence_interval() == pytest.approx((11.24954, 32.77673), abs=1e-4)


def exact(Q, U, complete_df=None):
    """The definitions in fractions, with 1 + 1/r in place of the package's lambda."""
    Q, U = [Fraction(x) for x in Q], [Fraction(x) for x in U]
    m = len(Q)
    mean, W = sum(Q) / m, sum(U) / m
    B = sum((q - mean) ** 2 for q in Q) / (m - 1)
    T = W + (1 + Fraction(1, m)) * B
    r = (1 + Fraction(1, m)) * B / W
    old = df = (m - 1) * (1 + 1 / r) ** 2
    if complete_df is not None:
        nu = Fraction(complete_df)
        observed = (nu + 1) / (nu + 3) * nu * W / T
        df = old * observed / (old + observed)
    return [mean, W, B, T, df, r, (r + 2 / (old + 3)) / (r + 1)]


def test_the_largest_degrees_of_freedom_are_as_good_as_none():
    largest, none = (pool([1.0, 2.0, 4.0], [0.5, 0.25, 0.5], complete_df=nu) for nu in (np.finfo(float).max, None))
    assert largest.df == pytest.approx(none.df, rel=1e-15)


FIELDS = ("estimate", "within", "between", "total", "df", "relative_increase", "fraction_missing")


@pytest.mark.parametrize("complete_df", [None, 0.5, 7, 1000])
@pytest.mark.parametrize("m", [2, 5, 40])
def test_every_number_is_its_definition(m, complete_df):
    rng = np.random.default_rng(m)
    Q, U = rng.normal(2.0, 0.5, (m, 3)), rng.uniform(0.5, 2.0, (m, 3))
    pooled = pool(Q, U, complete_df=complete_df)
    for k in range(3):
        wanted = exact(Q[:, k].tolist(), U[:, k].tolist(), complete_df)
        # A few sums of m terms of one sign; deviations of size 1 of numbers of size 2: some hundred roundings.
        assert [getattr(pooled, name)[k] for name in FIELDS] == pytest.approx([float(x) for x in wanted], rel=1e-13)
        scalar = pool(Q[:, k].tolist(), U[:, k], complete_df=complete_df)
        assert [getattr(scalar, name) for name in FIELDS] == pytest.approx([float(x) for x in wanted], rel=1e-13)
        assert np.ndim(scalar.estimate) == 0


def test_the_interval_is_student_s():
    pooled = pool([1.0, 2.0, 4.0], [0.5, 0.25, 0.5], complete_df=20)
    low, high = pooled.confidence_interval(0.9)
    # SciPy's quantile is within 5e-12 from release 1.11 on.
    assert stats.t.cdf((high - pooled.estimate) / pooled.std_error, pooled.df) == pytest.approx(0.95, abs=1e-11)
    assert high - pooled.estimate == pytest.approx(pooled.estimate - low, rel=1e-14)


def test_estimates_that_agree_and_variances_of_zero():
    same = pool([3.0, 3.0, 3.0], [0.5, 0.25, 0.75])
    assert (same.total, same.df, same.relative_increase, same.fraction_missing) == (0.5, np.inf, 0.0, 0.0)
    # Without missing information Student's t is the normal distribution, or that of the complete data's analysis, shrunk.
    assert same.confidence_interval()[1] == pytest.approx(3.0 + stats.norm.ppf(0.975) * np.sqrt(0.5), rel=1e-12)
    assert pool([3.0, 3.0], [0.5, 0.5], complete_df=9).df == pytest.approx(10 / 12 * 9)
    certain = pool([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    assert (certain.df, certain.relative_increase, certain.total) == (2.0, np.inf, pytest.approx(4 / 3))
    assert certain.fraction_missing == 1.0
    nothing = pool([1.0, 1.0], [0.0, 0.0])
    assert (nothing.estimate, nothing.total, nothing.fraction_missing) == (1.0, 0.0, 0.0)
    assert nothing.relative_increase == 0.0  # not 0/0


def test_intervals_cover_the_truth():
    """A normal mean, 60 of 100 numbers missing at random, proper draws (mean and variance from their posterior): 95 % intervals
    cover in 95 % of 2,000 repetitions, of which the standard error is 0.5 %; complete-data intervals of each fill do not."""
    rng, n, seen, m, repetitions = np.random.default_rng(0), 100, 40, 10, 2000
    x = rng.standard_normal((repetitions, seen))
    mean, var = x.mean(axis=1), x.var(axis=1, ddof=1)
    Q, U = np.empty((m, repetitions)), np.empty((m, repetitions))
    for k in range(m):
        drawn = (seen - 1) * var / rng.chisquare(seen - 1, repetitions)
        centre = mean + np.sqrt(drawn / seen) * rng.standard_normal(repetitions)
        fill = centre[:, None] + np.sqrt(drawn)[:, None] * rng.standard_normal((repetitions, n - seen))
        complete = np.concatenate([x, fill], axis=1)
        Q[k], U[k] = complete.mean(axis=1), complete.var(axis=1, ddof=1) / n
    low, high = pool(Q, U, complete_df=n - 1).confidence_interval()
    assert abs(((low < 0) & (high > 0)).mean() - 0.95) < 0.02
    naive = 1.984 * np.sqrt(U[0])
    assert (np.abs(Q[0]) < naive).mean() < 0.85


BAD = {
    "one": (([1.0], [1.0]), {}, ViewError, r"estimates has shape \(1,\); expected \(m,\) or \(m, \.\.\.\) with m >= 2"),
    "number": ((1.0, 1.0), {}, ViewError, r"estimates has shape \(\); expected"),
    "shapes": (([1.0, 2.0], [1.0]), {}, ViewError, r"variances has shape \(1,\); expected that of estimates, \(2,\)"),
    "negative": (([1.0, 2.0], [1.0, -0.5]), {}, ViewError, r"variances has the negative entry -0\.5"),
    "nan": (([1.0, np.nan], [1.0, 1.0]), {}, ViewError, r"estimates has an entry that is not finite"),
    "text": ((["a", "b"], [1.0, 1.0]), {}, ViewError, r"estimates is not an array of numbers"),
    "df": (([1.0, 2.0], [1.0, 1.0]), {"complete_df": 0}, ConfigError, r"complete_df is 0; expected a positive number"),
    "df inf": (
        ([1.0, 2.0], [1.0, 1.0]),
        {"complete_df": np.inf},
        ConfigError,
        r"complete_df is inf; expected a positive",
    ),
    "df list": (
        ([1.0, 2.0], [1.0, 1.0]),
        {"complete_df": [5, 6]},
        ConfigError,
        r"complete_df is \[5, 6\]; expected a positive",
    ),
}


@pytest.mark.parametrize(("arguments", "options", "error", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        pool(*arguments, **options)


def test_an_estimate_may_be_known_exactly():
    pooled = pool([1.0, 3.0], [0.0, 0.5])
    assert (pooled.within, pooled.between, pooled.total) == (0.25, 2.0, 3.25)


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_a_level_is_a_probability(level):
    with pytest.raises(ConfigError, match=rf"level is {level}; expected 0 < level < 1"):
        pool([1.0, 2.0], [1.0, 1.0]).confidence_interval(level)
