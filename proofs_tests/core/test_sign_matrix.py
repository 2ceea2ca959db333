"""Section 2.6: O = J (I + A)(I - A)^-1 with a diagonal J of signs reaches the orthogonal matrices that A alone does not.

J flips rows and det O = det J. Every orthogonal matrix is reached with SOME signs; the paper's ordered J_r = diag(1_{m-r},
-1_r) misses a null set (see test_errata.py). A frame n x d is the first d columns. Source: Ferrar 1960, Khuri and Good 1989.
"""

import calls
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import skew_entries

import jpvae_core as jc

SEEDS = st.integers(0, 999)


def signed(size, entries, signs):
    return jc.orthogonal(entries, size[0], signs), jc.frame(entries, *size, signs)


@given(seed=SEEDS, size=st.sampled_from([(1, 1), (2, 1), (3, 2), (3, 3)]))
def test_signs_flip_rows_and_the_determinant(xp, seed, size):
    n, d = size
    entries, signs = skew_entries(seed, n, 1.0), np.random.default_rng(seed).choice([-1.0, 1.0], n)
    _, Q, _ = xp.call(calls.rotation, n, entries)
    full, frame = xp.call(signed, size, entries, signs)
    error = 3 * n**2.5 * oracles.cayley_condition(entries, n) * xp.eps
    assert np.linalg.norm(full - signs[:, None] * Q) <= 2 * error
    assert np.sign(np.linalg.det(full)) == np.prod(signs)
    assert np.linalg.norm(frame - full[:, :d]) <= 2 * error
    assert np.linalg.norm(frame.T @ frame - np.eye(d), 2) <= 2 * error + error**2


def test_integer_signs_leave_the_dtype_alone(xp):
    entries, signs = skew_entries(0, 3, 1.0), np.asarray([1, -1, -1])
    for x, want in zip(xp.call(signed, (3, 2), entries, signs), xp.call(signed, (3, 2), entries, signs + 0.0), strict=True):
        np.testing.assert_array_equal(x, want)  # (xp.call asserts the dtype)


@pytest.mark.parametrize("r", [0, 1, 2, 3])
def test_ordered_signs(xp, r):
    like = xp.array(np.zeros(1))
    J = xp.numpy(jc.sign_matrix(3, r, like=like))
    np.testing.assert_array_equal(J, [-1.0 if i >= 3 - r else 1.0 for i in range(3)])
    assert np.prod(J) == (-1) ** r


@given(seed=SEEDS, n=st.sampled_from([1, 2, 3, 5]))
def test_some_signs_reach_every_orthogonal_matrix(xp, seed, n):
    """Random matrices of O(n), both determinants: signs by search, A by the inverse transform, and back."""
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    choices = np.asarray(np.meshgrid(*[[-1.0, 1.0]] * n, indexing="ij")).reshape(n, -1).T
    signs = max(choices, key=lambda s: np.linalg.svd(np.diag(s) @ Q + np.eye(n))[1][-1])
    A = xp.call(calls.inverse_cayley, None, signs[:, None] * Q)
    got = signs[:, None] * xp.call(calls.rotation, n, A[np.triu_indices(n, 1)])[1]
    # Q itself is rounded (eps sqrt(n)); then as in the round trip, with kappa = 2 / least singular value of J Q + I.
    kappa = 2 / np.linalg.svd(np.diag(signs) @ Q + np.eye(n))[1][-1]
    assert np.linalg.norm(got - Q) <= 12 * n**2.5 * kappa**2 * xp.eps


@pytest.mark.parametrize(("n", "d"), [(3, 2), (10, 10), (10, 1), (10, 4)])
def test_the_signs_of_an_inverse_keep_its_matrix_regular(n, d):
    """I + S Q is eliminated with pivots of at least 1 in absolute value, so that its determinant is at least 1."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        entries, signs = jc.inverse_frame(np.linalg.qr(rng.standard_normal((n, d)))[0])
        full = jc.orthogonal(entries, n, signs)
        assert abs(np.linalg.det(np.eye(n) + signs[:, None] * full)) >= 1.0 - 1e-9
