"""What an imputation gives back: per view one table of all subjects, in the input's columns, order and types.

A cell that was there comes back to the bit, in the column's type where nothing was missing (else numbers are floats, for an
imputed count is no integer); one that was not has the model's value: of a category the most probable one. The last column,
``imputed``, is True for a row in which anything was filled: the whole view, or (entries="marginalise") a single cell. A long
table of draws has each subject once per ``draw`` (from 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import ViewError
from ..views.memory_map import let_go
from . import writing, xlsx
from .arrays import key_of, new_array
from .joining import Joined
from .sources import Source

if TYPE_CHECKING:
    from ..estimator import JPVAE

IMPUTED, DRAW = "imputed", "draw"


def check_names(model: JPVAE, *, draws: bool) -> None:
    """Raise ViewError where a view's columns have no names, or one that the results add."""
    for view, names in model.columns_.items():
        if names is None:
            raise ViewError(f"view {view!r} was an array without column names in fit; expected tables in all views: fit again")
        for name in (IMPUTED, DRAW) if draws else (IMPUTED,):
            if name in (model.index_name_, *names):
                raise ViewError(
                    f"view {view!r} has a column {name!r}, which the results add; rename it in the table and fit again"
                )


def write_tables(folder: Path, model: JPVAE, joined: Joined, ending: str, draws: int) -> dict[str, np.ndarray]:
    """<view><ending of its input> for each view (``ending`` for views not given), <view>.draws too; -> imputed (N,) by view."""
    endings = {name: joined.tables[name].source.format if name in joined.tables else ending for name in joined.names}
    for name, suffix in endings.items():
        if suffix == ".xlsx" and len(joined.observed) * max(1, draws) > xlsx.ROWS:
            raise ViewError(
                f"view {name!r} would have {len(joined.observed)} rows x {max(1, draws)} draws, more than an .xlsx holds "
                f"({xlsx.ROWS}); take fewer draws, or give the view as .csv or .parquet"
            )
    filled = model.impute(joined.views, joined.observed)
    for name, suffix in endings.items():
        writing.write_frame(folder / f"{name}{suffix}", _named(joined, name, filled[name]))
    if draws:
        drawn = model.sample_imputations(joined.views, joined.observed, n_draws=draws, observation_noise=True)
        for name, suffix in endings.items():
            frames = [_named(joined, name, one) for one in drawn[name]]
            for number, frame in enumerate(frames, start=1):
                frame.insert(frame.columns.get_loc(joined.ids.name) + 1, DRAW, number)
            writing.write_frame(folder / f"{name}.draws{suffix}", pd.concat(frames, ignore_index=True))
    return _imputed(joined)


def write_arrays(folder: Path, model: JPVAE, joined: Joined, given: Sequence[Source], draws: int) -> dict[str, np.ndarray]:
    """The same for arrays: <view>.npy with <view>.imputed.npy, streamed row block by row block; a .npz holds both.

    Draws are (draws, N, c) in <view>.draws.npy or .npz, and are held in memory.
    """
    by_view, shape = {source.view: source for source in given}, {}
    out: dict[str, np.ndarray] = {}
    for name, features in zip(joined.names, model.model_.features, strict=True):
        array, shape[name] = joined.views.get(name), (len(joined.observed), features)
        dtype = np.dtype(np.float32 if array is not None and array.dtype == np.float32 else np.float64)
        mapped = by_view.get(name, given[0]).format == ".npy"
        out[name] = new_array(folder / f"{name}.npy", dtype, shape[name]) if mapped else np.empty(shape[name], dtype)
    model.impute(joined.views, joined.observed, out=out)
    drawn: dict[str, Any] = {}
    if draws:
        drawn = model.sample_imputations(joined.views, joined.observed, n_draws=draws, observation_noise=True)
    imputed = _imputed(joined)
    for name, array in out.items():
        source = by_view.get(name, given[0])
        if source.format == ".npy":
            array.flush()
            let_go(array)
            writing.write_array(folder / f"{name}.{IMPUTED}.npy", imputed[name])
            if draws:
                writing.write_array(folder / f"{name}.draws.npy", drawn[name])
        else:
            key = key_of(source) if name in by_view else name
            writing.write_arrays(folder / f"{name}.npz", {key: array, IMPUTED: imputed[name]})
            if draws:
                writing.write_arrays(folder / f"{name}.draws.npz", {key: drawn[name]})
    return imputed


def _imputed(joined: Joined) -> dict[str, np.ndarray]:
    """Per view, the rows (N,) in which anything is filled."""
    return {name: ~joined.whole[:, i] for i, name in enumerate(joined.names)}


def _named(joined: Joined, view: str, filled: pd.DataFrame) -> pd.DataFrame:
    """One view's table: its input's columns in their order, the ids where they were, and which rows were imputed."""
    table, place = joined.tables.get(view), 0
    if table is not None:
        filled, place = filled[list(table.frame.columns)], table.id_place
    filled = filled.copy()
    filled.insert(place, joined.ids.name, joined.ids)
    filled[IMPUTED] = ~joined.whole[:, joined.names.index(view)]
    return filled.reset_index(drop=True)
