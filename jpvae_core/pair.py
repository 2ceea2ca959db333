"""Two views in rotated coordinates: d independent pairs (y_1, y_2), unit variances, correlation s_k in (-1, 1).

The covariance [[1, s], [s, 1]] has eigenvectors (1, 1) and (1, -1) with eigenvalues 1 + s and 1 - s, so

    log|Sigma| = log(1 - s^2) = -log1p(x),                  x = s^2/(1 - s^2)
    quad       = (m_1 - m_2)^2 / (2(1 - s)) + (m_1 + m_2)^2 / (2(1 + s))        squares only: nothing cancels as s -> +-1
    (Sigma^{-1})_ii = 1 + x,   (Sigma^{-1})_12 = -s (1 + x)

`Bounded` carries s, s/(1-s), -s/(1+s) and x, each without subtraction (bounds.py). A missing view is integrated out:
where either bit is 0 the pair is uncoupled, s = 0, and all four become 0. Smooth through s = 0, unlike loadings.

The methods' arguments and results are coupling.py's; the parameters' cotangents are the fields of a Bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ._array_api import Array, Namespace
from ._xp import sum_to
from .bounds import Bounded
from .coupling import Arrays, Bits
from .loadings import Loadings
from .pytrees import pytree


@pytree(data=("bounded",), meta=("rank",))
@dataclass(frozen=True)
class Pair:
    """The coupling of two views by one correlation per direction; ``bounded`` holds arrays (..., d) or (..., 1)."""

    bounded: Bounded[Array]
    rank: int  # d: the number of directions

    axes = 1
    noise_dim = 0

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The parameters' arrays, for the library and dtype checks at the door."""
        return (self.bounded.value,)

    @property
    def state(self) -> tuple[Array, ...]:
        """The correlation and its ratios, which it does not determine to the last digits."""
        return tuple(self.bounded)

    def mapped(self, xp: Namespace, convert: Callable[[Array], Array]) -> Pair:
        """With every ratio converted by itself: none loses the digits that another has."""
        return Pair(Bounded(*map(convert, self.bounded)), self.rank)

    def marginal(self, xp: Namespace, views: Sequence[int]) -> Pair | Loadings:
        """Symmetric in its two views; one of them alone is standard normal, whatever its loadings."""
        if len(views) == 2:
            return self
        s = self.bounded.value
        return Loadings.of(xp, xp.zeros_like(xp.broadcast_to(s, (*s.shape[:-1], self.rank)))[..., None, :])

    @property
    def uniform(self) -> bool:
        """One correlation for all directions: then sum_k v_k needs no rotation in a square frame (Eq. 16's trick)."""
        return bool(self.bounded.value.shape[-1] == 1)

    def loadings_of(self, xp: Namespace, like: Array) -> list[tuple[Array, Array]]:
        """a_1^2 = (1 + s^2)/2 and a_2 = s/a_1, so r_1^2 = (1 - s^2)/2 and r_2 = r_1/a_1: smooth through s = 0, signed.

        (Any split of s = a_1 a_2 will do. With a_1 = 1 view 1 would be the source itself, and evidence in it as sharp as
        1/sigma^2 would leave no digit of its blunt directions; so split, nothing is sharper than 2/(1 - s^2).)
        """
        s, _, _, x = (xp.broadcast_to(t, (*t.shape[:-1], self.rank)) for t in self.bounded)
        a, r = xp.sqrt(0.5 * (1.0 + s * s)), 1.0 / xp.sqrt(2.0 * (1.0 + x))
        return [(a, r), (s / a, r / a)]

    def loadings_vjp(self, xp: Namespace, bars: Sequence[tuple[Array, Array]]) -> Bounded[Array]:
        """Of ``loadings_of``: from the cotangents of every a_i and r_i, each (..., d), that of the Bounded, through s alone."""
        (a_1, r_1), (a_2, r_2) = bars
        like, s = self.bounded.value, self.bounded.value
        a, r = xp.sqrt(0.5 * (1.0 + s * s)), 1.0 / xp.sqrt(2.0 * (1.0 + self.bounded.excess))
        # a' = s/(2a),  r' = -s/(2r),  (s/a)' = 1/(2a^3),  (r/a)' = -s/(2 a^3 r)
        value = 0.5 * (s * a_1 / a - s / r * r_1 + (a_2 - s / r * r_2) / (a * a * a))
        zero = xp.zeros_like(like)
        return Bounded(sum_to(xp, value, like), zero, zero, zero)

    def divergence(self, xp: Namespace, m: Arrays, v: Iterable[Array] | None, bits: Bits) -> Array:
        """Half of log|Sigma| + quadratic + (trace - sum of variances), over all directions. m, v: (..., B, d) -> (..., B)."""
        _, minus, plus, x = (t[..., None, :] for t in self.bounded)
        minus, plus = 0.25 * minus, 0.25 * plus  # halved before they are summed: the sums fit wherever the result does
        if bits is not None:
            both = bits[0] * bits[1]
            minus, plus, x = both * minus, both * plus, both * x
        apart, along = m[0] - m[1], m[0] + m[1]
        terms = apart * apart * (0.25 + minus) + along * along * (0.25 + plus)
        if v is not None:
            v_1, v_2 = v
            terms = terms + 0.5 * x * (v_1 + v_2)
        log_det = -0.5 * (self.rank // x.shape[-1]) * xp.sum(xp.log1p(x), axis=-1)
        return log_det + xp.sum(terms, axis=-1)

    def log_det(self, xp: Namespace) -> Array:
        """log|Sigma| = sum_k log(1 - s_k^2), shape (...)."""
        x = self.bounded.excess
        return -(self.rank // x.shape[-1]) * xp.sum(xp.log1p(x), axis=-1)

    def max_correlation(self, xp: Namespace) -> Array:
        """The largest |s|, shape (...)."""
        return xp.max(xp.abs(self.bounded.value), axis=-1)

    def eigenvalue_bounds(self, xp: Namespace) -> tuple[Array, Array]:
        """The smallest of all 1 - s and 1 + s, twice: it is known exactly."""
        smallest = 1.0 / xp.max(1.0 + xp.maximum(self.bounded.over_minus, self.bounded.over_plus), axis=-1)
        return smallest, smallest

    def correlation(self, xp: Namespace, i: int, j: int) -> Array:
        """diag of Cov(y_i, y_j), i != j: s, shape (..., d)."""
        s = self.bounded.value
        return xp.broadcast_to(s, (*s.shape[:-1], self.rank))

    def precision(self, xp: Namespace, i: int, j: int) -> Array:
        """diag of (Sigma^{-1})_ij, less 1 where i = j, shape (..., d)."""
        s, _, _, x = (xp.broadcast_to(t, (*t.shape[:-1], self.rank)) for t in self.bounded)
        return x if i == j else -s * (1.0 + x)

    def regression(self, xp: Namespace, j: int, i: int, bits: Arrays) -> Array:
        """The coefficient of observed y_i in E[y_j | observed], j missing (0 where j is observed or i is not)."""
        return self.correlation(xp, i, j)[..., None, :] * (bits[i] * (1.0 - bits[j]))

    def predict(self, xp: Namespace, y: Arrays, bits: Arrays) -> list[Array]:
        """E[y_j | observed] of every j, as if it were missing (missing y must be 0)."""
        s = self.bounded.value[..., None, :]
        return [s * y[1], s * y[0]]

    def residual(self, xp: Namespace, i: int, j: int, bits: Arrays) -> Array:
        """diag of Cov(y_i, y_j | observed), both missing (0 where either is observed); (Sigma_22.1 = 1/(1 + x))."""
        if i != j:
            return self.correlation(xp, i, j)[..., None, :] * ((1.0 - bits[i]) * (1.0 - bits[j]))
        return (1.0 - bits[i]) / (1.0 + self.precision(xp, i, i)[..., None, :] * bits[1 - i])

    def draw(self, xp: Namespace, y: Arrays, bits: Arrays, source: Array, e: Arrays) -> list[Array]:
        """Both y as if missing: y_1 (from y_2 where that is observed), then y_2 from the y_1 there is."""
        s, _, _, x = (t[..., None, :] for t in self.bounded)
        spread = 1.0 / xp.sqrt(1.0 + x)
        first = bits[1] * (s * y[1] + spread * e[0]) + (1.0 - bits[1]) * e[0]
        return [first, s * (bits[0] * y[0] + (1.0 - bits[0]) * first) + spread * e[1]]

    def divergence_vjp(
        self, xp: Namespace, m: Iterable[Array], v: Iterable[Array], bits: Bits, half: Array
    ) -> tuple[Arrays, Arrays, Bounded[Array]]:
        """Of half (2 divergence - |m|^2): the cotangents of m, v and the Bounded."""
        (m_1, m_2), (v_1, v_2) = m, v
        both, like = 1.0 if bits is None else bits[0] * bits[1], self.bounded.value
        minus, plus, x = (both * t[..., None, :] for t in self.bounded[1:])
        # quad - |m|^2 = (m_1-m_2)^2 minus/2 + (m_1+m_2)^2 plus/2,   trace = x (v_1+v_2),   log|Sigma| = -sum_k log1p(x_k)
        apart, along = half * (m_1 - m_2), half * (m_1 + m_2)
        across, together = minus * apart, plus * along
        ratios = (0.5 * apart * (m_1 - m_2), 0.5 * along * (m_1 + m_2), half * (v_1 + v_2 - 1.0 / (1.0 + x)))
        ratios_bar = (sum_to(xp, xp.sum(both * t, axis=-2), like) for t in ratios)
        return [together + across, together - across], [half * x, half * x], Bounded(xp.zeros_like(like), *ratios_bar)

    def draw_vjp(
        self, xp: Namespace, y: Arrays, bits: Arrays, source: Array, e: Arrays, bar: Arrays
    ) -> tuple[Arrays, Arrays, Arrays, Bounded[Array]]:
        """The shifts and, from their cotangents ``bar`` (0 where observed), those of y, e and the Bounded."""
        like, (s, _, _, x) = self.bounded.value, (t[..., None, :] for t in self.bounded)
        # y_1 = s y_2 + k e_1 where view 2 is observed, else e_1;   y_2 = s first + k e_2, first = y_1 where observed, else e_1;
        # k = (1+x)^{-1/2} = (1-s^2)^{1/2},   k - 1 = -s^2/(1+k),   dk/ds = -s/k   (dk/dx = -k^3/2 would pass through 0)
        root = xp.sqrt(1.0 + x)
        k = 1.0 / root
        less, first = -s * s / (1.0 + k), y[0] + (1.0 - bits[0]) * e[0]
        shift = [bits[1] * (s * y[1] + less * e[0]), s * first + less * e[1]]
        bar = [bits[1] * bar[0], bar[1]]
        y_bar = [s * bits[0] * bar[1], s * bar[0]]
        e_bar = [less * bar[0] + s * (1.0 - bits[0]) * bar[1], less * bar[1]]
        value = bar[0] * y[1] + bar[1] * first - s * root * (bar[0] * e[0] + bar[1] * e[1])
        zero = xp.zeros_like(like)
        return shift, y_bar, e_bar, Bounded(sum_to(xp, xp.sum(value, axis=-2), like), zero, zero, zero)
