"""KL( q || p ) in the forms that the paper prints, and dense: references, by inverses and determinants.

``kl_divergence`` (kl.py) is the same number without them. These lose digits as the largest singular value of C comes to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

from ._array_api import Array, Namespace, X, of_kind
from ._checks import check_alpha, check_definite, check_dtype, check_last, check_posterior, check_square, check_stack
from ._named import array_of, listed, one_library
from ._xp import asarray_like, eye_like, public
from .errors import ShapeError


@public
def kl_eq9(means: Sequence[X], log_vars: Sequence[X], C: X) -> X:
    """The paper's Eq. 9, as printed: a reference that takes the inverses D_1, D_2 and loses all digits as sigma_1(C) -> 1.

    Error: as 3n eps growth |D|^2 (|mu|^2 + tr Sigma_q + 1), |D| = 1/(1 - sigma_1^2); all terms: docs/error-analysis.md.

    Parameters
    ----------
    means, log_vars : two arrays (..., B, n_i) each
    C : array (..., n_2, n_1)
        Cov(z_2, z_1), sigma_1(C) < 1.

    Returns
    -------
    array (..., B)
        In nats.

    Raises
    ------
    NotAContraction
        If a singular value of C is above 1, where values can be seen.
    ShapeError, DtypeError, LibraryError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> means, log_vars, C = [np.ones((1, 2))] * 2, [np.zeros((1, 2))] * 2, np.zeros((2, 2))
    >>> jc.kl_eq9(means, log_vars, C)
    array([2.])
    """
    xp, means, log_vars = _dense(means, log_vars, C=C)
    if C.ndim < 2:
        raise ShapeError(f"C has shape {tuple(C.shape)}; expected (..., n_2, n_1)")
    dims = (C.shape[-1], C.shape[-2])
    check_posterior(means, log_vars, dims)
    check_stack(**{"C": (C, 2), "means[0]": (means[0], 2)})
    check_dtype(C=C, **{"means[0]": means[0]})
    Ct = xp.matrix_transpose(C)
    I1, I2 = eye_like(xp, C, dims[0]), eye_like(xp, C, dims[1])
    check_definite("I - C^T C", I1 - Ct @ C, "all above 0: every singular value of C below 1 (Thm 2.1)")
    D1, D2 = _inverse(xp, I1 - Ct @ C), _inverse(xp, I2 - C @ Ct)
    log_det_D1 = -xp.linalg.slogdet(I1 - Ct @ C)[1]
    total = -log_det_D1[..., None]
    for mu, log_var, D in zip(means, log_vars, (D1, D2), strict=True):
        trace = xp.sum(xp.exp(log_var) * xp.linalg.diagonal(D)[..., None, :], axis=-1)
        total = total + _form(xp, mu, D, mu) - xp.sum(log_var, axis=-1) - mu.shape[-1] + trace
    cross = _form(xp, means[0], D1 @ Ct, means[1]) + _form(xp, means[1], D2 @ C, means[0])
    return of_kind(C, 0.5 * (total - cross))


@public
def kl_eq16(means: Sequence[X], log_vars: Sequence[X], rotation: X, alpha: float | Array) -> X:
    """The paper's Eq. 16 for C = alpha * rotation, corrected: the cross term is 2 gamma mu_2^T C mu_1, gamma = 1/(1 - alpha^2).

    (It prints mu_1^T C mu_2, which agrees only for symmetric C.) A reference: ``kl_divergence`` has no cancellation.
    Error: (n + gamma/2 + 12) eps times the same sum with every term in absolute value.

    Parameters
    ----------
    means, log_vars : two arrays (..., B, n) each
    rotation : array (..., n, n)
    alpha : number or array (...)
        |alpha| < 1.

    Returns
    -------
    array (..., B)
        In nats.

    Raises
    ------
    NotAContraction
        If a plain number is outside (-1, 1).
    ShapeError, DtypeError, LibraryError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> jc.kl_eq16([np.ones((1, 2))] * 2, [np.zeros((1, 2))] * 2, np.eye(2), 0.0)
    array([2.])
    """
    held = array_of("alpha", alpha)
    xp, means, log_vars = _dense(means, log_vars, rotation=rotation, **({} if held is None else {"alpha": held}))
    check_alpha(alpha)
    n = check_square("rotation", rotation)
    check_posterior(means, log_vars, (n, n))
    check_stack(**{"rotation": (rotation, 2), "means[0]": (means[0], 2)})
    check_dtype(rotation=rotation, **{"means[0]": means[0]}, **({} if held is None else {"alpha": held}))
    if held is not None and held.ndim > max(rotation.ndim - 2, 0):
        raise ShapeError(
            f"alpha has shape {tuple(held.shape)} and rotation {tuple(rotation.shape)}; expected one alpha for each"
        )
    pair: tuple[Any, Any] = alpha, 1.0 / (1.0 - alpha * alpha)  # of a plain number in double precision
    a, gamma = ((asarray_like(xp, rotation, x) if isinstance(alpha, Real) else x)[..., None] for x in pair)
    total = -n * xp.log(gamma)
    for mu, log_var in zip(means, log_vars, strict=True):
        total = total + gamma * xp.sum(mu * mu + xp.exp(log_var), axis=-1) - xp.sum(log_var, axis=-1) - n
    return of_kind(rotation, 0.5 * (total - 2.0 * gamma * a * _form(xp, means[1], rotation, means[0])))


@public
def kl_dense(means: Sequence[X], log_vars: Sequence[X], covariance: X) -> X:
    """Eq. 7, dense: KL( N(mu, diag sigma^2) || N(0, covariance) ) by slogdet and solve; any covariance, any number of views.

    Error: as 3N eps growth |covariance^{-1}|^2 (|mu|^2 + tr Sigma_q + 1); all terms: docs/error-analysis.md.

    Parameters
    ----------
    means, log_vars : arrays (..., B, n_i)
    covariance : array (..., N, N)
        Positive definite, N = sum n_i.

    Returns
    -------
    array (..., B)
        In nats.

    Raises
    ------
    NotAContraction
        If the covariance is indefinite, where values can be seen.
    ShapeError, DtypeError, LibraryError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> jc.kl_dense([np.ones((1, 2))] * 2, [np.zeros((1, 2))] * 2, np.eye(4))
    array([2.])
    """
    xp, means, log_vars = _dense(means, log_vars, covariance=covariance)
    if not means:
        raise ShapeError("means has 0 arrays; expected at least one, (..., B, n_i)")
    check_dtype(covariance=covariance, **{"means[0]": means[0]})
    size = check_square("covariance", covariance)
    check_posterior(means, log_vars, [x.shape[-1] for x in means])
    mu, log_var = xp.concat(list(means), axis=-1), xp.concat(list(log_vars), axis=-1)
    check_last("means, concatenated,", mu, size, "the size of covariance")
    check_stack(**{"covariance": (covariance, 2), "means[0]": (means[0], 2)})
    check_definite("covariance", covariance, "all above 0")
    P = _inverse(xp, covariance)
    log_det = xp.linalg.slogdet(covariance)[1][..., None]
    trace = xp.sum(xp.exp(log_var) * xp.linalg.diagonal(P)[..., None, :], axis=-1)
    twice = log_det - xp.sum(log_var, axis=-1) - size + _form(xp, mu, P, mu) + trace
    return of_kind(covariance, 0.5 * twice)


def _dense(means: Any, log_vars: Any, **named: Any) -> tuple[Namespace, Any, Any]:
    """The namespace of the reference forms' arguments, and the posteriors' arrays as lists."""
    lists = {"means": listed("means", means), "log_vars": listed("log_vars", log_vars)}
    arrays = {f"{name}[{i}]": x for name, group in lists.items() for i, x in enumerate(group)}
    xp = one_library(**named, **arrays)
    for name, x in arrays.items():
        if x.ndim < 2:
            raise ShapeError(f"{name} has shape {tuple(x.shape)}; expected (..., B, n_i): rows")
    return xp, lists["means"], lists["log_vars"]


def _inverse(xp: Namespace, A: X) -> X:
    """A^{-1}, (..., n, n). (The identity is broadcast: JAX 0.4 takes one matrix on the right for a stack of vectors.)"""
    return xp.linalg.solve(A, xp.broadcast_to(eye_like(xp, A, A.shape[-1]), A.shape))


def _form(xp: Namespace, x: Array, A: Array, y: Array) -> Array:
    """x^T A y per row: (..., B, p), (..., p, q), (..., B, q) -> (..., B)."""
    return xp.sum((x @ A) * y, axis=-1)
