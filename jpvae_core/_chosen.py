"""Which of several views are meant: by index, by name, or by one boolean per view."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from ._named import shown
from ._xp import concrete, library_of
from .errors import ArgumentError


def chosen(argument: str, views: Any, count: int, names: Sequence[str] | None) -> list[int]:
    """Distinct indices of views, in the order given: by index, by name, or by one boolean per view.

    Python's booleans are integers, so that a mask would be taken for the views 0 and 1.
    """
    if hasattr(views, "shape") and library_of(views) == "jax" and not concrete(views):
        raise ArgumentError(f"{argument} is traced; expected views that can be read")
    at = _indices(views, count, names or ())
    if not at or len(set(at)) < len(at) or not all(0 <= i < count for i in at):
        valid = f"indices from 0 to {count - 1}{f', names among {list(names)}' if names else ''}, or {count} booleans"
        raise ArgumentError(f"{argument} is {_short(views)}; expected distinct views, at least one, in a list: {valid}")
    return at


def _indices(views: Any, count: int, names: Sequence[str]) -> list[int]:
    """One for each view, -1 where it is none; none at all where this is no list of views."""
    if isinstance(views, str | bytes | Mapping | Set) or not isinstance(views, Iterable):
        return []
    if getattr(views, "ndim", 1) != 1 or "sparse" in str(getattr(views, "layout", "")):
        return []
    items = [_plain(x) for x in views]
    if not all(isinstance(x, bool) for x in items):
        return [_place(x, names) for x in items]
    return [i for i, x in enumerate(items) if x] if len(items) == count else []


def one_of_them(argument: str, view: Any, count: int, names: Sequence[str] | None) -> int:
    """The index of one view: itself, or by name."""
    at = _place(_plain(view), names or ())
    if not 0 <= at < count:
        named = f", or a name among {list(names)}" if names else ""
        raise ArgumentError(f"{argument} is {_short(view)}; expected one view's index from 0 to {count - 1}{named}")
    return at


def _plain(x: Any) -> Any:
    """Of an array without an axis Python's own number or boolean."""
    if not hasattr(x, "tolist") or getattr(x, "ndim", 0) > 0 or (library_of(x) == "jax" and not concrete(x)):
        return x
    return x.tolist()


def _place(view: Any, names: Sequence[str]) -> int:
    """The index, or -1."""
    if isinstance(view, str):
        return names.index(view) if view in names else -1
    try:
        return -1 if isinstance(view, bool) or getattr(view, "ndim", 0) > 0 else operator.index(view)
    except TypeError:
        return -1


def _short(x: Any) -> str:
    return repr(x) if isinstance(x, list | tuple) else shown(x)
