"""Bounds of what is imputed: ranges and whole numbers, by view and column. What was observed is never changed.

A value that is filled in beyond a bound becomes the bound; one of a column of whole numbers becomes the nearest. Of draws each
is treated so, so that a bound has the probability of all that lies beyond it, as a limit of a scale or of detection has.
A positive quantity without such a limit, a concentration say, is better modelled as its logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..option_values import is_number
from ..views.columns import Columns


@dataclass(frozen=True)
class Bounds:
    """Of one view's p columns: low, high (p,), infinite where there is no bound; whole (p,) bool."""

    low: np.ndarray
    high: np.ndarray
    whole: np.ndarray

    def applied(self, values: np.ndarray) -> np.ndarray:
        """Values (..., p) within the bounds."""
        rounded = np.where(self.whole, np.rint(values), values)
        return np.clip(rounded, self.low, self.high).astype(values.dtype, copy=False)


def bounds_of(bounds: Any, whole: Any, views: Sequence[str], columns: Sequence[Columns]) -> list[Bounds] | None:
    """Each view's. bounds: {view: {column: (low, high)}}, None for no bound; whole: {view: columns}. None for neither.

    Raises ConfigError for what names no such view or column, or no range.
    """
    if bounds is None and whole is None:
        return None
    ranges = {view: _ranges(view, found) for view, found in _by_view("bounds", bounds, views).items()}
    counted = _by_view("whole", whole, views)
    return [_of_view(name, ranges.get(name, {}), counted.get(name, ()), own) for name, own in zip(views, columns, strict=True)]


def _by_view(option: str, given: Any, views: Sequence[str]) -> Mapping[str, Any]:
    expected = "{view: {column: (low, high)}}" if option == "bounds" else "{view: [column, ...]}"
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError(f"{option} is {given!r}; expected {expected}")
    unknown = [view for view in given or {} if view not in views]
    if unknown:
        raise ConfigError(f"{option} names the views {unknown}; expected names among {list(views)}: {expected}")
    return given or {}


def _ranges(view: str, given: Any) -> dict[Any, tuple[float, float]]:
    if not isinstance(given, Mapping):
        raise ConfigError(f"bounds of view {view!r} is {given!r}; expected {{column: (low, high)}}")
    made = {}
    for column, pair in given.items():
        ends = list(pair) if isinstance(pair, Sequence) and not isinstance(pair, str) else []
        if len(ends) != 2 or not all(end is None or (is_number(end) and abs(end) <= 1e300) for end in ends):
            raise ConfigError(
                f"bounds of column {column!r} of view {view!r} is {pair!r}; expected (low, high), None for no bound"
            )
        low, high = (float(end) if end is not None else none for end, none in zip(ends, (-np.inf, np.inf), strict=True))
        if low > high:
            raise ConfigError(f"bounds of column {column!r} of view {view!r} is {pair!r}; expected low <= high")
        made[column] = (low, high)
    return made


def _of_view(view: str, ranges: Mapping[Any, tuple[float, float]], counted: Any, columns: Columns) -> Bounds:
    if isinstance(counted, str) or not isinstance(counted, Sequence):
        raise ConfigError(f"whole of view {view!r} is {counted!r}; expected a list of columns")
    titles = [columns.title(j) for j in range(columns.count)]
    places = {str(name): j for j, name in enumerate(titles)} | {name: j for j, name in enumerate(titles)}
    low, high = np.full(columns.count, -np.inf), np.full(columns.count, np.inf)
    whole = np.full(columns.count, False)
    for option, names in (("bounds", list(ranges)), ("whole", list(counted))):
        for name in names:
            j = _place(option, name, view, places)
            if j in columns.categories:
                raise ConfigError(
                    f"{option} names the column {name!r} of view {view!r}, a category; expected columns of numbers"
                )
            if option == "bounds":
                low[j], high[j] = ranges[name]
            else:
                whole[j] = True
                low[j], high[j] = np.ceil(low[j]), np.floor(high[j])
                if low[j] > high[j]:
                    raise ConfigError(f"bounds of column {name!r} of view {view!r} hold no whole number; expected one")
    return Bounds(low, high, whole)


def _place(option: str, name: Any, view: str, places: Mapping[Any, int]) -> int:
    try:
        return places[name]
    except (KeyError, TypeError) as error:
        some = list(places)[:10]
        raise ConfigError(f"{option} names the column {name!r} of view {view!r}; expected one of {some}") from error


def from_words(bounds: Sequence[str], whole: Sequence[str]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """``bounds`` and ``whole`` from VIEW:COLUMN=LOW..HIGH (either end may be left out) and VIEW:COLUMN. Raises ConfigError."""
    ranges: dict[str, dict[str, Any]] = {}
    for word in bounds:
        place, _, text = word.rpartition("=")
        view, colon, column = place.partition(":")
        low, dots, high = text.partition("..")
        try:
            ends = [None if not end.strip() else float(end) for end in (low, high)]
        except ValueError:
            ends = [math.nan]
        if not (colon and dots) or any(end is not None and not math.isfinite(end) for end in ends) or ends == [None, None]:
            raise ConfigError(
                f"--bounds is {word!r}; expected VIEW:COLUMN=LOW..HIGH, such as clinic:age=0..120 or clinic:dose=0.."
            )
        ranges.setdefault(view, {})[column] = tuple(ends)
    counted: dict[str, list[str]] = {}
    for word in whole:
        view, colon, column = word.partition(":")
        if not colon:
            raise ConfigError(f"--whole is {word!r}; expected VIEW:COLUMN, such as clinic:children")
        counted.setdefault(view, []).append(column)
    return ranges or None, counted or None
