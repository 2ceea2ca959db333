"""What a person hands in, looked at but not read: a list or dict of tables, a mask, and every complaint about their form.

A view is an (N, p_i) table (NumPy, pandas, torch). A missing view is marked by the mask, by None for all rows, or by rows of
NaN under ``missing="nan"`` (reading.py); zeros are never taken as missing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..errors import JPVAEWarning, ViewError
from . import dataframes as frames
from . import single_cell
from .columns import Columns
from .dataframes import Table
from .inferring import GLANCE, can_be_glanced_at, columns_of, per_view
from .masks import has_names, read_mask
from .names import unfit


@dataclass(frozen=True)
class Opened:
    """Views whose values are not checked yet: tables, None where nobody has the view; observed (N, M), as the mask has it."""

    tables: tuple[Table | None, ...]
    observed: np.ndarray
    names: tuple[str, ...]
    columns: tuple[Columns, ...]
    keyed: bool  # handed in as a dict
    together: Callable[[dict[str, Any]], Any] | None  # from results by view to what they were handed in as, where not a dict
    index: Any  # of the DataFrames among them
    fitting: bool  # whether the columns were learned from these tables, or are to be (``learned``)
    glanced: tuple[bool, ...] = ()  # of which views they were inferred from the first rows alone


def open_views(
    views: Any,
    mask: Any = None,
    *,
    likelihood: Any = "gaussian",
    names: tuple[str, ...] | None = None,
    columns: Sequence[Columns] | None = None,
    layer: Any = None,
) -> Opened:
    """Check the form. layer: of AnnData, by view or for all, None for X.

    ``names`` and ``columns``: what a fitted model expects (views given by name may be left out); without
    them ``likelihood`` determines the columns (inferring.py). Raises ViewError, ConfigError."""
    opened = open_tables(views, mask, names=names, columns=columns, layer=layer)
    return learned(opened, likelihood) if columns is None else opened


def open_tables(
    views: Any,
    mask: Any = None,
    *,
    names: tuple[str, ...] | None = None,
    columns: Sequence[Columns] | None = None,
    layer: Any = None,
) -> Opened:
    """``open_views`` without the columns of tables to fit to, which ``learned`` adds."""
    together, has = None, None
    if single_cell.is_multimodal(views):
        together = partial(single_cell.together, views)
        views, has = single_cell.modalities(views)
    order, tables, keyed = _tables(views, mask, names, layer)
    for name in order:
        if reason := unfit(name):
            raise ViewError(
                f"views has the name {name!r}, which {reason}; expected a name that a file can have: rename the view"
            )
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
    if columns is None and N == 1:
        raise ViewError("views have one row (n_samples = 1); expected at least two, to learn how rows differ")
    observed = read_mask(mask, order, N, index, keyed)
    if has is not None:
        observed[:, [order.index(name) for name in views]] &= has
    if columns is not None:
        known = [t if t is None else frames.in_order(t, c) for t, c in zip(tables, columns, strict=True)]
        return Opened(tuple(known), observed, order, tuple(columns), keyed, together, index, fitting=False)
    return Opened(tuple(tables), observed, order, (), keyed, together, index, fitting=True)


def glances(opened: Opened, likelihood: Any) -> tuple[bool, ...]:
    """Of which views the columns can be inferred from the first rows, to be confirmed later (inferring.py)."""
    pairs = zip(per_view(likelihood, opened.names), opened.tables, strict=True)
    return tuple(table is not None and can_be_glanced_at(said, table) for said, table in pairs)


def learned(opened: Opened, likelihood: Any, glanced: tuple[bool, ...] = ()) -> Opened:
    """With the columns that ``likelihood`` determines, of the views that are ``glanced`` at as far as the first rows show,
    without their warnings. Raises ViewError, ConfigError."""
    columns = []
    for i, (said, table, name) in enumerate(zip(per_view(likelihood, opened.names), opened.tables, opened.names, strict=True)):
        if table is None:
            raise ViewError(f"view {name!r} is None; expected a table: a view that no row has cannot be learned")
        if glanced and glanced[i]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", JPVAEWarning)
                columns.append(columns_of(said, table.first(GLANCE), opened.observed[:GLANCE, i]))
        else:
            columns.append(columns_of(said, table, opened.observed[:, i]))
    return replace(opened, columns=tuple(columns), glanced=glanced)


def _tables(
    views: Any, mask: Any, names: tuple[str, ...] | None, layer: Any
) -> tuple[tuple[str, ...], list[Table | None], bool]:
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
        if mask is not None and not has_names(mask) and list(given) != [name for name in order if name in given]:
            raise ViewError(
                f"views come in the order {list(given)}, but mask's columns are those of {list(order)}; use that order"
            )
        tables = [views.get(name) for name in order]
    else:
        if isinstance(views, np.ndarray) or not isinstance(views, Sequence):
            raise ViewError(
                f"views is a {type(views).__name__}; expected a list or dict of (N, c) tables, one per view; for one table "
                "that has all views side by side, set JPVAE(view_slices=...) to each view's columns"
            )
        tables = list(views)
        order = names or tuple(f"view{i}" for i in range(len(tables)))
        if len(tables) != len(order):
            raise ViewError(
                f"views has {len(tables)} tables; expected {len(order)} ({', '.join(order)}); None for an absent one"
            )
    if not tables:
        raise ViewError("views is empty; expected at least one (N, c) table")
    return order, [None if t is None else _read(t, name, layer) for t, name in zip(tables, order, strict=True)], keyed


def _read(table: Any, view: str, layer: Any) -> Table:
    annotated = isinstance(table, single_cell.Modality) or single_cell.is_annotated(table)
    return single_cell.read(table, view, layer) if annotated else frames.read_table(table, view)
