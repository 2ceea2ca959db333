"""Draws, given their noise: from a posterior, from the prior, and of missing latents given observed ones.

The core has no random numbers of its own. Noise comes in as an argument, so two engines fed the same noise can be
compared step by step, and a resumed run repeats the draws of an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from ._array_api import X, of_kind
from ._checks import check_draws, check_dtype, check_last, check_shapes, check_together
from ._door import Mask, Views, by_name, check_prior, check_stacks
from ._named import one_library
from ._xp import device, public, split
from .conditioning import door
from .prior import JointPrior
from .rotated import expand, rotate, square


@public
def reparameterize(mean: X, log_var: X, noise: X) -> X:
    """z = mu + diag(sigma) eps with sigma = exp(log_var / 2) (the paper's section 2.1 prints sigma^2: an erratum).

    Error: (|mu|/2 + 5 sigma |eps|) times the machine epsilon.

    Parameters
    ----------
    mean, log_var, noise : arrays that broadcast to one shape
        noise: standard normals.

    Returns
    -------
    array of that shape

    Raises
    ------
    ShapeError, DtypeError, LibraryError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> jc.reparameterize(np.ones(2), 2.0 * np.log(np.asarray([1.0, 3.0])), np.asarray([-1.0, 2.0])).round(12)
    array([0., 7.])
    """
    xp = one_library(mean=mean, log_var=log_var, noise=noise)
    check_dtype(mean=mean, log_var=log_var, noise=noise)
    check_together(mean=mean, log_var=log_var, noise=noise)
    return of_kind(mean, mean + xp.exp(0.5 * log_var) * noise)


@overload
def complete(prior: JointPrior, latents: Sequence[X], mask: Mask, noise: X) -> tuple[X, ...]: ...
@overload
def complete(prior: JointPrior, latents: Mapping[str, X], mask: Mask, noise: X) -> dict[str, X]: ...
@public
def complete(prior: JointPrior, latents: Views[X], mask: Mask, noise: X) -> tuple[X, ...] | dict[str, X]:
    """Draw the missing latents from p(z_missing | z_observed); the observed ones pass through unchanged.

    Several missing views share one draw of the source, so they are coherent with each other: their joint distribution
    is the prior's conditional, not a product. Any pattern per row; a row with no view observed is a draw from the prior.
    Differentiable in latents and in the prior's parameters.
    Error: (n/2 + d/2 + 1 + r) eps times the draw with every term in absolute value (docs/error-analysis.md).

    Parameters
    ----------
    prior : JointPrior
    latents : list of M arrays (..., B, n_i), or a dict by the prior's names
        Ignored where missing, NaN included.
    mask : array (M,) or (..., B, M), or a list or dict by view
        As that of ``kl_divergence``; not None.
    noise : array (..., B, prior.noise_dim)
        Standard normals, columns [source, view 1, ..., view M]; (prior.noise_dim,) for one row. With further axes before
        these, (S, ..., B, prior.noise_dim): S draws of each row.

    Returns
    -------
    tuple of M arrays (..., B, n_i), or a dict by name
        With the noise's further axes, where it has any.

    Raises
    ------
    ShapeError, DtypeError, LibraryError, ArgumentError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> prior = jc.JointPrior.orthogonal(np.eye(2), 0.6)
    >>> noise = np.zeros((1, prior.noise_dim))
    >>> noise[:, 2:] = 1.0  # view 2's own: its conditional standard deviation is sqrt(1 - 0.6^2) = 0.8
    >>> z = jc.complete(prior, [np.ones((1, 2)), np.zeros((1, 2))], np.array([True, False]), noise)
    >>> z[1].round(12)
    array([[1.4, 1.4]])
    """
    xp, bits, clean, form = door(prior, latents, mask)
    one_library(latents=clean[0], noise=noise)
    check_last("noise", noise, prior.noise_dim, "prior.noise_dim standard normals per row")
    check_dtype(noise=noise, latents=clean[0])
    first: Any = latents
    first = next(iter(first.values())) if by_name(first) else first[0]
    check_draws("noise", noise, "latents[0]", first)  # as given: a mask of subsets adds axes to the cleaned ones
    noise = form.noise(noise)
    check_shapes("leading axes", {"noise": noise.shape[:-1], "mask": bits[0].shape[:-1]}, "leading axes")
    source, *own = split_noise(noise, (prior.coupling.noise_dim, *prior.dims))
    y = [rotate(z, frame) for z, frame in zip(clean, prior.frames, strict=True)]
    e = [rotate(eps, frame) for eps, frame in zip(own, prior.frames, strict=True)]
    drawn = []
    for j, rotated in enumerate(prior.coupling.draw(xp, y, bits, source, e)):
        z = expand(xp, rotated, prior.frames[j])
        if not square(prior.frames[j]):
            z = z + (own[j] - expand(xp, e[j], prior.frames[j]))
        drawn.append(z)
    found: tuple[X, ...] = form.views([xp.where(b > 0.0, z, d) for b, z, d in zip(bits, clean, drawn, strict=True)])
    return found


def split_noise(noise: X, sizes: Sequence[int]) -> list[X]:
    """Columns side by side, [source, view 1, ..., view M] for instance, as one array (..., B, n) for each of the sizes n."""
    return split(noise, sizes)


@public
def sample(prior: JointPrior, noise: X) -> tuple[X, ...]:
    """Draw all latents from the prior N(0, Sigma).

    Error: as ``complete``.

    Parameters
    ----------
    prior : JointPrior
    noise : array (..., B, prior.noise_dim)
        Standard normals; (prior.noise_dim,) for one draw.

    Returns
    -------
    tuple of M arrays (..., B, n_i)

    Raises
    ------
    ShapeError, DtypeError, LibraryError, ArgumentError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> prior = jc.JointPrior.orthogonal(np.eye(2), 0.9)
    >>> [z.shape for z in jc.sample(prior, np.random.default_rng(0).standard_normal((5, prior.noise_dim)))]
    [(5, 2), (5, 2)]
    """
    check_prior(prior)
    xp = one_library(noise=noise, **prior.named_arrays)
    check_dtype(noise=noise, **prior.named_arrays)
    check_last("noise", noise, prior.noise_dim, "prior.noise_dim standard normals per row")
    check_stacks(prior, noise=noise)
    zeros = (xp.zeros((*noise.shape[:-1], n), dtype=noise.dtype, device=device(noise)) for n in prior.dims)
    nothing = [of_kind(noise, x) for x in zeros]
    return complete(prior, nothing, xp.zeros((len(prior.dims),), dtype=xp.bool, device=device(noise)), noise)
