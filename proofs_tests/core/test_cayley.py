"""Section 2.6: O = (I + A)(I - A)^-1 takes skew-symmetric matrices one to one onto the rotations without eigenvalue -1.

O^T O = I, det O = +1, A = (O - I)(O + I)^-1. (The paper prints eigenvalue +1: see test_errata.py. What reaches the other
orthogonal matrices: test_sign_matrix.py.) Errors: elimination_bounds.py.
"""

import importlib

import calls
import elimination_bounds
import numpy as np
import oracles
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from strategies import skew_entries

import jpvae_core as jc

SEEDS, SIZES = st.integers(0, 999), st.sampled_from([5, 4, 3, 2, 1])


def error_off_null(A, Q):
    """W, whose columns span what is orthogonal to A's null vector (n odd), and |W^T (Q^ - Q)|_F, in eps.

    (I - A)(Q^ - Q) = -E Q^ with |E| <= 3n u P|L||U|, entry by entry (Higham, Theorem 9.4). Only on the null vector v of A is
    (I - A)^-1 = v v^T + O(1/|A|) not small, so only there is elimination's error of u |A| left.
    """
    n, system = len(A), np.eye(len(A)) - A
    W = np.linalg.svd(A)[0][:, : n - n % 2]
    P, L, U = scipy.linalg.lu(system)
    moved = np.abs(W.T @ np.linalg.inv(system)) @ (P @ np.abs(L) @ np.abs(U)) @ np.abs(Q)
    return W, 3.0 * n * float(np.linalg.norm(moved))


@given(seed=SEEDS, n=SIZES, size=st.sampled_from([1e6, 1.0, 100.0, 0.01]))
def test_rotation_in_80_digits(xp, seed, n, size):
    entries = skew_entries(seed, n, size)
    A, Q, same = xp.call(calls.rotation, n, entries)
    np.testing.assert_array_equal(A, oracles.floats(oracles.skew(oracles.exact(entries), n)))  # skew moves and negates, no more
    np.testing.assert_array_equal(A, -A.T)
    np.testing.assert_array_equal(Q, same)
    want = oracles.floats(oracles.cayley(oracles.skew(oracles.exact(entries), n)))
    # In float32 and odd n, |A| = 1e6 leaves nothing certain on A's null vector; on the n - 1 other directions, all.
    W, error = error_off_null(A, Q)
    error *= xp.eps
    assert error < 1e-2  # 0 in place of Q has the error sqrt(n - 1)
    assert np.linalg.norm(W.T @ (Q - want)) <= error
    assert np.linalg.norm(W.T @ Q @ Q.T @ W - np.eye(n - n % 2)) <= 2 * error + error**2
    error = elimination_bounds.frame(A, Q) * xp.eps
    assert error < 1e-2 or (xp.dtype == "float32" and n % 2 and size > 1.0)
    if error < 0.5:  # |Q^-1 dQ| < 1/2 per eigenvalue: the determinant cannot change sign
        assert np.linalg.norm(Q - want) <= error
        assert np.linalg.norm(Q.T @ Q - np.eye(n)) <= 2 * error + error**2
        assert abs(np.linalg.det(Q) - 1) <= 2 * n * error


@given(seed=SEEDS, n=SIZES, size=st.sampled_from([4.0, 1.0, 0.1]))
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


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_under_torch_export_places_and_signs_are_lists_and_the_matrix_is_the_same(monkeypatch, n):
    """A[i, j] = entry k of the triangle, read row by row; A[j, i] = -A[i, j]."""
    entries = np.random.default_rng(n).standard_normal((4, n * (n - 1) // 2))
    expected = np.zeros((4, n, n))
    expected[:, *np.triu_indices(n, 1)] = entries
    expected -= np.swapaxes(expected, -1, -2)
    for exported in (False, True):
        monkeypatch.setattr(importlib.import_module("jpvae_core.skew"), "exporting", lambda exported=exported: exported)
        np.testing.assert_array_equal(jc.skew(entries, n), expected)
        np.testing.assert_array_equal(jc.skew_entries(expected), entries)
