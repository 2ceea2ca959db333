"""Views whose values are checked (checking.py), read a block of rows at a time.

Inputs are not changed, and tables of plain numbers not copied, so that a memory-mapped table is never whole in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from . import returning
from .columns import Columns
from .dataframes import Table, row_titles
from .impossible import UNSEEN, Impossible
from .memory_map import let_go
from .opening import Opened

BLOCK = 512  # rows that are read, checked and imputed at a time

Visit = Callable[[int, slice, np.ndarray, np.ndarray], None]  # of a view, its rows, their values (R, p) and which are observed


class Visitor(Protocol):
    """A visit that begins with the number of rows."""

    def begin(self, rows: int) -> None:
        """Before the first block."""

    def __call__(self, view: int, rows: slice, values: np.ndarray, observed: np.ndarray) -> None:
        """As ``Visit``."""


def blocks(rows: int) -> Iterator[slice]:
    """The rows, cut into slices of BLOCK."""
    for start in range(0, rows, BLOCK):
        yield slice(start, min(start + BLOCK, rows))


@dataclass(frozen=True)
class Views:
    """Checked views: tables[i] (N, p_i), numbers, None where nobody has it; observed (N, M) bool; given: what was handed in."""

    tables: tuple[np.ndarray | None, ...]
    observed: np.ndarray
    whole: np.ndarray  # (N, M) bool: observed, in every cell (the same array unless cells may be NaN)
    names: tuple[str, ...]
    columns: tuple[Columns, ...]
    keyed: bool  # handed in as a dict
    together: Callable[[dict[str, Any]], Any] | None  # as ``Opened`` has it
    given: tuple[Table | None, ...]
    index: Any  # of the DataFrames among them
    leaving_out: tuple[Impossible, ...] | None = None  # what ``read`` leaves out of the tables
    spared: np.ndarray | None = None  # (N, M) bool: not observed, for some of its cells are impossible; the others are known

    @property
    def features(self) -> tuple[int, ...]:
        """p_i, the number of each table's columns."""
        return tuple(columns.count for columns in self.columns)

    @property
    def plain(self) -> bool:
        """Whether results are arrays of numbers."""
        return self.index is None and not any(columns.texts for columns in self.columns)

    @property
    def index_name(self) -> str | None:
        """Of the DataFrames' index, where it has one that is a text."""
        name = getattr(self.index, "name", None)
        return name if isinstance(name, str) else None

    def dtype(self, view: int) -> np.dtype[Any]:
        """float32 for a table of float32, float64 for any other: what ``read`` and an imputation have."""
        return dtype_of(self.tables[view])

    def titles(self, rows: slice | np.ndarray) -> Sequence[Any]:
        """What the person calls these rows."""
        return row_titles(self.index, rows, len(self.observed))

    def read(self, view: int, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Rows of a view in the data's units, (R, c_i), zeros where missing; may share memory with the table."""
        table, observed, dtype = self.tables[view], self.observed[rows, view], self.dtype(view)
        if table is None:
            return np.zeros((len(observed), self.features[view]), dtype)
        values = rows_of(table, rows)
        if self.leaving_out is not None:
            values = self.leaving_out[view].leave_out(values, self.leaving_out[view].find(values, observed))
        return known_rows(values, observed, dtype, 0.0)

    def complain(self) -> None:
        """Called where a value is refused that was read: raise an earlier complaint, if any. Checked views have none."""

    def known(self, view: int, rows: slice, possible: np.ndarray | None = None) -> np.ndarray:
        """The same, NaN where nothing was observed: what a result may not change. possible: the rows as they are in the table,
        NaN where they are impossible, for who has them already."""
        there = self.observed[rows, view] if self.spared is None else self.observed[rows, view] | self.spared[rows, view]
        values = self._possible(view, rows, there) if possible is None else possible
        return known_rows(values, there, self.dtype(view), np.nan)

    def _possible(self, view: int, rows: slice, there: np.ndarray) -> np.ndarray:
        table = self.tables[view]
        if table is None:
            return np.zeros((len(there), self.features[view]))
        values = rows_of(table, rows)
        return values if self.leaving_out is None else np.where(self.leaving_out[view].find(values, there), np.nan, values)

    def give_back(self, results: Sequence[np.ndarray], kind: str = "decoded") -> Any:
        """Results per view, (N, p_i) or draws (S, N, p_i), in the container of the views (see returning.give_back)."""
        made: list[Any] = []
        for values, columns, table in zip(results, self.columns, self.given, strict=True):
            if values.ndim == 3 and returning.is_frame(columns, table, self.index):
                made.append([returning.give_back(draw, columns, table, self.index, kind=kind) for draw in values])
            else:
                made.append(returning.give_back(values, columns, table, self.index, kind=kind))
        if self.together is not None:
            return self.together(dict(zip(self.names, made, strict=True)))
        return dict(zip(self.names, made, strict=True)) if self.keyed else made

    def give_back_as(self, results: Sequence[np.ndarray], names: Sequence[Sequence[str]]) -> Any:
        """Numbers per view, (N, L_i), whose columns have these names, in the container that the views came in."""
        made: list[Any] = []
        for values, titles, columns, table in zip(results, names, self.columns, self.given, strict=True):
            framed = returning.is_frame(columns, table, self.index)
            made.append(returning.named(values, titles, self.index) if framed else values)
        return dict(zip(self.names, made, strict=True)) if self.keyed else made


def impossible_rows(opened: Opened, finders: Sequence[Impossible]) -> np.ndarray:
    """(N, M) bool: the rows of each view that hold a value which it cannot have."""
    result = np.zeros(opened.observed.shape, dtype=bool)
    for i, (table, columns, finder) in enumerate(zip(opened.tables, opened.columns, finders, strict=True)):
        observed = opened.observed[:, i]
        if table is None:
            continue
        values = table.numbers(columns, observed, UNSEEN)
        for rows in blocks(len(observed)):
            result[rows, i] = finder.find(rows_of(values, rows), observed[rows]).any(axis=1)
    return result


def dtype_of(table: np.ndarray | None) -> np.dtype[Any]:
    """float32 for a table of float32, float64 for any other."""
    return np.dtype(np.float32 if table is not None and table.dtype == np.float32 else np.float64)


def known_rows(values: np.ndarray, observed: np.ndarray, dtype: np.dtype[Any], missing: float) -> np.ndarray:
    """Rows in ``dtype``, ``missing`` where not observed; the same memory where nothing is to be changed."""
    made = values.astype(dtype, copy=False)
    return made if observed.all() else np.where(observed[:, None], made, dtype.type(missing))


def rows_of(table: np.ndarray, rows: slice | np.ndarray) -> np.ndarray:
    """Some rows of a table; of a mapped one the pages read before are given back to the system."""
    let_go(table)  # of the rows before these
    return table[rows]
