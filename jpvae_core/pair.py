"""Two views in rotated coordinates: d independent pairs (y_1, y_2), unit variances, correlation s_k in (-1, 1).

The covariance [[1, s], [s, 1]] has eigenvectors (1, 1) and (1, -1) with eigenvalues 1 + s and 1 - s, so

    log|Sigma| = log(1 - s^2) = -log1p(x),                  x = s^2/(1 - s^2)
    quad       = (m_1 - m_2)^2 / (2(1 - s)) + (m_1 + m_2)^2 / (2(1 + s))        squares only: nothing cancels as s -> +-1
    (Sigma^{-1})_ii = 1 + x,   (Sigma^{-1})_12 = -s (1 + x)

`Bounded` carries s, s/(1-s), -s/(1+s) and x, each without subtraction (bounds.py). A missing view is integrated out:
where either bit is 0 the pair is uncoupled, s = 0, and all four become 0. Smooth through s = 0, unlike loadings.

`bits` everywhere: None (all observed), or a pair of arrays of 0.0/1.0 that broadcast against (..., B, d).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ._xp import Array, Namespace
from .bounds import Bounded

Bits = Sequence[Array] | None


@dataclass(frozen=True)
class Pair:
    """The coupling of two views by one correlation per direction; ``bounded`` holds arrays (..., d) or (..., 1)."""

    bounded: Bounded
    rank: int  # d: the number of directions

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The parameters' arrays, for the library and dtype checks at the door."""
        return (self.bounded.value,)

    @property
    def noise_dim(self) -> int:
        """Standard normals that a draw needs beside one per latent: none."""
        return 0

    @property
    def uniform(self) -> bool:
        """One correlation for all directions: then sum_k v_k needs no rotation in a square frame (Eq. 16's trick)."""
        return bool(self.bounded.value.shape[-1] == 1)

    def divergence(self, xp: Namespace, m: Sequence[Array], v: Sequence[Array], bits: Bits) -> Array:
        """log|Sigma| + quadratic + (trace - sum of variances), summed over directions. m, v: (..., B, d) -> (..., B)."""
        _, minus, plus, x = (t[..., None, :] for t in self.bounded)
        if bits is not None:
            both = bits[0] * bits[1]
            minus, plus, x = both * minus, both * plus, both * x
        apart, along = m[0] - m[1], m[0] + m[1]
        quad = 0.5 * (apart * apart * (1.0 + minus) + along * along * (1.0 + plus))
        log_det = -(self.rank // x.shape[-1]) * xp.sum(xp.log1p(x), axis=-1)
        return log_det + xp.sum(quad + x * (v[0] + v[1]), axis=-1)

    def log_det(self, xp: Namespace) -> Array:
        """log|Sigma| = sum_k log(1 - s_k^2), shape (...)."""
        x = self.bounded.excess
        return -(self.rank // x.shape[-1]) * xp.sum(xp.log1p(x), axis=-1)

    def correlation(self, xp: Namespace, i: int, j: int) -> Array:
        """diag of Cov(y_i, y_j), i != j: s, shape (..., d)."""
        s = self.bounded.value
        return xp.broadcast_to(s, (*s.shape[:-1], self.rank))

    def precision(self, xp: Namespace, i: int, j: int) -> Array:
        """diag of (Sigma^{-1})_ij, less 1 where i = j, shape (..., d)."""
        s, _, _, x = (xp.broadcast_to(t, (*t.shape[:-1], self.rank)) for t in self.bounded)
        return x if i == j else -s * (1.0 + x)

    def regression(self, xp: Namespace, j: int, i: int, bits: Sequence[Array]) -> Array:
        """The coefficient of observed y_i in E[y_j | observed], j missing (0 where j is observed or i is not)."""
        return self.bounded.value[..., None, :] * (bits[i] * (1.0 - bits[j]))

    def predict(self, xp: Namespace, y: Sequence[Array], bits: Sequence[Array]) -> list[Array]:
        """E[y_j | observed] of every j, as if it were missing (missing y must be 0)."""
        s = self.bounded.value[..., None, :]
        return [s * y[1], s * y[0]]

    def residual(self, xp: Namespace, i: int, j: int, bits: Sequence[Array]) -> Array:
        """diag of Cov(y_i, y_j | observed), both missing (0 where either is observed); (Sigma_22.1 = 1/(1 + x))."""
        if i != j:
            return self.bounded.value[..., None, :] * ((1.0 - bits[i]) * (1.0 - bits[j]))
        return (1.0 - bits[i]) / (1.0 + self.bounded.excess[..., None, :] * bits[1 - i])

    def draw(self, xp: Namespace, m: Sequence[Array], bits: Sequence[Array], source: Array, e: Sequence[Array]) -> list[Array]:
        """Both y as if missing, given the observed ones: y_1 (from y_2 where that is seen), then y_2 from the y_1 there is."""
        s, _, _, x = (t[..., None, :] for t in self.bounded)
        spread = 1.0 / xp.sqrt(1.0 + x)
        first = bits[1] * (s * m[1] + spread * e[0]) + (1.0 - bits[1]) * e[0]
        return [first, s * (bits[0] * m[0] + (1.0 - bits[0]) * first) + spread * e[1]]
