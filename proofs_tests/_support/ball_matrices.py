"""Linear algebra on NumPy arrays of arb numbers, over leading axes: products, solutions, determinants, Cholesky factors."""

from __future__ import annotations

from collections.abc import Callable

import flint
import numpy as np


def matrix(x: np.ndarray) -> flint.arb_mat:
    """As arb's own matrix."""
    return flint.arb_mat(*x.shape, x.ravel().tolist())


def entries(x: flint.arb_mat) -> np.ndarray:
    """And back."""
    return np.asarray(x.entries(), dtype=object).reshape(x.nrows(), x.ncols())


def _over_leading_axes(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    def apply(*arrays: np.ndarray) -> np.ndarray:
        lead = np.broadcast_shapes(*(A.shape[:-2] for A in arrays))
        stacks = [np.broadcast_to(A, (*lead, *A.shape[-2:])).reshape(-1, *A.shape[-2:]) for A in arrays]
        results = [function(*(matrix(A) for A in one)) for one in zip(*stacks, strict=True)]
        return np.reshape(np.stack(results), (*lead, *results[0].shape))

    return apply


def _determinant(A: flint.arb_mat) -> np.ndarray:
    out = np.empty((), dtype=object)
    out[()] = A.det()
    return out


def _cholesky(A: flint.arb_mat) -> np.ndarray:
    """Row by row (Banachiewicz). Raises where A cannot be certified to be positive definite."""
    S = entries(A)
    L = entries(flint.arb_mat(*S.shape))
    for i in range(len(S)):
        for j in range(i + 1):
            rest = S[i, j] - sum((L[i, k] * L[j, k] for k in range(j)), flint.arb(0))
            if i == j and not rest > 0:
                raise ArithmeticError(f"the pivot {rest} is not certain to be positive: raise flint.ctx.prec")
            L[i, j] = rest.sqrt() if i == j else rest / L[j, j]
    return L


product = _over_leading_axes(lambda A, B: entries(A * B))
det = _over_leading_axes(_determinant)
cholesky = _over_leading_axes(_cholesky)
# Raises ZeroDivisionError where A cannot be certified to be invertible.
solve = _over_leading_axes(lambda A, B: entries(A.solve(B)))
