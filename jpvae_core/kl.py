"""KL( q || N(0, Sigma) ) for q = N(mu, diag sigma^2): one canonical form, and the paper's forms as references.

Write v_i = (Q_i * Q_i)^T sigma_i^2 and m_i = Q_i^T mu_i for the rotated variances and means. Since (Sigma^{-1})_ii = 1 + x_i
in every direction with x_i >= 0, and the complement of each frame is standard normal,

    2 KL = sum_i sum_j [ sigma_ij^2 - 1 - log sigma_ij^2 ]       ordinary: what independent VAEs pay
         + sum_i | mu_i - Q_i Q_i^T mu_i |^2                     outside the frames
         + [ log|Sigma| + quad(m) + sum_i x_i . v_i ]            the coupling (pair.py, loadings.py)

Cost O(B sum n_i d); no inverse, factorisation, determinant or jitter. No term is a difference of large numbers, and only
log|Sigma| is negative; sigma^2 - 1 - log sigma^2 is accurate next to its zero too (remainder.py).
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any, ParamSpec

from ._array_api import Array, Namespace, X, of_kind
from ._bits import bits_of
from ._checks import check_alpha, check_definite, check_dtype, check_last, check_posterior, check_square, check_stack
from ._door import Mask, Views, enter, spread_of, twice_log
from ._named import array_of, listed, one_library
from ._xp import asarray_like, eye_like, library_of, public, split
from .coupling import Arrays, Bits
from .errors import ShapeError
from .prior import JointPrior
from .remainder import remainder
from .rotated import expand, rotate, square

P = ParamSpec("P")


def _either_order(door: Callable[P, X]) -> Callable[P, X]:
    """``kl_divergence`` takes the order of its first release too, (means, log_vars, prior, mask), until the next one."""

    @functools.wraps(door)
    def ordered(*args: P.args, **kwargs: P.kwargs) -> X:
        if len(args) > 2 and isinstance(args[2], JointPrior):
            moved: Any = (args[2], *args[:2], *args[3:])
        elif args and isinstance(kwargs.get("prior"), JointPrior):
            moved = (kwargs.pop("prior"), *args)
        else:
            return door(*args, **kwargs)
        message = "kl_divergence(means, log_vars, prior, mask) is now kl_divergence(prior, means, log_vars, mask)"
        warnings.warn(message, DeprecationWarning, stacklevel=3)  # above this function and ``public``
        return door(*moved, **kwargs)

    return ordered


@public
@_either_order
def kl_divergence(
    prior: JointPrior,
    means: Views[X],
    log_vars: Views[X] | None = None,
    mask: Mask | None = None,
    *,
    std: Views[X] | None = None,
) -> X:
    """KL( prod_{i observed} N(mu_i, diag exp(log_var_i)) || p(z_observed) ) per row, in nats.

    A missing view is integrated out of the prior. A row without any view has KL 0. Parameters' leading axes broadcast against
    the data's (a stack of models).
    Error: at most c eps K, K the same sum with every term in absolute value: c = 3n/2 + d + M/2 + 22, n = max n_i, for two
    views; on a shared source 2 F_a + 5M/2 + 2 more, F_a = 4 + 2 max softplus|logits|. No factor grows as s -> 1.
    Source: Eq. 7 in the rotated coordinates of ``JointPrior``; equals Eq. 9 and Eq. 16 where they apply.

    Parameters
    ----------
    prior : JointPrior
    means, log_vars : list or tuple of M arrays (..., B, n_i), or a dict by the prior's names
        (n_i,) for a single row. What a missing view holds, NaN included, is ignored and gets gradient 0.
    mask : None, array (M,) or (..., B, M), or a list or dict by view
        True or 1 where a view is observed; None: all are. In a list or dict, one truth value or one column (..., B) per view;
        a list of B plain lists of M numbers is read by rows, as an array would be.
    std : like means
        Standard deviations in place of log_vars.

    Returns
    -------
    array (..., B), or () for a single row

    Raises
    ------
    ShapeError, DtypeError, LibraryError, ArgumentError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> mu, log_var = [np.ones((1, 2)), np.ones((1, 2))], [np.zeros((1, 2)), np.zeros((1, 2))]
    >>> jc.kl_divergence(jc.JointPrior.independent([2, 2]), mu, log_var)
    array([2.])
    """
    kind, given = spread_of(log_vars, std)
    xp, (mu, log_var), bare, form = enter(prior, mask, means=means, **{kind: given})
    check_posterior(mu, log_var, prior.dims, kind)
    check_dtype(**{"means[0]": mu[0]}, **prior.named_arrays)
    bits = None
    if bare is not None:
        bits, (mu, log_var) = bits_of(xp, bare, mu, log_var)
    if kind == "std":
        log_var = twice_log(xp, log_var, bits)
    if library_of(mu[0]) == "torch":
        from . import _pair_in_torch as in_torch

        if in_torch.applies(prior, mu, log_var):
            found = in_torch.kl(prior, mu, log_var, bits, functools.partial(_per_row, xp))
            return of_kind(mu[0], form.rows(found))
    return of_kind(mu[0], form.rows(_per_row(xp, prior, mu, log_var, bits)))


def _per_row(xp: Namespace, prior: JointPrior, mu: Arrays, log_var: Arrays, bits: Bits) -> Array:
    """KL, (..., B): of what is 0 where it is missing."""
    own = split(remainder(xp, xp.concat(list(log_var), axis=-1)), prior.dims)
    ordinary: Array | float = sum(xp.sum(r, axis=-1) for r in own)
    uniform = prior.coupling.uniform
    squares = [None if q is None or (uniform and square(q)) else q * q for q in prior.frames]
    v = (rotate(xp.exp(x), q) for x, q in zip(log_var, squares, strict=True))  # made only if the coupling reads it
    return 0.5 * ordinary + divergence(xp, prior, mu, v, bits)


def divergence(xp: Namespace, prior: JointPrior, rows: Arrays, v: Iterable[Array] | None, bits: Bits) -> Array:
    """Half of sum_i |outside the frames|^2 + log|Sigma| + quad(m) + sum_i x_i . v_i, (..., B); v None: without the last.

    rows: means, or the latents of a density, 0 where missing; v: their rotated variances, one array (..., B, d) per view.
    """
    m: list[Array] = []
    outside: Array | float = 0.0
    for mean, frame in zip(rows, prior.frames, strict=True):
        inside = rotate(mean, frame)
        m.append(inside)
        if not square(frame):
            rest = mean - expand(xp, inside, frame)
            outside = outside + xp.sum(rest * rest, axis=-1)
    return 0.5 * outside + prior.coupling.divergence(xp, m, v, bits)


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
