"""C = 0: Sigma is the identity, the KL is the sum of the views' own, and observing a view says nothing about another.

Source: the paper's baseline, separate VAEs; N(0, I) by hand.
"""

import numpy as np
import pytest

import jpvae_core as jc

PRIOR = jc.JointPrior.independent([2, 3])
RNG = np.random.default_rng(0)
MEANS, LOG_VARS = ([RNG.standard_normal((4, n)) for n in (2, 3)] for _ in range(2))
FIRST_ONLY = np.asarray([True, False])


def test_its_covariance_is_the_identity():
    np.testing.assert_array_equal(PRIOR.covariance(), np.eye(5))
    np.testing.assert_array_equal(PRIOR.precision(), np.eye(5))
    np.testing.assert_array_equal(PRIOR.cross_covariance(0, 1), np.zeros((2, 3)))
    np.testing.assert_array_equal(PRIOR.cross_covariance(1, 1), np.eye(3))
    assert PRIOR.log_det() == 0.0
    assert PRIOR.max_singular_value() == 0.0
    assert PRIOR.noise_dim == 5


def test_it_answers_like_the_array_that_it_was_given():
    prior = jc.JointPrior.independent([2, 3], like=np.full(2, 7.0, np.float32))
    assert prior.covariance().dtype == prior.log_det().dtype == np.float32
    np.testing.assert_array_equal(prior.covariance(), np.eye(5))
    assert prior.log_det() == prior.max_singular_value() == 0.0


def test_its_kl_is_the_sum_of_the_views_own():
    own = [0.5 * (np.exp(v) + m**2 - 1.0 - v).sum(axis=1) for m, v in zip(MEANS, LOG_VARS, strict=True)]
    scale = sum(np.abs(x).sum() for x in own)
    for mask, want in ((None, own[0] + own[1]), (FIRST_ONLY, own[0])):
        assert np.abs(jc.kl_divergence(PRIOR, MEANS, LOG_VARS, mask) - want).max() <= 100 * 2.0**-52 * scale  # < 50 roundings


def test_a_missing_view_is_standard_normal_whatever_is_observed():
    means, covariances = jc.condition(PRIOR, MEANS, FIRST_ONLY)
    np.testing.assert_array_equal(means[0], MEANS[0])
    np.testing.assert_array_equal(means[1], np.zeros((4, 3)))
    np.testing.assert_array_equal(covariances[1][1], np.eye(3)[None])
    for i, j in ((0, 0), (0, 1), (1, 0)):
        np.testing.assert_array_equal(covariances[i][j], np.zeros((1, *np.shape(covariances[i][j])[1:])))
    assert [covariances[i][j].shape for i in range(2) for j in range(2)] == [(1, 2, 2), (1, 2, 3), (1, 3, 2), (1, 3, 3)]
    noise = RNG.standard_normal((4, 5))
    drawn = jc.complete(PRIOR, MEANS, FIRST_ONLY, noise)
    np.testing.assert_array_equal(drawn[0], MEANS[0])
    np.testing.assert_array_equal(drawn[1], noise[:, 2:])


@pytest.mark.parametrize("sizes", [(1,), (2, 3, 1)])
def test_any_number_of_views(sizes):
    prior = jc.JointPrior.independent(sizes)
    np.testing.assert_array_equal(prior.precision(), np.eye(sum(sizes)))
    noise = RNG.standard_normal((2, sum(sizes)))
    np.testing.assert_array_equal(np.concatenate(jc.sample(prior, noise), axis=1), noise)


@pytest.mark.parametrize("dims", [[2, 3], (2, 3), np.asarray([2, 3]), {"a": 2, "b": 3}])
def test_sizes_in_any_form_are_a_tuple_of_integers(dims):
    prior = jc.JointPrior.independent(dims)
    assert prior.dims == (2, 3)
    assert [type(n) for n in prior.dims] == [int, int]
    assert prior.names == (("a", "b") if isinstance(dims, dict) else None)
