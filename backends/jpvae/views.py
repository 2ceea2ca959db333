"""From what a person hands in to checked views: a list or dict of tables, a mask, and every complaint about them.

A view is an (N, c_i) table (NumPy, pandas, torch). Missing is said by the mask, by None for a whole view, or by rows of
NaN under ``missing="nan"``; zeros are never taken as missing. Inputs are not changed, and not copied: their values are
read, converted and checked a block of rows at a time, so that a memory-mapped table is never whole in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import ViewError
from .mapped import let_go

BLOCK = 512  # rows that are read, checked and imputed at a time


def blocks(rows: int) -> Iterator[slice]:
    """The rows, cut into slices of BLOCK."""
    for start in range(0, rows, BLOCK):
        yield slice(start, min(start + BLOCK, rows))


@dataclass(frozen=True)
class Views:
    """Checked views: tables[i] (N, c_i) as it was handed in, None where nobody has it; observed (N, M) bool."""

    tables: tuple[np.ndarray | None, ...]
    observed: np.ndarray
    names: tuple[str, ...]
    features: tuple[int, ...]
    keyed: bool  # handed in as a dict

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

    def give_back(self, results: Sequence[Any]) -> Any:
        """Results per view in the container that the views came in."""
        return dict(zip(self.names, results, strict=True)) if self.keyed else list(results)


def read_views(
    views: Any,
    mask: Any = None,
    *,
    missing: str = "error",
    names: tuple[str, ...] | None = None,
    features: tuple[int, ...] | None = None,
) -> Views:
    """Check and convert. ``names`` and ``features``: what a fitted model expects (views given by name may be left out)."""
    if missing not in ("error", "nan"):
        raise ViewError(f"missing is {missing!r}; expected 'error' (NaN is an error) or 'nan' (rows of NaN are missing)")
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
        tables = [dict(zip(given, views.values(), strict=True)).get(name) for name in order]
    else:
        if isinstance(views, np.ndarray) or not isinstance(views, Sequence):
            raise ViewError(f"views is a {type(views).__name__}; expected a list or dict of (N, c) tables, one per view")
        tables = list(views)
        order = names or tuple(f"view{i}" for i in range(len(tables)))
        if len(tables) != len(order):
            raise ViewError(
                f"views has {len(tables)} tables; expected {len(order)} ({', '.join(order)}); None for an absent one"
            )
    if not tables:
        raise ViewError("views is empty; expected at least one (N, c) table")

    arrays = [None if t is None else _numeric(t, name) for t, name in zip(tables, order, strict=True)]
    lengths = {name: len(a) for name, a in zip(order, arrays, strict=True) if a is not None}
    if not lengths:
        raise ViewError("every view is None; expected at least one (N, c) table")
    if len(set(lengths.values())) > 1:
        raise ViewError(
            f"views have different row counts {lengths}; expected one row per subject in every view; use mask for absences"
        )
    N = next(iter(lengths.values()))
    if N == 0:
        raise ViewError("views have no rows; expected at least one")
    for i, (name, a) in enumerate(zip(order, arrays, strict=True)):
        if a is None and features is None:
            raise ViewError(f"view {name!r} is None; expected a table: fit cannot learn a view that nobody has")
        if a is not None and features is not None and a.shape[1] != features[i]:
            raise ViewError(f"view {name!r} has {a.shape[1]} columns; expected {features[i]}, as in fit")

    observed = _mask(mask, N, len(order))
    for i, a in enumerate(arrays):
        if a is None:
            observed[:, i] = False
            continue
        for rows in blocks(N):
            values = _rows(a, rows)
            if missing == "nan":
                observed[rows, i] &= ~np.isnan(values).all(axis=1)
            _finite(values, observed[rows, i], order[i], missing, rows.start)
    empty = np.flatnonzero(~observed.any(axis=1))
    if empty.size:
        raise ViewError(
            f"mask leaves row {int(empty[0])} with no view ({empty.size} such rows); expected at least one observed per row"
        )
    if features is None:
        for i in np.flatnonzero(~observed.any(axis=0)):
            raise ViewError(f"view {order[i]!r} is missing in every row; expected at least one observed row to learn it from")
    return Views(tuple(arrays), observed, order, features or tuple(a.shape[1] for a in arrays if a is not None), keyed)


def _rows(table: np.ndarray, rows: slice) -> np.ndarray:
    let_go(table)  # of the rows before these
    return table[rows]


def _numeric(table: Any, name: str) -> np.ndarray:
    try:
        if hasattr(table, "detach"):
            table = table.detach().cpu().numpy()
        if np.ma.is_masked(table):
            raise ViewError(f"view {name!r} is a masked array with masked entries; say what is missing with mask or NaN")
        a = np.asarray(table)
        if a.dtype.kind in "cMm":
            raise ViewError(f"view {name!r} has dtype {a.dtype}; expected real numbers")
        if a.dtype.kind not in "biuf":
            a = a.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ViewError(f"view {name!r} is not numeric ({error}); expected an (N, c) table of numbers") from error
    if a.ndim != 2 or a.shape[1] == 0:
        raise ViewError(f"view {name!r} has shape {a.shape}; expected (N, c): one row per subject, at least one column")
    return a


def _mask(mask: Any, N: int, M: int) -> np.ndarray:
    if mask is None:
        return np.ones((N, M), dtype=bool)
    m = np.asarray(mask.detach().cpu() if hasattr(mask, "detach") else mask)
    if m.shape != (N, M):
        raise ViewError(f"mask has shape {m.shape}; expected {(N, M)}: one row per subject, one column per view")
    if m.dtype != np.bool_ and not np.isin(m, (0, 1)).all():
        raise ViewError(f"mask has dtype {m.dtype} and values other than 0 and 1; expected True (observed) or False (missing)")
    return m.astype(bool)


def _finite(a: np.ndarray, observed: np.ndarray, name: str, missing: str, first: int) -> None:
    bad = ~np.isfinite(a) & observed[:, None]
    if bad.any():
        row, column = (int(k) for k in np.argwhere(bad)[0])
        hint = 'Mark the row missing with mask, or pass missing="nan" if rows of NaN mean that the view is absent.'
        if missing == "nan":
            hint = "Only a row that is NaN in every column of the view counts as missing; impute or drop single cells first."
        place = f"view {name!r}, row {first + row}, column {column}"
        raise ViewError(f"{place} is {a[row, column]}; expected a finite number. {hint}")
