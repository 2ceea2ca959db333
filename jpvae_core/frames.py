"""Orthogonal matrices and semi-orthogonal frames from free parameters: J cayley(skew(params)), and its first columns.

Choice and cost: a frame n x d is the first d columns of an n x n Cayley rotation, so it costs one n x n LU (2n^3/3
flops) and d right-hand sides, and has n(n-1)/2 parameters, of which (n-d)(n-d-1)/2 are redundant. The latent sizes here
are tens, so the one LU is cheaper than d Householder reflections one after the other, and it is a batched operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._checks import check_last
from ._xp import Array, X, asarray_like, eye_like, namespace, public
from .errors import ShapeError
from .skew import skew

Signs = Sequence[float] | Array


@public
def orthogonal(params: X, n: int, signs: Signs | None = None) -> X:
    """An orthogonal matrix ``J cayley(skew(params))``.

    params: (..., n(n-1)/2); signs: (..., n) of +-1, or a plain sequence, or None for J = I  ->  (..., n, n).
    Every rotation without eigenvalue -1 for J = I; every orthogonal matrix for some J. Error: as ``cayley``.
    Source: paper section 2.6.
    """
    return frame(params, n, n, signs)


@public
def frame(params: X, n: int, d: int, signs: Signs | None = None) -> X:
    """A semi-orthogonal frame Q (n x d, ``Q^T Q = I_d``): the first d columns of ``orthogonal(params, n, signs)``.

    params: (..., n(n-1)/2); 1 <= d <= n; signs: (..., n) of +-1, or a plain sequence, or None  ->  (..., n, d).
    Error: as ``cayley``, with |Q|_F = sqrt(d).
    """
    if not 1 <= d <= n:
        raise ShapeError(f"d is {d}; expected 1 <= d <= n = {n}")
    A = skew(params, n)
    xp = namespace(params)
    identity = eye_like(xp, A, n)
    columns = identity + A
    Q = xp.linalg.solve(identity - A, columns if d == n else columns[..., :, :d])
    if signs is None:
        return Q
    # Signs are discrete constants: converting a list or a vector of them loses nothing differentiable, and the dtype stays.
    given: Any = signs
    plain = isinstance(signs, Sequence | np.ndarray)
    if plain and not np.isin(given, (-1, 1)).all():
        raise ValueError(f"signs is {signs}; expected +1 and -1 only, or the matrix would not be orthogonal")
    namespace(params, None if plain else given)
    flips: Array = asarray_like(xp, params, given) if plain else xp.astype(given, params.dtype)
    check_last("signs", flips, n, "one sign per row of the matrix")
    return Q * flips[..., :, None]
