"""Draws, given their noise: from a posterior, from the prior, and of missing latents given observed ones.

The core has no random numbers of its own. Noise comes in as an argument, so two engines fed the same noise can be
compared step by step, and a resumed run repeats the draws of an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Sequence

from ._checks import check_dtype, check_last, check_same_rows
from ._xp import Array, X, device, namespace, split, without_autocast
from .conditioning import door
from .prior import JointPrior, expand, rotate, square


@without_autocast
def reparameterize(mean: X, log_var: X, noise: X) -> X:
    """z = mu + diag(sigma) eps with sigma = exp(log_var / 2) (the paper's section 2.1 prints sigma^2: an erratum).

    mean, log_var, noise: arrays that broadcast to one shape  ->  that shape.
    Error: (|mu|/2 + 5 sigma |eps|) times the machine epsilon.
    """
    xp = namespace(mean, log_var, noise)
    check_dtype(mean=mean, log_var=log_var, noise=noise)
    return mean + xp.exp(0.5 * log_var) * noise


@without_autocast
def complete(prior: JointPrior, latents: Sequence[X], mask: Array, noise: X) -> tuple[X, ...]:
    """Draw the missing latents from p(z_missing | z_observed); the observed ones pass through unchanged.

    Several missing views share one draw of the source, so they are coherent with each other: their joint distribution
    is the prior's conditional, not a product. Any pattern per row; a row with no view observed is a draw from the prior.

    latents: one array (..., B, n_i) per view, ignored where missing (NaN included); mask: (M,) or (..., B, M);
    noise: (..., B, prior.noise_dim) standard normals, columns [source, view 1, ..., view M]
    -> one array (..., B, n_i) per view. Differentiable in latents and in the prior's parameters.
    Error: (n/2 + d/2 + 1 + r) eps times the draw with every term in absolute value (docs/error-analysis.md).
    """
    namespace(*latents, *prior.arrays, mask, noise)
    xp, bits, clean = door(prior, latents, mask)
    check_last("noise", noise, prior.noise_dim, "prior.noise_dim standard normals per row")
    check_dtype(noise=noise, latents=latents[0])
    check_same_rows("noise", noise, "latents[0]", latents[0])
    source, *own = split_noise(noise, (prior.coupling.noise_dim, *prior.dims))
    y = [rotate(z, frame) for z, frame in zip(clean, prior.frames, strict=True)]
    e = [rotate(eps, frame) for eps, frame in zip(own, prior.frames, strict=True)]
    drawn = []
    for j, rotated in enumerate(prior.coupling.draw(xp, y, bits, source, e)):
        z = expand(xp, rotated, prior.frames[j])
        if not square(prior.frames[j]):
            z = z + (own[j] - expand(xp, e[j], prior.frames[j]))
        drawn.append(z)
    return tuple(xp.where(b > 0.0, z, d) for b, z, d in zip(bits, clean, drawn, strict=True))


def split_noise(noise: X, sizes: Sequence[int]) -> list[X]:
    """Columns side by side, [source, view 1, ..., view M] for instance, as one array (..., B, n) for each of the sizes n."""
    return split(noise, sizes)


@without_autocast
def sample(prior: JointPrior, noise: X) -> tuple[X, ...]:
    """Draw all latents from the prior N(0, Sigma). noise: (..., B, prior.noise_dim)  ->  one array (..., B, n_i) per view.

    Error: as ``complete``.
    """
    xp = namespace(noise, *prior.arrays)
    nothing = [xp.zeros((*noise.shape[:-1], n), dtype=noise.dtype, device=device(noise)) for n in prior.dims]
    return complete(prior, nothing, xp.zeros((len(prior.dims),), dtype=xp.bool, device=device(noise)), noise)
