"""Skew-symmetric matrices from free entries: n(n-1)/2 numbers -> A with A = -A^T."""

from __future__ import annotations

from ._checks import check_dtype, check_last
from ._xp import Array, device, namespace
from .errors import ShapeError


def skew(params: Array, n: int) -> Array:
    """The skew-symmetric matrix whose strict upper triangle, read row by row, is ``params``.

    ``A[i, j] = params[k]``, ``A[j, i] = -params[k]`` for i < j, zero diagonal; exact, no arithmetic but a sign.

    params: (..., n(n-1)/2)  ->  (..., n, n).  Raises ShapeError for another number of entries.
    Error: none, entries are moved and negated.
    Source: paper section 2.6.

    >>> import numpy as np
    >>> skew(np.asarray([1.0, 2.0, 3.0]), 3)
    array([[ 0.,  1.,  2.],
           [-1.,  0.,  3.],
           [-2., -3.,  0.]])
    """
    if n < 1:
        raise ShapeError(f"n is {n}; expected at least 1")
    free = n * (n - 1) // 2
    xp = namespace(params)
    check_dtype(params=params)
    check_last("params", params, free, f"the n(n-1)/2 entries of a skew {n}x{n} matrix")
    dev = device(params)
    # Gather instead of scatter: entry (i, j) reads slot `index`, the diagonal reads an extra slot that holds 0.
    i = xp.arange(n, device=dev)[:, None]
    j = xp.arange(n, device=dev)[None, :]
    low, high = xp.where(i < j, i, j), xp.where(i < j, j, i)
    index = low * (2 * n - low - 1) // 2 + high - low - 1
    index = xp.where(i == j, xp.full_like(index, free), index)
    sign = xp.astype(i < j, params.dtype) - xp.astype(i > j, params.dtype)
    padded = xp.concat([params, xp.zeros((*params.shape[:-1], 1), dtype=params.dtype, device=dev)], axis=-1)
    entries = xp.take(padded, xp.reshape(index, (-1,)), axis=-1)
    return xp.reshape(entries, (*params.shape[:-1], n, n)) * sign
