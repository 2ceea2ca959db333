"""Theorem 2.2: if C = alpha C~ with |alpha| <= 1 and C~ semi-orthogonal (C~^T C~ = I), Sigma_C is positive semi-definite.

It is definite if and only if |alpha| < 1, since I - C^T C = (1 - alpha^2) I (Eq. 11). ``JointPrior.orthogonal`` is the square
case: Cov(z_2, z_1) = alpha * rotation, in that order (Eq. 6). Source: paper section 2.6.
"""

import numpy as np
import oracles
from hypothesis import given
from hypothesis import strategies as st
from strategies import PAIRS, Model, models

import jpvae_core as jc


def cross(structure, parameters):
    prior = structure.prior(parameters)
    return prior.cross_covariance(1, 0), prior.cross_covariance(0, 1), prior.max_singular_value(), prior.log_det()


@given(seed=st.integers(0, 999), n=st.integers(1, 5), d=st.integers(1, 5))
def test_semi_orthogonal_times_alpha(seed, n, d):
    n, d = max(n, d), min(n, d)
    entries = np.random.default_rng(seed).standard_normal(n * (n - 1) // 2)
    Q = oracles.cayley(oracles.skew(oracles.exact(entries), n))[:, :d]  # n_2 = n >= n_1 = d, as the paper assumes
    hair = oracles.mp.mpf(10) ** -30
    for alpha, valid in ((1 - hair, True), (-1 + hair, True), (1 + hair, False), (-1 - hair, False)):
        S, C = oracles.identity(n + d), alpha * Q
        S[d:, :d], S[:d, d:] = C, C.T
        assert oracles.is_positive_definite(S) is valid
        assert np.all(np.abs(oracles.identity(d) - C.T @ C - (1 - alpha**2) * oracles.identity(d)) < 1e-70)  # Eq. 11
    S[d:, :d], S[:d, d:] = Q, Q.T  # the boundary |alpha| = 1: semi-definite, (I; -C~) is its null space
    assert np.all(np.abs(S @ np.concatenate([oracles.identity(d), -Q])) < 1e-70)
    assert oracles.is_positive_definite(S + hair * oracles.identity(n + d))


@given(data=st.data())
def test_the_orthogonal_prior_is_alpha_times_its_rotation(xp, data):
    model = data.draw(models(xp, "orthogonal"))
    n, alpha = model.structure.rank, float(model.parameters["alpha"])
    C = alpha * oracles.floats(oracles.frames(model.structure, model.parameters)[1])
    lower, upper, largest, log_det = xp.call(cross, model.structure, model.framed(xp))
    # The rotation's forward error 3 n^2 sqrt(n) kappa eps (n <= 4: at most 6 n^2) times |alpha| < 1, and one rounding.
    tolerance = (6 * n**2 * oracles.frame_condition(model) + 1) * xp.eps
    assert np.all(np.abs(lower - C) <= tolerance)
    assert np.all(np.abs(upper - C.T) <= tolerance)
    assert abs(largest - abs(alpha)) <= xp.eps
    # log|Sigma| = n log(1 - alpha^2): one sign, a handful of roundings, log1p's relative condition number is below 1.
    want = float(n * oracles.mp.log((1 - oracles.mp.mpf(alpha)) * (1 + oracles.mp.mpf(alpha))))
    assert abs(log_det - want) <= 8 * xp.eps * abs(want)


def test_a_plain_number_is_the_same_alpha(xp):
    rotation = xp.array(Model(PAIRS[0], 1).framed(xp)["frames"][1])
    got, Q = xp.numpy((jc.JointPrior.orthogonal(rotation, 0.75).cross_covariance(1, 0), rotation))
    assert np.all(np.abs(got - 0.75 * Q) <= xp.eps * np.abs(Q))  # 3/4 is exact in binary: one rounding
