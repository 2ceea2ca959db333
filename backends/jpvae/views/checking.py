"""Opened views checked: each row read once, a block at a time, every value converted, with every complaint about them.

Rows of NaN are missing under ``missing="nan"``; under ``entries="marginalise"`` single cells may be NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ..errors import ViewError
from . import dataframes as frames
from .columns import Columns
from .far import Far
from .impossible import UNSEEN, Impossible, Tally
from .memory_map import is_mapped
from .opening import Opened, open_views
from .reading import BLOCK, Views, Visit, blocks, known_rows, rows_of


class Copies(Protocol):
    """Where the values go as they are checked."""

    def begin(self, data: Views) -> None:
        """Before the first of them. data: as ``Check.data``."""

    def write(self, view: int, rows: slice, known: np.ndarray) -> None:
        """A block of checked rows (R, p), NaN where nothing was observed."""

    def undo(self) -> None:
        """A later block was refused, or the run was stopped."""


class Kept:
    """New arrays: ``tables`` (N, p_i), NaN where missing."""

    def __init__(self) -> None:
        self.tables: list[np.ndarray] = []

    def begin(self, data: Views) -> None:
        """Of the views' dtypes."""
        sizes = [(len(data.observed), c) for c in data.features]
        self.tables = [np.full(size, np.nan, data.dtype(i)) for i, size in enumerate(sizes)]

    def write(self, view: int, rows: slice, known: np.ndarray) -> None:
        """A block."""
        self.tables[view][rows] = known

    def undo(self) -> None:
        """Nobody has seen them."""


class Check:
    """The check of opened views, a block of rows of one view at a time. Raises ViewError.

    data: the views; which rows have which (``observed`` and the like) is true of the rows that were checked.
    visit: called with each block's values, 0 where the view is missing, after they were found to be numbers.
    leaving_out: of each view, what finds the values that it cannot have, which are then missing, with a warning.
    far: makes what warns of each view's cells far from the mean; in training nothing does.
    """

    def __init__(
        self,
        opened: Opened,
        *,
        missing: str = "error",
        entries: str = "error",
        visit: Visit | None = None,
        leaving_out: tuple[Impossible, ...] | None = None,
        far: Callable[[], list[Far]] = list,
    ) -> None:
        if not isinstance(missing, str) or missing not in ("error", "nan"):
            raise ViewError(f"missing is {missing!r}; expected 'error' (NaN is an error) or 'nan' (rows of NaN are missing)")
        self.opened, self._missing, self._entries, self._visit, self._far = opened, missing, entries, visit, far()
        observed, unseen = opened.observed, None if leaving_out is None else UNSEEN
        pairs = list(zip(opened.tables, opened.columns, strict=True))
        tables = tuple(None if t is None else t.numbers(c, observed[:, i], unseen) for i, (t, c) in enumerate(pairs))
        whole = observed.copy() if entries == "marginalise" else observed
        for i in (i for i, table in enumerate(tables) if table is None):
            observed[:, i] = whole[:, i] = False
        self.data = Views(
            *(tables, observed, whole, opened.names, opened.columns, opened.keyed, opened.together, opened.tables),
            *(opened.index, leaving_out, None if leaving_out is None else np.zeros_like(observed)),
        )
        self._tallies = [Tally(name, c) for name, c in zip(opened.names, opened.columns, strict=True)]
        self._filled = [np.zeros(c.count, dtype=bool) for c in opened.columns]  # the columns that somebody has

    def block(self, i: int, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Check some rows of a view: its values as ``Views.read`` has them, and as they are in the table, NaN where they are
        impossible."""
        data, table, name = self.data, self.data.tables[i], self.data.names[i]
        observed, spared, titles = data.observed, data.spared, data.titles(rows)
        if table is None:
            return (nothing := Views.read(data, i, rows)), nothing
        possible = values = rows_of(table, rows)
        if table.dtype in (np.dtype(np.int64), np.dtype(np.uint64)):
            frames.check_exact(values, name, range(data.columns[i].count))
        if data.leaving_out is not None and spared is not None:
            found = data.leaving_out[i].find(values, observed[rows, i])
            self._tallies[i].add(values, found, titles)
            possible, values = np.where(found, np.nan, values), data.leaving_out[i].leave_out(values, found)
            spared[rows, i] = found.any(axis=1) & np.isnan(values).all(axis=1)
            observed[rows, i] &= ~spared[rows, i]
        if self._missing == "nan":
            observed[rows, i] &= ~np.isnan(values).all(axis=1)
        there = observed[rows, i]
        _finite(values, there, name, self._missing, self._entries, titles, data.columns[i])
        if self._entries == "marginalise":
            self._filled[i] |= ~np.isnan(values[there]).all(axis=0)
            data.whole[rows, i] = there & ~np.isnan(values).any(axis=1)
        read = known_rows(values, there, data.dtype(i), 0.0)
        if self._visit is not None:
            self._visit(i, rows, read, there)
        for each in self._far[i : i + 1]:
            each.add(read, there, titles)
        return read, possible

    def end_of(self, i: int) -> None:
        """After the last block of a view: warnings and complaints about all of it."""
        if self.data.tables[i] is None:
            return
        cells, name, columns = self._entries == "marginalise", self.data.names[i], self.data.columns[i]
        self._tallies[i].warn("cells" if cells else "rows")
        for each in self._far[i : i + 1]:
            each.warn()
        if self.opened.fitting and cells and self.data.observed[:, i].any() and not self._filled[i].all():
            title = columns.title(int(np.argmin(self._filled[i])))
            raise ViewError(f"view {name!r}, column {title!r} has no value in any row; leave the column out")

    def end(self) -> None:
        """After the last block of the last view."""
        observed, spared = self.data.observed, self.data.spared
        empty = np.flatnonzero(~observed.any(axis=1))
        called = self.data.titles(slice(None))[int(empty[0])] if empty.size else None
        if empty.size and spared is not None and spared[empty[0]].any():
            raise ViewError(
                f"row {called} has impossible values in every view that it has, and nothing is left to impute them from; "
                "expected another view of it, or a model that can leave out single cells: "
                'fit with entries="marginalise" (--entries marginalise)'
            )
        if empty.size:
            raise ViewError(
                f"mask leaves row {called} with no view ({empty.size} such rows); expected at least one observed per row"
            )
        if self.opened.fitting:
            for i in np.flatnonzero(~observed.any(axis=0)).tolist():
                name = self.data.names[i]
                raise ViewError(f"view {name!r} is missing in every row; expected at least one observed row to learn it from")


def read_views(views: Any, mask: Any = None, *, missing: str = "error", entries: str = "error", **expected: Any) -> Views:
    """Open and check (``open_views`` has what is ``expected``)."""
    return checked(open_views(views, mask, **expected), missing=missing, entries=entries)


def checked(opened: Opened, *, copies: Copies | None = None, **how: Any) -> Views:
    """Check every block of one view after the other (``Check`` has ``how``). copies: what takes them. Raises ViewError."""
    check = Check(opened, **how)
    if copies is not None:
        copies.begin(check.data)
    try:
        for i, table in enumerate(check.data.tables):
            for rows in blocks(len(check.data.observed)) if table is not None or copies is not None else ():
                _, possible = check.block(i, rows)
                if copies is not None:
                    copies.write(i, rows, check.data.known(i, rows, possible))
            check.end_of(i)
        check.end()
    except BaseException:
        if copies is not None:
            copies.undo()
        raise
    return check.data


@dataclass
class _Stand:
    """How many rows were checked; the last block of them, and its values by view."""

    done: int = 0
    rows: slice | None = None
    held: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True)
class Streamed(Views):
    """Views that are checked as they are read, block by block of all views: for what has no result before the last block."""

    check: Check | None = None
    check_whole: Callable[[], Any] = lambda: None
    stand: _Stand = field(default_factory=_Stand)

    def read(self, view: int, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """As of ``Views``. The rows of a slice are checked up to its end."""
        stand, N = self.stand, len(self.observed)
        if not isinstance(rows, slice):
            return super().read(view, rows)
        while stand.done < rows.indices(N)[1]:
            self._go_on(slice(stand.done, min(stand.done + BLOCK, N)))
        return stand.held[view] if rows == stand.rows else super().read(view, rows)

    def _go_on(self, rows: slice) -> None:
        check, stand = self.check, self.stand
        assert check is not None
        try:
            stand.held = [check.block(i, rows)[0] for i in range(len(self.tables))]
        except ViewError:
            self.complain()
            raise
        if not self.observed[rows].any(axis=1).all():
            self.complain()
        stand.rows, stand.done = rows, rows.stop
        if rows.stop == len(self.observed):
            for i in range(len(self.tables)):
                check.end_of(i)

    def complain(self) -> None:
        """Raise the ViewError of a check of all rows, one view after the other."""
        self.check_whole()


def streamed(opened: Opened, *, visit_whole: Visit, visit_block: Visit, **how: Any) -> Views:
    """Views to be read block by block, once (``Check`` has ``how``). visit_whole: of a check before any work; visit_block: of
    blocks that the reader will scale himself.

    Those without a memory-mapped table are checked now: what is in memory costs nothing to read, and a mistake is found before
    any work.
    """
    if not any(table is not None and is_mapped(table.values) for table in opened.tables):
        return checked(opened, visit=visit_whole, **how)
    fresh = replace(opened, observed=opened.observed.copy())
    check = Check(opened, visit=visit_block, **how)
    return Streamed(**vars(check.data), check=check, check_whole=lambda: checked(fresh, visit=visit_whole, **how))


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
