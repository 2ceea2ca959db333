"""The Cayley transform: skew matrices <-> rotations without eigenvalue -1.

(I+A) and (I-A)^{-1} commute, so both directions are ONE linear solve; I - A is never singular because the
eigenvalues of a skew matrix are imaginary: |1 - i w| >= 1. Its condition number is at most sqrt(1 + |A|^2).
"""

from __future__ import annotations

from ._array_api import X, of_kind
from ._checks import check_dtype, check_square
from ._named import one_library
from ._xp import eye_like, factorization_errors, public, solve
from .errors import ArgumentError


@public
def cayley(A: X) -> X:
    """The rotation ``Q = (I + A)(I - A)^{-1}`` of a skew-symmetric A: Q^T Q = I, det Q = +1, no eigenvalue -1.

    (The paper prints "no eigenvalue +1", an erratum.)
    Error: |Q^ - Q|_F <= 3n eps | |(I - A)^{-1}| P|L||U| |Q| |_F, P, L, U of I - A: a multiple of n^2 eps for even n, of
    n^2 eps |A| where n is odd and |A| large (docs/error-analysis.md).
    Source: paper section 2.6.

    Parameters
    ----------
    A : array (..., n, n)
        Skew-symmetric, from ``skew`` for instance; its values are not checked.

    Returns
    -------
    array (..., n, n)

    Raises
    ------
    ShapeError, DtypeError, LibraryError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> jc.cayley(jc.skew(np.asarray([1.0]), 2))  # a quarter turn
    array([[ 0.,  1.],
           [-1.,  0.]])
    """
    xp = one_library(A=A)
    check_dtype(A=A)
    identity = eye_like(xp, A, check_square("A", A))
    return of_kind(A, solve(xp, identity - A, identity + A))


@public
def inverse_cayley(Q: X) -> X:
    """The skew matrix ``A = (Q - I)(Q + I)^{-1}``, for which ``cayley(A)`` is Q.

    As an eigenvalue of Q nears -1, |A| grows without bound; at -1 no A exists.
    Error: |A^ - A|_F <= eps [(3n g |A| + 2|A| + 2 sqrt(n)) |(Q + I)^{-1}| + |A|], g = | |L||U| |_F of Q + I.
    Source: paper section 2.6.

    Parameters
    ----------
    Q : array (..., n, n)
        A rotation without eigenvalue -1. (``inverse_frame`` takes any orthogonal matrix.)

    Returns
    -------
    array (..., n, n)
        Exactly skew: the rounding errors' symmetric part is projected away.

    Raises
    ------
    ArgumentError
        If Q has the eigenvalue -1 (NumPy and torch; JAX gives NaN).
    ShapeError, DtypeError, LibraryError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> jc.inverse_cayley(np.asarray([[0.0, 1.0], [-1.0, 0.0]]))
    array([[ 0.,  1.],
           [-1.,  0.]])
    """
    xp = one_library(Q=Q)
    check_dtype(Q=Q)
    identity = eye_like(xp, Q, check_square("Q", Q))
    try:
        A = xp.linalg.solve(Q + identity, Q - identity)
    except factorization_errors() as error:
        raise ArgumentError(
            "Q has the eigenvalue -1, where no skew matrix belongs to it; expected a rotation without it. "
            "jc.inverse_frame(Q) gives entries and signs of any orthogonal matrix."
        ) from error
    return of_kind(Q, 0.5 * (A - xp.matrix_transpose(A)))
