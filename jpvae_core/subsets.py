"""The subset objective: the joint prior used in training, so that a model learns to fill in what it does not see.

With O_0 all observed views of a row, O_1, ..., O_{K-1} parts of them, and weights w_k, the loss of a row is

    sum_k w_k [ beta KL_k - sum_{i in O_k} log p(x_i | z_i^k) - c sum_{j in O_0, not in O_k} log p(x_j | z_j^k) ] / sum_k w_k

    z^k ~ q(z_O | x_O) p(z_rest | z_O),  O = O_k          KL_k = KL( q(z_O | x_O) || p(z_O) )

The prior's conditional cancels in the KL, so with beta = c = 1 every bracket is minus a lower bound of the SAME log p(x_{O_0}),
for whatever O_k: the encoders where the model looks, the prior where it does not. K = 1 is the ordinary bound (Eq. 5).

One draw rewards a decoder for the MEAN of what it cannot see. With S draws the last terms are log 1/S sum_s p(x_j | z_j^{ks}),
which comes closer to log p(x_j | x_O) and keeps the spread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from numbers import Integral
from typing import Any

import numpy as np

from ._array_api import Array, Namespace, X, of_kind
from ._checks import check_dtype, check_last
from ._chosen import chosen
from ._door import Mask, Views, arrays_of, by_name, check_prior, mask_of
from ._named import array_of, number, one_library, shown
from ._xp import asarray_like, device, library_of, namespace, public
from .errors import ArgumentError, ShapeError
from .prior import JointPrior


@public
def subsets(prior: JointPrior, mask: Mask | None = None, parts: Sequence[Any] | Array | None = None) -> Any:
    """Masks for the subset objective: all that each row has, then parts of it.

    A row that has no view of a part keeps all its views there.

    Parameters
    ----------
    prior : JointPrior
        For its views and their names.
    mask : None, array (M,) or (B, M), or a list or dict by view
        As that of ``kl_divergence``; None: all observed.
    parts : list, array (K - 1, M) or (K - 1, B, M), or None
        A list of parts, each one view, a list of views (indices or names) or of M booleans; or an array of masks, drawn at
        random for instance; None: each view by itself.

    Returns
    -------
    boolean array (K, B, M), or (K, 1, M) for one pattern
        In the library of mask or parts; the first of the K is the mask.

    Raises
    ------
    ShapeError, LibraryError, ArgumentError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> masks = jc.subsets(jc.JointPrior.independent([2, 2]), np.array([[True, True], [True, False]]))
    >>> masks[:, 0].tolist(), masks[:, 1].tolist()
    ([[True, True], [True, False], [False, True]], [[True, False], [True, False], [True, False]])
    """
    check_prior(prior)
    M, given = len(prior.dims), isinstance(parts, list | tuple) or parts is None
    wanted: Any = _chosen(prior, range(M) if parts is None else parts) if given else parts
    if given and not wanted:  # no part beside all that a row has
        wanted = np.zeros((0, M), dtype=bool)
    columns: Any = mask.values() if by_name(mask) else mask if isinstance(mask, list | tuple) else [mask]
    arrays = (x for x in (*columns, wanted) if hasattr(x, "shape") and library_of(x) != "numpy")
    like: Any = next(arrays, np.zeros(()))
    xp = namespace(like)
    observed = xp.ones((M,), dtype=xp.bool, device=device(like)) if mask is None else mask_of(xp, prior, mask, like)
    wanted = mask_of(xp, prior, wanted, like, "parts")
    check_last("mask", observed, M, "one entry per view")
    check_last("parts", wanted, M, "one entry per view")
    observed = xp.astype(observed if observed.ndim > 1 else observed[None, :], xp.bool)
    wanted = xp.astype(wanted if wanted.ndim > 2 else wanted[..., None, :], xp.bool)
    if observed.ndim != 2 or wanted.ndim != 3 or (wanted.shape[1] not in (1, observed.shape[0]) and observed.shape[0] != 1):
        raise ShapeError(
            f"mask has shape {tuple(observed.shape)} and parts {tuple(wanted.shape)}; "
            "expected (B, M), and (K - 1, M) or (K - 1, B, M)"
        )
    kept = wanted & observed
    kept = kept | (~xp.any(kept, axis=-1, keepdims=True) & observed)
    first = xp.broadcast_to(observed, (1, *kept.shape[1:]))
    return xp.concat([first, kept], axis=0)


def _chosen(prior: JointPrior, parts: Any) -> list[list[bool]]:
    """A row of booleans for each part."""
    M, rows = len(prior.dims), []
    for k, part in enumerate(parts):
        one = isinstance(part, str | Integral) and not isinstance(part, bool)
        at = chosen(f"parts[{k}]", [part] if one else part, M, prior.names)
        rows.append([i in at for i in range(M)])
    return rows


@public
def subset_loss(
    prior: JointPrior,
    log_probs: Views[Array],
    kl: X,
    masks: Array,
    *,
    weights: Sequence[float] | None = None,
    beta: float | Array = 1.0,
    cross: float | Array = 1.0,
) -> X:
    """The loss of each row under the subset objective, in nats, to be minimised. With the mean over rows it is a training loss.

    Its formula heads jpvae_core/subsets.py. Differentiable.

    Parameters
    ----------
    prior : JointPrior
        For its views and their names.
    log_probs : list of M arrays (K, B), or (S, K, B) for S draws, or a dict by the prior's names
        log p(x_i | z_i^k) of latents drawn for each subset. Where x_i is missing any FINITE number will do (fill missing values
        with zeros before they enter a network: NaN times 0 is NaN).
    kl : array (K, B)
        Of the same subsets.
    masks : array (K, B, M) or (K, 1, M)
        Those of ``subsets``.
    weights : sequence of K numbers, or None
        Relative weights w_k; None: 1 for the first, and 1/2 for all the others together.
    beta : number or array
        The weight of the KL.
    cross : number or array
        c, the weight of the views outside a subset. With several draws less than 1 serves better: 0.4 with four draws.

    Returns
    -------
    array (B,)

    Raises
    ------
    ShapeError, DtypeError, LibraryError, ArgumentError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> prior = jc.JointPrior.orthogonal(np.eye(2), 0.9)
    >>> masks, means = jc.subsets(prior), [np.ones((1, 2))] * 2  # (3, 1, 2): both views, the first, the second
    >>> q = jc.fuse(prior, means, [-m for m in means], masks)
    >>> z = q.draw(np.zeros((3, 1, q.noise_dim)))  # each (3, 1, 2), the unseen views' latents too
    >>> log_probs = [-0.5 * ((z_i - 1.0) ** 2).sum(-1) for z_i in z]  # your decoders' here, (3, 1)
    >>> jc.subset_loss(prior, log_probs, q.kl(), masks).shape
    (1,)
    """
    check_prior(prior)
    terms = arrays_of(prior, "log_probs", log_probs)
    named = {f"log_probs[{i}]": term for i, term in enumerate(terms)}
    xp = one_library(kl=kl, **named)
    check_dtype(kl=kl, **named)
    table = xp.astype(mask_of(xp, prior, masks, kl, "masks"), xp.bool)
    check_last("masks", table, len(terms), "one entry per view")
    if kl.ndim != 2 or table.ndim != 3 or table.shape[0] != kl.shape[0] or table.shape[1] not in (1, kl.shape[1]):
        raise ShapeError(f"kl has shape {tuple(kl.shape)} and masks {tuple(table.shape)}; expected (K, B), and (K, B or 1, M)")
    scale, cross_scale = _weight("beta", beta, kl), _weight("cross", cross, kl)
    total = scale * kl
    for i, term in enumerate(terms):
        if term.ndim not in (2, 3) or tuple(term.shape[-2:]) != tuple(kl.shape):
            raise ShapeError(
                f"log_probs[{i}] has shape {tuple(term.shape)}; expected (K, B) = {tuple(kl.shape)}, or (S, K, B) for S draws"
            )
        own, draws = table[:, :, i], term if term.ndim == 3 else term[None, ...]
        observed, nothing = own[:1, :], xp.zeros_like(kl)
        total = total - xp.where(own, xp.mean(draws, axis=0), nothing)
        total = total - cross_scale * xp.where(observed & ~own, _log_mean_exp(xp, draws), nothing)
    K = int(kl.shape[0])
    given = [1.0, *[0.5 / max(K - 1, 1)] * (K - 1)] if weights is None else _numbers(weights)
    if len(given) != K or not min(given) >= 0.0 or not 0.0 < math.fsum(given) < math.inf:
        found = given or shown(weights)
        raise ArgumentError(f"weights is {found}; expected {K} numbers of at least 0, one per subset, not all 0")
    shares = asarray_like(xp, kl, [w / math.fsum(given) for w in given])
    return of_kind(kl, xp.sum(shares[:, None] * total, axis=0))


def _weight(name: str, given: Any, kl: Array) -> Any:
    """A finite number, or an array that broadcasts with the KL."""
    weight = array_of(name, given)
    if weight is None:
        return number(name, given)
    one_library(kl=kl, **{name: weight})
    check_dtype(kl=kl, **{name: weight})
    sizes = zip(weight.shape[::-1], kl.shape[::-1], strict=False)
    if weight.ndim > kl.ndim or any(size not in (1, other) for size, other in sizes):
        raise ShapeError(f"{name} has shape {tuple(weight.shape)}; expected one that broadcasts to kl's, {tuple(kl.shape)}")
    return weight


def _numbers(weights: Any) -> list[float]:
    """As floats; empty where they are no sequence of numbers."""
    if isinstance(weights, str | bytes | Mapping | Set) or not hasattr(weights, "__len__"):
        return []
    try:
        return [math.nan if isinstance(w, str | bytes) else float(w) for w in weights]
    except (TypeError, ValueError, OverflowError):
        return []


def _log_mean_exp(xp: Namespace, draws: Any) -> Any:
    """log 1/S sum_s exp of (S, K, B), without overflow; for S = 1 the number itself."""
    total, S = draws[0, ...], int(draws.shape[0])
    for s in range(1, S):
        total = xp.logaddexp(total, draws[s, ...])
    return total - math.log(S)
