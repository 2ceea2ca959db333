"""Some subjects under a fitted model: what is known of them, and what the model puts in place of a view that is hidden.

A view can be hidden from the model although the subject has it: what is filled in its place is then compared with the truth.
Everything is in the data's units. Model columns have one column per level of a category, table columns one per category.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..fitted import Fitted
from ..inference.filling import Seen, completed_draws, predictive
from ..inference.predictor import Predictor
from ..views.columns import Columns
from ..views.reading import Views
from ..views.units import Scaled, Units

MOST_ROWS, MOST_CELLS = 2_000, 8_000_000
_NOT_MEASURED = ("bernoulli", "categorical")


@dataclass(frozen=True)
class Sample:
    """data: some rows of checked views, their tables NaN where a cell is missing; ids: what the rows are called;
    population: of how many rows they were taken."""

    predictor: Predictor
    units: tuple[Units, ...]
    dtype: str
    data: Views
    ids: tuple[str, ...]
    population: int

    @classmethod
    def of(
        cls,
        fitted: Fitted,
        predictor: Predictor,
        data: Views,
        ids: Sequence[object] | None = None,
        *,
        most: int = MOST_ROWS,
        always: int | None = None,
    ) -> Sample:
        """At most ``most`` rows, evenly spread; fewer of wide tables. always: a row that is one of them."""
        N = len(data.observed)
        rows = evenly(N, max(50, min(most, MOST_CELLS // sum(data.features))))
        rows = rows if always is None else np.union1d(rows, [always])
        tables = [np.where(data.observed[rows, j, None], _cells(data, j, rows), np.nan) for j in range(len(data.names))]
        part = Views(
            tuple(tables),
            data.observed[rows],
            data.whole[rows],
            data.names,
            data.columns,
            True,
            None,
            (None,) * len(tables),
            None,
        )
        titles = [f"row {k}" for k in rows] if ids is None else [str(ids[k]) for k in rows]
        return cls(predictor.for_rows(None, None), tuple(fitted.units), fitted.options.dtype, part, tuple(titles), N)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the views."""
        return self.data.names

    @property
    def observed(self) -> np.ndarray:
        """(R, M): which views a row has."""
        return self.data.observed

    @property
    def columns(self) -> tuple[Columns, ...]:
        """Of each view."""
        return self.data.columns

    def table(self, view: int) -> np.ndarray:
        """(R, p) table columns: numbers, and codes of categories; NaN where missing."""
        found = self.data.tables[view]
        assert found is not None  # made by ``of``
        return found

    @cached_property
    def truth(self) -> list[np.ndarray]:
        """Of each view (R, c) model columns, NaN where missing."""
        return [each.known(self.table(j), self.observed[:, j]) for j, each in enumerate(self.units)]

    def rows(self, which: np.ndarray) -> Sample:
        """Some of the rows, by position."""
        tables = tuple(self.table(j)[which] for j in range(len(self.names)))
        data = replace(self.data, tables=tables, observed=self.observed[which], whole=self.data.whole[which])
        return Sample(self.predictor, self.units, self.dtype, data, tuple(self.ids[k] for k in which), self.population)

    def means(self, seen: np.ndarray, draws: int = 32) -> list[np.ndarray]:
        """Of each view the imputation (R, c) where ``seen`` (R, M) does not have it, NaN elsewhere; model columns."""
        result = [np.full((len(seen), each.columns.width), np.nan) for each in self.units]
        for one in predictive(self.predictor, Seen(self.scaled(seen), seen, seen), draws):
            units = self.units[one.view]
            result[one.view][one.rows] = units.likelihood.to_data(one.mean, units.location, units.scale)
        return result

    def draws(
        self, seen: np.ndarray, draws: int, *, whole: np.ndarray | None = None
    ) -> Iterator[tuple[int, slice, np.ndarray, np.ndarray]]:
        """(view, which draws, rows, values (s, R, p) of the table's columns), the likelihood's noise included, where ``whole``
        (by default ``seen``) is False."""
        there = Seen(self.scaled(seen), seen, seen if whole is None else whole)
        for one in completed_draws(self.predictor, there, draws, observation_noise=True):
            yield one.view, one.which, one.rows, self.units[one.view].to_table(one.values)

    def scaled(self, seen: np.ndarray) -> list[Scaled]:
        """The views as if only ``seen`` had been observed: nothing of a hidden one is left in them."""
        data = replace(self.data, observed=seen, whole=seen)
        return [Scaled(data, i, units, self.dtype) for i, units in enumerate(self.units)]


def evenly(count: int, most: int) -> np.ndarray:
    """At most ``most`` of the positions 0, ..., count - 1, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))


def measured(columns: Columns) -> np.ndarray:
    """(p,): which table columns are measurements or counts, neither categories nor zeros and ones."""
    found = np.zeros(columns.count, dtype=bool)
    for group in columns.groups:
        found[list(group.columns)] = group.likelihood not in _NOT_MEASURED
    return found


def deviations(table: np.ndarray) -> np.ndarray:
    """Standard deviations (c,) of the known cells of each column (R, c); NaN where they are all alike, or there are none."""
    found = np.full(table.shape[1], np.nan)
    known = ~np.isnan(table)
    some = known.any(axis=0)
    if some.any():
        found[some] = np.nanstd(table[:, some], axis=0)
        found[some] = np.where(np.nanmax(table[:, some], axis=0) > np.nanmin(table[:, some], axis=0), found[some], np.nan)
    return found


def varying(table: np.ndarray) -> np.ndarray:
    """(c,): which columns of (R, c) have known cells that differ by more than rounding."""
    known = ~np.isnan(table)
    rows = known.sum(axis=0)
    middle = np.where(known, table, 0.0).sum(axis=0) / np.maximum(rows, 1)
    spread = (np.where(known, table - middle, 0.0) ** 2).sum(axis=0)
    return np.asarray((rows > 1) & (spread > 1e-12 * (middle**2 * rows)))


def _cells(data: Views, view: int, rows: np.ndarray) -> np.ndarray:
    """Rows of a view, what the model cannot have left out; float64."""
    table = data.tables[view]
    if table is None:
        return np.full((len(rows), data.features[view]), np.nan)
    values = np.asarray(table[rows], np.float64)
    if data.leaving_out is not None:
        out = data.leaving_out[view]
        values = out.leave_out(values, out.find(values, data.observed[rows, view]))
    return values
