"""Rigorous enclosures: an array library over ball arithmetic (arb, by python-flint), just large enough for the core.

A ball is a midpoint and a radius, and every operation rounds outwards: the result of any chain of operations CONTAINS the exact
result. ``Balls`` has ``__array_namespace__``, so jpvae_core runs on it unchanged, and each of its functions becomes a
certified enclosure of itself, which enclosures.py reads.

Integers and booleans (index arithmetic, masks) are plain NumPy inside. A comparison that the balls leave open raises.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import ball_matrices
import flint
import numpy as np

flint.ctx.prec = 320  # bits; radii start at 1e-96 relative

_ball = np.frompyfunc(flint.arb, 1, 1)


def _certain(question: Callable[[Any, Any], bool], opposite: Callable[[Any, Any], bool]) -> Callable[..., np.ndarray]:
    """A comparison of two balls that is decided for every pair of points in them."""

    def decide(a: Any, b: Any) -> bool:
        if question(a, b):
            return True
        if opposite(a, b):
            return False
        raise ArithmeticError(f"the comparison of {a} and {b} is open: raise flint.ctx.prec")

    elementwise = np.frompyfunc(decide, 2, 1)
    return lambda a, b: np.asarray(elementwise(a, b), dtype=bool)


_greater = _certain(operator.gt, operator.le)


class Balls:
    """An array of balls (dtype "float64" to the core's checks), or of integers or booleans."""

    __array_ufunc__ = None  # a NumPy operand defers to the operators below
    device = "cpu"

    def __init__(self, data: Any) -> None:
        self.data = np.asarray(data)
        if self.data.dtype.kind == "f":
            self.data = np.asarray(_ball(self.data.astype(np.float64)), dtype=object)  # exact: a float is a point

    def __array_namespace__(self, *, api_version: str | None = None) -> type[Namespace]:
        return Namespace

    @property
    def dtype(self) -> str:
        """ "float64", "int64" or "bool"."""
        return {"O": "float64", "i": "int64", "b": "bool"}[self.data.dtype.kind]

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    def __getitem__(self, key: Any) -> Balls:
        return Balls(_object(self.data[key], self.data.dtype))

    def __neg__(self) -> Balls:
        return Balls(-self.data)

    def __gt__(self, other: Any) -> Balls:
        return Balls(_greater(self.data, getattr(other, "data", other)))

    def __lt__(self, other: Any) -> Balls:
        return Balls(_greater(getattr(other, "data", other), self.data))

    def __eq__(self, other: object) -> Any:
        assert self.data.dtype != object, "equality of balls is never certain"
        return Balls(self.data == getattr(other, "data", other))

    __hash__ = None  # type: ignore[assignment]

    def __matmul__(self, other: Balls) -> Balls:
        rows, inner = self.shape[-2:]
        columns = other.shape[-1]
        lead = np.broadcast_shapes(self.shape[:-2], other.shape[:-2])
        if inner == 0:  # a sum of no terms
            return Namespace.zeros((*lead, rows, columns))
        return Balls(ball_matrices.product(self.data, other.data))


def _operator(name: str, swap: bool) -> Callable[[Balls, Any], Balls]:
    function = getattr(operator, name)

    def apply(self: Balls, other: Any) -> Balls:
        a, b = self.data, getattr(other, "data", other)
        b = flint.arb(b) if isinstance(b, float) or (isinstance(b, int) and self.dtype == "float64") else b
        result = function(b, a) if swap else function(a, b)
        return Balls(_object(result, np.result_type(a, object if isinstance(b, flint.arb) else b)))

    return apply


for _name in ("add", "sub", "mul", "truediv", "floordiv"):
    setattr(Balls, f"__{_name}__", _operator(_name, swap=False))
    setattr(Balls, f"__r{_name}__", _operator(_name, swap=True))


def _object(x: Any, dtype: Any) -> np.ndarray:
    """NumPy gives a bare element for a zero-dimensional object array: put it back."""
    if np.dtype(dtype) != object:
        return np.asarray(x)
    out = np.empty(np.shape(x), dtype=object)
    out[...] = x
    return out


def _each(function: Callable[..., Any]) -> Callable[..., Balls]:
    elementwise = np.frompyfunc(function, function.__code__.co_argcount, 1)
    return lambda *arrays: Balls(_object(elementwise(*(x.data for x in arrays)), object))


class _Linalg:
    """The linear algebra that the core uses."""

    @staticmethod
    def solve(A: Balls, B: Balls) -> Balls:
        """X of A X = B."""
        return Balls(ball_matrices.solve(A.data, B.data))

    @staticmethod
    def slogdet(A: Balls) -> tuple[Balls, Balls]:
        """Sign and log |det|."""
        det = Balls(ball_matrices.det(A.data))
        return Balls(np.where(_greater(det.data, 0), 1, -1)), Namespace.log(Namespace.abs(det))

    @staticmethod
    def cholesky(A: Balls) -> Balls:
        """L of A = L L^T."""
        return Balls(ball_matrices.cholesky(A.data))

    @staticmethod
    def diagonal(A: Balls) -> Balls:
        """The diagonal of the last two axes."""
        return Balls(np.diagonal(A.data, axis1=-2, axis2=-1).copy())


class Namespace:
    """The part of the array-API namespace that the core calls. Whatever is missing here, the core does not use."""

    linalg = _Linalg
    bool, int32 = "bool", "int64"

    class finfo:
        """The precision: what is truncated to it must not be seen in 80 digits."""

        def __init__(self, _: str) -> None:
            self.eps = 2.0**-flint.ctx.prec

    exp = staticmethod(_each(lambda x: x.exp()))
    expm1 = staticmethod(_each(lambda x: x.expm1()))
    log = staticmethod(_each(lambda x: x.log()))
    log1p = staticmethod(_each(lambda x: x.log1p()))
    sqrt = staticmethod(_each(lambda x: x.sqrt()))
    tanh = staticmethod(_each(lambda x: x.tanh()))
    abs = staticmethod(_each(lambda x: abs(x)))
    isfinite = staticmethod(lambda x: Balls(np.asarray(np.frompyfunc(flint.arb.is_finite, 1, 1)(x.data), dtype=bool)))
    all = staticmethod(lambda x, **axes: Balls(np.all(x.data, **axes)))
    any = staticmethod(lambda x, **axes: Balls(np.any(x.data, **axes)))
    maximum = staticmethod(_each(lambda x, y: x.max(y)))
    minimum = staticmethod(_each(lambda x, y: x.min(y)))
    # True for either order of x and y; the larger midpoint first keeps the argument of log1p small.
    logaddexp = staticmethod(_each(lambda x, y: x + (y - x).exp().log1p() if x.mid() > y.mid() else y + (x - y).exp().log1p()))

    @staticmethod
    def asarray(x: Any, *, dtype: str, **_: Any) -> Balls:
        """From numbers, lists or NumPy arrays."""
        return Namespace.astype(Balls(x), dtype)

    @staticmethod
    def astype(x: Balls, dtype: str) -> Balls:
        """Between balls, integers and booleans."""
        if dtype == "float64":
            return x if x.dtype == dtype else Balls(np.asarray(x.data, dtype=np.float64))
        return Balls(np.asarray(x.data != 0, dtype=bool) if dtype == "bool" else x.data.astype(dtype))

    @staticmethod
    def full(shape: Any, value: float, *, dtype: str, **_: Any) -> Balls:
        """One value everywhere."""
        return Balls(np.full(shape, value).astype(dtype))

    @staticmethod
    def zeros(shape: Any, *, dtype: str = "float64", **_: Any) -> Balls:
        """Zeros."""
        return Balls(np.zeros(shape, dtype=dtype))

    @staticmethod
    def full_like(x: Balls, value: float) -> Balls:
        """One value in the shape and dtype of x."""
        return Namespace.full(x.shape, value, dtype=x.dtype)

    @staticmethod
    def zeros_like(x: Balls) -> Balls:
        """Zeros in the shape and dtype of x."""
        return Namespace.zeros(x.shape, dtype=x.dtype)

    @staticmethod
    def ones_like(x: Balls) -> Balls:
        """Ones in the shape and dtype of x."""
        return Namespace.full_like(x, 1.0)

    @staticmethod
    def eye(n: int, columns: int, *, dtype: str, **_: Any) -> Balls:
        """The identity's first columns."""
        return Balls(np.eye(n, columns, dtype=dtype))

    @staticmethod
    def arange(n: int, **_: Any) -> Balls:
        """0, ..., n - 1."""
        return Balls(np.arange(n))

    @staticmethod
    def where(condition: Balls, x: Balls, y: Balls) -> Balls:
        """x where the condition holds, else y."""
        return Balls(_object(np.where(condition.data, x.data, y.data), np.result_type(x.data, y.data)))

    @staticmethod
    def sum(x: Balls, *, axis: int | tuple[int, ...], keepdims: bool = False) -> Balls:
        """Sums along axes."""
        return Balls(_object(np.sum(x.data, axis=axis, keepdims=keepdims), object) + flint.arb(0))

    @staticmethod
    def max(x: Balls, *, axis: int) -> Balls:
        """The largest along an axis."""
        along = np.moveaxis(x.data, axis, 0)
        return functools.reduce(Namespace.maximum, [Balls(_object(v, object)) for v in along])

    @staticmethod
    def concat(arrays: Any, *, axis: int) -> Balls:
        """Joined along an axis."""
        return Balls(np.concatenate([x.data for x in arrays], axis=axis))

    @staticmethod
    def stack(arrays: Any, *, axis: int) -> Balls:
        """Joined along a new axis."""
        return Balls(np.stack([x.data for x in arrays], axis=axis))

    @staticmethod
    def unstack(x: Balls, *, axis: int) -> tuple[Balls, ...]:
        """The slices along an axis."""
        return tuple(Balls(_object(v, object)) for v in np.moveaxis(x.data, axis, 0))

    @staticmethod
    def take(x: Balls, indices: Balls, *, axis: int) -> Balls:
        """Entries along an axis."""
        return Balls(np.take(x.data, indices.data, axis=axis))

    @staticmethod
    def reshape(x: Balls, shape: Any) -> Balls:
        """The same entries in another shape."""
        return Balls(x.data.reshape(shape))

    @staticmethod
    def broadcast_to(x: Balls, shape: Any) -> Balls:
        """Repeated along new axes."""
        return Balls(np.broadcast_to(x.data, shape))

    @staticmethod
    def broadcast_arrays(*arrays: Balls) -> list[Balls]:
        """All in their common shape."""
        return [Balls(x) for x in np.broadcast_arrays(*(x.data for x in arrays))]

    @staticmethod
    def tril(x: Balls, *, k: int = 0) -> Balls:
        """The entries on the k-th diagonal and below it; zeros above."""
        return Namespace.where(Balls(np.tri(*x.shape[-2:], k=k, dtype=bool)), x, Namespace.zeros_like(x))

    @staticmethod
    def matrix_transpose(x: Balls) -> Balls:
        """The last two axes swapped."""
        return Balls(np.swapaxes(x.data, -1, -2))


def enclose(x: Any) -> Any:
    """Every array of a tree of dicts, lists and tuples becomes balls around the same floats."""
    if isinstance(x, dict):
        return {key: enclose(value) for key, value in x.items()}
    return [enclose(value) for value in x] if isinstance(x, list | tuple) else Balls(x)
