"""The error bounds of jpvae_core/vjp.py, entry by entry, in units of eps; docs/error-analysis.md derives each constant.

Each is c times the closed form of the gradient with every term in absolute value, written a second time from the definitions.
Inputs are NumPy float64 arrays: frames, parameters and a function's own output are what the gradient was given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.linalg
from error_bounds import Bounds, F, Floats

Views = list[Floats]


def skew(bar: Floats) -> Floats:
    """A_ij - A_ji, i < j: one subtraction."""
    total = np.abs(bar) + np.abs(bar).T
    return 0.5 * total[np.triu_indices(len(bar), 1)]


def cayley(Q: Floats, bar: Floats) -> Floats:
    """X - X^T with X = 2 M^T Q_bar M^T: Q + I rounds on the diagonal, two products of length n, one subtraction."""
    Mt = np.abs(Q + np.eye(len(Q))).T / 2
    product = Mt @ np.abs(bar) @ Mt
    return (len(Q) + 1.5) * (product + product.T)


def frame(A: Floats, Q: Floats, bar: Floats) -> Floats:
    """Of the skew entries: twice Cayley's where Q is square, else solved (Q + E)^T with rule 5 entry by entry for solved."""
    n, d = Q.shape
    if n == d:
        return 2 * cayley(Q, bar)[np.triu_indices(n, 1)]
    P, L, U = scipy.linalg.lu(np.eye(n) + A)
    solved, right = np.linalg.solve(np.eye(n) + A, bar), np.abs(Q + np.eye(n)[:, :d])
    off = 3 * n * np.abs(np.linalg.inv(np.eye(n) + A)) @ (P @ np.abs(L) @ np.abs(U)) @ np.abs(solved)
    product = (off + (d / 2 + 1) * np.abs(solved)) @ right.T
    return (product + product.T)[np.triu_indices(n, 1)]


def slopes(kind: str, t: Floats, bars: Sequence[Floats]) -> Floats:
    """Of sigmoid_bound, tanh_bound or number_bound ("sigmoid", "tanh", "number"): four products and their sum."""
    if kind == "number":
        derivatives = (np.ones_like(t), (1 - t) ** -2, (1 + t) ** -2, 2 * np.abs(t) / (1 - t * t) ** 2)
        errors: tuple[float, ...] = (0.0, 2.5, 2.5, 6.0)
    elif kind == "tanh":
        derivatives = (0.5 / np.cosh(t / 2) ** 2, np.exp(t) / 2, np.exp(-t) / 2, np.abs(np.sinh(t)) / 2)
        errors = (2 * F + 2, F, F, 2 * F + 1)
    else:
        back = 2 + np.exp(-t)
        derivatives = (0.25 / np.cosh(t / 2) ** 2, np.exp(t), 1 / back / (1 + 2 * np.exp(t)), 2 * (1 + np.exp(t)) / back**2)
        errors = (2 * F + 1.5, F, 2 * F + 1.5, 3 * F + 2.5)
    return sum((c + 2) * np.abs(x) * slope for c, slope, x in zip(errors, derivatives, bars, strict=True))


def reparameterize(log_var: Floats, noise: Floats, bar: Floats) -> tuple[Floats, Floats]:
    """Of the mean and log_var, summed over the first axis, K draws."""
    terms = np.exp(log_var / 2) * np.abs(noise) * np.abs(bar) / 2
    return (len(bar) - 1) / 2 * np.abs(bar).sum(axis=0), (F + 1 + (len(bar) - 1) / 2) * terms.sum(axis=0)


class Gradients:
    """The bounds of one prior: ready frames Q_i (None: the identity) and a coupling parameter, as ``error_bounds.Bounds``.

    Each method gives the bounds of the rows' cotangents, of the frames' and of the coupling's (a Bounded's four, or logits').
    """

    def __init__(self, kind: str, dims: Sequence[int], frames: Sequence[Floats | None], parameter: Floats) -> None:
        bounds = Bounds(kind, dims, frames, parameter)
        self.Q, self.coupling, self.n, self.d, self.M = bounds.Q, bounds.coupling, bounds.n, bounds.d, bounds.M
        self.uniform = kind == "orthogonal"  # one correlation, its cotangent of shape (1,): the variances are not rotated
        self.squares = [np.eye(self.n) if self.uniform else q * q for q in self.Q]

    def kl(self, means: Views, log_vars: Views, bits: Floats, weight: Floats) -> tuple[Views, Views, Views, Views]:
        """kl_divergence: of means, log_vars, frames and coupling."""
        on, half = [bits[:, i : i + 1] for i in range(self.M)], 0.5 * np.abs(weight)[:, None]
        mu, var = ([f(b * x) for b, x in zip(on, rows, strict=True)] for f, rows in ((np.abs, means), (np.exp, log_vars)))
        m, v = ([x @ q for x, q in zip(rows, by, strict=True)] for rows, by in ((mu, self.Q), (var, self.squares)))
        (m_bar, c_m), (v_bar, c_v), coupling = (self._source_kl if self.coupling.source else self._pair_kl)(m, v, on, half)
        found: tuple[Views, Views, Views] = ([], [], [])
        for i, (q, qq) in enumerate(zip(self.Q, self.squares, strict=True)):
            found[0].append((c_m + self.d / 2 + 0.5) * (2 * half * mu[i] + m_bar[i] @ q.T))
            ordinary = half * np.abs(np.expm1(on[i] * log_vars[i]))
            found[1].append((F + c_v + self.d / 2 + 1.5) * (ordinary + var[i] * (v_bar[i] @ qq.T)))
            of_squares = 0 if self.uniform else 2 * q * (var[i].T @ v_bar[i])
            found[2].append((len(bits) / 2 + max(c_m, F + c_v + 0.5) + 0.5) * (mu[i].T @ m_bar[i] + of_squares))
        return *found, coupling

    def _pair_kl(self, m: Views, v: Views, on: Views, half: Floats) -> tuple[tuple[Views, float], tuple[Views, float], Views]:
        c, both, spread = self.coupling, on[0] * on[1], m[0] + m[1]
        m_bar = both * half * spread * (np.abs(c.minus) + np.abs(c.plus))
        square = self._per_parameter(both * half * spread**2 / 2)
        trace = self._per_parameter(both * half * (v[0] + v[1] + 1 / (1 + c.x)))
        sums = len(half) / 2 + (self.d / 2 if self.uniform else 0)
        ratio, excess = (self.n + 2 + sums) * square, (self.n / 2 + F + c.x_error + 2.5 + sums) * trace
        v_bar = both * half * c.x
        return ([m_bar] * 2, self.n / 2 + c.ratio_error + 2), ([v_bar] * 2, c.x_error + 0.5), [0 * ratio, ratio, ratio, excess]

    def _source_terms(self, m: Views, on: Views) -> tuple[Floats, ...]:
        """a, e, 1/tau, share = w/tau, (M, B, d); |D_ij| off the diagonal, (M, M, B, d); sum_{j != i} share_j |m_j|."""
        c, y = self.coupling, np.stack(m)
        a, e = (np.stack([b * t for b, t in zip(on, x, strict=True)]) for x in (c.a, c.e))
        inverse_tau, off = 1 / (1 + e.sum(axis=0)), (1 - np.eye(self.M))[:, :, None, None]
        share, D = a * (1 + e) * inverse_tau, off * (a[None] * y[:, None] + a[:, None] * y[None])
        return a, e, inverse_tau, share, D, (off * (share * y)[None]).sum(axis=1)

    def _source_kl(self, m: Views, v: Views, on: Views, half: Floats) -> tuple[tuple[Views, float], tuple[Views, float], Views]:
        a, e, inverse_tau, share, D, toward = self._source_terms(m, on)
        A, M, n, off = self.coupling.a_error, self.M, self.n, (1 - np.eye(self.M))[:, :, None, None]
        w, h, variance = a * (1 + e), 1 + e, np.stack(v)
        pull = (w[:, None] * share[None] * D).sum(axis=1) + toward
        residual = inverse_tau * np.stack(m) + (share[None] * D).sum(axis=1)
        joint = off * e[:, None] * (e * inverse_tau)[None]
        x, others = joint.sum(axis=1), (off * e[None]).sum(axis=1) * inverse_tau
        trace = x * (inverse_tau + others) * variance + (joint * (h * inverse_tau * variance)[None]).sum(axis=1)
        logits = (half * (a * a * others + a * residual * pull + trace)).sum(axis=1)
        c = 6 * A + 5 * F + 2 * M + n + 12 + len(half) / 2
        c_m, c_v = 4 * A + 3 * F + M + n / 2 + 6.5, 3 * F + M + 2
        return (list(2 * half * a * pull), c_m), (list(half * x), c_v), [c * logits]

    def complete(self, latents: Views, bits: Floats, noise: Floats, bars: Views) -> tuple[Views, Views, Views]:
        """complete and, with zero noise, conditional_mean: of latents, frames and coupling."""
        on, dims = [bits[:, i : i + 1] for i in range(self.M)], [len(q) for q in self.Q]
        source, *own = np.split(np.abs(noise), np.cumsum([noise.shape[1] - sum(dims), *dims[:-1]]), axis=1)
        seen = [b * np.abs(x) for b, x in zip(on, latents, strict=True)]
        hidden = [(1 - b) * np.abs(x) for b, x in zip(on, bars, strict=True)]
        y, e, bar = ([x @ q for x, q in zip(rows, self.Q, strict=True)] for rows in (seen, own, hidden))
        (shift, y_bar, e_bar), c_y, c_frame, coupling = (self._source_draw if self.coupling.source else self._pair_draw)(
            y, on, source, e, bar
        )
        rows, frames = [], []
        for i, q in enumerate(self.Q):
            rows.append((c_y + self.d / 2 + 0.5) * (on[i] * np.abs(bars[i]) + y_bar[i] @ q.T))
            products = hidden[i].T @ shift[i] + seen[i].T @ y_bar[i] + own[i].T @ e_bar[i]
            frames.append((len(bits) / 2 + c_frame + 1) * products)
        return rows, frames, coupling

    def _pair_draw(
        self, y: Views, on: Views, _: Floats, e: Views, bar: Views
    ) -> tuple[tuple[Views, Views, Views], float, float, Views]:
        c, s, root = self.coupling, np.abs(self.coupling.s), np.sqrt(1 + self.coupling.x)
        less, first, bar = s * s / (1 + 1 / root), y[0] + (1 - on[0]) * e[0], [on[1] * bar[0], bar[1]]
        shift = [on[1] * (s * y[1] + less * e[0]), s * first + less * e[1]]
        y_bar, e_bar = [s * on[0] * bar[1], s * bar[0]], [less * bar[0] + s * (1 - on[0]) * bar[1], less * bar[1]]
        value = self._per_parameter(bar[0] * y[1] + bar[1] * first + s * root * (bar[0] * e[0] + bar[1] * e[1]))
        sums = len(y[0]) / 2 + (self.d / 2 if self.uniform else 0)
        value = (self.n + c.s_error + c.x_error / 2 + 4 + sums) * value
        c_frame = self.n / 2 + 2 * c.s_error + c.x_error / 2 + 4.5
        return (shift, y_bar, e_bar), self.n / 2 + c.s_error + 0.5, c_frame, [value, *[0 * value] * 3]

    def _source_draw(
        self, y: Views, on: Views, source: Floats, own: Views, bars: Views
    ) -> tuple[tuple[Views, Views, Views], float, float, Views]:
        seen, odds, inverse_tau, share, D, toward = self._source_terms(y, on)
        A, M, n, m, e, bar = self.coupling.a_error, self.M, self.n, np.stack(y), np.stack(own), np.stack(bars)
        a, rest = self.coupling.a[:, None], self.coupling.rest[:, None]
        spread, less = np.sqrt(inverse_tau) * source, a * a / (1 + rest)
        u, u_bar = (share * m).sum(axis=0) + spread, (a * bar).sum(axis=0)
        pull = share * (share[None] * D).sum(axis=1) + inverse_tau * toward
        direct = 0.5 * a * rest * (rest * u + a * e) * bar
        through_u = (seen * (0.5 * inverse_tau * m + seen * pull) + 0.5 * odds * inverse_tau * spread) * u_bar
        logits = (6 * A + 4 * F + 2 * M + n + 10 + len(y[0]) / 2) * (direct + through_u).sum(axis=1)
        three = list(a * u + less * e), list(share * u_bar), list(less * bar)
        return three, 2 * A + 2 * F + M + n / 2 + 3, 2.5 * A + 2 * F + M + n / 2 + 4, [logits]

    def _per_parameter(self, terms: Floats) -> Floats:
        return terms.sum(keepdims=True).reshape(1) if self.uniform else terms.sum(axis=0)
