"""What the observed views of a row say of its latents: q(z | x_O), for each of the model's two kinds of posterior.

    factorised   q = prod_{i in O} q_i(z_i | x_i) times the prior's conditional p(z_rest | z_O)     (the paper's Eq. 3)
    fused        q prop. to N(z_O; 0, Sigma_OO) prod_{i in O} q_i(z_i | x_i)/N(z_i; 0, I), times p(z_rest | z_O)

The fused one reads each encoder as the posterior given its view ALONE, and lets the joint prior carry it to the other views;
where the encoders are exact, so is the fused posterior, for every O. With one observed view the two are the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast, get_args

import jpvae_core as jc
from jpvae_core._array_api import Array

PosteriorName = Literal["fused", "factorised"]
Coordinates = Literal["frame", "latent"]
POSTERIORS: tuple[str, ...] = get_args(PosteriorName)
COORDINATES: tuple[str, ...] = get_args(Coordinates)


class Posterior(Protocol):
    """q(z | x_O) of a batch of rows, as ``jpvae_core.fuse`` gives it."""

    @property
    def noise_dim(self) -> int:
        """Standard normals per row that a draw takes."""

    def mean(self) -> Sequence[Array]:
        """E[z | x_O], (..., B, n_i) per view, the missing ones too."""

    def kl(self) -> Array:
        """KL( q(z_O | x_O) || p(z_O) ), (..., B) nats."""

    def draw(self, noise: Array) -> Sequence[Array]:
        """Latents of all views from noise (..., B, noise_dim)."""

    def log_density(self, latents: Sequence[Array]) -> Array:
        """log q(z_O | x_O), (..., B)."""


@dataclass(frozen=True)
class Factorised:
    """Eq. 3: a product over the observed views. mask: (M,) or (..., B, M)."""

    xp: Any
    prior: jc.JointPrior
    means: Sequence[Array]
    log_vars: Sequence[Array]
    mask: Array

    @property
    def noise_dim(self) -> int:
        """One normal per latent, then what ``complete`` takes."""
        return sum(self.prior.dims) + self.prior.noise_dim

    def mean(self) -> Sequence[Array]:
        """Posterior means where observed, their conditional means under the prior elsewhere."""
        return jc.conditional_mean(self.prior, self.means, self.mask)

    def kl(self) -> Array:
        """The closed form of the core."""
        return jc.kl_divergence(self.prior, self.means, self.log_vars, self.mask)

    def draw(self, noise: Array) -> Sequence[Array]:
        """z_O ~ q, then the prior's conditional."""
        z, start = [], 0
        for mean, log_var, n in zip(self.means, self.log_vars, self.prior.dims, strict=True):
            z.append(jc.reparameterize(mean, log_var, noise[..., start : start + n]))
            start += n
        return jc.complete(self.prior, z, self.mask, noise[..., start:])

    def log_density(self, latents: Sequence[Array]) -> Array:
        """The sum over observed views of log N(z_i; mean_i, var_i)."""
        xp, total = self.xp, cast(Array, 0.0)  # of which the first view's term makes an array
        for i, (z, mean, log_var) in enumerate(zip(latents, self.means, self.log_vars, strict=True)):
            e = (z - mean) * xp.exp(-0.5 * log_var)
            one = -0.5 * xp.sum(e * e + log_var + math.log(2.0 * math.pi), axis=-1)
            total = total + xp.where(self.mask[..., i], one, xp.zeros_like(one))
        return total


def posterior(
    kind: str,
    xp: Any,
    prior: jc.JointPrior,
    means: Sequence[Array],
    log_vars: Sequence[Array],
    mask: Array,
    coordinates: Coordinates = "latent",
) -> Posterior:
    """The posterior of that kind. means, log_vars: (..., B, n_i), the encoders' (log_var <= 0 for "fused"); mask: bool."""
    if kind == "fused":
        return jc.fuse(prior, means, log_vars, mask, coordinates)
    return Factorised(xp, prior, means, log_vars, mask)
