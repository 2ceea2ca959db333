"""Checks of shapes, dtypes and libraries, which tracing passes through: values are read only where nothing traces."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from ._array_api import Array
from ._xp import concrete, library_of, to_numpy
from .errors import ArgumentError, DtypeError, LibraryError, NotAContraction, ShapeError

_WIDE_ENOUGH = ("float32", "float64")
_NAMES: dict[tuple[type, Any], str] = {}  # naming a dtype takes microseconds, so each is named once


def dtype_name(dtype: Any) -> str:
    """Without its library: "float32"."""
    key = type(dtype), dtype  # (dtypes of two libraries may refuse to be compared)
    if key not in _NAMES:
        _NAMES[key] = str(dtype).rpartition(".")[2]
    return _NAMES[key]


def check_dtype(**named: Array) -> None:
    """Every array is float32 or float64, all of one dtype: silent promotion hides where precision was lost.

    And torch's on one device: torch's own error names no argument.
    """
    first_name, first = next(iter(named.items()))
    torch: Any = sys.modules.get("torch")
    placed = torch is not None and isinstance(first, torch.Tensor)
    for name, x in named.items():
        if (x is first or x.dtype != first.dtype) and dtype_name(x.dtype) not in _WIDE_ENOUGH:
            raise DtypeError(
                f"{name} has dtype {x.dtype}; expected float32 or float64. "
                "(Half precision cannot hold 1 - s near the boundary: keep the prior in float32 under autocast.)"
            )
        if x.dtype != first.dtype:
            raise DtypeError(f"{name} has dtype {x.dtype} but {first_name} has {first.dtype}; expected one dtype for all")
        if placed and (x.device != first.device or x.layout != torch.strided):  # type: ignore[attr-defined]
            raise _misplaced(name, x, first_name, first)


def check_dense(name: str, x: Any) -> None:
    """A torch tensor is not sparse."""
    if not str(x.layout).endswith("strided"):
        raise _misplaced(name, x, name, x)


def check_stored(name: str, x: Any) -> None:
    """A torch tensor is not on the meta device, where there are no values."""
    if library_of(x) == "torch" and x.device.type == "meta":
        raise LibraryError(f"{name} is on the device meta, where it has no values; expected a tensor with values")


def _misplaced(name: str, x: Any, other_name: str, other: Any) -> LibraryError:
    """A torch tensor that is sparse, or not on the other's device."""
    if x.device != other.device:
        return LibraryError(f"{name} is on the device {x.device} but {other_name} on {other.device}; expected one: .to(device)")
    return LibraryError(f"{name} is sparse ({x.layout}); expected a dense tensor: .to_dense()")


def check_square(name: str, x: Array) -> int:
    """The n of a (..., n, n) array."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name} has shape {tuple(x.shape)}; expected (..., n, n)")
    return int(x.shape[-1])


def check_last(name: str, x: Array, size: int, meaning: str) -> None:
    """The last axis of ``x`` has ``size`` entries; ``meaning`` says why."""
    if x.ndim < 1 or x.shape[-1] != size:
        raise ShapeError(f"{name} has shape {tuple(x.shape)}; expected last axis {size} ({meaning})")


def check_frame(name: str, x: Array) -> tuple[int, int]:
    """The (n, d) of a semi-orthogonal frame: at least two axes, d <= n."""
    if x.ndim < 2 or not 1 <= x.shape[-1] <= x.shape[-2]:
        raise ShapeError(f"{name} has shape {tuple(x.shape)}; expected (..., n, d) with 1 <= d <= n")
    return int(x.shape[-2]), int(x.shape[-1])


def check_views(name: str, arrays: Sequence[Array], dims: Sequence[int]) -> None:
    """One array per view, the i-th with last axis n_i, all with the same leading axes."""
    if len(arrays) != len(dims):
        raise ShapeError(f"{name} has {len(arrays)} arrays; expected {len(dims)}, one per view (dims {tuple(dims)})")
    for i, (x, n) in enumerate(zip(arrays, dims, strict=True)):
        check_last(f"{name}[{i}]", x, n, f"the latent size of view {i}")
        if tuple(x.shape[:-1]) != tuple(arrays[0].shape[:-1]):
            raise ShapeError(
                f"{name}[{i}] has shape {tuple(x.shape)} but {name}[0] has {tuple(arrays[0].shape)}; "
                "expected the same leading (batch) axes for every view"
            )


def check_posterior(means: Sequence[Array], log_vars: Sequence[Array], dims: Sequence[int], kind: str = "log_vars") -> None:
    """Means and log-variances (or standard deviations) of the same shapes, one pair per view, all of one dtype."""
    check_views("means", means, dims)
    check_views(kind, log_vars, dims)
    check_same_rows(f"{kind}[0]", log_vars[0], "means[0]", means[0])
    named = {f"means[{i}]": x for i, x in enumerate(means)} | {f"{kind}[{i}]": x for i, x in enumerate(log_vars)}
    check_dtype(**named)


def check_same_rows(name: str, x: Array, other_name: str, other: Array) -> None:
    """``x`` and ``other`` agree in all axes but the last: a row too few would be stretched by broadcasting, silently."""
    if tuple(x.shape[:-1]) != tuple(other.shape[:-1]):
        raise ShapeError(
            f"{name} has shape {tuple(x.shape)} but {other_name} has {tuple(other.shape)}; expected the same leading axes"
        )


def check_draws(name: str, x: Array, other_name: str, other: Array) -> None:
    """``x`` has the axes of ``other`` but for the last, and perhaps further ones before them, of several draws."""
    if x.ndim < other.ndim or tuple(x.shape[x.ndim - other.ndim : -1]) != tuple(other.shape[:-1]):
        raise ShapeError(
            f"{name} has shape {tuple(x.shape)} but {other_name} has {tuple(other.shape)}; expected the same axes but for the "
            "last, and before them none, or one of several draws"
        )


def check_together(**named: Array) -> None:
    """Arrays that broadcast to one shape."""
    check_shapes("ones", {name: tuple(x.shape) for name, x in named.items()})


def check_stack(**named: tuple[Array, int]) -> None:
    """Arrays, each with how many axes one prior has of it: what they have before these broadcasts to one shape."""
    check_shapes("leading axes", {name: tuple(x.shape[: x.ndim - axes]) for name, (x, axes) in named.items()}, "leading axes")


def check_shapes(expected: str, shapes: Mapping[str, tuple[int, ...]], kind: str = "shapes") -> None:
    """Shapes that broadcast to one."""
    for axis in range(1, 1 + max(map(len, shapes.values()))):
        sizes = {shape[-axis] for shape in shapes.values() if len(shape) >= axis}
        if len(sizes - {1}) > 1:
            raise ShapeError(
                f"{' and '.join(shapes)} have {kind} {list(shapes.values())}; expected {expected} that broadcast to one"
            )


def check_rows_of_data(name: str, x: Array, rows: Array) -> None:
    """``x`` is (..., B, k) with the B rows of the data; one row of data may be met by many of ``x``."""
    if x.ndim < 2 or rows.shape[-2] != 1:
        check_rows(name, x, rows)


def check_rows(name: str, x: Array, rows: Array) -> None:
    """``x`` is (..., B, k) with as many rows B as ``rows``."""
    if x.ndim < 2 or x.shape[-2] != rows.shape[-2]:
        raise ShapeError(
            f"{name} has shape {tuple(x.shape)}; expected (..., {rows.shape[-2]}, k), one row for each of the data's"
        )


def check_evidence(log_vars: Sequence[Array], kind: str = "log_vars") -> None:
    """No log-variance is above 0, where the values can be seen."""
    for i, x in enumerate(log_vars):
        found = _first(x, lambda values: values > 0.0)
        if found is not None:
            most, held = (
                ("0 (a standard deviation of at most 1)", found) if kind == "log_vars" else ("1", math.exp(0.5 * found))
            )
            raise ArgumentError(
                f"{kind}[{i}] holds {held:g}; expected at most {most}: a view can only add information to the prior. "
                "log_var = -softplus(s) keeps it so."
            )


def check_deviations(stds: Sequence[Array]) -> None:
    """Observed views' standard deviations are above 0 and finite, where the values can be seen."""
    for i, x in enumerate(stds):
        found = _first(x, lambda values: (values <= 0.0) | (values == math.inf))
        if found is not None:
            raise ArgumentError(
                f"std[{i}] holds {found:g}; expected finite standard deviations above 0 (log-variances are log_vars)"
            )


def _first(x: Any, wrong: Callable[[Any], Any]) -> float | None:
    """A value that is wrong; None where there is no such value, or none can be seen."""
    library = library_of(x)
    if library not in ("numpy", "torch", "jax") or not concrete(x):
        return None
    try:
        values: Any = np.asarray(x) if library == "jax" else x  # within jit an operation on constants would be traced
        at = wrong(values)
        return float(values[at][0].item()) if bool(at.any()) else None  # float() of a torch number with a gradient warns
    except RuntimeError:  # within torch.func.vmap, of tensors without storage and of other machines' arrays none can be read
        return None


def check_definite(name: str, S: Array, expected: str) -> None:
    """Symmetric matrices (..., n, n) that rounding alone can keep from being positive definite, where values can be seen."""
    values = _values(S)
    if values is None or not np.isfinite(values).all():
        return
    try:
        np.linalg.cholesky(values)
    except np.linalg.LinAlgError:
        eigenvalues = np.linalg.eigvalsh(values)
        least, most = eigenvalues.min(), np.abs(eigenvalues).max()
        if least < -8.0 * values.shape[-1] * float(np.finfo(dtype_name(S.dtype)).eps) * most:
            raise NotAContraction(f"{name} has the eigenvalue {least:.6g}; expected {expected}") from None


def _values(x: Any) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """A float64 copy where values can be seen."""
    if library_of(x) not in ("numpy", "torch", "jax") or not concrete(x):
        return None
    try:
        return to_numpy(x)
    except RuntimeError:  # as in ``_first``
        return None


def check_mask(mask: Array, rows: Array, views: int) -> None:
    """A mask is (M,) or (..., B, M): True or 1 where the view is observed."""
    check_last("mask", mask, views, "one entry per view")
    if mask.ndim > 1 and mask.shape[-2] not in (1, rows.shape[-2]):
        raise ShapeError(
            f"mask has shape {tuple(mask.shape)}; expected ({views},) or ({rows.shape[-2]}, {views}): "
            "one bit per view, for all rows or row by row"
        )


def values_of(name: str, x: Array) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Values in NumPy's float64, for what cannot do without reading them. Raises ArgumentError where JAX traces."""
    if library_of(x) == "jax" and not concrete(x):
        raise ArgumentError(f"{name} is traced; its values are read, so call this outside of jax.jit, grad and vmap")
    check_stored(name, x)
    return to_numpy(x)


def check_alpha(alpha: float | Array) -> None:
    """|alpha| < 1 where alpha is a plain number; an array may be a traced one and is left to its parameterization."""
    if isinstance(alpha, Real) and not abs(float(alpha)) < 1.0:
        raise NotAContraction(
            f"alpha is {alpha}; expected -1 < alpha < 1. At |alpha| = 1 the joint prior is singular (Thm 2.2). "
            "To learn alpha, pass jc.tanh_bound(t) of a free parameter t."
        )
