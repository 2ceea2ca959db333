"""Streaming moments: any split into batches gives the mean and the unbiased covariance of all rows at once."""

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jpvae_core as jc


def rows(seed, offset, count=40):
    rng = np.random.default_rng(seed)
    data = offset + rng.standard_normal((count, 3)) @ rng.standard_normal((3, 3))
    return data.astype(np.float32).astype(float)


def truth(data):
    """Two passes in 80 digits."""
    x = oracles.exact(data)
    centred = x - x.sum(axis=0) / len(x)
    return oracles.floats(x.sum(axis=0) / len(x)), oracles.floats(centred.T @ centred / (len(x) - 1))


@given(
    seed=st.integers(0, 999),
    offset=st.sampled_from([0.0, 3.0, 1e6]),
    cuts=st.lists(st.integers(0, 40), min_size=1, max_size=5).map(sorted),
)
def test_batches_and_merges_give_the_moments_of_all_rows(xp, seed, offset, cuts):
    data = rows(seed, offset)
    batches = np.split(data, cuts)  # some of them empty
    stream, left, right = jc.Moments(), jc.Moments(), jc.Moments()
    for k, batch in enumerate(batches):
        assert stream.update(xp.array(batch)) is stream
        (left if k % 2 else right).update(xp.array(batch))
    mean, covariance = truth(data)
    eps = np.finfo(float).eps  # accumulation is float64 whatever came in
    # A mean of B rows is off by B eps |x|. A scatter of centred rows is off by B eps S + (that)^2 B; merging adds
    # delta^2 n_a n_b/n, whose error is again 2 delta times the means' error.
    mean_error = len(data) * eps * np.abs(data).max()
    spread = np.abs(data - mean).max()
    error = 4 * len(data) * eps * spread**2 + 8 * spread * mean_error + 4 * mean_error**2
    for moments in (stream, left.merge(right), jc.Moments().merge(stream)):
        assert moments.count == len(data)
        assert np.all(np.abs(moments.mean - mean) <= mean_error)
        assert np.all(np.abs(moments.covariance - covariance) <= error)
    reference = np.cov(data.T)
    assert np.all(np.abs(stream.covariance - reference) <= 2 * error)


def test_merging_does_not_change_what_was_merged():
    data = rows(1, 0.0)
    a, b = jc.Moments().update(data[:10]), jc.Moments().update(data[10:])
    before = b.mean.copy(), b.covariance.copy()
    empty = jc.Moments().merge(b)
    empty.update(data[:10])
    a.merge(b)
    np.testing.assert_array_equal(b.mean, before[0])
    np.testing.assert_array_equal(b.covariance, before[1])


def test_two_rows_have_a_covariance():
    np.testing.assert_array_equal(jc.Moments().update(np.asarray([[0.0, 1.0], [2.0, 5.0]])).covariance, [[2, 4], [4, 8]])


def test_counts():
    moments = jc.Moments()
    assert moments.count == 0
    for rows, count in ((0, 0), (3, 3), (0, 3), (2, 5)):
        assert moments.update(np.zeros((rows, 2))).count == count


def test_rows_that_carry_a_gradient():
    rows = np.random.default_rng(0).standard_normal((5, 2))
    moments = jc.Moments()
    moments.update(torch.tensor(rows, requires_grad=True))
    np.testing.assert_allclose(moments.covariance, np.cov(rows.T), rtol=1e-14)  # sums of five products: < 30 roundings


def test_too_few_rows_is_an_error_not_nan():
    with pytest.raises(ValueError, match="seen no rows"):
        _ = jc.Moments().update(np.zeros((0, 3))).mean
    with pytest.raises(ValueError, match="seen 1 rows; a covariance needs at least two"):
        _ = jc.Moments().update(np.zeros((1, 3))).covariance
    with pytest.raises(jc.ShapeError, match="rows have 2 columns; expected 3"):
        jc.Moments().update(np.zeros((1, 3))).update(np.zeros((1, 2)))
    with pytest.raises(jc.ShapeError, match=r"rows has shape \(3,\); expected \(B, n\)"):
        jc.Moments().update(np.zeros(3))


def test_rows_of_float32_are_summed_in_float64():
    """Exactly the moments of the same numbers in float64, far from 0 too."""
    rows = (1e4 + np.random.default_rng(0).standard_normal((50, 2))).astype(np.float32)
    narrow, wide = (jc.Moments().update(x) for x in (rows, rows.astype(np.float64)))
    assert narrow.mean.dtype == narrow.covariance.dtype == np.float64
    np.testing.assert_array_equal(narrow.mean, wide.mean)
    np.testing.assert_array_equal(narrow.covariance, wide.covariance)
