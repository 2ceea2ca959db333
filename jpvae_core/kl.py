"""KL( q || N(0, Sigma) ) for q = N(mu, diag sigma^2): one canonical form; the paper's are in reference_kl.py.

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
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec

from ._array_api import Array, Namespace, X, of_kind
from ._bits import bits_of
from ._checks import check_dtype, check_posterior
from ._door import Mask, Views, enter, spread_of, twice_log
from ._xp import library_of, public, split
from .coupling import Arrays, Bits
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
