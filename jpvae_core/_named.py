"""Arguments by their names: arrays of one library, lists of them, numbers and integers.

What cannot be meant is refused here, with the argument's name, what was found and what was expected. No values are read.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence, Set
from numbers import Real
from typing import Any

from ._array_api import Array, Namespace
from ._xp import library_of, namespace
from .errors import ArgumentError, LibraryError, ShapeError


def one_library(**named: Any) -> Namespace:
    """The namespace of these arrays."""
    for name, x in named.items():
        check_array(name, x)
    try:
        return namespace(*named.values())
    except LibraryError as error:
        raise by_name_of(error, named) from error


def check_array(name: str, x: Any, expected: str = "an array of NumPy, PyTorch, JAX or another array-API library") -> None:
    """Something like an array."""
    if not hasattr(x, "dtype") or isinstance(x, type):
        raise LibraryError(f"{name} is {shown(x)}; expected {expected}")


def by_name_of(error: LibraryError, named: Mapping[str, Any]) -> LibraryError:
    """The same error, beginning with the first array that is not the library's of the one that stands first."""
    (first, x), *others = named.items()
    name, odd = next(((name, y) for name, y in others if library_of(y) != library_of(x)), (first, x))
    beside = "" if name == first else f" but {first} is a {_kind(x)}"
    return LibraryError(f"{name} is a {_kind(odd)}{beside}; {error}")


def _kind(x: Any) -> str:
    return f"{library_of(x)}.{type(x).__name__}"


def shown(x: Any) -> str:
    """What was found, short: a number or a text itself, of everything else the type."""
    if x is None or isinstance(x, Real | str | type):
        return repr(x)
    return f"a {type(x).__name__}"


def array_of(name: str, x: Any) -> Array | None:
    """The array, or None where a plain number was given."""
    if isinstance(x, Real) and not isinstance(x, bool):
        _float(name, x)
        return None
    check_array(name, x, "a number or an array")
    found: Array = x
    return found


def integer(name: str, x: Any) -> int:
    """A whole number, which a boolean or a float of the same value is not."""
    if type(x) is int:
        return x
    try:
        whole: Any = None if isinstance(x, bool) or str(getattr(x, "dtype", "")).endswith("bool") else x
        return operator.index(whole)
    except TypeError as error:
        raise ArgumentError(f"{name} is {shown(x)}; expected an integer") from error


def number(name: str, x: Any) -> float:
    """A finite number."""
    if not isinstance(x, Real) or isinstance(x, bool) or not math.isfinite(_float(name, x)):
        raise ArgumentError(f"{name} is {shown(x)}; expected a finite number")
    return float(x)


def _float(name: str, x: Real) -> float:
    try:
        return float(x)
    except OverflowError as error:
        raise ArgumentError(f"{name} is {str(x)[:20]}...; expected a number that a float can hold") from error


def listed(name: str, arrays: Any, expected: str = "a list or tuple with one array per view") -> Sequence[Any]:
    """A list or a tuple of arrays, or what is indexed like one (torch's ``ParameterList``)."""
    if hasattr(arrays, "shape"):
        raise ArgumentError(f"{name} is one array of shape {tuple(arrays.shape)}; expected {expected}")
    if not isinstance(arrays, list | tuple):
        if isinstance(arrays, str | bytes | Mapping | type) or not (
            hasattr(arrays, "__len__") and hasattr(arrays, "__getitem__") and not hasattr(arrays, "keys")
        ):
            raise ArgumentError(f"{name} is a {type(arrays).__name__}; expected {expected} (of a generator, list(...))")
        arrays = list(arrays)
    for i, x in enumerate(arrays):
        if not hasattr(x, "dtype") or isinstance(x, type):
            instead = "an array; what a missing view's holds is ignored, so zeros will do" if x is None else "an array"
            raise LibraryError(f"{name}[{i}] is {shown(x)}; expected {instead}")
    found: Sequence[Any] = arrays
    return found


def check_sizes(dims: Any) -> tuple[int, ...]:
    """One positive latent size per view."""
    given = list(dims.values()) if isinstance(dims, Mapping) else dims
    expected = "one positive latent size per view, in a list or a dict by name"
    if isinstance(given, str | bytes | Set) or not isinstance(given, Iterable):
        raise ShapeError(f"dims is {shown(given)}; expected {expected}")
    try:
        sizes = tuple(given)
    except TypeError as error:  # an array without an axis
        raise ShapeError(f"dims is {shown(given)}; expected {expected}") from error
    try:
        found = tuple(integer("dims", n) for n in sizes)
    except ArgumentError as error:
        raise ShapeError(f"dims is {sizes}; expected {expected}") from error
    if not found or min(found) < 1:
        raise ShapeError(f"dims is {found}; expected {expected}")
    return found
