"""Numbers with a running bound of their own rounding error, in units of eps: the rules of docs/error-analysis.md, one a method.

``Rounded(value, error)`` stands for a computed number that differs from ``value`` by at most ``error`` eps, to first order. A
formula written with these bounds its own evaluation in floating point, in whatever order its sums are taken. An input is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from error_bounds import REMAINDER, F

Floats = np.ndarray


@dataclass(frozen=True, eq=False)
class Rounded:
    """|computed - value| <= error eps."""

    value: Floats
    error: Floats
    __array_ufunc__ = None  # a NumPy operand defers to the operators below

    @staticmethod
    def of(x: Any, relative: float = 0.0) -> Rounded:
        """An input, exact or with a relative error."""
        return x if isinstance(x, Rounded) else Rounded(np.asarray(x, dtype=float), relative * np.abs(x))

    def __add__(self, other: Any) -> Rounded:
        other = Rounded.of(other)
        value = self.value + other.value
        return Rounded(value, self.error + other.error + 0.5 * np.abs(value))

    def __neg__(self) -> Rounded:
        return Rounded(-self.value, self.error)

    def __mul__(self, other: Any) -> Rounded:
        other = Rounded.of(other)
        value = self.value * other.value
        error = np.abs(self.value) * other.error + self.error * np.abs(other.value)
        return Rounded(value, error + 0.5 * np.abs(value))

    def __truediv__(self, other: Any) -> Rounded:
        other = Rounded.of(other)
        value = self.value / other.value
        return Rounded(value, (self.error + np.abs(value) * other.error) / np.abs(other.value) + 0.5 * np.abs(value))

    def __sub__(self, other: Any) -> Rounded:
        return self + -Rounded.of(other)

    def __rsub__(self, other: Any) -> Rounded:
        return -self + other

    def __radd__(self, other: Any) -> Rounded:
        return self + other

    def __rmul__(self, other: Any) -> Rounded:
        return self * other

    def __rtruediv__(self, other: Any) -> Rounded:
        return Rounded.of(other) / self

    def __matmul__(self, other: Any) -> Rounded:
        """k terms in any order: k/2 on the product of absolute values."""
        other = Rounded.of(other)
        left, right = np.abs(self.value), np.abs(other.value)
        error = left @ other.error + self.error @ right + 0.5 * left.shape[-1] * (left @ right)
        return Rounded(self.value @ other.value, error)

    def __getitem__(self, key: Any) -> Rounded:
        return Rounded(self.value[key], self.error[key])

    @property
    def T(self) -> Rounded:
        """The last two axes swapped."""
        return Rounded(np.swapaxes(self.value, -1, -2), np.swapaxes(self.error, -1, -2))

    @property
    def diagonal(self) -> Rounded:
        """Of the last two axes."""
        return Rounded(*(np.diagonal(x, axis1=-2, axis2=-1) for x in (self.value, self.error)))

    @property
    def below(self) -> Rounded:
        """The sum of squares left of the diagonal."""
        strict = Rounded(np.tril(self.value, -1), np.tril(self.error, -1))
        return (strict * strict).sum(-1)

    def sum(self, axis: int) -> Rounded:
        """In any order."""
        roundings = 0.5 * (self.value.shape[axis] - 1)
        return Rounded(self.value.sum(axis), self.error.sum(axis) + roundings * np.abs(self.value).sum(axis))

    def times(self, x: Rounded) -> Rounded:
        """A matrix per row, times a row."""
        return (self @ x[..., None])[..., 0]

    def exp(self) -> Rounded:
        value = np.exp(self.value)
        return Rounded(value, value * (self.error + F))

    def expm1(self) -> Rounded:
        value = np.expm1(self.value)
        return Rounded(value, np.exp(self.value) * self.error + F * np.abs(value))

    def log(self) -> Rounded:
        value = np.log(self.value)
        return Rounded(value, self.error / np.abs(self.value) + F * np.abs(value))

    def log1p(self) -> Rounded:
        value = np.log1p(self.value)
        return Rounded(value, self.error / np.abs(1 + self.value) + F * np.abs(value))

    def sqrt(self) -> Rounded:
        value = np.sqrt(self.value)
        return Rounded(value, self.error / (2 * value) + value)

    def remainder(self) -> Rounded:
        """e^x - 1 - x (rule 6); its slope is expm1(x)."""
        slope = np.expm1(self.value)
        small = np.abs(self.value) < 1e-4  # where the difference has no digits; the measure needs two
        value = np.where(small, 0.5 * self.value**2, slope - self.value)
        return Rounded(value, np.abs(slope) * self.error + REMAINDER * value)


def where(condition: Any, x: Rounded, y: Rounded) -> Rounded:
    """x where the condition holds, else y."""
    return Rounded(np.where(condition, x.value, y.value), np.where(condition, x.error, y.error))


def log1p_or_log(excess: Rounded, log: Rounded) -> Rounded:
    """log(1 + excess) by whichever is accurate."""
    near = np.abs(excess.value) < 0.5
    return where(near, Rounded(np.where(near, excess.value, 0.0), excess.error).log1p(), log)


def inverse_root(S: Rounded) -> tuple[Rounded, Rounded]:
    """X = L^-1 and L of S = L L^T.

    L^ L^^T = S^ + E', |E'| <= (d + 1) u |L||L|^T (Higham, Theorem 10.3), so with E = |S^ - S| + |E'|, to first order,
    X dL = Phi(X E X^T), Phi a matrix's lower triangle with half its diagonal. A solve of L X = I adds |X||dL'||X|, with |dL'|
    at most 3d u P|L_||U_| of L's own elimination, pivoted or not (rule 5).
    """
    d = S.value.shape[-1]
    L = np.linalg.cholesky(S.value)
    X = np.linalg.inv(L)
    E = S.error + 0.5 * (d + 1) * np.abs(L) @ np.abs(np.swapaxes(L, -1, -2))
    moved = np.tril(np.abs(X) @ E @ np.abs(np.swapaxes(X, -1, -2))) * (1 - 0.5 * np.eye(d))
    P, lower, upper = scipy.linalg.lu(L)
    solved = 1.5 * d * (np.abs(X) @ P @ np.abs(lower) @ np.abs(upper))
    return Rounded(X, (moved + solved) @ np.abs(X)), Rounded(L, np.abs(L) @ moved)
