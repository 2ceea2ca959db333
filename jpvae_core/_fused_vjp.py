"""The vector-Jacobian product of the fused posterior: of its KL and of its draws, backwards through fused_latents.py.

``x_bar`` is dL/dx. On the way back the KL stands in the form that is simplest to differentiate; it equals fused_latents.py's on
orthonormal frames, and only such frames can be moved to. With w_i = N_i^{-1} (u^ - A_i m_i), g_i = Q_i A_i w_i, R = T^{-1},
v_i = sigma_i^2 and F_i = A_i Q_i^T diag(v_i - v_i^2) Q_i A_i,

    2 KL = |u^|^2 + log|T| + sum_O { - sum_j (log v + 1 - v) + |mu + v g|^2 - sum_j v g^2 - tr (N^{-1} R N^{-1} - N^{-1}) F
                                     + log|N| + w^T N w - |u^|^2 }

(- log Z plus what each view's log-evidence is on average under q; docs/core.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from ._alone import Alone, diagonal_of, gram, groups_of, outer_of, side_by_side, times
from ._array_api import Array, Namespace
from ._xp import eye_like, sum_to
from .fused_latents import Fused
from .rotated import expand, rotate


@dataclass
class Bars:
    """What one view gives back: of mu, of log sigma^2 (..., B, n), of its frame, and of its loadings a and r (d,)."""

    mean: Array
    log_var: Array
    frame: Array | None
    a: Array
    r: Array

    def of(self, k: int) -> Bars:
        """Those of the k-th view of a group."""
        frame = None if self.frame is None else self.frame[..., k, :, :]
        return Bars(self.mean[..., k, :, :], self.log_var[..., k, :, :], frame, self.a[..., k, :], self.r[..., k, :])


class _View:
    """The cotangents of a group of views while they are being collected; arrays (..., M, B, n) are summed over the draws."""

    def __init__(self, xp: Namespace, one: Alone) -> None:
        self.xp, self.one = xp, one
        self.mean: Array = xp.zeros_like(one.mean)
        self.variance: Array = xp.zeros_like(one.mean)
        self.deviation: Array = xp.zeros_like(one.mean)
        self.log_var: Array = xp.zeros_like(one.mean)
        self.a: Array = xp.zeros_like(one.a)  # (..., 1, d)
        self.r: Array = xp.zeros_like(one.a)
        self.centre: Array = xp.zeros_like(one.m)  # of c = A m
        self.precision: Array = xp.zeros_like(one.precision)  # of N^{-1}
        self.N: Array = xp.zeros_like(one.precision)
        self.F: Array = xp.zeros_like(one.precision)
        self.frame: Array | None = None if one.frame is None else xp.zeros_like(one.frame)
        self.outer = outer_of(one.frame)
        self.weights = (one.variance, one.variance * -xp.expm1(one.log_var))  # of E and of F
        self.grams = tuple(gram(xp, self.outer, v) for v in self.weights)

    def into_frame(self, rows: Array, coordinates: Array) -> None:
        """Of a product Q y, or of Q^T x: Q_bar += sum over rows of rows (..., B, n) times coordinates (..., B, d)."""
        if self.frame is not None:
            self.frame = self.frame + sum_to(self.xp, self.xp.matrix_transpose(rows) @ coordinates, self.frame)

    def into_loadings(self, a_bar: Array | None, r_bar: Array | None) -> None:
        """Sums over rows."""
        if a_bar is not None:
            self.a = self.a + sum_to(self.xp, self.xp.sum(a_bar, axis=-2, keepdims=True), self.a)
        if r_bar is not None:
            self.r = self.r + sum_to(self.xp, self.xp.sum(r_bar, axis=-2, keepdims=True), self.r)


def fused(q: Fused, noise: Array, kl_bar: Array, drawn_bar: Sequence[Array]) -> list[Bars]:
    """Of ``q.kl()`` and ``q.draw(noise)``, q = fuse(prior, means, log_vars, mask).

    noise: (..., B, q.noise_dim); kl_bar: (..., B); drawn_bar: one array (..., B, n_i) per view.
    """
    xp, (u_hat, inverse, _) = q.xp, q.source
    R = xp.matrix_transpose(inverse) @ inverse
    weight = 0.5 * kl_bar[..., None]  # (..., B, 1), of 2 KL
    groups = groups_of([one.frame for one in q.alone], [one.mean for one in q.alone])
    u_hat_bar, T_bar, R_bar = 2.0 * weight * u_hat, weight[..., None] * R, xp.zeros_like(R)
    source, own, own_sources = q.split_noise(noise)
    u = u_hat + times(xp.matrix_transpose(inverse), source)
    u_bar, views = xp.zeros_like(u), []
    for group in groups:
        view = _View(xp, _stacked(xp, [q.alone[i] for i in group]))
        e, f, bar = (side_by_side(xp, [x[i] for i in group]) for x in (own, own_sources, drawn_bar))
        more_u_hat, more_R = _kl_backward(view, weight[..., None, :, :], u_hat[..., None, :, :], R[..., None, :, :, :])
        u_hat_bar, R_bar = u_hat_bar + xp.sum(more_u_hat, axis=-3), R_bar + xp.sum(more_R, axis=-4)
        u_bar = u_bar + xp.sum(_draw_backward(view, u[..., None, :, :], e, f, bar), axis=-3)
        views.append(view)
    # u = u^ + L^{-T} e;  L^{-1}_bar = e u_bar^T, and with L_bar = -L^{-T} L^{-1}_bar L^{-T}, T_bar by the Cholesky rule
    u_hat_bar = u_hat_bar + u_bar
    outer = source[..., :, None] * u_bar[..., None, :]
    back = xp.tril(-(outer @ xp.matrix_transpose(inverse)))  # L^T L_bar = -L^{-1}_bar L^{-T}, below the diagonal
    back = back - 0.5 * xp.linalg.diagonal(back)[..., None] * eye_like(xp, back, q.rank)
    T_bar = T_bar + xp.matrix_transpose(inverse) @ back @ inverse - R @ R_bar @ R
    # u^ = R sum_O N^{-1} c
    solved = times(R, u_hat_bar)
    T_bar = T_bar - solved[..., :, None] * u_hat[..., None, :]
    found: dict[int, Bars] = {}
    for group, view in zip(groups, views, strict=True):
        one, bit = view.one, view.one.bit
        pulled = sum_to(xp, bit * solved[..., None, :, :], one.m)
        view.precision = view.precision + sum_to(xp, bit[..., None] * T_bar[..., None, :, :, :], one.precision)
        view.precision = view.precision + pulled[..., :, None] * one.source[..., None, :]
        view.centre = view.centre + times(one.precision, pulled)
        bars = _alone_backward(view)
        found |= {i: bars.of(k) for k, i in enumerate(group)}
    return [found[i] for i in range(len(q.alone))]


def _stacked(xp: Namespace, alone: Sequence[Alone]) -> Alone:
    """Views of one size as one, with an axis of views before the rows."""
    axes = {"precision": -4, "K": -4, "log_det": -2, "spread": -2}
    names = [field.name for field in fields(Alone)]
    return Alone(**{name: side_by_side(xp, [getattr(one, name) for one in alone], axes.get(name, -3)) for name in names})


def _kl_backward(view: _View, weight: Array, u_hat: Array, R: Array) -> tuple[Array, Array]:
    """The view's part of 2 KL; gives back what goes to u^ and to R."""
    xp, one = view.xp, view.one
    k, P = weight * one.bit, one.precision
    gap = u_hat - one.source
    w = times(P, gap)
    g = expand(xp, one.a * w, one.frame)
    moved, v = one.mean + one.variance * g, one.variance
    view.mean = view.mean + sum_to(xp, 2.0 * k * moved, one.mean)
    view.variance = view.variance + sum_to(xp, k * (2.0 * g * moved - g * g), v)
    view.log_var = view.log_var + sum_to(xp, k * (v - 1.0), v)
    g_bar = 2.0 * k * v * (moved - g)
    view.into_frame(g_bar, one.a * w)
    h_bar = rotate(g_bar, one.frame)
    view.into_loadings(h_bar * w, None)
    w_bar = one.a * h_bar
    # Of all draws and subsets together, sum k R and sum k are all that N^{-1} and F meet.
    F, kk = one.a[..., :, None] * view.grams[1] * one.a[..., None, :], k[..., None]
    S, total = sum_to(xp, kk * R, P), sum_to(xp, k, one.mean[..., :1])[..., None]
    PS, PF = P @ S, P @ F
    SPF = S @ PF
    view.F = view.F - (PS @ P - total * P)
    view.precision = view.precision - (SPF + xp.matrix_transpose(SPF) - total * F)
    view.precision = view.precision + _outer(xp, w_bar + k * gap, gap, P)
    view.N = view.N + total * P
    gap_bar = times(P, w_bar) + 2.0 * k * w
    view.centre = view.centre - sum_to(xp, gap_bar, one.m)
    return gap_bar - 2.0 * k * u_hat, -(kk * (PF @ P))


def _outer(xp: Namespace, x: Array, y: Array, like: Array) -> Array:
    """x y^T of every row (..., B, d), summed over the axes that ``like`` (..., B, d, d) does not have."""
    new = x.ndim + 1 - like.ndim
    if new == 0:
        return sum_to(xp, x[..., :, None] * y[..., None, :], like)
    left, right = (xp.moveaxis(xp.reshape(z, (-1, *z.shape[new:])), 0, -1) for z in (x, y))
    return sum_to(xp, left @ xp.matrix_transpose(right), like)


def _draw_backward(view: _View, u: Array, e: Array, f: Array, bar: Array) -> Array:
    """The view's draw; gives back what goes to u."""
    xp, one = view.xp, view.one
    deviation = xp.exp(0.5 * one.log_var)
    alone = one.mean + deviation * e
    inside, turned = rotate(alone, one.frame), rotate(e, one.frame)
    gap = u - (one.a * inside + one.r * f)
    p = times(one.precision, gap)
    seen_bar = one.bit * bar
    view.variance = view.variance + sum_to(xp, seen_bar * expand(xp, one.a * p, one.frame), one.mean)
    y_bar = one.variance * seen_bar
    view.into_frame(y_bar, one.a * p)
    ap_bar = rotate(y_bar, one.frame)
    p_bar = one.a * ap_bar
    view.precision = view.precision + _outer(xp, p_bar, gap, one.precision)
    gap_bar = times(one.precision, p_bar)
    inside_bar = -one.a * gap_bar
    view.into_frame(alone, inside_bar)
    alone_bar = seen_bar + expand(xp, inside_bar, one.frame)
    view.mean = view.mean + sum_to(xp, alone_bar, one.mean)
    view.deviation = view.deviation + sum_to(xp, alone_bar * e, one.mean)
    # A missing view is Q (a u + (r - 1) Q^T e) + e
    missing_bar = bar - seen_bar
    k_bar = rotate(missing_bar, one.frame)
    view.into_frame(missing_bar, one.a * u + (one.r - 1.0) * turned)
    view.into_frame(e, (one.r - 1.0) * k_bar)
    view.into_loadings(ap_bar * p - gap_bar * inside + k_bar * u, k_bar * turned - gap_bar * f)
    return gap_bar + one.a * k_bar


def _alone_backward(view: _View) -> Bars:
    """Through N = r^2 + A Q^T diag(v) Q A and F = A Q^T diag(v - v^2) Q A, and c = A Q^T mu, to the encoder and the prior."""
    xp, one = view.xp, view.one
    N_bar = view.N - one.precision @ view.precision @ one.precision
    scale = one.a[..., :, None] * one.a[..., None, :]
    slopes: list[Array | float] = [1.0, 1.0 - 2.0 * one.variance]
    a_bar, variance_bar = one.m * view.centre, view.variance
    for bar, of, weights, slope in zip((N_bar, view.F), view.grams, view.weights, slopes, strict=True):
        both = bar + xp.matrix_transpose(bar)
        a_bar = a_bar + times(both * of, one.a)
        inner = both * scale
        variance_bar = variance_bar + slope * 0.5 * diagonal_of(xp, view.outer, inner)
        if view.frame is not None and one.frame is not None:
            view.frame = view.frame + _frame_of_gram(xp, one.frame, weights, inner)
    view.into_loadings(a_bar, 2.0 * one.r * xp.linalg.diagonal(N_bar))
    m_bar = one.a * view.centre
    view.into_frame(one.mean, m_bar)
    mean_bar = view.mean + expand(xp, m_bar, one.frame)
    log_var_bar = view.log_var + variance_bar * one.variance + 0.5 * view.deviation * xp.exp(0.5 * one.log_var)
    return Bars(mean_bar, log_var_bar, view.frame, view.a[..., 0, :], view.r[..., 0, :])


def _frame_of_gram(xp: Namespace, frame: Array, weights: Array, both: Array) -> Array:
    """Of Q^T diag(v) Q with the symmetrised cotangent X: Q_bar[j] = sum over rows of v_j X Q[j]."""
    n, d = frame.shape[-2], frame.shape[-1]
    flat = xp.reshape(both, (*both.shape[:-2], d * d))
    each = xp.reshape(xp.matrix_transpose(weights) @ flat, (*frame.shape[:-2], n, d, d))
    return times(each, frame)
