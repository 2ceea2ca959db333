"""Skew-symmetric matrices from free entries, n(n-1)/2 numbers -> A with A = -A^T, and back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ._array_api import Array, Namespace, X, of_kind
from ._checks import check_dtype, check_last, check_square
from ._named import integer, one_library
from ._xp import asarray_like, device, exporting, indices_like, public
from .errors import ShapeError


@public
def skew(params: X, n: int) -> X:
    """The skew-symmetric matrix whose strict upper triangle, read row by row, is ``params``.

    ``A[i, j] = params[k]``, ``A[j, i] = -params[k]`` for i < j, zero diagonal. Exact: entries are moved and negated.
    Source: paper section 2.6.

    Parameters
    ----------
    params : array (..., n(n-1)/2)
    n : int
        The size of the matrix.

    Returns
    -------
    array (..., n, n)

    Raises
    ------
    ShapeError, DtypeError, LibraryError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> jc.skew(np.asarray([1.0, 2.0, 3.0]), 3)
    array([[ 0.,  1.,  2.],
           [-1.,  0.,  3.],
           [-2., -3.,  0.]])
    """
    n = integer("n", n)
    if n < 1:
        raise ShapeError(f"n is {n}; expected at least 1")
    xp = check_entries(params, n)
    if n == 1:
        return of_kind(params, xp.zeros((*params.shape[:-1], 1, 1), dtype=params.dtype, device=device(params)))
    places = _places(n)
    entries = xp.take(params, indices_like(xp, params, places.entries), axis=-1)
    return of_kind(params, xp.reshape(entries, (*params.shape[:-1], n, n)) * asarray_like(xp, params, places.signs))


def check_entries(params: Array, n: int) -> Namespace:
    """``params`` are n(n-1)/2 numbers; their namespace."""
    xp = one_library(params=params)
    check_dtype(params=params)
    check_last("params", params, n * (n - 1) // 2, f"the n(n-1)/2 entries of a skew {n}x{n} matrix")
    return xp


@public
def skew_entries(A: X) -> X:
    """The entries of which ``skew`` makes A: its strict upper triangle, read row by row. Exact; differentiable.

    Parameters
    ----------
    A : array (..., n, n)
        Skew-symmetric; the lower triangle is not read.

    Returns
    -------
    array (..., n(n-1)/2)

    Raises
    ------
    ShapeError, DtypeError, LibraryError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> jc.skew_entries(jc.skew(np.asarray([1.0, 2.0, 3.0]), 3))
    array([1., 2., 3.])
    """
    xp = one_library(A=A)
    check_dtype(A=A)
    n = check_square("A", A)
    at = indices_like(xp, A, _places(n).params)
    return xp.take(xp.reshape(A, (*A.shape[:-2], n * n)), at, axis=-1)


class _Places(NamedTuple):
    """Of an n: which of params each entry of A is, (n^2,), with which sign, (n, n); which entry of A each of params is."""

    entries: Any
    signs: Any
    params: Any


_KEPT: dict[int, _Places] = {}  # made once per n (a plain dict: torch.compile traces it)


def _places(n: int) -> _Places:
    """Both ways are gathers, which every library differentiates. The diagonal reads params[0], with sign 0."""
    if exporting():
        return _listed(n)
    if n not in _KEPT:
        i, j = np.triu_indices(n, 1)
        entries, signs = np.zeros((n, n), np.int32), np.zeros((n, n))
        entries[i, j] = entries[j, i] = np.arange(len(i))
        signs[i, j], signs[j, i] = 1.0, -1.0
        _KEPT[n] = _Places(entries.reshape(-1), signs, (i * n + j).astype(np.int32))
    return _KEPT[n]


def _listed(n: int) -> _Places:
    """The same in plain Python: torch.export's strict mode would trace NumPy, and keep an array as a placeholder."""
    upper = [(i, j) for i in range(n) for j in range(i + 1, n)]
    at = {pair: k for k, pair in enumerate(upper)}
    entries = [at.get((min(i, j), max(i, j)), 0) for i in range(n) for j in range(n)]
    signs = [[float((j > i) - (j < i)) for j in range(n)] for i in range(n)]
    return _Places(entries, signs, [i * n + j for i, j in upper])
