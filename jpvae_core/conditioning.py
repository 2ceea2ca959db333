"""Conditioning: the missing latents given the observed ones, in closed form under the prior, and Eq. 12 for any Gaussian.

Under a JointPrior, with y_i = Q_i^T z_i:  E[z_j | z_O] = Q_j sum_{i in O} g_ji * y_i, and the conditional covariance is
Q_j diag(r_j) Q_j^T + (I - Q_j Q_j^T). The coefficients g and r (`regression`, `residual`) come from the coupling, per
direction, so every row may have its own pattern and no system is solved. Inputs that are themselves uncertain,
z_O ~ N(mu_O, diag sigma_O^2), add the linear map's image of diag sigma_O^2 to the covariance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, NamedTuple, overload

from ._array_api import Array, Namespace, X, of_kind
from ._bits import bits_of, keep
from ._checks import check_dtype, check_last, check_posterior, check_square, check_stack, check_views
from ._door import Form, Mask, Views, enter, spread_of, twice_log
from ._named import integer, one_library, shown
from ._xp import device, eye_like, factorization_errors, public
from .errors import ArgumentError, ShapeError
from .prior import JointPrior
from .rotated import dense, expand, rotate, sandwich, square


class Conditional(NamedTuple, Generic[X]):
    """What ``condition`` returns: unpack it as ``means, covariances = condition(...)``. Dicts by name where dicts came in.

    Attributes
    ----------
    means
        M arrays (..., B, n_i): E[z_j | z_observed], the latents themselves where observed.
    covariances
        covariances[i][j], arrays (..., R, n_i, n_j): Cov(z_i, z_j | z_observed).

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> latents, mask = [np.ones((4, 2)), np.zeros((4, 3))], np.array([True, False])
    >>> means, covariances = jc.condition(jc.JointPrior.independent([2, 3]), latents, mask)
    >>> means[1].shape, covariances[1][1].shape
    ((4, 3), (1, 3, 3))
    """

    means: tuple[X, ...]
    covariances: tuple[tuple[X, ...], ...]


@overload
def conditional_mean(prior: JointPrior, latents: Sequence[X], mask: Mask) -> tuple[X, ...]: ...
@overload
def conditional_mean(prior: JointPrior, latents: Mapping[str, X], mask: Mask) -> dict[str, X]: ...
@public
def conditional_mean(prior: JointPrior, latents: Views[X], mask: Mask) -> tuple[X, ...] | dict[str, X]:
    """E[z_j | z_observed] of the missing views, and the observed views' latents as they are; any pattern per row.

        E[z_j | z_O] = Q_j sum_{i in O} g_ji * Q_i^T z_i

    No B x n x n array is made. Source: Eq. 12 under the prior.
    Error: (n/2 + d/2 + M/2 + 1 + r) eps |Q_j| sum_i |g_ji| |Q_i|^T |z_i|, r the relative error of g (docs/error-analysis.md).

    Parameters
    ----------
    prior : JointPrior
    latents : list of M arrays (..., B, n_i), or a dict by the prior's names
        What a missing view holds, NaN included, is ignored.
    mask : array (M,) or (..., B, M), or a list or dict by view
        As that of ``kl_divergence``; not None.

    Returns
    -------
    tuple of M arrays (..., B, n_i), or a dict by name

    Raises
    ------
    ShapeError, DtypeError, LibraryError, ArgumentError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> prior = jc.JointPrior.orthogonal(np.eye(2), 0.5)
    >>> jc.conditional_mean(prior, [np.ones((1, 2)), np.full((1, 2), np.nan)], np.array([True, False]))[1]
    array([[0.5, 0.5]])
    """
    xp, bits, clean, form = door(prior, latents, mask)
    y = [rotate(z, frame) for z, frame in zip(clean, prior.frames, strict=True)]
    predicted = map(expand, [xp] * len(y), prior.coupling.predict(xp, y, bits), prior.frames)
    found: tuple[X, ...] = form.views([xp.where(b > 0.0, z, mean) for b, z, mean in zip(bits, clean, predicted, strict=True)])
    return found


@public
def condition(
    prior: JointPrior, latents: Views[X], mask: Mask, *, log_vars: Views[X] | None = None, std: Views[X] | None = None
) -> Conditional[X]:
    """The conditional Gaussian of every view's latents given the observed ones: means, and all blocks of the covariance.

    An observed view's blocks are 0 (its latents are known), or its propagated uncertainty.
    Memory: R n_i n_j per block; ``conditional_mean`` and ``complete`` need none of it.
    Error: (d/2 + M/2 + 2 + r) eps times each covariance's formula in absolute values, with log_vars
    (n/2 + d + M/2 + 7 + 2r) eps; the means as ``conditional_mean``.
    Source: Eq. 12 under the prior; p(z_j | z_O) as in the factor model of ``JointPrior.canonical``.

    Parameters
    ----------
    prior : JointPrior
    latents : list of M arrays (..., B, n_i), or a dict by the prior's names
        Ignored where missing.
    mask : array (M,) or (..., B, M), or a list or dict by view
        As that of ``kl_divergence``; not None.
    log_vars : like latents, or None
        The observed latents' own uncertainty, z_O ~ N(latents, diag exp(log_var)); None: they are known exactly.
    std : like latents, or None
        Standard deviations in place of log_vars.

    Returns
    -------
    Conditional
        means, M arrays (..., B, n_i), and covariances[i][j], (..., R, n_i, n_j): R = B for a mask by row or where log_vars
        enter, else 1 (without R for a single row).

    Raises
    ------
    ShapeError, DtypeError, LibraryError, ArgumentError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> prior = jc.JointPrior.orthogonal(np.eye(2), 0.5)
    >>> means, covariances = jc.condition(prior, [np.ones((1, 2)), np.zeros((1, 2))], np.array([True, False]))
    >>> covariances[1][1][0]  # 1 - 0.5^2
    array([[0.75, 0.  ],
           [0.  , 0.75]])
    """
    xp, bits, clean, form = door(prior, latents, mask)
    spread: Any = None
    if log_vars is not None or std is not None:
        kind, given = spread_of(log_vars, std)
        _, (spread, _), _, _ = enter(prior, None, **{kind: given}, latents=latents)
        check_posterior(clean, spread, prior.dims, kind)
        spread = [keep(xp, b, x) for b, x in zip(bits, spread, strict=True)]
        if kind == "std":
            spread = twice_log(xp, spread, bits)
    means: Any = conditional_mean(prior, latents, mask)
    views = range(len(prior.dims))
    like, coupling = clean[0], prior.coupling

    def between(i: int, j: int, diagonal: Array) -> Array:  # Q_i diag(.) Q_j^T, (..., R, n_i, n_j)
        d = diagonal.shape[-1]
        left, right = (dense(xp, like, prior.dims[k], prior.frames[k], d)[..., None, :, :] for k in (i, j))
        return sandwich(xp, left, diagonal, right)

    def block(i: int, j: int) -> Array:
        base, frame = between(i, j, coupling.residual(xp, i, j, bits)), prior.frames[i]
        if i == j and frame is not None and not square(frame):
            outside = eye_like(xp, like, prior.dims[i]) - frame @ xp.matrix_transpose(frame)
            base = base + outside[..., None, :, :] * (1.0 - bits[i])[..., None]
        return base

    covariances: list[list[Any]] = [[block(i, j) for j in views] for i in views]
    if spread is not None:
        for k in views:
            variance = xp.exp(spread[k]) * bits[k]
            maps = [between(j, k, coupling.regression(xp, j, k, bits)) for j in views if j != k]
            maps.insert(k, eye_like(xp, like, prior.dims[k])[None, :, :])
            for i in views:
                for j in views:
                    covariances[i][j] = covariances[i][j] + sandwich(xp, maps[i], variance, maps[j])
    if form.single:
        covariances = [[x[..., 0, :, :] for x in row] for row in covariances]
    if form.names is None:
        return Conditional(means, tuple(tuple(row) for row in covariances))
    by_name: Any = {i: dict(zip(form.names, row, strict=True)) for i, row in zip(form.names, covariances, strict=True)}
    return Conditional(means, by_name)


@public
def condition_gaussian(mean: X, cov: X, observed_index: Sequence[int], values: X) -> tuple[X, X]:
    """Eq. 12 for any Gaussian N(mean, cov) and any split: the unobserved coordinates given the observed ones.

    Error: the gain's, 3 n_O eps | |L||U| |_F |S_oo^{-1}| |gain|_F, times |values - mean| or |S_oh|, and (n_O/2 + 3) eps of
    the terms.

    Parameters
    ----------
    mean : array (..., N)
    cov : array (..., N, N)
        Positive definite on the observed block.
    observed_index : sequence of integers
        n_O distinct coordinates in [0, N).
    values : array (..., B, n_O)
        Columns in the order of observed_index.

    Returns
    -------
    means : array (..., B, N - n_O)
        The unobserved coordinates in increasing order.
    covariance : array (..., N - n_O, N - n_O)

    Raises
    ------
    ArgumentError
        If the observed block is singular.
    ShapeError, DtypeError, LibraryError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> jc.condition_gaussian(np.zeros(2), np.asarray([[1.0, 0.5], [0.5, 1.0]]), [0], np.asarray([[2.0]]))
    (array([[1.]]), array([[0.75]]))
    """
    xp = one_library(mean=mean, cov=cov, values=values)
    check_dtype(cov=cov, mean=mean, values=values)
    size = check_square("cov", cov)
    check_last("mean", mean, size, "the size of cov")
    try:
        known = [integer("observed_index", k) for k in observed_index]
    except (ArgumentError, TypeError) as error:
        found = observed_index if isinstance(observed_index, list | tuple) else shown(observed_index)
        raise ShapeError(f"observed_index is {found}; expected integers, not a mask of True and False") from error
    if len(set(known)) != len(known) or any(not 0 <= k < size for k in known):
        raise ShapeError(f"observed_index is {known}; expected distinct integers in [0, {size})")
    check_last("values", values, len(known), "one column per entry of observed_index")
    check_stack(mean=(mean, 1), cov=(cov, 2), values=(values, 2))
    hidden = [k for k in range(size) if k not in set(known)]
    o = xp.asarray(known, dtype=xp.int32, device=device(cov))
    h = xp.asarray(hidden, dtype=xp.int32, device=device(cov))
    rows = xp.take(cov, h, axis=-2)
    S_ho, S_hh = xp.take(rows, o, axis=-1), xp.take(rows, h, axis=-1)
    S_oo = xp.take(xp.take(cov, o, axis=-2), o, axis=-1)
    try:
        gain_t = xp.linalg.solve(S_oo, xp.matrix_transpose(S_ho))  # (n_O, n_h): the transposed regression matrix
    except factorization_errors() as error:
        raise ArgumentError(f"cov is singular in the coordinates {known}; expected a positive definite covariance") from error
    centred = values - xp.take(mean, o, axis=-1)[..., None, :]
    means = xp.take(mean, h, axis=-1)[..., None, :] + centred @ gain_t
    return of_kind(mean, means), of_kind(cov, S_hh - S_ho @ gain_t)


def check_latents(prior: JointPrior, latents: Sequence[Array]) -> None:
    """One array (..., B, n_i) per view, of the prior's dtype. Raises ShapeError or DtypeError."""
    check_views("latents", latents, prior.dims)
    check_dtype(**{f"latents[{i}]": z for i, z in enumerate(latents)}, **prior.named_arrays)
    if latents[0].ndim < 2:
        raise ShapeError(f"latents[0] has shape {tuple(latents[0].shape)}; expected (..., B, n_i): add a row axis")


def door(prior: JointPrior, latents: Views[Any], mask: Mask) -> tuple[Namespace, list[Array], list[Any], Form]:
    """Checks, then the mask's bits and the latents with missing views set to 0."""
    xp, (rows,), bare, form = enter(prior, mask, latents=latents)
    check_latents(prior, rows)
    if bare is None:
        raise ArgumentError(
            "mask is None; expected which views are observed, (M,) or (..., B, M): with all of them nothing is left"
        )
    bits, (clean,) = bits_of(xp, bare, rows)
    return xp, bits, clean, form
