"""Skew-symmetric matrices from free entries: n(n-1)/2 numbers -> A with A = -A^T."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

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
    xp = namespace(params)
    check_dtype(params=params)
    check_last("params", params, n * (n - 1) // 2, f"the n(n-1)/2 entries of a skew {n}x{n} matrix")
    dev = device(params)
    zero = xp.zeros((*params.shape[:-1], 1), dtype=params.dtype, device=dev)
    slots = xp.concat([params, -params, zero], axis=-1)
    entries = xp.take(slots, xp.asarray(_places(n).entries, dtype=xp.int32, device=dev), axis=-1)
    return xp.reshape(entries, (*params.shape[:-1], n, n))


class _Places(NamedTuple):
    """Of an n: which slot of (params, -params, 0) each entry of A reads, (n^2,), and where A holds params, (n(n-1)/2,)."""

    entries: Any
    params: Any


_KEPT: dict[int, _Places] = {}  # made once per n (a plain dict: torch.compile traces it)


def _places(n: int) -> _Places:
    """Both maps between params and A are gathers, which every library differentiates."""
    if n not in _KEPT:
        i, j = np.triu_indices(n, 1)
        slots = np.full((n, n), 2 * len(i), np.int32)
        slots[i, j], slots[j, i] = np.arange(len(i)), np.arange(len(i), 2 * len(i))
        _KEPT[n] = _Places(slots.reshape(-1), (i * n + j).astype(np.int32))
    return _KEPT[n]
