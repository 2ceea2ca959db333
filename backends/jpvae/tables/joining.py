"""Tables of the same subjects, outer-joined on their ids (arrays: by position), as the estimator takes them.

A subject that a table does not have, or has only empty cells of, has that view missing. Subjects stand in the order in
which the tables, as given, first name them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..errors import ViewError
from ..views.memory_map import let_go
from ..views.reading import blocks
from .arrays import open_arrays
from .reading import Table, read
from .sources import Source


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

    def rows(self, which: np.ndarray) -> dict[str, Any]:
        """The views at some of the rows, (R, c_i)."""
        return {name: v.iloc[which] if isinstance(v, pd.DataFrame) else v[which] for name, v in self.views.items()}

    def empty_cells(self) -> int:
        """How many cells are empty in rows that have others of the view."""
        partial, total = self.observed & ~self.whole, 0
        for name, view in self.rows(partial.any(axis=1)).items():
            j = self.names.index(name)
            total += int(pd.DataFrame(view)[partial[partial.any(axis=1), j]].isna().to_numpy().sum())
        return total

    def patterns(self) -> list[tuple[tuple[bool, ...], int]]:
        """Which views a row has, and how many rows do, the most frequent first."""
        counts = Counter(map(tuple, self.observed.tolist()))
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def join(
    given: Sequence[Source],
    id_column: str | None,
    *,
    names: Sequence[str] | None = None,
) -> Joined:
    """Read and join. names: a fitted model's views, in its order, of which others are a ViewError."""
    order = tuple(names or (source.view for source in given))
    unknown = [source.view for source in given if source.view not in order]
    if unknown:
        raise ViewError(f"--view names {unknown}, which the model does not have; expected names among {list(order)}")
    given = sorted(given, key=lambda source: order.index(source.view))
    if given[0].is_array:
        if id_column is not None:
            raise ViewError(
                f"{given[0]} has no ids, where {id_column!r} is to match the rows; expected tables with that column"
            )
        return _by_position(given, order)
    if id_column is None:
        hint = "name the id column with --id, such as --id subject"
        if names is not None:
            hint = "the model was fitted without one; give arrays (.npy, .npz), or fit on tables"
        raise ViewError(f"{given[0]} is a table, whose rows are matched by an id; {hint}")
    tables = {source.view: read(source, id_column) for source in given}
    ids = _all_ids(list(tables.values()))
    views = {name: table.frame.reindex(ids) for name, table in tables.items()}
    observed, whole = np.zeros((2, len(ids), len(order)), bool)
    for name, view in views.items():
        there = view.notna()
        observed[:, order.index(name)], whole[:, order.index(name)] = there.any(axis=1), there.all(axis=1)
    _check_rows(observed, lambda row: f"{id_column} {ids[row]!r}")
    return Joined(views, observed, whole, order, ids, tables)


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
    return Joined(arrays, observed, whole, order, None, {})


def _all_ids(tables: list[Table]) -> pd.Index:
    ids = tables[0].frame.index
    for table in tables[1:]:
        own = table.frame.index
        if own.dtype != ids.dtype:
            raise ViewError(
                f"the ids {ids.name!r} are of different kinds, so no row would match: {_with_kind(ids)} in "
                f"{tables[0].source}, {_with_kind(own)} in {table.source}; make both text or both integers"
            )
        ids = ids.append(own[~own.isin(ids)])
    return ids


def _with_kind(ids: pd.Index) -> str:
    """The first id and its kind, in words that no release of pandas or NumPy changes."""
    return f"{ids[0]} (integer)" if pd.api.types.is_integer_dtype(ids) else f"{str(ids[0])!r} (text)"


def _check_rows(observed: np.ndarray, name: Callable[[int], str]) -> None:
    empty = np.flatnonzero(~observed.any(axis=1))
    if empty.size:
        raise ViewError(
            f"{name(int(empty[0]))} has no value in any of the given views ({empty.size} such rows); expected at least one "
            "view for each: delete these rows, or give the view that they have"
        )
