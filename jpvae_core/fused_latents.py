"""The fused posterior: what every observed view has to say about ALL latents, carried by the joint prior.

Read an encoder's N(mu_i, diag sigma_i^2) as what its view says ALONE: prior times evidence, evidence_i = q_i / N(0, I), of
precision 1/sigma_i^2 - 1 >= 0. Multiplied into the joint prior,

    q(z | x_O)  ~  N(z_O; 0, Sigma_OO) prod_{i in O} q_i(z_i)/N(z_i; 0, I)  p(z_rest | z_O)

Every prior of prior.py is z_i = Q_i (a_i u + r_i e_i) + rest of e_i, with a_i^2 + r_i^2 = 1 and u ~ N(0, I_d): loadings as
they are; a signed pair as a_1^2 = (1 + s^2)/2, a_2 = s/a_1, which is smooth through s = 0. Given u the views are independent,
and what view i says of u alone is u | x_i ~ N(A_i m_i, N_i), m_i = Q_i^T mu_i, with the d x d matrix

    N_i = diag(r_i^2) + A_i E_i A_i,     E_i = Q_i^T diag(sigma_i^2) Q_i          between diag(r_i^2) and I; no subtraction
    P_i = N_i^{-1} - I = N_i^{-1} A_i D_i A_i,   D_i = Q_i^T diag(1 - sigma_i^2) Q_i       the precision that it adds

so that all that is left are products of Gaussians in u:

    T = I + sum_O P_i,    u^ = T^{-1} sum_O N_i^{-1} A_i m_i,    u | x_O ~ N(u^, T^{-1})
    z_i | u, x_i:  mean mu_i + sigma_i^2 * Q_i A_i N_i^{-1} (u - A_i m_i),   i in O;        z_j | u ~ prior,  j not in O

A draw (Matheron's rule): z'_i = mu_i + sigma_i e_i from q_i, the source it would have had u'_i = A_i Q_i^T z'_i + r_i f_i, then
z_i = z'_i + sigma_i^2 * Q_i A_i N_i^{-1} (u - u'_i): no root of the conditional covariance is taken. With one view observed
T = N_i^{-1}, and all of this gives back q_i itself.

    KL = KL(q(u) || N(0, I)) + sum_O E_u KL(q(z_i | u) || p(z_i | u)), and with d_i = u - A_i m_i, B_i = A_i N_i^{-1}
    2 KL(q(u)) = |u^|^2 + tr T^{-1} - d + log|T|
    2 KL_i     = sum_j (sigma_ij^2 - 1 - log sigma_ij^2) + log|N_i| + tr A_i N_i^{-1} A_i Q_i^T diag(sigma_i^2 - sigma_i^4) Q_i
               + E_u | r_i * (m_i - D_i B_i d_i) |^2 + E_u | complement of Q_i in (mu_i + sigma_i^2 * Q_i B_i d_i) |^2

Every term is a sum of squares or x - 1 - log x but log|N_i| <= 0, and none exceeds a few per latent however sharp the evidence
or strong the coupling. Where the evidence is weak, log|N_i| + tr (...) = (tr N_i^{-1} - d + log|N_i|) - tr A_i N_i^{-1} A_i
Q_i^T diag((1 - sigma_i^2)^2) Q_i is used, all of second order like the KL itself. Where one loading serves all directions of a
square frame, W_i = r_i^2 I: the first line is the sum of rho - 1 - log rho, rho = 1/(1 + r^2 (1/sigma^2 - 1)), and N_i needs
no factorisation. Cost otherwise: one d x d Cholesky factorisation per row and view, and one for T per row and subset.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Generic

from ._alone import Alone, below, log1p_or_log, magnified, times
from ._array_api import A_co, Array, Namespace, X, of_kind
from ._checks import check_rows_of_data
from ._door import LISTS, Form, Views, enter, noise_of
from ._triangular import sum_of_squares
from ._xp import block_diagonal, eye_like, public
from .density import log_density
from .prior import JointPrior
from .pytrees import pytree
from .remainder import remainder
from .rotated import Frame, expand, rotate, square
from .sampling import split_noise


@pytree(data=("prior", "mask", "alone", "source"), meta=("xp", "form"))
@dataclass(frozen=True)
class Fused(Generic[A_co]):
    """q(z | x_O) of each row; made by ``fuse``. Methods answer in the form of its data: a single row, a dict by name.

    Attributes
    ----------
    prior : JointPrior
    mask : array (..., B, M), or None
        As given to ``fuse``.

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> prior = jc.JointPrior.orthogonal(np.eye(2), 0.6)
    >>> q = jc.fuse(prior, [np.ones((1, 2))] * 2, [np.full((1, 2), -1.0)] * 2, np.array([True, False]))
    >>> bool(np.allclose(q.mean()[1], 0.6)), q.kl().shape, q.covariance().shape, q.rank, q.noise_dim
    (True, (1,), (1, 4, 4), 2, 10)
    >>> latents = q.draw(np.zeros((1, q.noise_dim)))
    >>> [z.shape for z in latents], q.log_density(latents).shape, bool(q.error_bound()[0] < 1e-13)
    ([(1, 2), (1, 2)], (1,), True)
    >>> source, own, own_sources = q.split_noise(np.zeros((1, q.noise_dim)))
    >>> source.shape, len(own), len(own_sources)
    ((1, 2), 2, 2)
    """

    prior: JointPrior
    mask: Array | None
    xp: Namespace
    alone: tuple[Alone, ...]
    source: tuple[A_co, A_co, A_co]  # u^ (..., B, d); L^{-1} of T = L L^T (..., B, d, d); L's diagonal squared less 1
    form: Form = LISTS

    @property
    def rank(self) -> int:
        """d: the number of source directions."""
        return int(self.alone[0].m.shape[-1])

    @property
    def noise_dim(self) -> int:
        """Standard normals per row that ``draw`` takes: the source's d, one per latent, d for each view's own source."""
        return self.rank * (1 + len(self.alone)) + sum(self.prior.dims)

    @public
    def mean(self) -> tuple[A_co, ...]:
        """E[z | x_O]: for the missing views by the prior's conditional.

        Returns
        -------
        tuple of M arrays (..., B, n_i), or a dict by name
        """
        xp, (u, _, _) = self.xp, self.source
        means = []
        for one in self.alone:
            seen = one.mean + one.variance * expand(xp, one.a * times(one.precision, u - one.source), one.frame)
            means.append(xp.where(one.bit > 0.0, seen, expand(xp, one.a * u, one.frame)))
        found: tuple[A_co, ...] = self.form.views(means)
        return found

    @public
    def kl(self) -> A_co:
        """KL( q(z_O | x_O) || p(z_O) ) per row, in nats.

        Returns
        -------
        array (..., B)
        """
        xp, (u, inverse, excess) = self.xp, self.source
        logs = log1p_or_log(xp, excess, -2.0 * xp.log(xp.linalg.diagonal(inverse)))
        total = xp.sum(u * u + remainder(xp, -logs) + below(xp, inverse), axis=-1)
        spread = xp.matrix_transpose(inverse)
        for one in self.alone:
            gap, turned = u - one.source, one.K @ spread
            inside, turned = one.r * (one.m - times(one.K, gap)), one.r[..., :, None] * turned  # before squares may overflow
            own = one.spread + xp.sum(inside * inside + sum_of_squares(xp, turned), axis=-1)
            if not square(one.frame):
                own = own + self._outside(one, one.a * times(one.precision, gap), one.a[..., :, None] * one.precision @ spread)
            total = total + one.bit[..., 0] * own
        return of_kind(self.source[0], self.form.rows(0.5 * total))

    def _outside(self, one: Alone, shift: Array, sheared: Array) -> Array:
        """E_u of the squared length outside the frame. (sigma^2 - 1 does for sigma^2: Q itself is inside.)"""
        xp = self.xp
        gained = -xp.expm1(one.log_var)
        weights = xp.where(xp.all(gained < 0.5, axis=-1, keepdims=True), -gained, one.variance)
        centre = one.mean + weights * expand(xp, shift, one.frame)
        columns = weights[..., None, :] * expand(xp, xp.matrix_transpose(sheared), _rows(one.frame))
        for_mean = centre - expand(xp, rotate(centre, one.frame), one.frame)
        for_columns = columns - expand(xp, rotate(columns, _rows(one.frame)), _rows(one.frame))
        return xp.sum(for_mean * for_mean + xp.sum(for_columns * for_columns, axis=-2), axis=-1)

    @public
    def draw(self, noise: Array) -> tuple[A_co, ...]:
        """Latents of all views, the missing ones too, coherent with each other.

        Affine in the noise, differentiable in everything else.

        Parameters
        ----------
        noise : array (..., B, noise_dim)
            Standard normals, columns [source, view 1, ..., view M, view 1's source, ..., view M's]; (noise_dim,) for a
            single row.

        Returns
        -------
        tuple of M arrays (..., B, n_i), or a dict by name

        Raises
        ------
        ShapeError, DtypeError, LibraryError
        """
        xp, (mean, inverse, _) = self.xp, self.source
        noise = noise_of(self.form, noise, self.noise_dim, self.alone[0].mean)
        source, own, own_sources = self.split_noise(noise)
        u, drawn = mean + times(xp.matrix_transpose(inverse), source), []
        for one, e, f in zip(self.alone, own, own_sources, strict=True):
            alone = one.mean + xp.exp(0.5 * one.log_var) * e
            gap = u - (one.a * rotate(alone, one.frame) + one.r * f)
            seen = alone + one.variance * expand(xp, one.a * times(one.precision, gap), one.frame)
            inside = rotate(e, one.frame)
            missing = expand(xp, one.a * u + one.r * inside, one.frame)
            if not square(one.frame):
                missing = missing + (e - expand(xp, inside, one.frame))
            drawn.append(xp.where(one.bit > 0.0, seen, missing))
        found: tuple[A_co, ...] = self.form.views(drawn)
        return found

    def split_noise(self, noise: X) -> tuple[X, list[X], list[X]]:
        """The parts of the noise that ``draw`` takes.

        Parameters
        ----------
        noise : array (..., B, noise_dim)

        Returns
        -------
        source : array (..., B, d)
        views : list of M arrays (..., B, n_i)
        own_sources : list of M arrays (..., B, d)
        """
        source, *rest = split_noise(noise, (self.rank, *self.prior.dims, *[self.rank] * len(self.alone)))
        return source, rest[: len(self.alone)], rest[len(self.alone) :]

    @public
    def log_density(self, latents: Views[Array]) -> A_co:
        """log q(z_O | x_O) of the observed views' latents, in nats.

            log q = log p(z_O) + sum_O log evidence_i(z_i) - log Z
            2 log Z = - log|T| + (|O| - 1) |u^|^2 - sum_O ( log|N_i| + d_i^T N_i^{-1} d_i )

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
        xp, (u, inverse, _) = self.xp, self.source
        _, (rows,), _, _ = enter(self.prior, None, latents=latents)
        check_rows_of_data("latents[0]", rows[0], self.alone[0].mean)
        twice = 2.0 * log_density(self.prior, rows, self.mask)
        twice = twice - 2.0 * xp.sum(xp.log(xp.linalg.diagonal(inverse)), axis=-1) + xp.sum(u * u, axis=-1)
        for one, z in zip(self.alone, rows, strict=True):
            z = xp.where(one.bit > 0.0, z, xp.zeros_like(z))
            off = magnified(xp, z - one.mean, -0.5 * one.log_var)
            evidence = xp.sum(z * z - off * off - one.log_var, axis=-1)
            gap = u - one.source
            source = one.log_det + xp.sum(gap * times(one.precision, gap) - u * u, axis=-1)
            twice = twice + one.bit[..., 0] * (evidence + source)
        return of_kind(self.source[0], self.form.rows(0.5 * twice))

    @public
    def error_bound(self) -> A_co:
        """How far rounding reaches: by how much of their size means, draws and covariances can be off; the KL, N times that.

        (``fuse``, Notes; frames taken as given.) Of subsets on leading axes of a mask, the most of any. No digit is promised
        where it is 1 or more: take float64 there, coordinates="frame", or a weaker coupling.

        Returns
        -------
        array (..., B)
        """
        xp, n = self.xp, max(self.prior.dims)
        all_worst = []
        for one in self.alone:
            least, smallest = xp.min(one.r * one.r, axis=-1), xp.exp(xp.min(one.log_var, axis=-1))  # of a missing view 1
            all_worst.append(1.0 / (least + (1.0 - least) * smallest))
        w = functools.reduce(xp.maximum, all_worst)
        return of_kind(self.source[0], self.form.rows(8.0 * n * n * float(xp.finfo(w.dtype).eps) * w))

    @public
    def covariance(self) -> A_co:
        """Cov(z | x_O), dense, the missing views included. For tests and reports.

        Returns
        -------
        array (..., B, N, N)
            N = sum n_i.
        """
        xp, (_, inverse, _) = self.xp, self.source
        through, own = [], []
        for one, n in zip(self.alone, self.prior.dims, strict=True):
            A = (eye_like(xp, one.m, n) if one.frame is None else one.frame[..., None, :, :]) * one.a[..., None, :]
            B = one.variance[..., :, None] * (A @ one.precision)
            identity = eye_like(xp, one.m, n)
            S = one.variance[..., :, None] * identity - B @ xp.matrix_transpose(one.variance[..., :, None] * A)
            W = identity - A @ xp.matrix_transpose(A)
            seen = one.bit[..., None] > 0.0
            through.append(xp.where(seen, B, A) @ xp.matrix_transpose(inverse))
            own.append(xp.where(seen, S, W))
        left = xp.concat(through, axis=-2)
        total = left @ xp.matrix_transpose(left) + block_diagonal(xp, own, left.shape[:-2])
        return of_kind(self.source[0], total[..., 0, :, :] if self.form.single else total)


def _rows(frame: Frame) -> Frame:
    """The frame for arrays that have one axis more between its own leading axes and the rows."""
    return None if frame is None else frame[..., None, :, :]
