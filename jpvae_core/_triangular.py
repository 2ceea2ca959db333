"""Triangular matrices, many and small ones: where the fused posterior's time goes. NumPy has ways of its own: its tril and its
sums over a short last axis take two to seven times as long."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._array_api import Namespace, X, of_kind
from ._xp import eye_like, library_of

_FEW = 64  # rows of a matrix: with more, LAPACK's blocks win


def inverse_lower(xp: Namespace, L: X) -> X:
    """L^{-1} of lower triangular L. The array API has no such function; its solve factorises, which takes three to five times
    as long."""
    library = library_of(L)
    if library == "numpy" and L.shape[-1] <= _FEW:
        return of_kind(L, _by_rows(L))
    identity: Any = xp.broadcast_to(eye_like(xp, L, L.shape[-1]), L.shape)
    given: Any = L
    if library == "torch":
        import torch

        return of_kind(L, torch.linalg.solve_triangular(given, identity, upper=False))
    if library == "jax":
        from jax.scipy.linalg import solve_triangular

        return of_kind(L, solve_triangular(given, identity, lower=True))
    return xp.linalg.solve(L, identity)


def _by_rows(L: Any) -> Any:
    """Forward substitution, one row of all matrices at a time: each from those above it."""
    inverse = np.zeros_like(L)
    for i in range(L.shape[-1]):
        row, pivot = L[..., i, :i], L[..., i, i]
        inverse[..., i, i] = 1.0 / pivot
        inverse[..., i, :i] = -(row[..., None, :] @ inverse[..., :i, :i])[..., 0, :] / pivot[..., None]
    return inverse


def strictly_lower(xp: Namespace, L: X) -> X:
    """What is left of the diagonal; L is finite."""
    if library_of(L) == "numpy":
        return of_kind(L, L * np.tri(L.shape[-1], k=-1, dtype=L.dtype))
    return xp.tril(L, k=-1)


def sum_of_squares(xp: Namespace, x: X) -> X:
    """Over the last axis."""
    given: Any = x
    return of_kind(x, np.vecdot(given, given) if library_of(x) == "numpy" else xp.sum(x * x, axis=-1))
