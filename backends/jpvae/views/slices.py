"""One wide matrix in place of several tables: its columns cut into views, and views joined into such a matrix again.

``view_slices`` assigns the columns, every column to exactly one view:

    2                               two contiguous parts, as equal as they can be (numpy.array_split)
    (20, 30, 5)                     widths of contiguous parts
    (slice(0, 20), slice(20, 55))   or sequences of positions or names in place of slices
    {"rna": [...], "clinic": [...]} the same by the views' names

In this form fit, transform, score and impute take (X, y) as scikit-learn's estimators do, and y is ignored. A view that a row
does not have is NaN in all its columns, under ``missing="nan"``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from ..errors import ConfigError, ViewError


@dataclass(frozen=True)
class Slices:
    """The columns of each view, by the view's name: positions in the wide matrix, every one in exactly one view.

    names: of the matrix's columns, where it was a DataFrame.
    """

    positions: dict[str, list[int]]
    names: tuple[str, ...] | None = None

    @property
    def count(self) -> int:
        """C, the number of the matrix's columns."""
        return sum(map(len, self.positions.values()))

    @classmethod
    def of(cls, view_slices: Any, count: int, given_names: Sequence[str] | None = None) -> Slices:
        """What ``view_slices`` means for a matrix with so many columns; a plain array's may be called "x0", "x1", ..."""
        C, names = count, [f"x{k}" for k in range(count)] if given_names is None else given_names
        if isinstance(view_slices, Mapping):
            parts = dict(view_slices)
        elif isinstance(view_slices, Integral) and not isinstance(view_slices, bool):
            if not 1 <= int(view_slices) <= C:
                raise ViewError(
                    f"X has n_features = {C}; expected at least one column for each of view_slices={view_slices} views"
                )
            parts = dict(_numbered(np.array_split(np.arange(C), int(view_slices))))
        elif isinstance(view_slices, Sequence | np.ndarray) and not isinstance(view_slices, str) and len(view_slices):
            parts = dict(_numbered(view_slices))
            if all(isinstance(part, Integral) for part in parts.values()):
                ends = np.cumsum([0, *parts.values()])
                parts = {name: range(a, b) for name, a, b in zip(parts, ends[:-1], ends[1:], strict=True)}
        else:
            expected = "a number of views, widths, slices, or a dict of column names or positions"
            raise ConfigError(f"view_slices is {view_slices!r}; expected {expected}")
        where = {name: k for k, name in enumerate(names)}
        positions = {str(name): [_position(where, key, name) for key in _keys(part, C)] for name, part in parts.items()}
        times = np.bincount([k for part in positions.values() for k in part], minlength=C)
        if (times != 1).any():
            k = int(np.flatnonzero(times != 1)[0])
            raise ViewError(
                f"view_slices puts column {k} ({names[k]!r}) of X, which has {C} columns, into {times[k]} views; "
                "expected each column in one view"
            )
        if not all(positions.values()):
            raise ViewError(f"view_slices is {view_slices!r}; expected at least one column in every view")
        return cls(positions, None if given_names is None else tuple(given_names))

    @classmethod
    def from_json(cls, positions: Any, names: Any) -> Slices:
        """From what a file has of both. Raises TypeError, ViewError, ConfigError."""
        if not isinstance(positions, Mapping):
            raise TypeError("columns by view")
        count = sum(map(len, positions.values()))
        if names is not None and not (len(names) == count and all(isinstance(name, str) for name in names)):
            raise TypeError("a name of each column")
        return cls.of(positions, count, names)

    def in_order_of(self, X: Any) -> Slices | None:
        """The same columns where X is a DataFrame that has all of the fit's by name, in any order; else None."""
        if not hasattr(X, "iloc") or sorted(map(str, X.columns)) != sorted(self.names or ()):
            return None
        names = list(X.columns)
        return Slices.of({v: [(self.names or ())[k] for k in at] for v, at in self.positions.items()}, len(names), names)

    def check_y(self, y: Any, rows: int) -> None:
        """Raise ViewError where what came in y's place is a mask."""
        if getattr(y, "dtype", None) == np.bool_ and y.shape == (rows, len(self.positions)):
            raise ViewError(
                f"the second argument has shape {y.shape} and is boolean like a mask, but with one wide matrix it is "
                "scikit-learn's y, which is ignored; mark missing views by rows of NaN and missing='nan', or pass a list of "
                "views"
            )

    def cut(self, X: Any) -> dict[str, Any]:
        """The views of X (N, C), a DataFrame or an array; without a copy where a view's columns lie side by side."""
        rows = X.iloc if hasattr(X, "iloc") else X
        return {name: rows[:, _side_by_side(at)] for name, at in self.positions.items()}

    def join(self, views: Mapping[str, Any], X: Any) -> Any:
        """Views (..., N, c_i) as one array (..., N, C); DataFrames as one DataFrame like X, lists of DataFrames as a list."""
        parts = [views[name] for name in self.positions]
        if isinstance(parts[0], list):
            return [self.join(dict(zip(self.positions, draw, strict=True)), X) for draw in zip(*parts, strict=True)]
        if hasattr(X, "iloc"):
            import pandas as pd

            return pd.concat(parts, axis=1)[list(X.columns)]
        result = np.empty((*parts[0].shape[:-1], sum(p.shape[-1] for p in parts)), np.result_type(*parts))
        for part, at in zip(parts, self.positions.values(), strict=True):
            result[..., at] = part
        return result


def _numbered(parts: Any) -> list[tuple[str, Any]]:
    return [(f"view{i}", part) for i, part in enumerate(parts)]


def _keys(part: Any, C: int) -> list[Any]:
    if isinstance(part, slice):
        return list(range(C))[part]
    if isinstance(part, str) or not isinstance(part, Sequence | np.ndarray):
        raise ConfigError(f"view_slices has the part {part!r}; expected a slice, or a sequence of column names or positions")
    return list(part)


def _position(where: Mapping[str, int], key: Any, view: str) -> int:
    if isinstance(key, str) and key in where:
        return where[key]
    if isinstance(key, Integral) and not isinstance(key, bool) and 0 <= int(key) < len(where):
        return int(key)
    raise ViewError(f"view_slices[{view!r}] names the column {key!r}; expected names or positions of X's {len(where)} columns")


def _side_by_side(at: list[int]) -> slice | list[int]:
    return slice(at[0], at[-1] + 1) if at == list(range(at[0], at[-1] + 1)) else at
