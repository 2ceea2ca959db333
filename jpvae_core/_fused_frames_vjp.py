"""The vector-Jacobian product of ``FusedInFrames``: of its KL and of its draws, in one pass backwards through fused_frames.py.

``x_bar`` is dL/dx. Everything is entry by entry but the frames' products and the sums over rows. With lambda = 1/sigma^2 - 1,
1 + r^2 lambda = N/sigma^2 (a^2 + r^2 = 1), so that the shrinkage -log rho has slopes 2 r (1 - sigma^2)/N in r and -r^2/N in
log sigma^2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ._array_api import Array, Namespace
from ._fused_vjp import Bars
from ._xp import sum_to
from .fused_frames import Direction, FusedInFrames
from .rotated import expand, rotate


@dataclass
class _Bars:
    """One view's cotangents while they are being collected, with the draws' leading axes."""

    m: Array
    N: Array
    variance: Array
    gained: Array  # of 1 - sigma^2
    shrinkage: Array
    a: Array
    r: Array


def fused_in_frames(q: FusedInFrames, noise: Array, kl_bar: Array, drawn_bar: Sequence[Array]) -> list[Bars]:
    """Of ``q.kl()`` and ``q.draw(noise)``; the arguments are those of ``_fused_vjp.fused``."""
    xp, (u, added), d = q.xp, q.source, q.prior.coupling.rank
    tau, weight, e_0 = 1.0 + added, 0.5 * kl_bar[..., None], noise[..., :d]
    drawn = u + e_0 / xp.sqrt(tau)
    u_bar, tau_bar, drawn_u_bar = 2.0 * weight * u, weight * added / (tau * tau), xp.zeros_like(drawn)
    found = []
    for k, (one, bar) in enumerate(zip(q.views, drawn_bar, strict=True), start=1):
        variance, gained, N = one.terms(xp)
        rr, weaker, own = one.r * one.r, one.a * gained, weight * one.bit
        off, spread = (one.m - weaker * u) / N, weaker / N
        off_bar, spread_bar = 2.0 * own * rr * off, 2.0 * own * rr * spread / tau
        moved = one.r * spread / tau
        tau_bar = tau_bar - own * (moved * moved)
        u_bar = u_bar - weaker * off_bar / N
        weaker_bar = (spread_bar - u * off_bar) / N
        # The draw: (a sigma^2 u + r^2 m)/N + r rho^{1/2} e where observed, a u + r e where not
        e, y_bar = noise[..., k * d : (k + 1) * d], rotate(bar, one.frame)
        seen_bar, root = one.bit * y_bar, xp.exp(-0.5 * one.shrinkage(xp))
        centre_bar, missing_bar = seen_bar / N, y_bar - seen_bar
        centre = (one.a * variance * drawn + rr * one.m) / N
        drawn_u_bar = drawn_u_bar + one.a * (variance * centre_bar + missing_bar)
        own_r = own * (off * off + spread * spread / tau) + one.m * centre_bar
        found.append(
            _Bars(
                m=off_bar / N + rr * centre_bar,
                N=-(off * off_bar + spread * spread_bar) / N - centre * centre_bar,
                variance=one.a * drawn * centre_bar,
                gained=one.a * weaker_bar,
                shrinkage=-own * xp.expm1(-one.shrinkage(xp)) - 0.5 * one.r * root * e * seen_bar,
                a=drawn * (variance * centre_bar + missing_bar) + gained * weaker_bar,
                r=2.0 * one.r * own_r + e * (root * seen_bar + missing_bar),
            )
        )
    u_bar = u_bar + drawn_u_bar
    tau_bar = tau_bar - 0.5 * e_0 / (tau * xp.sqrt(tau)) * drawn_u_bar - u / tau * u_bar
    parts = zip(q.views, found, drawn_bar, strict=True)
    return [_to_encoder(q, k, *part, tau_bar, u_bar / tau, drawn, noise) for k, part in enumerate(parts, start=1)]


def _to_encoder(
    q: FusedInFrames,
    k: int,
    one: Direction,
    bars: _Bars,
    bar: Array,
    tau_bar: Array,
    weighted_bar: Array,
    drawn: Array,
    noise: Array,
) -> Bars:
    """Through tau = 1 + sum a^2 (1 - sigma^2)/N and sum a m/N, which all views share, N and the shrinkage."""
    xp, d = q.xp, q.prior.coupling.rank
    variance, gained, N = one.terms(xp)
    tau_bar, weighted_bar = one.bit * tau_bar / N, one.bit * weighted_bar / N
    m_bar = bars.m + one.a * weighted_bar
    N_bar = bars.N - one.a * (one.a * gained * tau_bar + one.m * weighted_bar) / N
    gained_bar = bars.gained + one.a * one.a * tau_bar
    variance_bar = bars.variance + one.a * one.a * N_bar - gained_bar
    log_var_bar = variance * variance_bar - one.r * one.r / N * bars.shrinkage
    a_bar = bars.a + 2.0 * one.a * (gained * tau_bar + variance * N_bar) + one.m * weighted_bar
    r_bar = bars.r + 2.0 * one.r * (N_bar + gained / N * bars.shrinkage)
    frame = None
    if one.frame is not None:  # z = Q y, and m = Q^T mu with mu = Q m
        y = one.given(xp, drawn) + one.slope(xp)[1] * noise[..., k * d : (k + 1) * d]
        frame = _into_frame(xp, bar, y, one.frame) + _into_frame(xp, expand(xp, one.m, one.frame), m_bar, one.frame)
    a, r = (_over_rows(xp, x, like) for x, like in ((a_bar, one.a), (r_bar, one.r)))
    return Bars(sum_to(xp, expand(xp, m_bar, one.frame), one.m), sum_to(xp, log_var_bar, one.log_var), frame, a, r)


def _over_rows(xp: Namespace, x: Array, like: Array) -> Array:
    return sum_to(xp, xp.sum(x, axis=-2, keepdims=True), like)[..., 0, :]


def _into_frame(xp: Namespace, rows: Array, coordinates: Array, frame: Array) -> Array:
    return sum_to(xp, xp.matrix_transpose(rows) @ coordinates, frame)
