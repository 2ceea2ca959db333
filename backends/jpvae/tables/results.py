"""What an imputation gives back: per view one table of all subjects, in the input's columns, order and types.

A cell that was there is copied from the input, never through the model; one that was not has the model's value. The last
column, ``imputed``, is True where the row has such a cell. A long table of draws has each subject once per ``draw`` (from 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import ViewError
from ..mapped import let_go
from . import writing, xlsx
from .arrays import key_of, new_array
from .joining import Joined
from .sources import Source

if TYPE_CHECKING:
    from ..estimator import JPVAE

IMPUTED, DRAW = "imputed", "draw"


def check_names(id_column: str, columns: dict[str, list[str]], *, draws: bool) -> None:
    """Raise ViewError where a column has a name that the results add."""
    for view, names in columns.items():
        for name in (IMPUTED, DRAW) if draws else (IMPUTED,):
            if name in (id_column, *names):
                raise ViewError(
                    f"view {view!r} has a column {name!r}, which the results add; rename it in the table and fit again"
                )


def write_tables(
    folder: Path, model: JPVAE, joined: Joined, columns: dict[str, list[str]], ending: str, draws: int
) -> dict[str, np.ndarray]:
    """<view><ending of its input> for each view (``ending`` for views not given), <view>.draws too; -> imputed (N,) by view."""
    endings = {name: joined.tables[name].source.format if name in joined.tables else ending for name in joined.names}
    for name, suffix in endings.items():
        if suffix == ".xlsx" and len(joined.observed) * max(1, draws) > xlsx.ROWS:
            raise ViewError(
                f"view {name!r} would have {len(joined.observed)} rows x {max(1, draws)} draws, more than an .xlsx holds "
                f"({xlsx.ROWS}); take fewer draws, or give the view as .csv or .parquet"
            )
    filled, imputed = model.impute(joined.views, joined.observed), {}
    for name, suffix in endings.items():
        frame = _filled(joined, name, columns[name], filled[name])
        imputed[name] = frame[IMPUTED].to_numpy()
        writing.write_frame(folder / f"{name}{suffix}", frame)
    if draws:
        drawn = model.sample_imputations(joined.views, joined.observed, n_draws=draws, observation_noise=True)
        for name, suffix in endings.items():
            frames = [_filled(joined, name, columns[name], one) for one in drawn[name]]
            for number, frame in enumerate(frames, start=1):
                frame.insert(frame.columns.get_loc(joined.ids.name) + 1, DRAW, number)
            writing.write_frame(folder / f"{name}.draws{suffix}", pd.concat(frames, ignore_index=True))
    return imputed


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
    imputed = {name: ~joined.observed[:, i] for i, name in enumerate(joined.names)}
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


def _filled(joined: Joined, view: str, columns: list[str], values: Any) -> pd.DataFrame:
    """One view's table, all subjects. values: (N, c) in the order of ``columns``, the model's."""
    ids, table = joined.ids, joined.tables.get(view)
    found = pd.DataFrame(values, index=ids, columns=columns)
    imputed = np.ones(len(ids), bool)
    place = 0
    if table is not None:
        cells = table.frame.reindex(ids)
        holes = cells.isna()
        imputed = holes.any(axis=1).to_numpy()
        found = pd.DataFrame({name: _column(table.frame[name].dtype, cells[name], found[name], holes[name]) for name in cells})
        place = table.id_place
    found.insert(place, ids.name, ids)
    found[IMPUTED] = imputed
    return found.reset_index(drop=True)


def _column(dtype: np.dtype[Any], cells: pd.Series, values: pd.Series, holes: pd.Series) -> pd.Series:
    if not holes.any():
        return cells
    kept = np.dtype(np.float64) if dtype.kind in "biu" else dtype  # an imputed count is no integer
    return cells.astype(kept).mask(holes, values.astype(kept))
