"""From what a person hands in to checked views: a list or dict of tables, a mask, and every complaint about them.

A view is an (N, p_i) table (NumPy, pandas, torch). Missing is said by the mask, by None for a whole view, or by rows of
NaN under ``missing="nan"``; zeros are never taken as missing. Under ``entries="marginalise"`` single cells may be NaN. Inputs
are not changed, and tables of plain numbers not copied: their values are read, converted and checked a block of rows at a time,
so that a memory-mapped table is never whole in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ViewError
from . import dataframes as frames
from .columns import Columns
from .dataframes import Table
from .inferring import columns_of, per_view
from .memory_map import let_go

BLOCK = 512  # rows that are read, checked and imputed at a time


def blocks(rows: int) -> Iterator[slice]:
    """The rows, cut into slices of BLOCK."""
    for start in range(0, rows, BLOCK):
        yield slice(start, min(start + BLOCK, rows))


@dataclass(frozen=True)
class Views:
    """Checked views: tables[i] (N, p_i), numbers, None where nobody has it; observed (N, M) bool; given: what was handed in."""

    tables: tuple[np.ndarray | None, ...]
    observed: np.ndarray
    complete: np.ndarray  # (N, M) bool: observed, in every cell (the same array unless cells may be NaN)
    names: tuple[str, ...]
    columns: tuple[Columns, ...]
    keyed: bool  # handed in as a dict
    given: tuple[Table | None, ...]
    index: Any  # of the DataFrames among them

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
        table = self.tables[view]
        return np.dtype(np.float32 if table is not None and table.dtype == np.float32 else np.float64)

    def read(self, view: int, rows: slice = slice(None)) -> np.ndarray:
        """Rows of a view in the data's units, (R, c_i), zeros where missing; may share memory with the table."""
        table, seen, dtype = self.tables[view], self.observed[rows, view], self.dtype(view)
        if table is None:
            return np.zeros((len(seen), self.features[view]), dtype)
        values = _rows(table, rows).astype(dtype, copy=False)
        return values if seen.all() else np.where(seen[:, None], values, dtype.type(0))

    def give_back(self, results: Sequence[np.ndarray], kind: str = "decoded") -> Any:
        """Results per view, (N, p_i) or draws (S, N, p_i), in the container that the views came in (see frames.give_back)."""
        made: list[Any] = []
        for values, columns, table in zip(results, self.columns, self.given, strict=True):
            if values.ndim == 3 and frames.is_frame(columns, table, self.index):
                made.append([frames.give_back(draw, columns, table, self.index, kind=kind) for draw in values])
            else:
                made.append(frames.give_back(values, columns, table, self.index, kind=kind))
        return dict(zip(self.names, made, strict=True)) if self.keyed else made


def read_views(
    views: Any,
    mask: Any = None,
    *,
    missing: str = "error",
    entries: str = "error",
    likelihood: Any = "gaussian",
    names: tuple[str, ...] | None = None,
    columns: Sequence[Columns] | None = None,
) -> Views:
    """Check and convert. ``names`` and ``columns``: what a fitted model expects (views given by name may be left out);
    without them ``likelihood`` says what the columns are (inferring.py)."""
    if missing not in ("error", "nan"):
        raise ViewError(f"missing is {missing!r}; expected 'error' (NaN is an error) or 'nan' (rows of NaN are missing)")
    order, tables, keyed = _tables(views, mask, names)
    lengths = {t.view: len(t) for t in tables if t is not None}
    if not lengths:
        raise ViewError("every view is None; expected at least one (N, c) table")
    if len(set(lengths.values())) > 1:
        raise ViewError(
            f"views have different row counts {lengths}; expected one row per subject in every view; use mask for absences"
        )
    N = next(iter(lengths.values()))
    if N == 0:
        raise ViewError("views have no rows; expected at least one")
    index = frames.shared_index(tables)
    fitting = columns is None
    if fitting and N == 1:
        raise ViewError("views have one row (n_samples = 1); expected at least two to learn from how they differ")
    observed = _mask(mask, N, len(order))
    if columns is None:
        columns = []
        for i, (said, table, name) in enumerate(zip(per_view(likelihood, order), tables, order, strict=True)):
            if table is None:
                raise ViewError(f"view {name!r} is None; expected a table: fit cannot learn a view that nobody has")
            columns.append(columns_of(said, table, observed[:, i]))
    else:
        tables = [t if t is None else frames.in_order(t, c) for t, c in zip(tables, columns, strict=True)]

    arrays = [None if t is None else t.numbers(c, observed[:, i]) for i, (t, c) in enumerate(zip(tables, columns, strict=True))]
    complete = observed.copy() if entries == "marginalise" else observed
    for i, (a, c) in enumerate(zip(arrays, columns, strict=True)):
        if a is None:
            observed[:, i] = complete[:, i] = False
            continue
        filled = np.zeros(c.count, dtype=bool)  # the columns that somebody has
        for rows in blocks(N):
            values = _rows(a, rows)
            if missing == "nan":
                observed[rows, i] &= ~np.isnan(values).all(axis=1)
            _finite(values, observed[rows, i], order[i], missing, entries, frames.row_titles(index, rows), c)
            if entries == "marginalise":
                filled |= ~np.isnan(values[observed[rows, i]]).all(axis=0)
                complete[rows, i] = observed[rows, i] & ~np.isnan(values).any(axis=1)
        if fitting and entries == "marginalise" and observed[:, i].any() and not filled.all():
            raise ViewError(
                f"view {order[i]!r}, column {c.title(int(np.argmin(filled)))!r} has no value in any row; leave the column out"
            )
    empty = np.flatnonzero(~observed.any(axis=1))
    if empty.size:
        raise ViewError(
            f"mask leaves row {frames.row_titles(index, slice(0, N))[int(empty[0])]} with no view ({empty.size} such rows); "
            "expected at least one observed per row"
        )
    if fitting:
        for i in np.flatnonzero(~observed.any(axis=0)):
            raise ViewError(f"view {order[i]!r} is missing in every row; expected at least one observed row to learn it from")
    return Views(tuple(arrays), observed, complete, order, tuple(columns), keyed, tuple(tables), index)


def _tables(views: Any, mask: Any, names: tuple[str, ...] | None) -> tuple[tuple[str, ...], list[Table | None], bool]:
    """The views' names, their tables in that order, and whether they came in a dict."""
    keyed = isinstance(views, Mapping)
    if keyed:
        given = tuple(views)
        if not all(isinstance(k, str) for k in given):
            raise ViewError(f"views has the keys {list(given)}; expected names (strings)")
        order = names or given
        unknown = sorted(set(given) - set(order))
        if unknown:
            raise ViewError(f"views has unknown names {unknown}; expected names among {list(order)}")
        if mask is not None and list(given) != [name for name in order if name in given]:
            raise ViewError(
                f"views come in the order {list(given)}, but mask's columns are those of {list(order)}; use that order"
            )
        tables = [views.get(name) for name in order]
    else:
        if isinstance(views, np.ndarray) or not isinstance(views, Sequence):
            raise ViewError(
                f"views is a {type(views).__name__}; expected a list or dict of (N, c) tables, one per view; of one table that "
                "has all views side by side JPVAE(view_slices=...) says which columns are whose"
            )
        tables = list(views)
        order = names or tuple(f"view{i}" for i in range(len(tables)))
        if len(tables) != len(order):
            raise ViewError(
                f"views has {len(tables)} tables; expected {len(order)} ({', '.join(order)}); None for an absent one"
            )
    if not tables:
        raise ViewError("views is empty; expected at least one (N, c) table")
    return order, [None if t is None else frames.read_table(t, name) for t, name in zip(tables, order, strict=True)], keyed


def _rows(table: np.ndarray, rows: slice) -> np.ndarray:
    let_go(table)  # of the rows before these
    return table[rows]


def _mask(mask: Any, N: int, M: int) -> np.ndarray:
    if mask is None:
        return np.ones((N, M), dtype=bool)
    m = np.asarray(mask.detach().cpu() if hasattr(mask, "detach") else mask)
    if m.shape != (N, M):
        raise ViewError(f"mask has shape {m.shape}; expected {(N, M)}: one row per subject, one column per view")
    if m.dtype != np.bool_ and not np.isin(m, (0, 1)).all():
        raise ViewError(f"mask has dtype {m.dtype} and values other than 0 and 1; expected True (observed) or False (missing)")
    return m.astype(bool)


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
