"""STAND-IN, to be replaced before it is merged: the fused posterior by one dense Cholesky factorisation per row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ._xp import Array, namespace
from .prior import JointPrior


@dataclass(frozen=True)
class Fused:
    prior: JointPrior
    mu: Any
    root: Any  # lower Cholesky factor of the precision
    bits: Any
    xp: Any

    @property
    def noise_dim(self) -> int:
        return self.prior.noise_dim

    def _split(self, z: Array) -> tuple[Array, ...]:
        out, start = [], 0
        for n in self.prior.dims:
            out.append(z[..., start : start + n])
            start += n
        return tuple(out)

    def mean(self) -> tuple[Array, ...]:
        return self._split(self.mu)

    def covariance(self) -> Array:
        xp = self.xp
        inv = xp.linalg.inv(self.root)
        return xp.matrix_transpose(inv) @ inv

    def kl(self) -> Array:

        xp, N = self.xp, self.mu.shape[-1]
        P = self.prior.precision()
        if self.prior.arrays == ():
            P = xp.eye(N, dtype=self.mu.dtype)
        cov = self.covariance()
        trace = xp.sum(P * cov, axis=(-2, -1))
        quad = xp.sum((self.mu @ P) * self.mu, axis=-1)
        logdet = 2 * xp.sum(xp.log(xp.linalg.diagonal(self.root)), axis=-1) + (
            self.prior.log_det() if self.prior.arrays else 0.0
        )
        return 0.5 * (trace + quad - N + logdet)

    def draw(self, noise: Array) -> tuple[Array, ...]:
        xp, N = self.xp, self.mu.shape[-1]
        e = noise[..., noise.shape[-1] - N :]
        rt = xp.matrix_transpose(self.root)
        z = self.mu + xp.linalg.solve(xp.broadcast_to(rt, (*e.shape[:-1], N, N)), e[..., None])[..., 0]
        return self._split(z)

    def log_density(self, latents: Sequence[Array]) -> Array:
        """log q(z_O)."""
        xp = self.xp
        z = xp.concat(list(latents), axis=-1)
        r = z - self.mu
        q = (xp.matrix_transpose(self.root) @ r[..., None])[..., 0]
        N = self.mu.shape[-1]
        full = (
            -0.5 * xp.sum(q * q, axis=-1)
            + xp.sum(xp.log(xp.linalg.diagonal(self.root)), axis=-1)
            - 0.5 * N * math.log(2 * math.pi)
        )
        from .density import log_density

        return full - (log_density(self.prior, latents) - log_density(self.prior, latents, self.bits))


def fuse(
    prior: JointPrior, means: Sequence[Array], log_vars: Sequence[Array], mask: Array | None = None, coordinates: str = "latent"
) -> Fused:
    xp = namespace(*means, *log_vars)
    if mask is None:
        mask = xp.ones((len(means),), dtype=xp.bool)
    bits = mask if mask.ndim > 1 else mask[None, :]
    lam = xp.concat(
        [xp.where(bits[..., i : i + 1], xp.expm1(-lv), xp.zeros_like(lv)) for i, lv in enumerate(log_vars)], axis=-1
    )
    eta = xp.concat(
        [
            xp.where(bits[..., i : i + 1], m * xp.exp(-lv), xp.zeros_like(m))
            for i, (m, lv) in enumerate(zip(means, log_vars, strict=True))
        ],
        axis=-1,
    )
    N = lam.shape[-1]
    P = prior.precision() if prior.arrays else xp.eye(N, dtype=lam.dtype)
    L = xp.linalg.cholesky(P + lam[..., None, :] * xp.eye(N, dtype=lam.dtype))
    y = xp.linalg.solve(L, eta[..., None])
    mu = xp.linalg.solve(xp.matrix_transpose(L), y)[..., 0]
    return Fused(prior, mu, L, mask, xp)
