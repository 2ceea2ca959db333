"""Diagonal sign matrices J = diag(+-1), kept as vectors: what takes Cayley's rotations to every orthogonal matrix."""

from __future__ import annotations

from typing import Any, TypeAlias, overload

import numpy as np

from ._array_api import X, of_kind
from ._checks import check_dtype
from ._named import integer, one_library
from ._xp import asarray_like
from .errors import ShapeError

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@overload
def sign_matrix(n: int, r: int, *, like: None = None) -> Floats: ...
@overload
def sign_matrix(n: int, r: int, *, like: X) -> X: ...
def sign_matrix(n: int, r: int, *, like: X | None = None) -> X | Floats:
    """The paper's ``J_r = diag(1_{n-r}, -1_r)`` as a vector of n signs, exact; det J_r = (-1)^r.

    Any vector of +-1 serves as ``signs`` elsewhere. The ordered J_r reaches all orthogonal matrices but a null set
    (diag(-1, 1) is out of reach for n = 2); a general vector of signs reaches every one. r is discrete: it has no
    gradient and is not learned. Source: paper section 2.6.

    Parameters
    ----------
    n, r : int
        0 <= r <= n.
    like : array, or None
        Its library, dtype and device are the result's; None: NumPy float64.

    Returns
    -------
    array (n,)

    Raises
    ------
    ShapeError, DtypeError, LibraryError

    Examples
    --------
    >>> import jpvae_core as jc
    >>> jc.sign_matrix(4, 1)
    array([ 1.,  1.,  1., -1.])
    """
    n, r = integer("n", n), integer("r", r)
    if not 0 <= r <= n:
        raise ShapeError(f"r is {r}; expected 0 <= r <= n = {n}")
    try:
        signs: Floats = np.concatenate([np.ones(n - r), -np.ones(r)])
    except (ValueError, MemoryError) as error:
        raise ShapeError(f"n is {n}; expected a size that memory can hold") from error
    if like is None:
        return signs
    xp = one_library(like=like)
    check_dtype(like=like)
    return of_kind(like, asarray_like(xp, like, signs))
