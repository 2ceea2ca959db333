"""The fused posterior with evidence diagonal in FRAME coordinates y_i = Q_i^T z_i: each direction by itself, no solve.

Here an encoder's N(mu_i, .) has covariance Q_i diag(sigma_i^2) Q_i^T, Q_i square. Per direction, with y_i = a_i u + r_i e_i
(``loadings_of``), m_i = Q_i^T mu_i, and b_i^2 = a_i^2 (1 - sigma_i^2), an uncertain view is one with a weaker loading:

    N_i = 1 - b_i^2 = r_i^2 + a_i^2 sigma_i^2            tau = 1 + sum_O b_i^2/N_i,   u^ = (1/tau) sum_O a_i m_i/N_i
    u | x_O      ~ N(u^, 1/tau)
    y_i | u, x_i ~ N( (a_i sigma_i^2 u + r_i^2 m_i)/N_i,  r_i^2 sigma_i^2/N_i )  where observed, else N(a_i u, r_i^2)
    2 KL = sum_k { u^^2 + 1/tau - 1 + log tau + sum_O [ rho_i - 1 - log rho_i + (r_i/N_i)^2 (off_i^2 + w_i^2/tau) ] }

with w_i = a_i (1 - sigma_i^2), off_i = m_i - w_i u^, rho_i = sigma_i^2/N_i = 1/(1 + r_i^2 (1/sigma_i^2 - 1)). Every term is
a square or of the form x - 1 - log x >= 0; tau, N and rho are sums of positive terms, 1 - sigma^2 = -expm1(log sigma^2).
Missing: b_i = 0. It is the canonical form with attenuated loadings: O(B sum n_i) after the frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Generic

from ._alone import magnified, shrinkage
from ._array_api import A_co, Array, Namespace, of_kind
from ._checks import check_rows_of_data
from ._door import LISTS, Form, Views, enter, noise_of
from ._xp import eye_like, public
from .conditioning import check_latents
from .prior import JointPrior
from .pytrees import pytree
from .remainder import remainder
from .rotated import Frame, expand, rotate


@pytree(data=("frame", "a", "r", "m", "log_var", "bit"))
@dataclass(frozen=True)
class Direction:
    """One view's evidence, direction by direction; arrays (..., B, d), a and r (..., 1, d)."""

    frame: Frame
    a: Array
    r: Array
    m: Array
    log_var: Array
    bit: Array  # (..., B, 1): 1.0 where observed

    @staticmethod
    def of(frame: Frame, a: Array, r: Array, mean: Array, log_var: Array, bit: Array) -> Direction:
        """From a mean of the latents themselves and log-variances of the frame's coordinates."""
        return Direction(frame, a, r, rotate(mean, frame), log_var, bit)

    def terms(self, xp: Namespace) -> tuple[Array, Array, Array]:
        """sigma^2, 1 - sigma^2 and N."""
        variance = xp.exp(self.log_var)
        return variance, -xp.expm1(self.log_var), self.r * self.r + self.a * self.a * variance

    def shrinkage(self, xp: Namespace) -> Array:
        """-log rho = log(1 + r^2 lambda), lambda = 1/sigma^2 - 1."""
        return shrinkage(xp, self.r, self.log_var, self.terms(xp)[2])

    def given(self, xp: Namespace, u: Array) -> Array:
        """E[y | u, x] where observed, E[y | u] where not."""
        variance, _, N = self.terms(xp)
        seen = self.m + self.a * variance / N * (u - self.a * self.m)  # m itself, to the bit, where sigma^2 is 0 in the dtype
        return xp.where(self.bit > 0.0, seen, self.a * u)

    def slope(self, xp: Namespace) -> tuple[Array, Array]:
        """Of the above in u, and the standard deviation of y given u."""
        variance, _, N = self.terms(xp)
        seen = self.bit > 0.0
        std = self.r * xp.exp(-0.5 * self.shrinkage(xp))
        return xp.where(seen, self.a * variance / N, self.a), xp.where(seen, std, self.r)


@pytree(data=("prior", "mask", "views", "source"), meta=("xp", "form"))
@dataclass(frozen=True)
class FusedInFrames(Generic[A_co]):
    """q(z | x_O) of each row; made by ``fuse(..., coordinates="frame")``. The methods are those of ``Fused``.

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> prior, means = jc.JointPrior.orthogonal(np.eye(2), 0.6), [np.ones((1, 2))] * 2
    >>> q = jc.fuse(prior, means, [np.full((1, 2), -1.0)] * 2, np.array([True, False]), "frame")
    >>> bool(np.allclose(q.mean()[1], 0.6)), q.kl().shape, q.covariance().shape, q.noise_dim
    (True, (1,), (1, 4, 4), 6)
    >>> latents = q.draw(np.zeros((1, q.noise_dim)))
    >>> [z.shape for z in latents], q.log_density(latents).shape
    ([(1, 2), (1, 2)], (1,))
    """

    prior: JointPrior
    mask: Array | None
    xp: Namespace
    views: tuple[Direction, ...]
    source: tuple[A_co, A_co]  # u^ and tau - 1, (..., B, d)
    form: Form = LISTS

    @staticmethod
    def _of(
        prior: JointPrior, mask: Array | None, xp: Namespace, views: tuple[Direction, ...], form: Form = LISTS
    ) -> FusedInFrames[Any]:
        """With what all views together contribute to the source."""
        added: Any = 0.0
        weighted: Any = 0.0
        for one in views:
            _, gained, N = one.terms(xp)
            added = added + one.bit * (one.a * one.a * gained / N)
            weighted = weighted + one.bit * (one.a * one.m / N)
        return FusedInFrames(prior, mask, xp, views, (weighted / (1.0 + added), added), form)

    @property
    def noise_dim(self) -> int:
        """Standard normals per row that ``draw`` takes: the source's d and one per latent."""
        return self.prior.coupling.rank + sum(self.prior.dims)

    @public
    def mean(self) -> tuple[A_co, ...]:
        """E[z | x_O]: for the missing views by the prior's conditional.

        Returns
        -------
        tuple of M arrays (..., B, n_i), or a dict by name
        """
        u, _ = self.source
        found: tuple[A_co, ...] = self.form.views([expand(self.xp, one.given(self.xp, u), one.frame) for one in self.views])
        return found

    @public
    def kl(self) -> A_co:
        """KL( q(z_O | x_O) || p(z_O) ) per row, in nats.

        Returns
        -------
        array (..., B)
        """
        xp, (u, added) = self.xp, self.source
        log_tau = xp.log1p(added)
        total = u * u + remainder(xp, -log_tau)
        for one in self.views:
            _, gained, N = one.terms(xp)
            less, weaker = one.shrinkage(xp), one.a * gained
            off = one.r * ((one.m - weaker * u) / N)  # 1/N^2 alone would overflow
            spread = one.r * (weaker / N)
            total = total + one.bit * (remainder(xp, -less) + off * off + spread * spread / (1.0 + added))
        return of_kind(self.source[0], self.form.rows(0.5 * xp.sum(total, axis=-1)))

    @public
    def draw(self, noise: Array) -> tuple[A_co, ...]:
        """Latents of all views, the missing ones too, coherent with each other.

        Affine in the noise, differentiable in everything else.

        Parameters
        ----------
        noise : array (..., B, noise_dim)
            Standard normals, columns [source, view 1, ..., view M]; (noise_dim,) for a single row.

        Returns
        -------
        tuple of M arrays (..., B, n_i), or a dict by name

        Raises
        ------
        ShapeError, DtypeError, LibraryError
        """
        xp, d, (mean, added) = self.xp, self.prior.coupling.rank, self.source
        noise = noise_of(self.form, noise, self.noise_dim, self.views[0].m)
        u = mean + noise[..., :d] / xp.sqrt(1.0 + added)
        drawn = []
        for k, one in enumerate(self.views, start=1):
            _, std = one.slope(xp)
            y = one.given(xp, u) + std * noise[..., k * d : (k + 1) * d]
            drawn.append(expand(xp, y, one.frame))
        found: tuple[A_co, ...] = self.form.views(drawn)
        return found

    @public
    def log_density(self, latents: Views[Array]) -> A_co:
        """log q(z_O | x_O) of the observed views' latents, in nats.

        Per direction the covariance is diag(s^2) + g g^T/tau, s and g from ``slope``. With e_i = (y_i - E y_i)/s_i, h_i =
        g_i/s_i = (a_i/r_i) rho_i^(1/2) and v = h^T e/(tau + |h|^2), by Sherman-Morrison and the determinant lemma
        -2 log q = tau v^2 + |e - h v|^2 + log(1 + |h|^2/tau) + sum log(2 pi s^2).

        Parameters
        ----------
        latents : list of M arrays (..., B, n_i), or a dict by name
            As ``draw`` gives them; what a missing view's hold is ignored.

        Returns
        -------
        array (..., B)

        Raises
        ------
        ShapeError, DtypeError, LibraryError
        """
        xp, (u, added) = self.xp, self.source
        _, (rows,), _, _ = enter(self.prior, None, latents=latents)
        check_latents(self.prior, rows)
        check_rows_of_data("latents[0]", rows[0], self.views[0].m)
        tau, pairs = 1.0 + added, []
        along: Array | float = 0.0
        weight: Array | float = 0.0
        logs: Array | float = 0.0
        for one, z in zip(self.views, rows, strict=True):
            less, clean = one.shrinkage(xp), xp.where(one.bit > 0.0, z, xp.zeros_like(z))
            e = one.bit * magnified(xp, (rotate(clean, one.frame) - one.given(xp, u)) / one.r, 0.5 * less)
            h = one.bit * (one.a / one.r * xp.exp(-0.5 * less))
            pairs.append((e, h))
            along, weight = along + h * e, weight + h * h
            logs = logs + one.bit * (2.0 * xp.log(one.r) - less + math.log(2.0 * math.pi))
        best = along / (tau + weight)
        total = tau * best * best + xp.log1p(weight / tau) + logs
        for e, h in pairs:
            total = total + (e - h * best) * (e - h * best)
        return of_kind(self.source[0], self.form.rows(-0.5 * xp.sum(total, axis=-1)))

    @public
    def covariance(self) -> A_co:
        """Cov(z | x_O), dense, the missing views included. For tests and reports.

        Returns
        -------
        array (..., B, N, N)
            N = sum n_i.
        """
        xp, (_, added) = self.xp, self.source
        d, like = self.prior.coupling.rank, added
        rows = []
        for i, one in enumerate(self.views):
            slope, std = one.slope(xp)
            blocks = []
            for j, other in enumerate(self.views):
                across = slope * other.slope(xp)[0] / (1.0 + added)
                diagonal = across + std * std if i == j else across
                left, right = (eye_like(xp, like, d) if q is None else q for q in (one.frame, other.frame))
                scaled = left[..., None, :, :] * diagonal[..., None, :]
                blocks.append(scaled @ xp.matrix_transpose(right)[..., None, :, :])
            rows.append(xp.concat(blocks, axis=-1))
        total = xp.concat(rows, axis=-2)
        return of_kind(self.source[0], total[..., 0, :, :] if self.form.single else total)
