"""The error bounds of the fused posterior, in units of eps: its formulas (fused_latents.py, fused_frames.py) once more.

Every number is Rounded, so each function's bound is derived by the rules alone. They are bounds to first order: the Cholesky
factors of N_i and T are differentiated, which is honest while eps |L^-1| E |L^-T| is well below 1 (about d eps cond); the tests
stay there and every bound has the factor 2 for the rest. The frames are given: their own errors come on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from error_bounds import Bounds, Coupling, Floats
from rounded import Rounded, inverse_root, log1p_or_log, where

of = Rounded.of


def flat(x: Rounded, axes: int) -> Rounded:
    """The last axes as one."""
    return Rounded(*(part.reshape(*part.shape[:-axes], -1) for part in (x.value, x.error)))


def loadings(c: Coupling) -> list[tuple[Rounded, Rounded]]:
    """a_i and r_i, each (1, d)."""
    if c.source:
        return [(of(a[None], c.a_error), of(r[None], c.a_error)) for a, r in zip(c.a, c.rest, strict=True)]
    s, x = of(c.s[None], c.s_error), of(c.x[None], c.x_error)
    a, r = (0.5 * (1.0 + s * s)).sqrt(), 1.0 / (2.0 * (1.0 + x)).sqrt()
    return [(a, r), (s / a, r / a)]


@dataclass(frozen=True)
class View:
    """One view: its loadings, frame (n, d) and evidence."""

    a: Rounded
    r: Rounded
    Q: Rounded
    mean: Rounded
    log_var: Rounded
    bit: Floats  # (B, 1)

    @property
    def m(self) -> Rounded:
        return self.mean @ self.Q

    @property
    def gained(self) -> Rounded:
        return -self.log_var.expm1()

    def expand(self, y: Rounded) -> Rounded:
        return y @ self.Q.T

    @property
    def outer(self) -> Rounded:
        """q q^T of every row q of the frame, (n, d, d)."""
        return self.Q[:, :, None] * self.Q[:, None, :]

    def gram(self, x: Rounded) -> Rounded:
        """Q^T diag(x) Q of every row, (B, d, d)."""
        products = x @ flat(self.outer, 2)
        d = self.Q.value.shape[1]
        return Rounded(*(part.reshape(-1, d, d) for part in (products.value, products.error)))

    def across(self, X: Rounded) -> Rounded:
        """The diagonal of Q X Q^T of every row, (B, n)."""
        return flat(X, 2) @ flat(self.outer, 2).T

    def shrinkage(self) -> Rounded:
        """-log rho, where 1/sigma^2 is finite."""
        return (self.r * (self.r * (-self.log_var).expm1())).log1p()


def views(b: Bounds, means: Sequence[Floats], log_vars: Sequence[Floats], bits: Floats, frames: Sequence[Floats]) -> list[View]:
    """Of a prior (error_bounds.py); what is missing is 0."""
    rows = zip(loadings(b.coupling), frames, means, log_vars, strict=True)
    return [
        View(a, r, of(q), of(np.where(bits[:, [i]] > 0, m, 0.0)), of(np.where(bits[:, [i]] > 0, v, 0.0)), bits[:, [i]])
        for i, ((a, r), q, m, v) in enumerate(rows)
    ]


def doubled(found: dict[str, list[Rounded]]) -> dict[str, list[Floats]]:
    """The bounds, with the factor for the second order."""
    return {name: [2 * x.error for x in parts] for name, parts in found.items()}


def in_frames(evidence: Sequence[View], noise: Floats, latents: Sequence[Floats]) -> dict[str, list[Floats]]:
    """``coordinates="frame"``."""
    variance = [v.log_var.exp() for v in evidence]
    N = [v.r * v.r + v.a * v.a * s for v, s in zip(evidence, variance, strict=True)]
    added = sum((v.bit * (v.a * v.a * v.gained / n) for v, n in zip(evidence, N, strict=True)), of(0.0))
    tau = 1.0 + added
    u = sum((v.bit * (v.a * v.m / n) for v, n in zip(evidence, N, strict=True)), of(0.0)) / tau
    d, std = u.value.shape[-1], [where(v.bit > 0, v.r * (-0.5 * v.shrinkage()).exp(), v.r) for v in evidence]
    slope = [where(v.bit > 0, v.a * s / n, v.a) for v, s, n in zip(evidence, variance, N, strict=True)]

    def given(i: int, u: Rounded) -> Rounded:
        v = evidence[i]
        return where(v.bit > 0, (v.a * variance[i] * u + v.r * v.r * v.m) / N[i], v.a * u)

    kl, drawn_u = u * u + (-added.log1p()).remainder(), u + of(noise[:, :d]) / tau.sqrt()
    drawn, pairs, covariance = [], [], []
    for i, v in enumerate(evidence):
        weaker = v.a * v.gained
        off, spread = v.r * ((v.m - weaker * u) / N[i]), v.r * (weaker / N[i])
        kl = kl + v.bit * ((-v.shrinkage()).remainder() + (off * off + spread * spread / tau))
        drawn.append(v.expand(given(i, drawn_u) + std[i] * of(noise[:, (i + 1) * d : (i + 2) * d])))
        e = v.bit * ((of(latents[i]) @ v.Q - given(i, u)) / std[i])
        pairs.append((e, v.bit * (slope[i] / std[i]), v.bit * (2.0 * std[i].log() + np.log(2 * np.pi))))
        for j, w in enumerate(evidence):
            across = slope[i] * slope[j] / tau
            diagonal = across + std[i] * std[i] if i == j else across
            covariance.append((v.Q * diagonal[:, None, :]) @ w.Q.T)
    weight = sum((h * h for _, h, _ in pairs), of(0.0))
    best = sum((h * e for e, h, _ in pairs), of(0.0)) / (tau + weight)
    density = tau * best * best + (weight / tau).log1p() + sum((logs for _, _, logs in pairs), of(0.0))
    for e, h, _ in pairs:
        density = density + (e - h * best) * (e - h * best)
    means = [v.expand(given(i, u)) for i, v in enumerate(evidence)]
    found = {"mean": means, "kl": [(0.5 * kl).sum(-1)], "drawn": drawn, "log_density": [(0.5 * density).sum(-1)]}
    return doubled(found | {"covariance": covariance})


@dataclass(frozen=True)
class Alone:
    """What a view says of the source: fused_latents.py's letters."""

    view: View
    variance: Rounded
    precision: Rounded
    K: Rounded
    log_det: Rounded
    spread: Rounded

    @property
    def source(self) -> Rounded:
        return self.view.a * self.view.m


def alone(v: View, uniform: bool) -> Alone:
    """N^-1, log|N| and twice the KL given the source."""
    variance, gained, gram, (n, d) = v.log_var.exp(), v.gained, v.gram, v.Q.value.shape
    if uniform and n == d:
        a, r = v.a[:, :1], v.r[:, :1]
        diagonal = r * r + a * a * variance
        log_det = log1p_or_log(-a * a * gained, diagonal.log()).sum(-1)
        spread = (-(r * (r * (-v.log_var).expm1())).log1p()).remainder().sum(-1)
        return Alone(v, variance, gram(1.0 / diagonal), gram(a * gained / diagonal), log_det, spread)
    scale, E, D = v.a[:, :, None] * v.a[:, None, :], gram(variance), gram(gained)
    weak = np.all(gained.value < 0.5, axis=-1)
    # Nothing is rounded where 0 is added: off the diagonal.
    on_diagonal = Rounded((v.r * v.r).value[:, None] * np.eye(d), (v.r * v.r).error[:, None] * np.eye(d))
    N = where(weak[:, None, None], of(np.eye(d)) - scale * D, on_diagonal + scale * E)
    X, L = inverse_root(N)
    precision = X.T @ X
    lacking = (scale * D).diagonal + L.below
    logs = log1p_or_log(-lacking, -2.0 * X.diagonal.log())
    log_det, through = logs.sum(-1), v.across(scale * precision)
    far = log_det + (variance * gained * through).sum(-1)
    near = ((-logs).remainder() + X.below).sum(-1) - (gained * gained * through).sum(-1)
    spread = v.log_var.remainder().sum(-1) + where(weak, near, far)
    return Alone(v, variance, precision, D @ (v.a[:, :, None] * precision), log_det, spread)


def in_latents(
    b: Bounds, evidence: Sequence[View], uniform: bool, noise: Floats, latents: Sequence[Floats]
) -> dict[str, list[Floats]]:
    """``coordinates="latent"``."""
    every, d = [alone(v, uniform) for v in evidence], evidence[0].Q.value.shape[-1]
    dims = [len(v.Q.value) for v in evidence]
    added = sum((one.view.bit[:, :, None] * (one.view.a[:, :, None] * one.K) for one in every), of(np.zeros((1, d, d))))
    X, L = inverse_root(added + np.eye(d))
    excess = added.diagonal - L.below
    weighted = sum((one.view.bit * one.precision.times(one.source) for one in every), of(np.zeros((1, d))))
    u = X.T.times(X.times(weighted))
    logs = log1p_or_log(excess, -2.0 * X.diagonal.log())
    kl = (u * u + (-logs).remainder() + X.below).sum(-1)
    bits = np.concatenate([v.bit for v in evidence], axis=1)
    prior = b.log_density(latents, bits)
    # b.log_density is c times the sum of absolute values, c > 1: more than the value itself.
    twice = 2.0 * Rounded(prior, prior) - 2.0 * X.diagonal.log().sum(-1) + (u * u).sum(-1)
    parts = np.split(noise, np.cumsum([d, *dims, *[d] * len(dims)])[:-1], axis=1)
    drawn_u = u + X.T.times(of(parts[0]))
    means, drawn, through, own = [], [], [], []
    for i, one in enumerate(every):
        v, gap, turned, n = one.view, u - one.source, one.K @ X.T, dims[i]
        pulled, on = v.expand(v.a * one.precision.times(gap)), v.bit > 0
        means.append(where(on, v.mean + one.variance * pulled, v.expand(v.a * u)))
        inside = v.m - one.K.times(gap)
        cost = one.spread + (v.r * v.r * (inside * inside + (turned * turned).sum(-1))).sum(-1)
        if n > d:
            weights = where(np.all(v.gained.value < 0.5, axis=-1, keepdims=True), -v.gained, one.variance)
            centre = v.mean + weights * pulled
            columns = weights[:, None, :] * ((v.a[:, :, None] * one.precision @ X.T).T @ v.Q.T)
            for_mean, for_columns = centre - v.expand(centre @ v.Q), columns - columns @ v.Q @ v.Q.T
            cost = cost + (for_mean * for_mean + (for_columns * for_columns).sum(-2)).sum(-1)
        kl = kl + v.bit[:, 0] * cost
        e, f = of(parts[1 + i]), of(parts[1 + len(dims) + i])
        start = v.mean + (0.5 * v.log_var).exp() * e
        jump = one.precision.times(drawn_u - (v.a * (start @ v.Q) + v.r * f))
        unseen = v.expand(v.a * drawn_u + v.r * (e @ v.Q))
        unseen = unseen + (e - v.expand(e @ v.Q)) if n > d else unseen
        drawn.append(where(on, start + one.variance * v.expand(v.a * jump), unseen))
        z = of(np.where(on, latents[i], 0.0))
        off = (z - v.mean) * (-0.5 * v.log_var).exp()
        twice = twice + v.bit[:, 0] * (z * z - off * off - v.log_var).sum(-1)
        twice = twice + v.bit[:, 0] * (one.log_det + (gap * one.precision.times(gap) - u * u).sum(-1))
        A, spread = v.Q * v.a, one.variance[:, :, None]
        B = spread * (A @ one.precision)
        S, W = spread * np.eye(n) - B @ (spread * A).T, of(np.eye(n)) - A @ A.T
        through.append(where(on[:, :, None], B, A) @ X.T)
        own.append(where(on[:, :, None], S, W))
    covariance = [
        left @ right.T + own[i] if i == j else left @ right.T
        for i, left in enumerate(through)
        for j, right in enumerate(through)
    ]
    found = {"mean": means, "kl": [0.5 * kl], "drawn": drawn, "log_density": [0.5 * twice], "covariance": covariance}
    return doubled(found)
