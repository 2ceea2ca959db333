"""Orthogonal matrices and semi-orthogonal frames from free parameters, J cayley(skew(params)) and its first columns; and back.

Choice and cost: a frame n x d is the first d columns of an n x n Cayley rotation, so it costs one n x n LU (2n^3/3
flops) and d right-hand sides, and has n(n-1)/2 parameters, of which (n-d)(n-d-1)/2 are redundant. The latent sizes here
are tens, so the one LU is cheaper than d Householder reflections one after the other, and it is a batched operation.

Back: every orthogonal Q is J cayley(A) for some signs J, those that keep J Q + I = J (Q + J) away from singular. Gaussian
elimination of Q + J finds them on its way: J_k is added to the k-th pivot; with that pivot's sign, no pivot is below 1.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from ._array_api import Array, Namespace, X, of_kind
from ._checks import check_dtype, check_frame, check_last, values_of
from ._named import integer, one_library
from ._xp import asarray_like, device, eager_in_torch, eye_like, public, solve
from .cayley import inverse_cayley
from .errors import ArgumentError, NotOrthogonal, ShapeError
from .skew import check_entries, skew, skew_entries

Signs = Sequence[float] | Array


@public
def orthogonal(params: X, n: int, signs: Signs | None = None) -> X:
    """An orthogonal matrix ``J cayley(skew(params))``, J = diag(signs).

    Every rotation without eigenvalue -1 for J = I; every orthogonal matrix for some J. Error: as ``cayley``.
    Source: paper section 2.6.

    Parameters
    ----------
    params : array (..., n(n-1)/2)
        Free parameters.
    n : int
        The size of the matrix.
    signs : array (..., n) or sequence of +1 and -1, or None
        None: J = I.

    Returns
    -------
    array (..., n, n)

    Raises
    ------
    ArgumentError
        If signs hold anything but +1 and -1 where values can be seen.
    ShapeError, DtypeError, LibraryError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> jc.orthogonal(np.asarray([1.0]), 2, signs=[1, -1])
    array([[ 0.,  1.],
           [ 1., -0.]])
    """
    return _frame(params, n, n, signs)


@public
def frame(params: X, n: int, d: int, signs: Signs | None = None) -> X:
    """A semi-orthogonal frame Q, ``Q^T Q = I_d``: the first d columns of ``orthogonal(params, n, signs)``.

    Error: as ``cayley``, with |Q|_F = sqrt(d).

    Parameters
    ----------
    params : array (..., n(n-1)/2)
        Free parameters.
    n, d : int
        Rows and columns, 1 <= d <= n.
    signs : array (..., n) or sequence of +1 and -1, or None
        As for ``orthogonal``.

    Returns
    -------
    array (..., n, d)

    Raises
    ------
    ArgumentError
        If signs hold anything but +1 and -1 where values can be seen.
    ShapeError, DtypeError, LibraryError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> jc.frame(np.asarray([1.0, 0.0, 0.0]), 3, 2) + 0.0
    array([[ 0.,  1.],
           [-1.,  0.],
           [ 0.,  0.]])
    """
    return _frame(params, n, d, signs)


def _frame(params: X, n: int, d: int, signs: Signs | None) -> X:
    n, d = integer("n", n), integer("d", d)
    if not 1 <= d <= n:
        raise ShapeError(f"d is {d}; expected 1 <= d <= n = {n}")
    xp = check_entries(params, n)
    if d == n > 1 and eager_in_torch(params) and device(params).type == "cpu":
        from ._cayley_in_torch import rotation

        Q = rotation(params, n, functools.partial(_columns, xp, n=n, d=n))
    else:
        Q = _columns(xp, params, n, d)
    if signs is None:
        return of_kind(params, Q)
    # Signs are discrete constants: converting a list or a vector of them loses nothing differentiable, and the dtype stays.
    given: Any = np.asarray(signs) if isinstance(signs, np.generic) else signs  # NumPy 2.0's own functions take no scalar
    plain = isinstance(signs, Sequence | np.ndarray)
    if plain and not _are_signs(given):
        raise ArgumentError(f"signs is {signs}; expected +1 and -1 only, or the matrix would not be orthogonal")
    if not plain:
        one_library(signs=given, params=params)
    flips: Array = asarray_like(xp, params, given) if plain else xp.astype(given, params.dtype)
    check_last("signs", flips, n, "one sign per row of the matrix")
    return of_kind(params, Q * flips[..., :, None])


def _columns(xp: Namespace, params: Any, n: int, d: int) -> Any:
    """The first d of (I - A)^{-1} (I + A)."""
    A = skew(params, n)
    identity = eye_like(xp, A, n)
    columns = identity + A
    return solve(xp, identity - A, columns if d == n else columns[..., :, :d])


def _are_signs(given: Any) -> bool:
    if not isinstance(given, np.ndarray) and not all(isinstance(x, Real | Sequence) for x in given):
        return False
    try:
        return bool(np.isin(np.asarray(given, dtype=float), (-1.0, 1.0)).all())
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return False


@public
def inverse_frame(Q: X) -> tuple[X, X]:
    """Entries and signs of a given frame, so that ``frame(params, n, d, signs)`` is Q: a start from a known rotation.

    No gradient passes. Error of the new Q: that of ``frame``, and what it makes of one rounding of each entry, eps |A|.

    Parameters
    ----------
    Q : array (..., n, d)
        Orthonormal columns, values that can be read (not under jit). A frame with d < n is completed first.

    Returns
    -------
    params : array (..., n(n-1)/2)
    signs : array (..., n) of +1 and -1

    Raises
    ------
    NotOrthogonal
        If an entry of |Q^T Q - I| is above the square root of the dtype's eps.
    ShapeError, DtypeError, LibraryError, ArgumentError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> params, signs = jc.inverse_frame(np.diag([1.0, -1.0, -1.0])[:, :2])
    >>> bool(np.allclose(jc.frame(params, 3, 2, signs), np.diag([1.0, -1.0, -1.0])[:, :2]))
    True
    """
    xp = one_library(Q=Q)
    check_dtype(Q=Q)
    n, d = check_frame("Q", Q)
    given = values_of("Q", Q)
    defect = np.abs(np.swapaxes(given, -1, -2) @ given - np.eye(d)).max(initial=0.0)
    if not defect <= math.sqrt(xp.finfo(Q.dtype).eps):
        raise NotOrthogonal(
            f"Q has columns that are not orthonormal: the largest entry of |Q^T Q - I| is {defect:.2g}; expected a frame. "
            "The Q of its QR decomposition is one."
        )
    full = given
    if d < n:  # U of the SVD begins with the range of Q and ends with its complement
        U, _, _ = np.linalg.svd(given, full_matrices=True)
        full = np.concatenate([given, U[..., :, d:]], axis=-1)
    signs, rest = np.ones(full.shape[:-1]), np.array(full)
    for k in range(n):
        signs[..., k] = np.where(rest[..., k, k] < 0.0, -1.0, 1.0)
        rest[..., k, k] += signs[..., k]
        column = rest[..., k + 1 :, k] / rest[..., k, k, None]
        rest[..., k + 1 :, k + 1 :] -= column[..., :, None] * rest[..., k, None, k + 1 :]
    params = skew_entries(inverse_cayley(signs[..., :, None] * full))
    as_Q = functools.partial(xp.asarray, dtype=Q.dtype, device=device(Q))
    return of_kind(Q, as_Q(params)), of_kind(Q, as_Q(signs))
