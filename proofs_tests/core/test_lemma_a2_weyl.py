"""Lemma A.2 (Weyl): for symmetric A, B with eigenvalues in non-DECREASING order, for every j,

    lambda_j(A) + lambda_1(B)  <=  lambda_j(A + B)  <=  lambda_j(A) + lambda_n(B)                              (Eq. 15)

The paper (section A.1.2) says non-increasing order, in which Eq. 15 is false. Theorem 2.1 needs only B = I, where both orders
give equality, so its proof stands. Source: Horn and Johnson, Matrix Analysis, corollary 4.3.15.
"""

import numpy as np
import oracles
from hypothesis import given
from hypothesis import strategies as st

SEEDS, SIZES = st.integers(0, 999), st.integers(1, 5)
EXACT = 1e-70  # eigenvalues of small matrices of entries of order 1, in 80 digits


def eigenvalues(S):
    """In non-decreasing order."""
    return np.asarray(sorted(oracles.mp.eigsy(oracles.mp.matrix(S.tolist()), eigvals_only=True)))


def symmetric(seed, n):
    A = oracles.exact(np.random.default_rng(seed).standard_normal((n, n)))
    return A + A.T


def holds(a, b, both, first, last):
    return bool(np.all(a + b[first] <= both + EXACT) and np.all(both <= a + b[last] + EXACT))


@given(seed=SEEDS, n=SIZES)
def test_in_non_decreasing_order(seed, n):
    A, B = symmetric(seed, n), symmetric(seed + 1000, n)
    assert holds(eigenvalues(A), eigenvalues(B), eigenvalues(A + B), 0, -1)


def test_in_the_printed_order_it_fails():
    """A = 0, B = diag(0, 1): non-increasing, j = 2 would say 0 + 1 <= 0."""
    A, B = oracles.exact(np.zeros((2, 2))), oracles.exact(np.diag([0.0, 1.0]))
    up = eigenvalues(A), eigenvalues(B), eigenvalues(A + B)
    assert holds(*up, 0, -1)
    assert not holds(*(x[::-1] for x in up), 0, -1)


@given(seed=SEEDS, n=SIZES)
def test_adding_the_identity_is_the_same_in_both_orders(seed, n):
    """What the proof of Theorem 2.1 uses (Eq. 10): lambda_j(A + I) = lambda_j(A) + 1."""
    A = symmetric(seed, n)
    up = eigenvalues(A), eigenvalues(oracles.identity(n)), eigenvalues(A + oracles.identity(n))
    assert holds(*up, 0, -1)
    assert holds(*(x[::-1] for x in up), 0, -1)
    assert np.all(np.abs(up[2] - up[0] - 1) < EXACT)
