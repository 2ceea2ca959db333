"""What couples the views: the protocol that pair.py and loadings.py obey, and ``Uncoupled``, which obeys it by doing nothing.

A coupling knows the rotated coordinates y_i = Q_i^T z_i only. Its directions are independent of each other, so every matrix
between views i and j is diagonal, and its coefficients are an array (..., d). All methods take the array-API namespace first.

Rows m, v, y, e: one array (..., B, d) per view, 0 where a view is missing. ``bits``, everywhere: None (all observed), or one
array of 0.0/1.0 per view that broadcasts against (..., B, d).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ._array_api import Array, Namespace
from .pytrees import pytree

Arrays = Sequence[Array]
Bits = Arrays | None


class Coupling(Protocol):
    """The joint law N(0, Sigma) of the rotated coordinates, Sigma with unit diagonal."""

    @property
    def rank(self) -> int:
        """d: the number of directions that the views share."""

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The parameters' arrays, for the library and dtype checks at the door."""

    @property
    def axes(self) -> int:
        """How many axes one prior has of each of ``arrays``; those before them are a stack's."""

    @property
    def state(self) -> tuple[Array, ...]:
        """Every array that results depend on."""

    def mapped(self, xp: Namespace, convert: Callable[[Array], Array]) -> Coupling:
        """The same coupling with converted arrays."""

    def marginal(self, xp: Namespace, views: Sequence[int]) -> Coupling:
        """Of some views, in this order."""

    @property
    def noise_dim(self) -> int:
        """Standard normals that a draw needs beside one per latent."""

    @property
    def uniform(self) -> bool:
        """True where only the sum over directions of a square frame's rotated variances enters: they need no rotation."""

    def loadings_of(self, xp: Namespace, like: Array) -> list[tuple[Array, Array]]:
        """(a, r) of every view, each (..., d): y_i = a_i u + r_i e_i with a_i^2 + r_i^2 = 1 and one source u ~ N(0, I_d)."""

    def loadings_vjp(self, xp: Namespace, bars: Sequence[tuple[Array, Array]]) -> Any:
        """Of ``loadings_of``: from the cotangents of every (a, r), each (..., d), that of the parameters."""

    def divergence(self, xp: Namespace, m: Arrays, v: Iterable[Array] | None, bits: Bits) -> Array:
        """Half of log|Sigma| + quadratic + (trace - sum of variances), over all directions: (..., B). v is None for a point."""

    def log_det(self, xp: Namespace) -> Array:
        """log|Sigma|, shape (...)."""

    def max_correlation(self, xp: Namespace) -> Array:
        """The largest |Cov(y_i, y_j)| of all directions and i != j, shape (...)."""

    def eigenvalue_bounds(self, xp: Namespace) -> tuple[Array, Array]:
        """(lower, upper), each (...), with 0 < lower <= smallest eigenvalue of Sigma <= upper, without a subtraction."""

    def correlation(self, xp: Namespace, i: int, j: int) -> Array:
        """diag of Cov(y_i, y_j), i != j, shape (..., d)."""

    def precision(self, xp: Namespace, i: int, j: int) -> Array:
        """diag of (Sigma^{-1})_ij, less 1 where i = j, shape (..., d)."""

    def regression(self, xp: Namespace, j: int, i: int, bits: Arrays) -> Array:
        """The coefficient of observed y_i in E[y_j | observed], j missing (0 where j is observed or i is not)."""

    def predict(self, xp: Namespace, y: Arrays, bits: Arrays) -> list[Array]:
        """E[y_j | observed] of every missing j (what stands where j is observed has no meaning)."""

    def residual(self, xp: Namespace, i: int, j: int, bits: Arrays) -> Array:
        """diag of Cov(y_i, y_j | observed), both missing (0 where either is observed)."""

    def draw(self, xp: Namespace, y: Arrays, bits: Arrays, source: Array, e: Arrays) -> list[Array]:
        """All y as if missing, given the observed ones; source (..., B, noise_dim) and e are standard normals."""

    def divergence_vjp(
        self, xp: Namespace, m: Iterable[Array], v: Iterable[Array], bits: Bits, half: Array
    ) -> tuple[Arrays, Arrays, Any]:
        """Of half (2 divergence - |m|^2): the cotangents of m, of v and of the parameters. half: (..., B, 1)."""

    def draw_vjp(
        self, xp: Namespace, y: Arrays, bits: Arrays, source: Array, e: Arrays, bar: Arrays
    ) -> tuple[Arrays, Arrays, Arrays, Any]:
        """The shifts draw - e and, from their cotangents ``bar`` (0 where observed), those of y, e and the parameters."""


@pytree(data=("arrays",), meta=("dims",))
@dataclass(frozen=True)
class Uncoupled:
    """Independent views: y_i is z_i itself, of any size n_i, and Sigma = I.

    The views share no direction, so coefficients between two of them are arrays of size 0; where a method gives something per
    coupled view, there is nothing to give. ``arrays`` is empty, or holds one whose library, dtype and device results take.
    """

    dims: tuple[int, ...]
    rank = 0
    arrays: tuple[Array, ...] = ()
    axes = 0
    noise_dim = 0
    uniform = True

    @property
    def state(self) -> tuple[Array, ...]:
        """The array whose library and dtype results take."""
        return self.arrays

    def mapped(self, xp: Namespace, convert: Callable[[Array], Array]) -> Uncoupled:
        """With that array converted."""
        return Uncoupled(self.dims, tuple(map(convert, self.arrays)))

    def marginal(self, xp: Namespace, views: Sequence[int]) -> Uncoupled:
        """Fewer independent views."""
        return Uncoupled(tuple(self.dims[i] for i in views), self.arrays)

    def _constant(self, xp: Namespace, shape: tuple[int, ...]) -> Array:
        """Zeros of the array's library, dtype and device."""
        zeros: Array = xp.zeros(shape) if not self.arrays else xp.broadcast_to(self.arrays[0], shape)
        return zeros

    def loadings_of(self, xp: Namespace, like: Array) -> list[tuple[Array, Array]]:
        """One direction of loading 0."""
        one = xp.ones_like(like[..., 0, :1])
        return [(xp.zeros_like(one), one) for _ in self.dims]

    def loadings_vjp(self, xp: Namespace, bars: Sequence[tuple[Array, Array]]) -> Any:
        """No parameters."""
        return None

    def divergence(self, xp: Namespace, m: Arrays, v: Iterable[Array] | None, bits: Bits) -> Array:
        """|m|^2/2; the variances are not read."""
        total = xp.sum(m[0] * m[0], axis=-1)
        for y in m[1:]:
            total = total + xp.sum(y * y, axis=-1)
        return 0.5 * total

    def log_det(self, xp: Namespace) -> Array:
        """0."""
        return self._constant(xp, ())

    def max_correlation(self, xp: Namespace) -> Array:
        """0."""
        return self._constant(xp, ())

    def eigenvalue_bounds(self, xp: Namespace) -> tuple[Array, Array]:
        """1 and 1."""
        return self._constant(xp, ()) + 1.0, self._constant(xp, ()) + 1.0

    def correlation(self, xp: Namespace, i: int, j: int) -> Array:
        """Shape (0,)."""
        return self._constant(xp, (0,))

    def precision(self, xp: Namespace, i: int, j: int) -> Array:
        """Shape (0,)."""
        return self._constant(xp, (0,))

    def regression(self, xp: Namespace, j: int, i: int, bits: Arrays) -> Array:
        """Shape (..., B, 0)."""
        return bits[j][..., :0]

    def predict(self, xp: Namespace, y: Arrays, bits: Arrays) -> list[Array]:
        """The prior's mean, 0."""
        return [xp.zeros_like(z) for z in y]

    def residual(self, xp: Namespace, i: int, j: int, bits: Arrays) -> Array:
        """1 in each of view i's own n_i directions where it is missing; shape (..., B, 0) for i != j."""
        missing = 1.0 - bits[i]
        return xp.broadcast_to(missing, (*missing.shape[:-1], self.dims[i])) if i == j else missing[..., :0]

    def draw(self, xp: Namespace, y: Arrays, bits: Arrays, source: Array, e: Arrays) -> list[Array]:
        """The noise itself."""
        return list(e)

    def divergence_vjp(
        self, xp: Namespace, m: Iterable[Array], v: Iterable[Array], bits: Bits, half: Array
    ) -> tuple[Arrays, Arrays, Any]:
        """For no view, and no parameters."""
        return (), (), None

    def draw_vjp(
        self, xp: Namespace, y: Arrays, bits: Arrays, source: Array, e: Arrays, bar: Arrays
    ) -> tuple[Arrays, Arrays, Arrays, Any]:
        """For no view, and no parameters."""
        return (), (), (), None
