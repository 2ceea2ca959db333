"""Section 2.1: z = mu + diag(sigma) eps with eps ~ N(0, I) is a draw of N(mu, diag sigma^2); sigma = exp(log_var / 2).

The draw is affine in eps, so unit vectors give its law exactly: the columns of L with L L^T = diag sigma^2, L diagonal.
(The paper prints sigma^2 for sigma: see test_errata.py.) Source: Kingma and Welling 2014.
"""

import numpy as np
import oracles
from hypothesis import given
from hypothesis import strategies as st
from strategies import posterior, posteriors

import jpvae_core as jc


def reparameterized(_, mean, log_var, noise):
    return jc.reparameterize(mean, log_var, noise)


@given(q=posteriors(), seed=st.integers(0, 99))
def test_it_is_mean_plus_sigma_noise(xp, q, seed):
    (mean,), (log_var,) = q.rows((4,), 5)
    noise = posterior((4,), 5, seed)[0][0]
    got = xp.call(reparameterized, None, mean, log_var, noise)
    sigma = oracles.sqrt(oracles.exp(oracles.exact(log_var)))
    want = oracles.floats(oracles.exact(mean) + sigma * oracles.exact(noise))
    spread = oracles.floats(sigma) * np.abs(noise)
    # exp of log_var / 2 (its argument exact), then two products and one sum.
    assert np.all(np.abs(got - want) <= 8 * xp.eps * (np.abs(mean) + spread))


@given(q=posteriors())
def test_its_covariance_is_diag_sigma_squared(xp, q):
    (mean,), (log_var,) = (tuple(np.repeat(x, 5, axis=0) for x in half) for half in q.rows((4,), 1))
    noise = np.concatenate([np.zeros((1, 4)), np.eye(4)])
    origin, *moved = xp.call(reparameterized, None, mean, log_var, noise)
    np.testing.assert_array_equal(origin, mean[0])
    L = (np.asarray(moved) - origin).T
    sigma = np.exp(log_var[0] / 2)
    # mu + sigma is rounded once and mu taken off again: eps (|mu| + sigma) per entry of L, twice sigma that in L L^T.
    error = 8 * xp.eps * (np.abs(mean[0]) + sigma)
    assert np.all(np.abs(L @ L.T - np.diag(sigma**2)) <= np.diag((2 * sigma + error) * error))
