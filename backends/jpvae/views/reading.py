"""Opened views read, once: a block of rows at a time, every value converted and checked, with every complaint about them.

Rows of NaN are missing under ``missing="nan"``; under ``entries="marginalise"`` single cells may be NaN. Inputs are not
changed, and tables of plain numbers not copied, so that a memory-mapped table is never whole in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ViewError
from . import dataframes as frames
from . import returning
from .columns import Columns
from .dataframes import Table
from .impossible import UNSEEN, Impossible, Tally
from .memory_map import let_go
from .opening import Opened, open_views

BLOCK = 512  # rows that are read, checked and imputed at a time

Visit = Callable[[int, slice, np.ndarray, np.ndarray], None]  # of a view, its rows, their values (R, p) and which are observed


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
        return _dtype(self.tables[view])

    def titles(self, rows: slice | np.ndarray) -> Sequence[Any]:
        """What the person calls these rows."""
        places: Any = range(*rows.indices(len(self.observed))) if isinstance(rows, slice) else rows
        called: Sequence[Any] = places if self.index is None else self.index[rows]
        return called

    def read(self, view: int, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Rows of a view in the data's units, (R, c_i), zeros where missing; may share memory with the table."""
        table, observed, dtype = self.tables[view], self.observed[rows, view], self.dtype(view)
        if table is None:
            return np.zeros((len(observed), self.features[view]), dtype)
        values = _rows(table, rows)
        if self.leaving_out is not None:
            values = self.leaving_out[view].leave_out(values, self.leaving_out[view].find(values, observed))
        return _known(values, observed, dtype, 0.0)

    def known(self, view: int, rows: slice) -> np.ndarray:
        """The same, NaN where nothing was observed: what a result may not change."""
        table, there, dtype = self.tables[view], self.observed[rows, view], self.dtype(view)
        if table is None:
            return np.full((len(there), self.features[view]), np.nan, dtype)
        values = _rows(table, rows)
        if self.spared is not None:
            there = there | self.spared[rows, view]
        if self.leaving_out is not None:
            values = np.where(self.leaving_out[view].find(values, there), np.nan, values)
        return _known(values, there, dtype, np.nan)

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


def read_views(views: Any, mask: Any = None, *, missing: str = "error", entries: str = "error", **expected: Any) -> Views:
    """Open and check (``open_views`` has what is ``expected``)."""
    return checked(open_views(views, mask, **expected), missing=missing, entries=entries)


def checked(
    opened: Opened,
    *,
    missing: str = "error",
    entries: str = "error",
    visit: Visit | None = None,
    keep: bool = False,
    leaving_out: tuple[Impossible, ...] | None = None,
) -> Views:
    """Read every block of rows once, and check it. Raises ViewError.

    visit: called with each block's values, 0 where the view is missing, after they were found to be numbers.
    keep: copy them, NaN where missing, into arrays of their own, which are the ``tables`` of the result.
    leaving_out: of each view, what finds the values that it cannot have, which are then missing, with a warning.
    """
    if not isinstance(missing, str) or missing not in ("error", "nan"):
        raise ViewError(f"missing is {missing!r}; expected 'error' (NaN is an error) or 'nan' (rows of NaN are missing)")
    observed, index, N = opened.observed, opened.index, len(opened.observed)
    whole = observed.copy() if entries == "marginalise" else observed
    arrays = [
        None if t is None else t.numbers(c, observed[:, i], None if leaving_out is None else UNSEEN)
        for i, (t, c) in enumerate(zip(opened.tables, opened.columns, strict=True))
    ]
    spared = None if leaving_out is None else np.zeros_like(observed)
    kept = [np.full((N, c.count), np.nan, _dtype(a)) for a, c in zip(arrays, opened.columns, strict=True)] if keep else []
    for i, (a, c, name) in enumerate(zip(arrays, opened.columns, opened.names, strict=True)):
        if a is None:
            observed[:, i] = whole[:, i] = False
            continue
        filled = np.zeros(c.count, dtype=bool)  # the columns that somebody has
        tally = Tally(name, c)
        for rows in blocks(N):
            values = _rows(a, rows)
            if a.dtype in (np.dtype(np.int64), np.dtype(np.uint64)):
                frames.check_exact(values, name, range(c.count))
            possible = values
            if leaving_out is not None and spared is not None:
                found = leaving_out[i].find(values, observed[rows, i])
                tally.add(values, found, frames.row_titles(index, rows))
                possible, values = np.where(found, np.nan, values), leaving_out[i].leave_out(values, found)
                spared[rows, i] = found.any(axis=1) & np.isnan(values).all(axis=1)
                observed[rows, i] &= ~spared[rows, i]
            if missing == "nan":
                observed[rows, i] &= ~np.isnan(values).all(axis=1)
            _finite(values, observed[rows, i], name, missing, entries, frames.row_titles(index, rows), c)
            if entries == "marginalise":
                filled |= ~np.isnan(values[observed[rows, i]]).all(axis=0)
                whole[rows, i] = observed[rows, i] & ~np.isnan(values).any(axis=1)
            if visit is not None:
                visit(i, rows, _known(values, observed[rows, i], _dtype(a), 0.0), observed[rows, i])
            if keep:
                there = observed[rows, i] if spared is None else observed[rows, i] | spared[rows, i]
                kept[i][rows] = _known(possible, there, _dtype(a), np.nan)
        tally.warn("cells" if entries == "marginalise" else "rows")
        if opened.fitting and entries == "marginalise" and observed[:, i].any() and not filled.all():
            raise ViewError(
                f"view {name!r}, column {c.title(int(np.argmin(filled)))!r} has no value in any row; leave the column out"
            )
    empty = np.flatnonzero(~observed.any(axis=1))
    if empty.size and spared is not None and spared[empty[0]].any():
        raise ViewError(
            f"row {frames.row_titles(index, slice(0, N))[int(empty[0])]} has impossible values in every view that it has, and "
            "nothing is left to impute them from; expected another view of it, or a model that can leave out single cells: "
            'fit with entries="marginalise" (--entries marginalise)'
        )
    if empty.size:
        raise ViewError(
            f"mask leaves row {frames.row_titles(index, slice(0, N))[int(empty[0])]} with no view ({empty.size} such rows); "
            "expected at least one observed per row"
        )
    if opened.fitting:
        for i in np.flatnonzero(~observed.any(axis=0)).tolist():
            raise ViewError(
                f"view {opened.names[i]!r} is missing in every row; expected at least one observed row to learn it from"
            )
    tables = tuple(kept) if keep else tuple(arrays)
    kept_out = None if keep else leaving_out
    return Views(
        *(tables, observed, whole, opened.names, opened.columns, opened.keyed, opened.together, opened.tables, index),
        leaving_out=kept_out,
        spared=spared,
    )


def impossible_rows(opened: Opened, finders: Sequence[Impossible]) -> np.ndarray:
    """(N, M) bool: the rows of each view that hold a value which it cannot have."""
    result = np.zeros(opened.observed.shape, dtype=bool)
    for i, (table, columns, finder) in enumerate(zip(opened.tables, opened.columns, finders, strict=True)):
        observed = opened.observed[:, i]
        if table is None:
            continue
        values = table.numbers(columns, observed, UNSEEN)
        for rows in blocks(len(observed)):
            result[rows, i] = finder.find(_rows(values, rows), observed[rows]).any(axis=1)
    return result


def _dtype(table: np.ndarray | None) -> np.dtype[Any]:
    return np.dtype(np.float32 if table is not None and table.dtype == np.float32 else np.float64)


def _known(values: np.ndarray, observed: np.ndarray, dtype: np.dtype[Any], missing: float) -> np.ndarray:
    """Rows in ``dtype``, ``missing`` where not observed; the same memory where nothing is to be changed."""
    made = values.astype(dtype, copy=False)
    return made if observed.all() else np.where(observed[:, None], made, dtype.type(missing))


def _rows(table: np.ndarray, rows: slice | np.ndarray) -> np.ndarray:
    let_go(table)  # of the rows before these
    return table[rows]


def _finite(
    a: np.ndarray, observed: np.ndarray, name: str, missing: str, entries: str, called: Sequence[Any], columns: Columns
) -> None:
    lacking = np.isnan(a).all(axis=1) if entries == "marginalise" else np.ones(len(a), dtype=bool)
    bad = ~np.isfinite(a) & observed[:, None] & (lacking[:, None] | ~np.isnan(a))
    if bad.any():
        row, column = (int(k) for k in np.argwhere(bad)[0])
        hint = 'Mark the row missing with mask, or pass missing="nan" if rows of NaN mean that the view is absent.'
        if not np.isnan(a[row, column]):
            hint = "Correct the value, or mark the row missing with mask."
        elif missing == "nan":
            hint = "Only a row that is NaN in every column of the view counts as missing; impute or drop single cells first."
        if entries == "error" and np.isnan(a[row, column]):
            hint += ' To leave single cells out and have them imputed: JPVAE(entries="marginalise"), or --entries marginalise.'
        place = f"view {name!r}, row {called[row]}, column {columns.title(column)!r}"
        raise ViewError(f"{place} is {a[row, column]}; expected a finite number. {hint}")
