"""Tables of the same subjects, outer-joined on their ids (arrays: by position), as the estimator takes them.

A subject that a table does not have, or has only empty cells of, has that view missing. Subjects stand in the order in
which the tables, as given, first name them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..errors import ViewError
from ..views.columns import Columns
from ..views.connected import warn_of_strangers
from ..views.memory_map import let_go
from ..views.pieces import pieces
from ..views.reading import blocks
from .annotated import OBS_NAMES, has_counts, is_annotated
from .arrays import open_arrays
from .dialect import Dialect
from .ids import warn_of_near_ids
from .reading import NoId, Table, read
from .sources import Source

IMPUTED, DRAW = "imputed", "draw"  # columns that results add


@dataclass(frozen=True)
class Joined:
    """N subjects in M views.

    views: per given view an (N, p_i) DataFrame indexed by id (or the array itself); observed: (N, M) bool; whole: (N, M)
    bool, observed in every cell; names: of the M views; tables: the given ones as they were read (arrays: none).
    """

    views: dict[str, Any]
    observed: np.ndarray
    whole: np.ndarray
    names: tuple[str, ...]
    ids: pd.Index | None
    tables: dict[str, Table]
    how: Mapping[str, Dialect]
    counts: frozenset[str] = frozenset()  # the given views of cells in which all numbers are whole

    def rows(self, which: np.ndarray) -> dict[str, Any]:
        """The views at some of the rows, (R, c_i)."""
        return {name: v.iloc[which] if isinstance(v, pd.DataFrame) else v[which] for name, v in self.views.items()}

    def empty_cells(self) -> int:
        """How many cells are empty in rows that have others of the view."""
        total = 0
        for name, view in self.views.items():
            partial = (self.observed & ~self.whole)[:, self.names.index(name)]
            for rows in pieces(*view.shape) if partial.any() else ():
                part = view.iloc[rows] if isinstance(view, pd.DataFrame) else view[rows]
                total += int(pd.DataFrame(part)[partial[rows]].isna().to_numpy().sum())
        return total

    def patterns(self) -> list[tuple[tuple[bool, ...], int]]:
        """Which views a row has, and how many rows do, the most frequent first."""
        counts: Counter[tuple[bool, ...]] = Counter()
        for rows in pieces(*self.observed.shape):
            found, times = np.unique(self.observed[rows], axis=0, return_counts=True)
            counts.update(dict(zip(map(tuple, found.tolist()), times.tolist(), strict=True)))
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def join(
    given: Sequence[Source],
    how: Mapping[str, Dialect],
    *,
    names: Sequence[str] | None = None,
    columns: Sequence[Columns] | None = None,
    part: bool = False,
) -> Joined:
    """Read and join. how: each view's dialect. names, columns: of a fitted model, in its order; other views are a ViewError.

    part: of larger tables, of which without ``columns`` all are taken for numbers."""
    order = tuple(names or (source.view for source in given))
    unknown = [source.view for source in given if source.view not in order]
    if unknown:
        raise ViewError(f"--view names {unknown}, which the model does not have; expected names among {list(order)}")
    given = sorted(given, key=lambda source: order.index(source.view))
    unnamed = [source.view for source in given if is_annotated(source) and how[source.view].id is None]
    how = {**how, **{view: replace(how[view], id=OBS_NAMES) for view in unnamed}}
    id_column = how[given[0].view].id
    if given[0].is_array:
        if id_column is not None:
            raise ViewError(
                f"{given[0]} has no ids, where {id_column!r} is to match the rows; expected tables with that column"
            )
        return _by_position(given, order)
    for source in given:
        if how[source.view].id is None:
            hint = f"name the id column with --id, such as --id subject or --id {source.view}=subject"
            if names is not None:
                hint = "the model was fitted without one; give arrays (.npy, .npz), or fit on tables"
            raise ViewError(f"{source} is a table, whose rows are matched by an id; {hint}")
    of = dict(zip(order, columns, strict=True)) if columns is not None else {}
    tables, lacking = {}, []
    for source in given:
        try:
            tables[source.view] = read(source, how[source.view], of.get(source.view), numbers=part and columns is None)
        except NoId as error:
            lacking.append((source, error))
    for source, failed in lacking:
        _check_turned(source, failed.names, tables)
        raise failed
    for table in tables.values():
        _check_turned(table.source, table.frame.columns, {n: t for n, t in tables.items() if t is not table})
    if columns is None:
        _check_reserved(tables)
    warn_of_near_ids({name: table.frame.index for name, table in tables.items()})
    ids = _all_ids(list(tables.values()))
    views = {name: table.frame.reindex(ids) for name, table in tables.items()}
    observed, whole = np.zeros((2, len(ids), len(order)), bool)
    for name, view in views.items():
        there = view.notna().to_numpy()
        observed[:, order.index(name)], whole[:, order.index(name)] = there.any(axis=1), there.all(axis=1)
    _check_rows(observed, lambda row: f"{id_column} {ids[row]!r}")
    if names is not None and not part:  # a fit warns of its own subjects
        warn_of_strangers(observed, order)
    cells = {name: table.frame for name, table in tables.items() if table.annotated is not None}
    counts = frozenset(name for name, frame in cells.items() if columns is None and has_counts(frame))
    return Joined(views, observed, whole, order, ids, tables, how, counts)


def _check_turned(source: Source, names: Iterable[Any], others: Mapping[str, Table]) -> None:
    """Raise ViewError where a table's columns have the names of other tables' ids."""
    columns = pd.Index([str(name) for name in names])
    for other in others.values():
        if columns.isin(other.frame.index).mean() > 0.5:
            raise ViewError(
                f"{source} has columns named as the ids of {other.source} ({columns[-1]!r}, ...): its rows are the features. "
                f"To read it so: --transpose {source.view}"
            )


def _check_reserved(tables: Mapping[str, Table]) -> None:
    for view, table in tables.items():
        marked = () if table.annotated is None else table.annotated.obs.columns
        if IMPUTED in marked:
            raise ViewError(f"{table.source} has the column {IMPUTED!r} in obs, which results add: rename it")
        for name in (IMPUTED, DRAW) if table.annotated is None else ():
            if name in (table.dialect.id, *table.frame.columns):
                raise ViewError(
                    f"{table.source} has a column {name!r}, which results of imputation add; rename it, or leave it out: "
                    f"--drop {view}:{name}"
                )


def _by_position(given: Sequence[Source], order: tuple[str, ...]) -> Joined:
    arrays = open_arrays(given)
    rows = {str(source.path): len(array) for source, array in zip(given, arrays.values(), strict=True)}
    if len(set(rows.values())) > 1:
        raise ViewError(
            f"arrays have no ids and their rows are matched by position, but their row counts differ: {rows}; expected one row "
            "per subject in each, NaN in every column where a subject lacks the view"
        )
    observed, whole = np.zeros((2, next(iter(rows.values())), len(order)), bool)
    for name, array in arrays.items():
        for at in blocks(len(array)):
            there = ~np.isnan(array[at])
            observed[at, order.index(name)], whole[at, order.index(name)] = there.any(axis=1), there.all(axis=1)
            let_go(array)
    _check_rows(observed, lambda row: f"row {row} of the arrays")
    return Joined(arrays, observed, whole, order, None, {}, {})


def _all_ids(tables: list[Table]) -> pd.Index:
    ids = tables[0].frame.index
    for table in tables[1:]:
        own = table.frame.index
        ids = ids.append(own[~own.isin(ids)])
    return ids.rename(tables[0].dialect.id)


def _check_rows(observed: np.ndarray, name: Callable[[int], str]) -> None:
    empty = np.flatnonzero(~observed.any(axis=1))
    if empty.size:
        raise ViewError(
            f"{name(int(empty[0]))} has no value in any of the given views ({empty.size} such rows); expected at least one "
            "view for each: delete these rows, or give the view that they have"
        )
