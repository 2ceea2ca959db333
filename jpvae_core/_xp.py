"""The one door to array-api-compat: which library an array belongs to, and constants that live where it lives."""

from __future__ import annotations

from typing import Any, TypeAlias

import array_api_compat
import array_api_compat.numpy
import numpy as np

from .errors import LibraryError

Array: TypeAlias = Any  # an array of any library that follows the array API standard
Namespace: TypeAlias = Any


def _library(x: Array) -> str:
    return type(x).__module__.partition(".")[0]


def namespace(*arrays: Array) -> Namespace:
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
    """Where ``x`` lives, in the form that its library's creation functions take."""
    return x.device if _library(x) == "torch" else array_api_compat.device(x)


def eye_like(xp: Namespace, x: Array, n: int, d: int | None = None) -> Array:
    """The n×n identity (its first d columns), dtype and device those of ``x`` (torch's default would be float32 on the CPU)."""
    return xp.eye(n, n if d is None else d, dtype=x.dtype, device=device(x))


def asarray_like(xp: Namespace, x: Array, value: Any) -> Array:
    """A constant ``value`` (never a user's differentiable array) as an array like ``x``."""
    return xp.asarray(value, dtype=x.dtype, device=device(x))


def solve_lower(xp: Namespace, L: Array, B: Array) -> Array:
    """X of L X = B, L lower triangular. The array API has no such function; where a library has one, it is much the faster."""
    library = _library(L)
    if library == "torch":
        import torch

        return torch.linalg.solve_triangular(L, B, upper=False)
    if library in ("jax", "jaxlib"):
        from jax.scipy.linalg import solve_triangular

        return solve_triangular(L, B, lower=True)
    return xp.linalg.solve(L, B)


def to_numpy(x: Array) -> np.ndarray[Any, Any]:
    """A float64 NumPy copy of ``x``, without its gradient. For accumulators and reports, never inside the maths."""
    if hasattr(x, "detach"):
        x = x.detach().cpu().double().numpy()
    return np.array(x, dtype=np.float64)


def sum_to(xp: Namespace, x: Array, like: Array) -> Array:
    """x summed over the axes along which ``like`` was broadcast to x's shape."""
    if x.shape == like.shape:
        return x
    new = x.ndim - like.ndim
    stretched = [k for k in range(new, x.ndim) if x.shape[k] != like.shape[k - new]]
    return xp.reshape(xp.sum(x, axis=(*range(new), *stretched)), like.shape)
