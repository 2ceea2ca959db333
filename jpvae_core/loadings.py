"""M views in rotated coordinates: d directions, each driven by one shared source u ~ N(0, 1) with loadings a_i.

    y_i = a_i u + (1 - a_i^2)^{1/2} e_i    =>    per direction Sigma = diag(1 - a_i^2) + a a^T, unit diagonal,

positive definite for EVERY parameter value (pairwise correlations below 1 would not be enough from three views on).
With a_i^2 = sigmoid(t_i):  e_i = exp(t_i) = a_i^2/(1-a_i^2),  h_i = 1 + e_i = 1/(1-a_i^2),  w_i = a_i h_i,
tau = 1 + sum e_i. By Sherman-Morrison and the determinant lemma

    u | y ~ N(u^, 1/tau),  u^ = sum_i w_i y_i / tau
    quad            = sum_i (h_i/tau) m_i^2 + sum_{i<j} h_i (h_j/tau) (a_j m_i - a_i m_j)^2            (Lagrange's identity)
    (Sigma^{-1})_ii = 1 + e_i (sum_{j != i} e_j)/tau,   (Sigma^{-1})_ij = -w_i w_j/tau
    log|Sigma|      = -sum_i log1p( e_i S_{i-1} / (1 + S_i) ),  S_i = e_1 + ... + e_i

The last telescopes |Sigma_{1..i}|/|Sigma_{1..i-1}| = (1 + S_i)/((1 + S_{i-1}) (1 + e_i)). All its terms have one sign, so
unlike log tau - sum softplus(t_i) it keeps its relative accuracy when the coupling is weak.
A missing view is integrated out: its e_i, h_i and m_i become 0.
(u^^2 + sum_i h_i (m_i - a_i u^)^2 is the same number, but where one h_i alone is large its residual cancels: an error of
eps^2 h_i, all digits at logits of 40 in float32. Each square above is at most quad, so no weight exceeds |Sigma^{-1}|.)

e runs over the dtype's whole range (LIMIT of bounds.py), so products are taken in an order that neither overflows nor passes
through 0: what is large is divided by tau before anything else (``over``), and sums of e are formed times c, a power of 4 so
small that c tau is finite, and normal its reciprocal, which a compiler may take (``_unit``). Such a factor changes no digit.

The methods' arguments and results are coupling.py's; the parameters' cotangent is that of the logits, (..., M, d).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ._array_api import Array, Namespace
from ._by_view import before_each, differences, off, others, over, products, stack, unstack
from ._xp import namespace, sum_to
from .bounds import within
from .coupling import Arrays, Bits
from .pytrees import pytree


@pytree(data=("logits", "loadings"))
@dataclass(frozen=True)
class Loadings:
    """The coupling of M views by loadings a^2 = sigmoid(logits); make it with ``Loadings.of``. All arrays (..., M, d)."""

    logits: Array
    loadings: tuple[Array, Array, Array]  # a, (1 - a^2)^{1/2}, e = a^2/(1 - a^2)

    axes = 2

    @staticmethod
    def of(xp: Namespace, logits: Array) -> Loadings:
        """From logits (..., M, d). exp(-logaddexp/2) is smooth where sqrt(a^2) would have no gradient."""
        t, zero = within(xp, logits), xp.zeros_like(logits)
        a = xp.exp(-0.5 * xp.logaddexp(zero, -t))
        rest = xp.exp(-0.5 * xp.logaddexp(zero, t))
        return Loadings(logits, (a, rest, xp.exp(t)))

    @property
    def rank(self) -> int:
        """d: the number of directions."""
        return int(self.logits.shape[-1])

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The parameters' arrays, for the library and dtype checks at the door."""
        return (self.logits,)

    @property
    def state(self) -> tuple[Array, ...]:
        """The logits, of which all else is made."""
        return (self.logits,)

    def mapped(self, xp: Namespace, convert: Callable[[Array], Array]) -> Loadings:
        """Made anew from the converted logits."""
        logits = convert(self.logits)
        return Loadings.of(namespace(logits), logits)

    def marginal(self, xp: Namespace, views: Sequence[int]) -> Loadings:
        """Their loadings."""
        logits, *loadings = (xp.stack([t[..., i, :] for i in views], axis=-2) for t in (self.logits, *self.loadings))
        a, rest, e = loadings
        return Loadings(logits, (a, rest, e))

    @property
    def noise_dim(self) -> int:
        """Standard normals that a draw needs beside one per latent: one per source direction."""
        return self.rank

    uniform = False

    @property
    def _unit(self) -> float:
        """c, a power of 4 that is at most 1/(4(M + 1))."""
        views = int(self.logits.shape[-2])
        return math.ldexp(1.0, -2 * ((views.bit_length() + 3) // 2))

    def _views(self) -> list[tuple[Array, Array, Array]]:
        """Per view a, (1 - a^2)^{1/2} and c e, each (..., 1, d)."""
        a, rest, e = (t[..., None, :] for t in self.loadings)
        scaled = self._unit * e
        return [(a[..., i, :, :], rest[..., i, :, :], scaled[..., i, :, :]) for i in range(self.logits.shape[-2])]

    def _tau(self, bits: Arrays) -> Array:
        """c tau of the observed views, (..., B, d)."""
        observed: Any = sum(bit * e for bit, (_, _, e) in zip(bits, self._views(), strict=True))
        tau: Array = self._unit + observed
        return tau

    def _mean(self, y: Arrays, tau: Array) -> Array:
        """u^ of the source given the observed y (missing y must be 0)."""
        mean: Any = sum(a * ((self._unit + e) / tau) * m for (a, _, e), m in zip(self._views(), y, strict=True))
        found: Array = mean
        return found

    def loadings_of(self, xp: Namespace, like: Array) -> list[tuple[Array, Array]]:
        """As they are."""
        a, rest, _ = self.loadings
        return [(a[..., i, :], rest[..., i, :]) for i in range(a.shape[-2])]

    def loadings_vjp(self, xp: Namespace, bars: Sequence[tuple[Array, Array]]) -> Array:
        """Of ``loadings_of``: from the cotangents of every a_i and r_i, each (..., d), that of the logits."""
        a, rest, _ = self.loadings
        a_bar, rest_bar = (xp.stack(xp.broadcast_arrays(*bar), axis=-2) for bar in zip(*bars, strict=True))
        # da/dt = a rest^2/2,   d rest/dt = -rest a^2/2
        return sum_to(xp, 0.5 * a * rest * (rest * a_bar - a * rest_bar), self.logits)

    def divergence(self, xp: Namespace, m: Arrays, v: Iterable[Array] | None, bits: Bits) -> Array:
        """Half of log|Sigma| + quadratic + (trace - sum of variances), over all directions. m, v: (..., B, d) -> (..., B)."""
        c, (a, _, e) = self._unit, (t[..., None, :, :] for t in self.loadings)
        e, m_all = c * e, stack(xp, m)  # c times e, h and tau
        h, either = c + e, off(xp, e)
        left, right = h[..., :, None, :], h[..., None, :, :]
        if bits is not None:
            on = xp.concat(bits, axis=-1)[..., None]
            e, either = on * e, either * (on[..., :, None, :] * on[..., None, :, :])
        tau = c + xp.sum(e, axis=-2, keepdims=True)
        share, D = h / tau, differences(a, m_all)
        weight = either * xp.minimum(left, right) * (xp.maximum(left, right) / tau[..., None, :, :])
        pairs = weight * D * D  # (i, j) and (j, i) are the same number
        terms = 0.5 * xp.sum(pairs, axis=-2)
        if v is not None:
            terms = terms + over(xp, e, others(xp, e), tau) * stack(xp, v)
        terms = 0.5 * share * m_all * m_all + (0.5 / c) * terms  # halved here: the sums fit wherever the result does
        before = before_each(xp, e)
        log_det = -xp.log1p((1.0 / c) * over(xp, e, before, c + before + e))
        return 0.5 * xp.sum(xp.sum(log_det, axis=-2), axis=-1) + xp.sum(xp.sum(terms, axis=-2), axis=-1)

    def log_det(self, xp: Namespace) -> Array:
        """log|Sigma|, shape (...)."""
        c, e = self._unit, self._unit * self.loadings[2]
        before = before_each(xp, e)
        return -xp.sum(xp.sum(xp.log1p((1.0 / c) * over(xp, e, before, c + before + e)), axis=-2), axis=-1)

    def max_correlation(self, xp: Namespace) -> Array:
        """The largest a_i a_j of all directions and i != j, shape (...)."""
        largest = xp.zeros_like(self.logits[..., 0, 0])
        for i in range(self.logits.shape[-2]):
            for j in range(i):
                largest = xp.maximum(largest, xp.max(self.correlation(xp, i, j), axis=-1))
        return largest

    def eigenvalue_bounds(self, xp: Namespace) -> tuple[Array, Array]:
        """The smallest 1 - a_i^2 of all directions, and the least over directions of the second smallest.

        diag(1 - a_i^2) + a a^T interlaces with its diagonal part; 1 - a^2 = 1/(1 + e) without subtraction.
        One view alone has Sigma = 1.
        """
        _, _, e = self.loadings
        rest = xp.sort(1.0 / (1.0 + e), axis=-2)
        second = rest[..., 1, :] if rest.shape[-2] > 1 else xp.ones_like(rest[..., 0, :])
        return xp.min(rest[..., 0, :], axis=-1), xp.min(second, axis=-1)

    def correlation(self, xp: Namespace, i: int, j: int) -> Array:
        """diag of Cov(y_i, y_j), i != j: a_i a_j, shape (..., d)."""
        a, _, _ = self.loadings
        return a[..., i, :] * a[..., j, :]

    def precision(self, xp: Namespace, i: int, j: int) -> Array:
        """diag of (Sigma^{-1})_ij, less 1 where i = j, shape (..., d)."""
        c, (a, _, e) = self._unit, self.loadings
        e = c * e
        tau = c + xp.sum(e, axis=-2)
        if i != j:
            return -a[..., i, :] * a[..., j, :] * ((1.0 / c) * over(xp, c + e[..., i, :], c + e[..., j, :], tau))
        others = sum((e[..., k, :] for k in range(e.shape[-2]) if k != i), xp.zeros_like(tau))
        return (1.0 / c) * over(xp, e[..., i, :], others, tau)

    def regression(self, xp: Namespace, j: int, i: int, bits: Arrays) -> Array:
        """The coefficient of observed y_i in E[y_j | observed], j missing (0 where j is observed or i is not)."""
        (a_i, _, e_i), (a_j, _, _) = (self._views()[k] for k in (i, j))
        return a_j * a_i * ((self._unit + e_i) / self._tau(bits)) * (bits[i] * (1.0 - bits[j]))

    def predict(self, xp: Namespace, y: Arrays, bits: Arrays) -> list[Array]:
        """E[y_j | observed] of every missing j (missing y must be 0): a_j u^."""
        mean = self._mean(y, self._tau(bits))
        return [a * mean for a, _, _ in self._views()]

    def residual(self, xp: Namespace, i: int, j: int, bits: Arrays) -> Array:
        """diag of Cov(y_i, y_j | observed), both missing (0 where either is observed)."""
        (a_i, rest_i, _), (a_j, _, _) = (self._views()[k] for k in (i, j))
        shared = self._unit * a_i * a_j / self._tau(bits)
        own = rest_i * rest_i if i == j else 0.0
        return (shared + own) * ((1.0 - bits[i]) * (1.0 - bits[j]))

    def draw(self, xp: Namespace, y: Arrays, bits: Arrays, source: Array, e: Arrays) -> list[Array]:
        """All y as if missing, given the observed ones: ONE draw of the source serves them all, so they stay coherent."""
        tau = self._tau(bits)
        u = self._mean(y, tau) + source * (math.sqrt(self._unit) / xp.sqrt(tau))
        return [a * u + rest * own for (a, rest, _), own in zip(self._views(), e, strict=True)]

    def divergence_vjp(
        self, xp: Namespace, m: Iterable[Array], v: Iterable[Array], bits: Bits, half: Array
    ) -> tuple[Arrays, Arrays, Array]:
        """Of half (2 divergence - |m|^2): the cotangents of m, v and the logits."""
        c, (a, e, share, tau, m_all, D, toward) = self._unit, self._terms(xp, m, bits)
        variance, half = stack(xp, v), half[..., None]
        pull = (1.0 / c) * xp.sum(products(xp, a * (c + e), tau) * D, axis=-2) - toward
        residual = c * m_all / tau + xp.sum(share[..., None, :, :] * D, axis=-2)
        joint, shared = off(xp, e) * ((1.0 / c) * products(xp, e, tau)), others(xp, e) / tau
        x = xp.sum(joint, axis=-2)  # (Sigma^{-1})_ii - 1
        # d log|Sigma|/dt_i = e_i/tau - e_i/h_i = -a_i^2 (tau - h_i)/tau,   tau - h_i = the others' e
        log_det = -a * a * shared
        quad = a * residual * pull
        # d x_i/dt_i = x_i (tau - e_i)/tau,   d x_j/dt_i = (e_i e_j/tau) h_j/tau
        trace = x * (c / tau + shared) * variance
        trace = trace + xp.sum(joint * ((c + e) / tau * variance)[..., None, :, :], axis=-2)
        logits_bar = sum_to(xp, xp.sum(half * (log_det + quad + trace), axis=-3), self.logits)
        return unstack(2.0 * half * a * pull), unstack(half * x), logits_bar

    def draw_vjp(
        self, xp: Namespace, y: Arrays, bits: Arrays, source: Array, e: Arrays, bar: Arrays
    ) -> tuple[Arrays, Arrays, Arrays, Array]:
        """The shifts and, from their cotangents ``bar`` (0 where observed), those of y, e and the logits."""
        on_a, odds, share, tau, m, D, toward = self._terms(xp, y, bits)
        a, rest, _ = (t[..., None, :, :] for t in self.loadings)
        own, back = stack(xp, e), stack(xp, bar)
        spread = source[..., None, :] * (math.sqrt(self._unit) / xp.sqrt(tau))
        u, u_bar = xp.sum(share * m, axis=-2, keepdims=True) + spread, xp.sum(a * back, axis=-2, keepdims=True)
        # y_i = a_i u + rest_i e_i,   rest - 1 = -a^2/(1+rest),   da/dt = a rest^2/2,   d rest/dt = -rest a^2/2
        less = -a * a / (1.0 + rest)
        direct = 0.5 * a * rest * (rest * u - a * own) * back
        # d u^/dt_i as in _terms, with c_i/tau finite where c_i is not;   d tau^{-1/2}/dt_i = -e_i tau^{-3/2}/2
        inverse_tau = self._unit / tau
        pull = share * xp.sum(share[..., None, :, :] * D, axis=-2) - inverse_tau * toward
        through_u = (on_a * (0.5 * inverse_tau * m + on_a * pull) - 0.5 * (odds / tau) * spread) * u_bar
        logits_bar = sum_to(xp, xp.sum(direct + through_u, axis=-3), self.logits)
        return unstack(a * u + less * own), unstack(share * u_bar), unstack(less * back), logits_bar

    def _terms(self, xp: Namespace, y: Iterable[Array], bits: Bits) -> tuple[Array, ...]:
        """a_i, c e_i (0 where missing: that integrates the view out), w_i/tau, c tau, m_i, D_ij and sum_{j != i} (w_j/tau) m_j,
        each (..., B, M, d) but D (..., B, M, M, d), where w_i = a_i h_i and D_ij = a_j m_i - a_i m_j.

        What the gradients are made of is r_i = m_i - a_i u^ and c_i = w_i r_i - u^, the pull of the other views on view i:

            (Sigma^{-1} m)_i = h_i r_i = m_i + a_i c_i
            d quad/dt_i = e_i r_i^2 - a_i u^ r_i = a_i r_i c_i                             (u^ minimises u^2 + sum h r^2)
            d u^/dt_i   = (a_i/tau) ((1/2 + e_i) m_i - w_i u^) = (a_i/tau) (m_i/2 + a_i c_i)

        From tau u^ = sum_j w_j m_j, tau = h_i + sum_{j != i} e_j and e_j = a_j w_j,

            r_i = m_i/tau + sum_j (w_j/tau) D_ij,    c_i = sum_j (w_i w_j/tau) D_ij - sum_{j != i} (w_j/tau) m_j:

        differences D of the inputs only, as in Lagrange's form of quad.
        """
        on = 1.0 if bits is None else xp.concat(bits, axis=-1)[..., None]
        c, (a, _, e) = self._unit, self.loadings
        a, e, m = on * a[..., None, :, :], on * (c * e)[..., None, :, :], stack(xp, y)
        tau = c + xp.sum(e, axis=-2, keepdims=True)
        share, D = a * ((c + e) / tau), off(xp, a) * differences(a, m)
        return a, e, share, tau, m, D, others(xp, share * m)
