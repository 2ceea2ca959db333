"""The error bounds of a joint prior's functions, in units of eps; docs/error-analysis.md derives each constant.

Every bound is c(n) times a condition measure: the function's own formula with every term in absolute value, so that no
cancellation hides in it. Inputs are NumPy float64 arrays. Nothing here imports the package: the measures are its formulas
written a second time, from the definitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# What is assumed of the libraries: exp, expm1, log, log1p, logaddexp and tanh are within F eps (test_error_bounds.py measures).
F = 4.0
REMAINDER = 2.3 * F + 3  # of e^l - 1 - l, relatively
Floats = np.ndarray


def softplus(t: Any) -> Floats:
    """log(1 + e^t)."""
    return np.logaddexp(0.0, t)


class Coupling:
    """A prior's coupling per direction with its relative errors; kind: "orthogonal", "svd-sigmoid", "svd-tanh", "canonical"."""

    def __init__(self, kind: str, parameter: Floats, views: int, rank: int) -> None:
        self.source, self.views, t = kind == "canonical", views, parameter
        if self.source:
            self.a, self.rest = np.exp(-softplus(-t) / 2), np.exp(-softplus(t) / 2)
            self.e = np.exp(t)
            self.a_error = F * (1 + softplus(np.abs(t)).max() / 2)  # exp of a rounded argument: of a and of rest
            return
        if kind == "orthogonal":
            s = np.broadcast_to(t, (rank,))
            self.s, self.minus, self.plus = s, s / (1 - s), -s / (1 + s)
            self.s_error, self.ratio_error = 0.0, 1.0
        elif kind == "svd-sigmoid":
            self.s, self.minus, self.plus = np.exp(-softplus(-t)), np.exp(t), -1 / (2 + np.exp(-t))
            self.s_error, self.ratio_error = F * (1 + softplus(-t).max()), F + 1
        else:
            self.s, self.minus, self.plus = np.tanh(t / 2), np.expm1(t) / 2, np.expm1(-t) / 2
            self.s_error, self.ratio_error = F, F
        self.x = -self.minus * self.plus
        self.x_error = self.ratio_error + F + 0.5  # one of the two ratios is an exp or expm1 (or 1 eps, below F)

    def log_det(self) -> Floats:
        """log|Sigma| has terms of one sign: a relative error."""
        if self.source:
            before, total = np.zeros_like(self.e[0]), 0.0
            for e in self.e:
                total = total + np.log1p(e * before / (1 + before + e)).sum()
                before = before + e
            return (4 * F + 2 * self.views + 3 + len(before) / 2) * np.abs(total)
        return (self.x_error + F + 1 + len(self.x) / 2) * np.abs(np.log1p(self.x).sum())

    def correlation(self, i: int, j: int) -> tuple[Floats, float]:
        """|diag of Cov(y_i, y_j)| and its relative error."""
        return (self.a[i] * self.a[j], 2 * self.a_error + 0.5) if self.source else (np.abs(self.s), self.s_error)

    def precision(self, i: int, j: int) -> tuple[Floats, float]:
        """|diag of (Sigma^-1)_ij - (i = j)| and its relative error."""
        M = self.views
        if not self.source:
            if i == j:
                return self.x, self.x_error
            return np.abs(self.s) * (1 + self.x), self.s_error + self.x_error + 1
        tau = 1 + self.e.sum(axis=0)
        if i == j:
            return self.e[i] * np.delete(self.e, i, axis=0).sum(axis=0) / tau, 3 * F + M + 1.5
        w = self.a * (1 + self.e)
        return w[i] * w[j] / tau, 2 * self.a_error + 3 * F + M / 2 + 3

    def divergence(self, m: Sequence[Floats], v: Sequence[Floats], bits: Floats) -> Floats:
        """The coupling's part of twice the absolute KL; bits (B, M)."""
        b = [bits[:, i : i + 1] for i in range(self.views)]
        if not self.source:
            both = b[0] * b[1]
            minus, plus, x = both * self.minus, both * self.plus, both * self.x
            return ((m[0] + m[1]) ** 2 * (2 + minus + plus) / 2 + np.log1p(x) + x * (v[0] + v[1])).sum(axis=1)
        e, h = [b_i * e for b_i, e in zip(b, self.e, strict=True)], [b_i * (1 + e) for b_i, e in zip(b, self.e, strict=True)]
        tau, before, total = 1 + sum(e), 0.0, 0.0
        for i in range(self.views):
            total = total + h[i] / tau * m[i] ** 2 + np.log1p(e[i] * before / (1 + before + e[i]))
            total = total + e[i] * sum(e[:i] + e[i + 1 :]) / tau * v[i]
            for j in range(i):
                total = total + h[i] * h[j] / tau * (self.a[j] * m[i] + self.a[i] * m[j]) ** 2
            before = before + e[i]
        return total.sum(axis=1)

    def regression(self, j: int, i: int, bits: Floats) -> tuple[Floats, float]:
        """|coefficient of y_i in E[y_j | observed]| (B, d) and its relative error."""
        on = bits[:, i : i + 1] * (1 - bits[:, j : j + 1]) * (i != j)
        if not self.source:
            return on * np.abs(self.s), self.s_error
        tau = 1 + sum(bits[:, k : k + 1] * e for k, e in enumerate(self.e))
        return on * self.a[i] * self.a[j] * (1 + self.e[i]) / tau, 2 * self.a_error + 2 * F + self.views / 2 + 2

    def residual(self, i: int, j: int, bits: Floats) -> tuple[Floats, float]:
        """|diag of Cov(y_i, y_j | observed)| (B, d) and its relative error."""
        on = (1 - bits[:, i : i + 1]) * (1 - bits[:, j : j + 1])
        if not self.source:
            other = bits[:, 1 - i : 2 - i] if i == j else 0.0
            return on * (1 / (1 + self.x * other) if i == j else np.abs(self.s)), max(self.s_error, self.x_error + 1)
        tau = 1 + sum(bits[:, k : k + 1] * e for k, e in enumerate(self.e))
        own = self.rest[i] ** 2 if i == j else 0.0
        return on * (self.a[i] * self.a[j] / tau + own), 2 * self.a_error + F + self.views / 2 + 2

    def draw(self, m: Sequence[Floats], bits: Floats, source: Floats, own: Sequence[Floats]) -> tuple[list[Floats], float]:
        """All |y| given the observed ones and the noise, and their relative error."""
        b = [bits[:, i : i + 1] for i in range(self.views)]
        if not self.source:
            s, spread = np.abs(self.s), 1 / np.sqrt(1 + self.x)
            first = b[0] * m[0] + (1 - b[0]) * (b[1] * s * m[1] + np.where(b[1] > 0, spread, 1) * own[0])
            second = b[1] * m[1] + (1 - b[1]) * (s * first + spread * own[1])
            return [first, second], 2 * max(self.s_error, self.x_error / 2 + 1.5) + 3
        tau = 1 + sum(b_i * e for b_i, e in zip(b, self.e, strict=True))
        u = sum(a * (1 + e) * m_i for a, e, m_i in zip(self.a, self.e, m, strict=True)) / tau + source / np.sqrt(tau)
        drawn = [
            b_i * m_i + (1 - b_i) * (a * u + r * o) for b_i, m_i, a, r, o in zip(b, m, self.a, self.rest, own, strict=True)
        ]
        return drawn, 2 * self.a_error + 2 * F + self.views + 4


class Bounds:
    """The bounds of one prior's functions: ready frames Q_i (n_i, d) (None: the identity) and a coupling parameter."""

    def __init__(self, kind: str, dims: Sequence[int], frames: Sequence[Floats | None], parameter: Floats) -> None:
        self.dims, self.M, self.n = tuple(dims), len(dims), max(dims)
        self.d = min(dims) if frames[-1] is None else frames[-1].shape[1]
        self.Q = [np.eye(n) if q is None else np.abs(q) for n, q in zip(dims, frames, strict=True)]
        self.square = [n == self.d for n in dims]
        self.coupling = Coupling(kind, parameter, self.M, self.d)

    def _rotated(self, rows: Sequence[Floats], bits: Floats) -> list[Floats]:
        return [bits[:, i : i + 1] * np.abs(x) @ q for i, (x, q) in enumerate(zip(rows, self.Q, strict=True))]

    def _sandwich(self, i: int, j: int, diagonal: Floats) -> Floats:
        return (self.Q[i] * diagonal[..., None, :]) @ self.Q[j].T

    def _outside(self, i: int) -> Floats:
        return (not self.square[i]) * (np.eye(self.dims[i]) + self.Q[i] @ self.Q[i].T)

    def absolute_kl(self, means: Sequence[Floats], log_vars: Sequence[Floats], bits: Floats) -> Floats:
        """K: the KL with every term in absolute value, (B,)."""
        total, m = np.zeros(len(bits)), self._rotated(means, bits)
        for i in range(self.M):
            total += bits[:, i] * (np.expm1(log_vars[i]) - log_vars[i]).sum(axis=1)  # (good to 1e-8 of itself from 1e-8 on)
            if not self.square[i]:
                total += ((bits[:, i : i + 1] * np.abs(means[i]) + m[i] @ self.Q[i].T) ** 2).sum(axis=1)
        return (
            total + self.coupling.divergence(m, [np.exp(x) @ q**2 for x, q in zip(log_vars, self.Q, strict=True)], bits)
        ) / 2

    def kl(self, means: Sequence[Floats], log_vars: Sequence[Floats], bits: Floats) -> Floats:
        """kl_divergence."""
        return self._kl_roundings() * self.absolute_kl(means, log_vars, bits)

    def _kl_roundings(self) -> float:
        c = 1.5 * self.n + self.d + 4 * F + self.M / 2 + 6
        if self.coupling.source:
            c += 2 * self.coupling.a_error + 2.5 * self.M + 2
        return c

    def log_density(self, latents: Sequence[Floats], bits: Floats) -> Floats:
        """log_density: the terms of the KL without variances, and n_O log(2 pi)."""
        total, m = np.log(2 * np.pi) * bits @ np.asarray(self.dims), self._rotated(latents, bits)
        for i in range(self.M):
            if not self.square[i]:
                total += ((bits[:, i : i + 1] * np.abs(latents[i]) + m[i] @ self.Q[i].T) ** 2).sum(axis=1)
        return self._kl_roundings() * (total + self.coupling.divergence(m, [0 * x for x in m], bits)) / 2

    def conditional_mean(self, latents: Sequence[Floats], bits: Floats) -> list[Floats]:
        """conditional_mean, and condition's means."""
        y, found = self._rotated(latents, bits), []
        for j in range(self.M):
            parts = [(self.coupling.regression(j, i, bits), y[i]) for i in range(self.M)]
            c = self.n / 2 + self.d / 2 + self.M / 2 + 1 + max(error for (_, error), _ in parts)
            found.append(c * sum(g * y_i for (g, _), y_i in parts) @ self.Q[j].T)
        return found

    def conditional_covariance(self, log_vars: Sequence[Floats], bits: Floats) -> list[list[Floats]]:
        """condition's covariances with uncertain inputs, blocks (B, n_i, n_j)."""

        def image_map(j: int, k: int) -> tuple[Floats, float]:
            if j == k:
                return np.eye(self.dims[k])[None], 0.0
            g, error = self.coupling.regression(j, k, bits)
            return self._sandwich(j, k, g), error + 1 + self.d / 2

        def block(i: int, j: int) -> Floats:
            r, error = self.coupling.residual(i, j, bits)
            total = (error + 2 + self.d / 2 + self.M / 2) * self._sandwich(i, j, r)
            if i == j:
                total = total + (self.d / 2 + 1 + self.M / 2) * self._outside(i) * (1 - bits[:, i])[:, None, None]
            for k in range(self.M):
                (left, c_left), (right, c_right) = image_map(i, k), image_map(j, k)
                variance = np.exp(log_vars[k]) * bits[:, k : k + 1]
                c = c_left + c_right + F + 1 + self.dims[k] / 2 + self.M / 2
                total = total + c * (left * variance[:, None, :]) @ np.swapaxes(right, -1, -2)
            return total

        return [[block(i, j) for j in range(self.M)] for i in range(self.M)]

    def complete(self, latents: Sequence[Floats], bits: Floats, noise: Floats) -> list[Floats]:
        """complete and, with bits of 0, sample."""
        source, *own = np.split(np.abs(noise), np.cumsum([noise.shape[1] - sum(self.dims), *self.dims[:-1]]), axis=1)
        e = [x @ q for x, q in zip(own, self.Q, strict=True)]
        drawn, error = self.coupling.draw(self._rotated(latents, bits), bits, source, e)
        c = error + self.n / 2 + self.d / 2 + 1
        return [
            c * (1 - bits[:, j : j + 1]) * (y @ q.T + (not self.square[j]) * (own[j] + e[j] @ q.T))
            for j, (y, q) in enumerate(zip(drawn, self.Q, strict=True))
        ]

    def covariance(self) -> Floats:
        """cross_covariance and covariance, dense; the diagonal blocks are exact."""
        blocks = [[np.zeros((n, m)) for m in self.dims] for n in self.dims]
        for i in range(self.M):
            for j in set(range(self.M)) - {i}:
                c, error = self.coupling.correlation(i, j)
                blocks[i][j] = (self.d / 2 + 0.5 + error) * self._sandwich(i, j, c)
        return np.block(blocks)

    def precision(self) -> Floats:
        """precision, dense."""
        blocks = [[np.zeros((n, m)) for m in self.dims] for n in self.dims]
        for i in range(self.M):
            for j in range(self.M):
                c, error = self.coupling.precision(i, j)
                measure = self._sandwich(i, j, c) + (np.eye(self.dims[i]) if i == j else 0)
                blocks[i][j] = (self.d / 2 + 1 + error) * measure
        return np.block(blocks)

    def max_singular_value(self) -> float:
        """max_singular_value."""
        pairs = [self.coupling.correlation(i, j) for i in range(self.M) for j in range(i)]
        return max((float(error * c.max()) for c, error in pairs), default=0.0)
