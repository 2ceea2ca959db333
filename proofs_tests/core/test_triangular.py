"""The inverse of a lower triangular matrix: its residual, in exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from jpvae_core._alone import inverse_root
from jpvae_core._triangular import inverse_lower
from jpvae_core._xp import namespace


def exact(matrix):
    return np.vectorize(Fraction, otypes=[object])(matrix)


def of(function, S):
    return function(namespace(S), S)


@pytest.mark.parametrize("lead", [(), (1,), (2, 3)])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_its_residual_is_that_of_substitution(xp, n, lead):
    """|L X - I| <= n eps |L| |X| entry by entry: (n + 1) roundings of half an eps, and n >= (n + 1) / 2."""
    rng = np.random.default_rng(n)
    L = np.tril(rng.uniform(-1, 1, (*lead, n, n)), -1) + rng.uniform(1, 2, (*lead, n, 1)) * np.eye(n)  # no pivots to exchange
    L = L.astype(xp.dtype).astype(np.float64)
    X = xp.call(of, inverse_lower, L)
    assert X.shape == L.shape
    assert np.array_equal(X, np.tril(X))
    for one, inverse in zip(L.reshape(-1, n, n), X.reshape(-1, n, n), strict=True):
        residual = abs(exact(one) @ exact(inverse) - exact(np.eye(n)))
        assert (residual <= n * Fraction(xp.eps) * (abs(exact(one)) @ abs(exact(inverse)))).all()


@pytest.mark.parametrize("n", [63, 64, 65])
def test_either_side_of_the_size_from_which_lapack_inverts(n):
    L = np.tril(np.random.default_rng(0).uniform(-1, 1, (2, n, n)), -1) / n + np.eye(n)
    assert np.abs(L @ inverse_lower(np, L) - np.eye(n)).max() < 6 * n * 2.0**-52  # rows of |L| sum to 2 at most, of |X| to e


def test_the_inverse_root_of_a_covariance(xp):
    def root(_, S):
        return inverse_root(namespace(S), S)

    S = np.asarray([[4.0, 2.0], [2.0, 10.0]])
    X, L = xp.call(root, None, S)
    assert np.allclose(L, [[2, 0], [1, 3]], atol=8 * xp.eps)
    assert np.allclose(X, [[1 / 2, 0], [-1 / 6, 1 / 3]], atol=2 * xp.eps)
