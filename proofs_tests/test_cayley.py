"""Section 2.6: O = (I + A)(I - A)^-1 takes skew-symmetric matrices one to one onto the rotations without eigenvalue -1.

O^T O = I, det O = +1, A = (O - I)(O + I)^-1. (The paper prints eigenvalue +1: see test_errata.py. What reaches the other
orthogonal matrices: test_sign_matrix.py.) The orthogonality defect is bounded by c n^2.5 eps sqrt(1 + |A|^2).
"""

import calls
import numpy as np
import oracles
from hypothesis import given
from hypothesis import strategies as st
from strategies import skew_entries

SEEDS, SIZES = st.integers(0, 999), st.sampled_from([1, 2, 3, 5])


@given(seed=SEEDS, n=SIZES, size=st.sampled_from([0.01, 1.0, 100.0, 1e6]))
def test_rotation_in_80_digits(xp, seed, n, size):
    entries = skew_entries(seed, n, size)
    A, Q, same = xp.call(calls.rotation, n, entries)
    np.testing.assert_array_equal(A, oracles.floats(oracles.skew(oracles.exact(entries), n)))  # skew moves and negates, no more
    np.testing.assert_array_equal(A, -A.T)
    np.testing.assert_array_equal(Q, same)
    # Solving with I - A: backward error 3 n eps |L||U| <= 3 n^2 eps |I - A| per column of norm 1, n columns.
    error = 3 * n**2 * np.sqrt(n) * oracles.cayley_condition(entries, n) * xp.eps
    want = oracles.floats(oracles.cayley(oracles.skew(oracles.exact(entries), n)))
    assert np.linalg.norm(Q - want) <= error
    assert np.linalg.norm(Q.T @ Q - np.eye(n), 2) <= 2 * error + error**2
    if error < 0.1:  # |Q^-1 dQ| < 1/2 per eigenvalue: the determinant cannot change sign
        assert abs(np.linalg.det(Q) - 1) <= 2 * n * error


@given(seed=SEEDS, n=SIZES, size=st.sampled_from([0.1, 1.0, 4.0]))
def test_round_trip(xp, seed, n, size):
    entries = skew_entries(seed, n, size)
    A, Q, _ = xp.call(calls.rotation, n, entries)
    got = xp.call(calls.inverse_cayley, None, Q)
    np.testing.assert_array_equal(got, -got.T)  # skew to the bit
    # Q + I = 2 (I - A)^-1: the inverse map's derivative is (Q + I)^-1 dQ (Q + I)^-1 ~ kappa^2 / 2, and dQ ~ 3 n^2.5 kappa eps;
    # its own solve adds cond(Q + I) = kappa times |A|.
    kappa = oracles.cayley_condition(entries, n)
    assert np.linalg.norm(got - A) <= 6 * n**2.5 * kappa**3 * xp.eps


@given(seed=SEEDS, n=SIZES)
def test_eigenvalue_minus_one_is_out_of_reach_and_plus_one_is_not(xp, seed, n):
    """|Q v + v| = 2 |(I - A)^-1 v| >= 2/kappa for unit v; the identity, all eigenvalues +1, is cayley(0)."""
    entries = skew_entries(seed, n, 3.0)
    _, Q, _ = xp.call(calls.rotation, n, entries)
    kappa = oracles.cayley_condition(entries, n)
    assert np.linalg.svd(Q + np.eye(n))[1][-1] >= 2 / kappa - 3 * n**2.5 * kappa * xp.eps
    np.testing.assert_array_equal(xp.call(calls.rotation, n, np.zeros_like(entries))[1], np.eye(n))
