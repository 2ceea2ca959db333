"""The error bounds of ``vjp.fuse``, entry by entry, in units of eps: the gradients' closed forms written a second time.

As in fused_bounds.py every number is Rounded, so each bound is derived by the rules alone; docs/error-analysis.md. ``x_bar`` is
the cotangent of x, and what is given back are bounds of those of means, log-variances, frames and the coupling's parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from error_bounds import Coupling, Floats
from fused_bounds import Alone, View, doubled, of
from rounded import Rounded, inverse_root, where

Found = dict[str, list[Rounded]]


@dataclass
class Bars:
    """The cotangents of one view's mean, log-variance, frame and loadings."""

    mean: Rounded
    log_var: Rounded
    frame: Rounded
    a: Rounded
    r: Rounded


def of_parameters(coupling: Coupling, uniform: bool, bars: Sequence[Bars]) -> dict[str, list[Floats]]:
    """All bounds; what is a missing view's is 0 by its bits."""
    found: Found = {
        "means": [one.mean for one in bars],
        "log_vars": [one.log_var for one in bars],
        "frames": [one.frame for one in bars],
    }
    a_bar, r_bar = [one.a.sum(0) for one in bars], [one.r.sum(0) for one in bars]
    if coupling.source:
        a, rest = (of(x, coupling.a_error) for x in (coupling.a, coupling.rest))
        by_view = [
            0.5 * (a[i] * rest[i]) * (rest[i] * a_i - a[i] * r_i) for i, (a_i, r_i) in enumerate(zip(a_bar, r_bar, strict=True))
        ]
        found["coupling"] = [Rounded(*(np.stack([getattr(x, part) for x in by_view]) for part in ("value", "error")))]
        return doubled(found)
    s, x = of(coupling.s, coupling.s_error), of(coupling.x, coupling.x_error)
    a, r = (0.5 * (1.0 + s * s)).sqrt(), 1.0 / (2.0 * (1.0 + x)).sqrt()
    value = 0.5 * (s * a_bar[0] / a - s / r * r_bar[0] + (a_bar[1] - s / r * r_bar[1]) / (a * a * a))
    if uniform:
        value = Rounded(value.value.sum(keepdims=True), value[:].sum(0).error[None])
    zero = of(np.zeros_like(value.value))
    return doubled(found | {"coupling": [value, zero, zero, zero]})


def in_frames(evidence: Sequence[View], noise: Floats, weight: Floats, bars: Sequence[Floats]) -> list[Bars]:
    """``coordinates="frame"``: of <weight, KL> + <bars, draw>."""
    d, half = evidence[0].Q.value.shape[-1], of(0.5 * weight[:, None])
    variance = [v.log_var.exp() for v in evidence]
    N = [v.r * v.r + v.a * v.a * s for v, s in zip(evidence, variance, strict=True)]
    added = sum((v.bit * (v.a * v.a * v.gained / n) for v, n in zip(evidence, N, strict=True)), of(0.0))
    tau, e_0 = 1.0 + added, of(noise[:, :d])
    u = sum((v.bit * (v.a * v.m / n) for v, n in zip(evidence, N, strict=True)), of(0.0)) / tau
    drawn = u + e_0 / tau.sqrt()
    u_bar, tau_bar, drawn_bar, own = 2.0 * half * u, half * added / (tau * tau), of(0.0 * drawn.value), []
    for i, v in enumerate(evidence):
        k, rr, weaker, e = half * v.bit, v.r * v.r, v.a * v.gained, of(noise[:, (i + 1) * d : (i + 2) * d])
        off, spread, y_bar = (v.m - weaker * u) / N[i], weaker / N[i], of(bars[i]) @ v.Q
        seen_bar = v.bit * y_bar
        missing_bar, centre_bar = Rounded((1 - v.bit) * y_bar.value, (1 - v.bit) * y_bar.error), seen_bar / N[i]
        off_bar, spread_bar = 2.0 * k * rr * off, 2.0 * k * rr * spread / tau
        tau_bar = tau_bar - k * (v.r * spread / tau) * (v.r * spread / tau)
        u_bar, weaker_bar = u_bar - weaker * off_bar / N[i], (spread_bar - u * off_bar) / N[i]
        shrinkage = v.shrinkage()
        root, centre = (-0.5 * shrinkage).exp(), (v.a * variance[i] * drawn + rr * v.m) / N[i]
        drawn_bar = drawn_bar + v.a * (variance[i] * centre_bar + missing_bar)
        own.append(
            {
                "m": off_bar / N[i] + rr * centre_bar,
                "N": -(off * off_bar + spread * spread_bar) / N[i] - centre * centre_bar,
                "variance": v.a * drawn * centre_bar,
                "gained": v.a * weaker_bar,
                "shrinkage": -k * (-shrinkage).expm1() - 0.5 * v.r * root * e * seen_bar,
                "a": drawn * (variance[i] * centre_bar + missing_bar) + v.gained * weaker_bar,
                "r": 2.0 * v.r * (k * (off * off + spread * spread / tau) + v.m * centre_bar)
                + e * (root * seen_bar + missing_bar),
                "y": where(v.bit > 0, centre + v.r * root * e, v.a * drawn + v.r * e),
            }
        )
    u_bar = u_bar + drawn_bar
    tau_bar = tau_bar - 0.5 * e_0 / (tau * tau.sqrt()) * drawn_bar - u / tau * u_bar
    found = []
    for i, (v, b) in enumerate(zip(evidence, own, strict=True)):
        by_tau, by_sum = v.bit * tau_bar / N[i], v.bit * (u_bar / tau) / N[i]
        m_bar = b["m"] + v.a * by_sum
        N_bar = b["N"] - v.a * (v.a * v.gained * by_tau + v.m * by_sum) / N[i]
        variance_bar = b["variance"] + v.a * v.a * N_bar - (b["gained"] + v.a * v.a * by_tau)
        found.append(
            Bars(
                mean=v.expand(m_bar),
                log_var=variance[i] * variance_bar - v.r * v.r / N[i] * b["shrinkage"],
                frame=of(bars[i]).T @ b["y"] + v.expand(v.m).T @ m_bar,
                a=b["a"] + 2.0 * v.a * (v.gained * by_tau + variance[i] * N_bar) + v.m * by_sum,
                r=b["r"] + 2.0 * v.r * (N_bar + v.gained / N[i] * b["shrinkage"]),
            )
        )
    return found


def outer(x: Rounded, y: Rounded) -> Rounded:
    """x y^T of every row."""
    return x[:, :, None] * y[:, None, :]


@dataclass
class _Collected:
    """One view's cotangents on their way back through N, F and c = A m."""

    one: Alone
    mean: list[Rounded] = field(default_factory=list)
    log_var: list[Rounded] = field(default_factory=list)
    variance: list[Rounded] = field(default_factory=list)
    deviation: list[Rounded] = field(default_factory=list)
    frame: list[Rounded] = field(default_factory=list)
    a: list[Rounded] = field(default_factory=list)
    r: list[Rounded] = field(default_factory=list)
    centre: list[Rounded] = field(default_factory=list)
    precision: list[Rounded] = field(default_factory=list)
    N: list[Rounded] = field(default_factory=list)
    F: list[Rounded] = field(default_factory=list)

    def of_kl(self, half: Rounded, u_hat: Rounded, R: Rounded) -> tuple[Rounded, Rounded]:
        """Of twice the view's part; what goes to u^ and R."""
        v, P, var = self.one.view, self.one.precision, self.one.variance
        k, gap = half * v.bit, u_hat - self.one.source
        w = P.times(gap)
        g = v.expand(v.a * w)
        moved, kk = v.mean + var * g, k[:, :, None]
        self.mean.append(2.0 * k * moved)
        self.variance.append(k * (2.0 * g * moved - g * g))
        self.log_var.append(k * (var - 1.0))
        g_bar = 2.0 * k * var * (moved - g)
        h_bar = g_bar @ v.Q
        w_bar = v.a * h_bar
        self.frame.append(g_bar.T @ (v.a * w))
        self.a.append(h_bar * w)
        F = v.a[:, :, None] * v.gram(var * v.gained) * v.a[:, None, :]
        PR = P @ R
        self.F.append(-kk * (PR @ P - P))
        through = PR.T @ F
        self.precision.append(outer(w_bar, gap) + kk * outer(gap, gap) - kk * (through + through.T - F))
        self.N.append(kk * P)
        gap_bar = P.times(w_bar) + 2.0 * k * w
        self.centre.append(-gap_bar)
        return gap_bar - 2.0 * k * u_hat, -kk * (P @ F @ P)

    def of_draw(self, u: Rounded, e: Rounded, f: Rounded, bar: Floats) -> Rounded:
        """Of the view's draw; what goes to u."""
        v, P, var = self.one.view, self.one.precision, self.one.variance
        start = v.mean + (0.5 * v.log_var).exp() * e
        inside, turned = start @ v.Q, e @ v.Q
        gap = u - (v.a * inside + v.r * f)
        p, seen_bar, missing_bar = P.times(gap), of(v.bit * bar), of((1 - v.bit) * bar)
        self.variance.append(seen_bar * v.expand(v.a * p))
        y_bar = var * seen_bar
        ap_bar = y_bar @ v.Q
        gap_bar = P.times(v.a * ap_bar)
        inside_bar, k_bar = -v.a * gap_bar, missing_bar @ v.Q
        self.precision.append(outer(v.a * ap_bar, gap))
        self.frame += [y_bar.T @ (v.a * p), start.T @ inside_bar]
        self.frame += [missing_bar.T @ (v.a * u + (v.r - 1.0) * turned), e.T @ ((v.r - 1.0) * k_bar)]
        start_bar = seen_bar + v.expand(inside_bar)
        self.mean.append(start_bar)
        self.deviation.append(start_bar * e)
        self.a.append(ap_bar * p - gap_bar * inside + k_bar * u)
        self.r.append(k_bar * turned - gap_bar * f)
        return gap_bar + v.a * k_bar

    def bars(self) -> Bars:
        """Through N = r^2 + A E A and F, to the encoder and the prior."""
        v, P, var = self.one.view, self.one.precision, self.one.variance
        N_bar, c_bar = total(self.N) - P @ total(self.precision) @ P, total(self.centre)
        scale, variance_bar, a_bar = v.a[:, :, None] * v.a[:, None, :], total(self.variance), [*self.a, v.m * c_bar]
        for bar, weights, slope in ((N_bar, var, of(1.0)), (total(self.F), var * v.gained, 1.0 - 2.0 * var)):
            both = bar + bar.T
            a_bar.append((both * v.gram(weights) * v.a[:, None, :]).sum(-1))
            variance_bar = variance_bar + slope * 0.5 * v.across(both * scale)
            n, d = v.Q.value.shape
            each = weights.T @ Rounded(*(part.reshape(-1, d * d) for part in ((both * scale).value, (both * scale).error)))
            self.frame.append(Rounded(*(part.reshape(n, d, d) for part in (each.value, each.error))).times(v.Q))
        m_bar = v.a * c_bar
        self.frame.append(v.mean.T @ m_bar)
        own = 0.5 * total(self.deviation) * (0.5 * v.log_var).exp()
        return Bars(
            mean=total(self.mean) + v.expand(m_bar),
            log_var=total(self.log_var) + variance_bar * var + own,
            frame=total(self.frame),
            a=total(a_bar),
            r=total([*self.r, 2.0 * v.r * N_bar.diagonal]),
        )


def total(parts: Sequence[Rounded]) -> Rounded:
    """Their sum."""
    return sum(parts[1:], parts[0])


def in_latents(every: Sequence[Alone], noise: Floats, weight: Floats, bars: Sequence[Floats]) -> list[Bars]:
    """``coordinates="latent"``: of <weight, KL> + <bars, draw>."""
    d, dims = every[0].view.Q.value.shape[-1], [len(one.view.Q.value) for one in every]
    eye, half = np.eye(d), of(0.5 * weight[:, None])
    added = total([one.view.bit[:, :, None] * (one.view.a[:, :, None] * one.K) for one in every])
    X, _ = inverse_root(added + eye)
    u_hat = X.T.times(X.times(total([one.view.bit * one.precision.times(one.source) for one in every])))
    R, parts = X.T @ X, np.split(noise, np.cumsum([d, *dims, *[d] * len(dims)])[:-1], axis=1)
    u = u_hat + X.T.times(of(parts[0]))
    views = [_Collected(one) for one in every]
    to_u_hat, to_R, to_u = [2.0 * half * u_hat], [], []
    for i, view in enumerate(views):
        more, more_R = view.of_kl(half, u_hat, R)
        to_u_hat, to_R = [*to_u_hat, more], [*to_R, more_R]
        to_u.append(view.of_draw(u, of(parts[1 + i]), of(parts[1 + len(dims) + i]), bars[i]))
    u_bar = total(to_u)
    back = -(outer(of(parts[0]), u_bar) @ X.T)
    lower = np.tril(np.ones((d, d))) - 0.5 * eye
    back = Rounded(lower * back.value, lower * back.error)
    solved = R.times(total([*to_u_hat, u_bar]))
    T_bar = half[:, :, None] * R + X.T @ back @ X - R @ total(to_R) @ R - outer(solved, u_hat)
    for view in views:
        one, bit = view.one, view.one.view.bit
        view.precision.append(bit[:, :, None] * (T_bar + outer(solved, one.source)))
        view.centre.append(bit * one.precision.times(solved))
    return [view.bars() for view in views]
