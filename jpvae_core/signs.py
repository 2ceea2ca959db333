"""Diagonal sign matrices J = diag(+-1), kept as vectors: what takes Cayley's rotations to every orthogonal matrix."""

from __future__ import annotations

from typing import Any, TypeAlias, overload

import numpy as np

from ._xp import X, asarray_like, namespace
from .errors import ShapeError

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@overload
def sign_matrix(n: int, r: int, *, like: None = None) -> Floats: ...
@overload
def sign_matrix(n: int, r: int, *, like: X) -> X: ...
def sign_matrix(n: int, r: int, *, like: X | None = None) -> X | Floats:
    """The paper's ``J_r = diag(1_{n-r}, -1_r)`` as a vector of n signs; det J_r = (-1)^r.

    Any vector of +-1 serves as ``signs`` elsewhere. The ordered J_r reaches all orthogonal matrices but a null set
    (diag(-1, 1) is out of reach for n = 2); a general vector of signs reaches every one. r is discrete: it has no
    gradient and is not learned.

    n, r: integers, 0 <= r <= n. ``like``: an array whose library, dtype and device the result takes (NumPy float64
    without it).  ->  (n,), exact.  Source: paper section 2.6.

    >>> sign_matrix(4, 1)
    array([ 1.,  1.,  1., -1.])
    """
    if not 0 <= r <= n:
        raise ShapeError(f"r is {r}; expected 0 <= r <= n = {n}")
    signs: Any = np.concatenate([np.ones(n - r), -np.ones(r)])
    if like is not None:
        signs = asarray_like(namespace(like), like, signs)
    return signs
