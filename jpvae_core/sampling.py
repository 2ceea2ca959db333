"""Draws, given their noise: from a posterior, from the prior, and of missing latents given observed ones.

The core has no random numbers of its own. Noise comes in as an argument, so two engines fed the same noise can be
compared step by step, and a resumed run repeats the draws of an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from ._checks import check_dtype, check_last, check_same_rows, check_together
from ._door import Mask, Views, by_name, check_prior
from ._named import one_library
from ._xp import X, device, public, split
from .conditioning import door
from .prior import JointPrior
from .rotated import expand, rotate, square


@public
def reparameterize(mean: X, log_var: X, noise: X) -> X:
    """z = mu + diag(sigma) eps with sigma = exp(log_var / 2) (the paper's section 2.1 prints sigma^2: an erratum).

    mean, log_var, noise: arrays that broadcast to one shape  ->  that shape.
    Error: (|mu|/2 + 5 sigma |eps|) times the machine epsilon.
    """
    xp = one_library(mean=mean, log_var=log_var, noise=noise)
    check_dtype(mean=mean, log_var=log_var, noise=noise)
    check_together(mean=mean, log_var=log_var, noise=noise)
    return mean + xp.exp(0.5 * log_var) * noise


@overload
def complete(prior: JointPrior, latents: Sequence[X], mask: Mask, noise: X) -> tuple[X, ...]: ...
@overload
def complete(prior: JointPrior, latents: Mapping[str, X], mask: Mask, noise: X) -> dict[str, X]: ...
@public
def complete(prior: JointPrior, latents: Views[X], mask: Mask, noise: X) -> tuple[X, ...] | dict[str, X]:
    """Draw the missing latents from p(z_missing | z_observed); the observed ones pass through unchanged.

    Several missing views share one draw of the source, so they are coherent with each other: their joint distribution
    is the prior's conditional, not a product. Any pattern per row; a row with no view observed is a draw from the prior.

    prior, latents, mask: as the prior, means and mask of ``kl_divergence``; latents are ignored where missing, NaN included.
    noise: (..., B, prior.noise_dim) standard normals, (prior.noise_dim,) for one row; columns [source, view 1, ..., view M]
    -> one array (..., B, n_i) per view. Differentiable in latents and in the prior's parameters.
    Error: (n/2 + d/2 + 1 + r) eps times the draw with every term in absolute value (docs/error-analysis.md).
    """
    xp, bits, clean, form = door(prior, latents, mask)
    one_library(latents=clean[0], noise=noise)
    check_last("noise", noise, prior.noise_dim, "prior.noise_dim standard normals per row")
    check_dtype(noise=noise, latents=clean[0])
    first: Any = latents
    first = next(iter(first.values())) if by_name(first) else first[0]
    check_same_rows("noise", noise, "latents[0]", first)  # as given: a mask of subsets adds axes to the cleaned ones
    noise = form.noise(noise)
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
    """Draw all latents from the prior N(0, Sigma). noise: (..., B, prior.noise_dim)  ->  one array (..., B, n_i) per view.

    One draw without its axis: (prior.noise_dim,) -> (n_i,). Error: as ``complete``.
    """
    check_prior(prior)
    xp = one_library(noise=noise, **prior.named_arrays)
    check_dtype(noise=noise, **prior.named_arrays)
    check_last("noise", noise, prior.noise_dim, "prior.noise_dim standard normals per row")
    nothing = [xp.zeros((*noise.shape[:-1], n), dtype=noise.dtype, device=device(noise)) for n in prior.dims]
    return complete(prior, nothing, xp.zeros((len(prior.dims),), dtype=xp.bool, device=device(noise)), noise)
