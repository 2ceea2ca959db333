"""Section 2.6: the Cayley transform takes skew matrices onto the rotations without eigenvalue -1, signs reach the rest.

The paper prints eigenvalue +1 (an erratum), and its ordered signs J_r do not reach every orthogonal matrix (another).
"""

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jpvae_core as jc

SIZES = st.sampled_from([1, 2, 3, 5])


def rotation(n, entries):
    return jc.skew(entries, n), jc.orthogonal(entries, n), jc.cayley(jc.skew(entries, n))


def back(_, Q):
    return jc.inverse_cayley(Q)


def signed(size, entries, signs):
    return jc.orthogonal(entries, size[0], signs), jc.frame(entries, *size, signs)


def draw(seed, n, size):
    return np.float32(size * np.random.default_rng(seed).uniform(-1, 1, n * (n - 1) // 2)).astype(float)


def condition(entries, n):
    """cond(I - A) = sqrt(1 + |A|^2) at most: |1 - i w| >= 1 for the imaginary eigenvalues i w of A."""
    return np.sqrt(1 + np.linalg.norm(oracles.floats(oracles.skew(oracles.exact(entries), n)), 2) ** 2)


@given(seed=st.integers(0, 999), n=SIZES, size=st.sampled_from([0.01, 1.0, 100.0, 1e6]))
def test_rotation_in_80_digits(xp, seed, n, size):
    entries = draw(seed, n, size)
    A, Q, same = xp.call(rotation, n, entries)
    np.testing.assert_array_equal(A, oracles.floats(oracles.skew(oracles.exact(entries), n)))  # skew moves and negates, no more
    np.testing.assert_array_equal(Q, same)
    # Solving with I - A: backward error 3 n eps |L||U| <= 3 n^2 eps |I - A| per column of norm 1, n columns.
    error = 3 * n**2 * np.sqrt(n) * condition(entries, n) * xp.eps
    want = oracles.floats(oracles.cayley(oracles.skew(oracles.exact(entries), n)))
    assert np.linalg.norm(Q - want) <= error
    assert np.linalg.norm(Q.T @ Q - np.eye(n), 2) <= 2 * error + error**2
    if error < 0.1:  # |Q^-1 dQ| < 1/2 per eigenvalue: the determinant cannot change sign
        assert abs(np.linalg.det(Q) - 1) <= 2 * n * error


@given(seed=st.integers(0, 999), n=SIZES, size=st.sampled_from([0.1, 1.0, 4.0]))
def test_round_trip(xp, seed, n, size):
    entries = draw(seed, n, size)
    A, Q, _ = xp.call(rotation, n, entries)
    got = xp.call(back, None, Q)
    np.testing.assert_array_equal(got, -got.T)  # skew to the bit
    # Q + I = 2 (I - A)^-1: the inverse map's derivative is (Q + I)^-1 dQ (Q + I)^-1 ~ kappa^2 / 2, and dQ ~ 3 n^2.5 kappa eps;
    # its own solve adds cond(Q + I) = kappa times |A|.
    kappa = condition(entries, n)
    assert np.linalg.norm(got - A) <= 6 * n**2.5 * kappa**3 * xp.eps


@given(seed=st.integers(0, 999), n=SIZES)
def test_eigenvalue_minus_one_is_out_of_reach_and_plus_one_is_not(xp, seed, n):
    """|Q v + v| = 2 |(I - A)^-1 v| >= 2/kappa for unit v; the identity, all eigenvalues +1, is cayley(0)."""
    entries = draw(seed, n, 3.0)
    _, Q, _ = xp.call(rotation, n, entries)
    kappa = condition(entries, n)
    assert np.linalg.svd(Q + np.eye(n))[1][-1] >= 2 / kappa - 3 * n**2.5 * kappa * xp.eps
    np.testing.assert_array_equal(xp.call(rotation, n, np.zeros_like(entries))[1], np.eye(n))


@given(seed=st.integers(0, 999), n=st.sampled_from([2, 3, 5]), d=st.integers(1, 3))
def test_signs_flip_rows_and_the_determinant(xp, seed, n, d):
    d = min(n, d)
    entries, signs = draw(seed, n, 1.0), np.random.default_rng(seed).choice([-1.0, 1.0], n)
    _, Q, _ = xp.call(rotation, n, entries)
    full, frame = xp.call(signed, (n, d), entries, signs)
    error = 3 * n**2.5 * condition(entries, n) * xp.eps
    assert np.linalg.norm(full - signs[:, None] * Q) <= 2 * error
    assert np.sign(np.linalg.det(full)) == np.prod(signs)
    assert np.linalg.norm(frame - full[:, :d]) <= 2 * error
    assert np.linalg.norm(frame.T @ frame - np.eye(d), 2) <= 2 * error + error**2


def test_integer_signs_leave_the_dtype_alone(xp):
    entries, signs = draw(0, 3, 1.0), np.asarray([1, -1, -1])
    for x, want in zip(xp.call(signed, (3, 2), entries, signs), xp.call(signed, (3, 2), entries, signs + 0.0), strict=True):
        np.testing.assert_array_equal(x, want)  # (xp.call asserts the dtype)


@pytest.mark.parametrize("r", [0, 1, 2, 3])
def test_ordered_signs(xp, r):
    like = xp.array(np.zeros(1))
    J = xp.numpy(jc.sign_matrix(3, r, like=like))
    np.testing.assert_array_equal(J, [-1.0 if i >= 3 - r else 1.0 for i in range(3)])
    assert np.prod(J) == (-1) ** r


def reach(Q, signs):
    """Whether diag(signs) Q is a Cayley matrix, by the least singular value of diag(signs) Q + I."""
    return np.linalg.svd(np.diag(signs) @ Q + np.eye(len(Q)))[1][-1] > 1e-6


def test_diag_minus_one_one_needs_general_signs(xp):
    """J_r^-1 diag(-1, 1) has eigenvalue -1 for r = 0, 1, 2; with signs (-1, 1) it is the identity."""
    Q = np.diag([-1.0, 1.0])
    assert not any(reach(Q, jc.sign_matrix(2, r)) for r in range(3))
    got, _ = xp.call(signed, (2, 2), np.zeros(1), np.asarray([-1.0, 1.0]))
    np.testing.assert_array_equal(got, Q)


@given(seed=st.integers(0, 999), n=st.sampled_from([1, 2, 3, 5]))
def test_some_signs_reach_every_orthogonal_matrix(xp, seed, n):
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    choices = np.asarray(np.meshgrid(*[[-1.0, 1.0]] * n, indexing="ij")).reshape(n, -1).T
    signs = max(choices, key=lambda s: np.linalg.svd(np.diag(s) @ Q + np.eye(n))[1][-1])
    A = xp.call(back, None, signs[:, None] * Q)
    got, _ = xp.call(signed, (n, n), A[np.triu_indices(n, 1)], signs)
    # Q itself is rounded (eps sqrt(n)); then as in the round trip, with kappa = 2 / least singular value of J Q + I.
    kappa = 2 / np.linalg.svd(np.diag(signs) @ Q + np.eye(n))[1][-1]
    assert np.linalg.norm(got - Q) <= 12 * n**2.5 * kappa**2 * xp.eps
