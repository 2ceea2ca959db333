"""What one view says of the shared source by itself, u | x_i ~ N(A_i m_i, N_i): the letters are those of fused_latents.py.

Given u, twice the KL of z_i from its prior, but for the means, is ``spread``:

    sum_j (sigma_j^2 - 1 - log sigma_j^2) + log|N| + tr A N^{-1} A Q^T diag(sigma^2 - sigma^4) Q
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ._array_api import Array, Namespace
from ._checks import dtype_name
from ._triangular import inverse_lower, strictly_lower, sum_of_squares
from ._xp import cholesky, eye_like
from .bounds import LIMIT
from .errors import NotAContraction
from .pytrees import pytree
from .remainder import remainder
from .rotated import Frame, rotate, square


@pytree(data=("frame", "a", "r", "mean", "m", "log_var", "variance", "precision", "K", "log_det", "spread", "bit"))
@dataclass(frozen=True)
class Alone:
    """What one observed view says of the source by itself; arrays (..., B, ...)."""

    frame: Frame
    a: Array  # (..., 1, d)
    r: Array
    mean: Array  # mu (..., B, n), m = Q^T mu (..., B, d)
    m: Array
    log_var: Array
    variance: Array
    precision: Array  # N^{-1}, (..., B, d, d)
    K: Array  # D A N^{-1}, so that P = A K
    log_det: Array  # log|N|, (..., B)
    spread: Array  # twice KL(q(z | u) || p(z | u)) but for its means: 0 without evidence, (..., B)
    bit: Array  # (..., B, 1): 1.0 where observed

    @property
    def source(self) -> Array:
        """A m: the mean of the source given this view alone."""
        return self.a * self.m

    @property
    def added(self) -> Array:
        """P, 0 where the view is missing."""
        return self.bit[..., None] * (self.a[..., :, None] * self.K)


def groups_of(frames: Sequence[Frame], means: Sequence[Array]) -> list[list[int]]:
    """The views by their sizes: those of one size are computed side by side, (..., M, B, n), in one pass."""
    groups: dict[Any, list[int]] = {}
    for i, (frame, mean) in enumerate(zip(frames, means, strict=True)):
        groups.setdefault((frame is None or tuple(frame.shape), mean.shape[-1]), []).append(i)
    return list(groups.values())


def side_by_side(xp: Namespace, arrays: Sequence[Any], axis: int = -3) -> Any:
    """Arrays of views of one size with an axis of views before the rows; None of frames that are the identity."""
    return None if arrays[0] is None else xp.stack(arrays, axis=axis)


def alone_of_each(
    xp: Namespace, uniform: bool, frames: Sequence[Frame], loadings: Sequence[tuple[Array, Array]], *rows: Sequence[Array]
) -> tuple[Alone, ...]:
    """``alone_of`` of every view. rows: means, log-variances and bits."""
    given = [
        (frame, a[..., None, :], r[..., None, :], *each) for frame, (a, r), *each in zip(frames, loadings, *rows, strict=True)
    ]
    found: dict[int, Alone] = {}
    for group in groups_of(frames, rows[0]):
        if len(group) == 1:
            found[group[0]] = alone_of(xp, uniform, *given[group[0]])
            continue
        every = alone_of(xp, uniform, *(side_by_side(xp, [given[i][part] for i in group]) for part in range(6)))
        for k, i in enumerate(group):
            frame, a, r, mean, log_var, bit = given[i]
            m, variance = every.m[..., k, :, :], every.variance[..., k, :, :]
            matrices = every.precision[..., k, :, :, :], every.K[..., k, :, :, :]
            found[i] = Alone(
                frame, a, r, mean, m, log_var, variance, *matrices, every.log_det[..., k, :], every.spread[..., k, :], bit
            )
    return tuple(found[i] for i in range(len(frames)))


def alone_of(xp: Namespace, uniform: bool, frame: Frame, a: Array, r: Array, mean: Array, log_var: Array, bit: Array) -> Alone:
    """N_i's inverse and determinant, and what else depends on view i alone."""
    variance, gained = xp.exp(log_var), -xp.expm1(log_var)  # sigma^2 and 1 - sigma^2
    outer = outer_of(frame)
    if uniform and square(frame):  # N = Q^T diag(r^2 + a^2 sigma^2) Q
        a1, r1 = a[..., :1], r[..., :1]
        diagonal = r1 * r1 + a1 * a1 * variance
        precision, K = gram(xp, outer, 1.0 / diagonal), gram(xp, outer, a1 * gained / diagonal)
        log_det = xp.sum(log1p_or_log(xp, -a1 * a1 * gained, xp.log(diagonal)), axis=-1)
        spread = xp.sum(remainder(xp, -shrinkage(xp, r1, log_var, diagonal)), axis=-1)  # W = r^2 I: sum_j rho - 1 - log rho
    else:
        scale, identity = a[..., :, None] * a[..., None, :], eye_like(xp, a, a.shape[-1])
        E, D = gram(xp, outer, variance), gram(xp, outer, gained)
        # Where all evidence of a row is weak, N is as good as I - A D A, whose small entries are not made by subtraction.
        weak = xp.all(gained < 0.5, axis=-1)
        N = xp.where(weak[..., None, None], identity - scale * D, (r * r)[..., None] * identity + scale * E)
        inverse, L = inverse_root(xp, N)
        precision = xp.matrix_transpose(inverse) @ inverse
        K = D @ (a[..., :, None] * precision)
        lacking = xp.linalg.diagonal(scale * D) + below(xp, L)  # 1 - L_kk^2, without the subtraction
        logs = log1p_or_log(xp, -lacking, -2.0 * xp.log(xp.linalg.diagonal(inverse)))
        log_det, shared = xp.sum(logs, axis=-1), diagonal_of(xp, outer, scale * precision)
        # There, tr N^{-1} - d + log|N|, a sum of squares, replaces two terms that cancel to first order.
        far = log_det + xp.sum(variance * gained * shared, axis=-1)
        near = xp.sum(remainder(xp, -logs) + below(xp, inverse), axis=-1) - xp.sum(gained * gained * shared, axis=-1)
        spread = xp.sum(remainder(xp, log_var), axis=-1) + xp.where(weak, near, far)
    return Alone(frame, a, r, mean, rotate(mean, frame), log_var, variance, precision, K, log_det, spread, bit)


def shrinkage(xp: Namespace, r: Array, log_var: Array, N: Array) -> Array:
    """-log rho = log(N/sigma^2) = log(1 + r^2 (1/sigma^2 - 1)), N = r^2 + a^2 sigma^2: without subtraction where 1/sigma^2 is
    finite; beyond, where it is at least 0.4 however small r, by a difference of logarithms."""
    sharpness, most = -log_var, LIMIT[dtype_name(log_var.dtype)]
    within = r * (r * xp.expm1(xp.minimum(sharpness, xp.full_like(sharpness, most))))
    return xp.where(sharpness > most, sharpness + xp.log(N), xp.log1p(within))


def magnified(xp: Namespace, x: Array, log: Array) -> Array:
    """x e^log for log >= 0, whose squares are summed: 0 stays 0 where e^log alone is infinite, because there are two factors,
    and what has an infinite square counts as twice the root of the largest number, so that no two infinities cancel."""
    limit = LIMIT[dtype_name(log.dtype)]
    half = xp.exp(xp.minimum(0.5 * log, xp.full_like(log, limit)))
    most = xp.full_like(x, 2.0 * math.exp(0.5 * limit))
    return xp.minimum(xp.maximum(x * half * half, -most), most)


def together(xp: Namespace, alone: Sequence[Alone]) -> tuple[Array, Array, Array]:
    """What all views together say of the source. (No cached_property: torch.compile cannot trace its lock.)"""
    added: Any = 0.0
    weighted: Any = 0.0
    for one in alone:
        added = added + one.added
        weighted = weighted + one.bit * times(one.precision, one.source)
    inverse, L = inverse_root(xp, added + eye_like(xp, added, alone[0].m.shape[-1]))
    excess = xp.linalg.diagonal(added) - below(xp, L)
    return times(xp.matrix_transpose(inverse), times(inverse, weighted)), inverse, excess


def inverse_root(xp: Namespace, S: Array) -> tuple[Array, Array]:
    """L^{-1} and L of S = L L^T. A matrix that is not finite counts as I: libraries raise on it, each in its own way, and what
    made it so, a mean or a variance that is not finite, stands beside it in every result."""
    identity = xp.broadcast_to(eye_like(xp, S, S.shape[-1]), S.shape)
    try:
        L = cholesky(xp, xp.where(xp.all(xp.isfinite(S), axis=(-2, -1), keepdims=True), S, identity))
    except (ValueError, RuntimeError) as error:  # NumPy's and torch's own; JAX gives NaN
        if "positive" not in str(error):
            raise
        raise NotAContraction(
            "in coordinates='latent' a factor of the fused posterior is not positive definite in "
            f"{dtype_name(S.dtype)}: evidence and coupling are so strong that its condition number is beyond 1/eps. Use "
            "float64, coordinates='frame' (square frames), or a weaker coupling: prior.max_singular_value() has its strength."
        ) from error
    return inverse_lower(xp, L), L


def outer_of(frame: Frame) -> Array | None:
    """q q^T of every row q of the frame: (..., n, d) -> (..., n, d, d)."""
    return None if frame is None else frame[..., :, :, None] * frame[..., :, None, :]


def gram(xp: Namespace, outer: Array | None, v: Array) -> Array:
    """Q^T diag(v) Q of every row, from the outer products of Q's rows: (..., n, d, d), (..., B, n) -> (..., B, d, d)."""
    if outer is None:
        return v[..., None] * eye_like(xp, v, v.shape[-1])
    *lead, n, d, _ = outer.shape
    flat = v @ xp.reshape(outer, (*lead, n, d * d))
    return xp.reshape(flat, (*flat.shape[:-1], d, d))


def diagonal_of(xp: Namespace, outer: Array | None, matrix: Array) -> Array:
    """The diagonal of Q X Q^T of every row: (..., n, d, d), (..., B, d, d) -> (..., B, n)."""
    if outer is None:
        return xp.linalg.diagonal(matrix)
    *lead, n, d, _ = outer.shape
    flat = xp.reshape(matrix, (*matrix.shape[:-2], d * d))
    return flat @ xp.matrix_transpose(xp.reshape(outer, (*lead, n, d * d)))


def times(matrix: Array, x: Array) -> Array:
    """(..., B, p, q) times (..., B, q) -> (..., B, p)."""
    return (matrix @ x[..., None])[..., 0]


def below(xp: Namespace, L: Array) -> Array:
    """The sum of squares left of the diagonal of a finite triangular matrix, (..., d, d) -> (..., d)."""
    return sum_of_squares(xp, strictly_lower(xp, L))


def log1p_or_log(xp: Namespace, excess: Array, log: Array) -> Array:
    """log(1 + excess): by log1p where the excess is small, else the logarithm that is known; each where it is accurate."""
    small = xp.abs(excess) < 0.5
    return xp.where(small, xp.log1p(xp.where(small, excess, xp.zeros_like(excess))), log)
