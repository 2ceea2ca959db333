"""The one door to array-api-compat: which library an array belongs to, and constants that live where it lives."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar

import array_api_compat
import array_api_compat.numpy
import numpy as np

from .errors import LibraryError

Namespace: TypeAlias = Any
P = ParamSpec("P")
T = TypeVar("T")


class Array(Protocol):
    """An array of any library that follows the array API standard; no class here inherits from it.

    Its operators give Any: the standard has no way to say "the same library's array".
    """

    @property
    def dtype(self) -> Any: ...
    @property
    def ndim(self) -> int: ...
    @property
    def shape(self) -> Any: ...
    def __getitem__(self, key: Any, /) -> Any: ...
    def __neg__(self) -> Any: ...
    def __add__(self, other: Any, /) -> Any: ...
    def __radd__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __rsub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __rmul__(self, other: Any, /) -> Any: ...
    def __truediv__(self, other: Any, /) -> Any: ...
    def __rtruediv__(self, other: Any, /) -> Any: ...
    def __matmul__(self, other: Any, /) -> Any: ...
    def __gt__(self, other: Any, /) -> Any: ...
    def __lt__(self, other: Any, /) -> Any: ...


X = TypeVar("X", bound=Array)  # the arrays of one library: what comes in is what goes out
_AUTOCAST = ("cpu", "cuda", "mps", "xpu")  # the devices on which torch has an autocast


def without_autocast(door: Callable[P, T]) -> Callable[P, T]:
    """A public door that means the same under ``torch.autocast`` as outside it, bit for bit.

    Autocast rounds the operands of every product to half precision: float32 results with errors of 1e-2. (As everywhere in
    torch, ``backward()`` belongs outside the autocast region: inside it, torch rounds the products of the gradients.)
    torch is never imported here: where nobody has imported it, there is no autocast.
    """

    @functools.wraps(door)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        torch: Any = sys.modules.get("torch")
        if torch is not None:
            for kind in _AUTOCAST:
                if torch.is_autocast_enabled(kind):
                    with torch.autocast(kind, enabled=False):
                        return inside(*args, **kwargs)
        return door(*args, **kwargs)

    return inside


def _library(x: Array) -> str:
    return type(x).__module__.partition(".")[0]


def namespace(*arrays: Array | None) -> Namespace:
    """The array-API namespace shared by ``arrays`` (None is ignored). Costs microseconds: call once, pass it inward.

    torch and NumPy are recognised by their types' modules: torch.compile cannot trace array_api_compat's cached look-up, and
    NumPy's work on small arrays takes no longer than that look-up.
    """
    present = [x for x in arrays if x is not None]
    libraries = {_library(x) for x in present}
    if libraries == {"numpy"}:
        return array_api_compat.numpy
    if libraries == {"torch"}:
        import array_api_compat.torch as torch_namespace

        return torch_namespace
    try:
        return array_api_compat.array_namespace(*present)
    except TypeError as error:
        kinds = sorted({f"{_library(x)}.{type(x).__name__}" for x in present})
        raise LibraryError(
            f"expected arrays of one array library, found {', '.join(kinds)}. "
            "Convert them all to the library whose gradients or device you need."
        ) from error


def device(x: Array) -> Any:
    """Where ``x`` lives, in the form that its library's creation functions take.

    None under JAX, where a constant goes wherever it is used: one made with a device is committed to it, and cannot meet arrays
    that are sharded over several (pmap, shard_map, jax.set_mesh).
    """
    where: Any = x
    library = _library(x)
    if library in ("jax", "jaxlib"):
        return None
    return where.device if library == "torch" else array_api_compat.device(where)


def eye_like(xp: Namespace, x: Array, n: int, d: int | None = None) -> Array:
    """The n×n identity (its first d columns), dtype and device those of ``x`` (torch's default would be float32 on the CPU)."""
    return xp.eye(n, n if d is None else d, dtype=x.dtype, device=device(x))


def asarray_like(xp: Namespace, x: Array, value: Any) -> Array:
    """A constant ``value`` (never a user's differentiable array) as an array like ``x``."""
    return xp.asarray(value, dtype=x.dtype, device=device(x))


def solve_lower(xp: Namespace, L: Any, B: Any) -> Array:
    """X of L X = B, L lower triangular. The array API has no such function; torch's takes a fifth of the time of its solve."""
    if _library(L) == "torch":
        import torch

        return torch.linalg.solve_triangular(L, B, upper=False)
    return xp.linalg.solve(L, B)


def to_numpy(x: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A float64 NumPy copy of ``x``, without its gradient. For accumulators and reports, never inside the maths."""
    if hasattr(x, "detach"):
        x = x.detach().cpu().double().numpy()
    return np.array(x, dtype=np.float64)


def split(x: X, sizes: Sequence[int]) -> list[X]:
    """The last axis cut into pieces of these sizes."""
    return [x[..., begin:end] for begin, end in pairwise(accumulate(sizes, initial=0))]


def sum_to(xp: Namespace, x: Array, like: Array) -> Array:
    """x summed over the axes along which ``like`` was broadcast to x's shape."""
    if x.shape == like.shape:
        return x
    new = x.ndim - like.ndim
    stretched = [k for k in range(new, x.ndim) if x.shape[k] != like.shape[k - new]]
    return xp.reshape(xp.sum(x, axis=(*range(new), *stretched)), like.shape)
