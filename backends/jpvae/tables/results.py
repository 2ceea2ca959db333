"""What an imputation gives back: per view one table of all subjects, in the input's columns, order and types.

A cell that was there comes back to the bit: a text as it stood, else in the column's type where nothing was
missing (else numbers are floats, for an imputed count is no integer). One that was not has the model's value: of a category
the most probable one. The last column, ``imputed``, is True for a row in which anything was filled: the whole view, or
(entries="marginalise") a single cell. A long table of draws has each subject once per ``draw`` (from 1). A table of standard
deviations has the columns of the filled one, one of probabilities a column for each level of each category.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import ViewError
from ..views.columns import Columns
from ..views.memory_map import let_go
from . import annotated, writing, xlsx
from .arrays import key_of, new_array
from .joining import DRAW, IMPUTED, Joined
from .sources import ANNOTATED, Source
from .verbatim import as_written

if TYPE_CHECKING:
    from ..inference.importance import Proposals
    from ..predicting import Predicting


PARTS = ("", ".std", ".probabilities", ".draws")  # between a view's name and its ending


@dataclass(frozen=True)
class Wanted:
    """What is to be written beside the imputations."""

    draws: int = 0
    std: bool = False
    probabilities: bool = False
    proposals: Proposals = "auto"  # of importance resampling
    bounds: Mapping[str, Any] | None = None
    whole: Mapping[str, Any] | None = None
    matching: int | None = None
    uniform: bool = False  # all numbers as floats, so that the files of a dataset have the same types

    @property
    def filling(self) -> dict[str, Any]:
        """What ``impute`` and ``sample_imputations`` are given of these."""
        return {"proposals": self.proposals, "bounds": self.bounds, "whole": self.whole}


def check_names(model: Predicting, *, draws: bool) -> None:
    """Raise ViewError where a view's columns have no names, or one that the results add."""
    for view, names in model.columns_.items():
        if names is None:
            raise ViewError(f"view {view!r} was an array without column names in fit; expected tables in all views: fit again")
        for name in (IMPUTED, DRAW) if draws else (IMPUTED,):
            if name in (model.index_name_, *names):
                raise ViewError(
                    f"view {view!r} has a column {name!r}, which the results add; rename it in the table and fit again"
                )


def write_tables(folder: Path, model: Predicting, joined: Joined, ending: str, wanted: Wanted) -> dict[str, np.ndarray]:
    """<view><ending of its input> for each view (``ending`` for views not given), <view>.draws, <view>.std and
    <view>.probabilities too; -> imputed (N,) by view."""
    draws = wanted.draws
    endings = {name: joined.tables[name].source.ending if name in joined.tables else ending for name in joined.names}
    for name, columns, suffix in zip(joined.names, model.table_columns_, endings.values(), strict=True):
        if suffix == ".xlsx":
            _check_sheet(joined, name, columns, draws)
        if wanted.probabilities and _id_of(joined, name) in columns.level_titles:
            raise ViewError(f"view {name!r} calls its ids {_id_of(joined, name)!r}, as one of its probabilities; rename the id")
    found = model.impute(joined.views, joined.observed, return_std=wanted.std, **wanted.filling)
    parts = dict(zip(("", ".std"), found if wanted.std else [found], strict=False))
    if wanted.probabilities:
        probable = model.impute_probabilities(joined.views, joined.observed, proposals=wanted.proposals)
        parts[".probabilities"] = {name: table for name, table in probable.items() if table.shape[1]}
    for part, tables in parts.items():
        made = {name: [_floats(table) if wanted.uniform else table] for name, table in tables.items()}
        _write(folder, joined, endings, part, made)
    if draws:
        drawn = model.sample_imputations(
            joined.views, joined.observed, n_draws=draws, matching=wanted.matching, **wanted.filling
        )
        drawn = {name: [*map(_floats, tables)] for name, tables in drawn.items()} if wanted.uniform else drawn
        _write(folder, joined, endings, ".draws", drawn)
    return _imputed(joined)


def _floats(table: pd.DataFrame) -> pd.DataFrame:
    """With integers and truth values as floats."""
    return table.astype({name: np.float64 for name, dtype in table.dtypes.items() if getattr(dtype, "kind", "O") in "biu"})


def together(joined: Joined) -> str | None:
    """How the file of all modalities is called, of the .h5mu that was given; None where none was."""
    stems = [table.source.path.stem for table in joined.tables.values() if table.source.format == ".h5mu"]
    return stems[0] if stems else None


def _write(folder: Path, joined: Joined, endings: Mapping[str, str], part: str, made: Mapping[str, Sequence[Any]]) -> None:
    """Each view's table, or its draws; all modalities in one file."""
    modalities = {}
    for name, tables in made.items():
        table = joined.tables.get(name)
        if endings[name] in ANNOTATED:
            own = annotated.filled(
                table and table.annotated, tables, ~joined.whole[:, joined.names.index(name)], part, joined.how[name].layer
            )
            if endings[name] == ".h5ad":
                annotated.write(folder / f"{name}{part}.h5ad", own)
            else:
                modalities[name] = own
            continue
        if table is not None and table.texts and part in ("", ".draws"):
            tables = [as_written(one, table) for one in tables]
        frames = [_named(joined, name, one) for one in tables]
        for number, frame in enumerate(frames, start=1) if part == ".draws" else ():
            frame.insert(frame.columns.get_loc(_id_of(joined, name)) + 1, DRAW, number)
        whole = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        writing.write_frame(folder / f"{name}{part}{endings[name]}", whole, joined.how[name])
    if modalities:
        annotated.write(folder / f"{together(joined)}{part}.h5mu", modalities)


def _check_sheet(joined: Joined, name: str, columns: Columns, draws: int) -> None:
    """Raise ViewError for what an .xlsx cannot hold."""
    advice = "give a table as .csv or .parquet first, whose format views without a table take"
    rows, most = len(joined.observed) * max(1, draws), max(columns.count, len(columns.level_titles)) + 3
    if rows > xlsx.ROWS:
        raise ViewError(
            f"view {name!r} would have {len(joined.observed)} rows x {max(1, draws)} draws, more than an .xlsx holds "
            f"({xlsx.ROWS}); take fewer draws, or give the view as .csv or .parquet"
        )
    if most > xlsx.COLUMNS:
        raise ViewError(f"view {name!r} has {most} columns, more than an .xlsx holds ({xlsx.COLUMNS}); {advice}")
    ids: Any = joined.ids
    texts = [*(columns.names or ()), *columns.level_titles, _id_of(joined, name), *ids]
    for text in [*texts, *(label for labels in columns.texts.values() for label in labels)]:
        if reason := xlsx.unfit(str(text)):
            raise ViewError(f"view {name!r} has {str(text)[:60]!r}, which {reason} of an .xlsx; {advice}")


def write_arrays(
    folder: Path, model: Predicting, joined: Joined, given: Sequence[Source], wanted: Wanted
) -> dict[str, np.ndarray]:
    """The same for arrays: <view>.npy with <view>.imputed.npy, streamed row block by row block; a .npz holds both.

    Standard deviations are streamed too; draws, (draws, N, c), and probabilities are held in memory.
    """
    by_view = {source.view: source for source in given}
    for source in given:
        if source.format == ".npz" and key_of(source) == IMPUTED:
            raise ViewError(f"{source} calls its array {IMPUTED!r}, as the results call their marks; rename it")
    parts = ("", ".std") if wanted.std else ("",)
    out: dict[str, dict[str, np.ndarray]] = {part: {} for part in parts}
    for name, columns in zip(joined.names, model.table_columns_, strict=True):
        array, shape = joined.views.get(name), (len(joined.observed), columns.count)
        dtype = np.dtype(np.float32 if array is not None and array.dtype == np.float32 else np.float64)
        mapped = by_view.get(name, given[0]).format == ".npy"
        for part in parts:
            out[part][name] = new_array(folder / f"{name}{part}.npy", dtype, shape) if mapped else np.empty(shape, dtype)
    results = tuple(out.values()) if wanted.std else out[""]
    model.impute(joined.views, joined.observed, return_std=wanted.std, out=results, **wanted.filling)
    more: dict[str, dict[str, np.ndarray]] = {}
    if wanted.probabilities:
        probable = model.impute_probabilities(joined.views, joined.observed, proposals=wanted.proposals)
        more["probabilities"] = {name: array for name, array in probable.items() if array.shape[1]}
    if wanted.draws:
        more["draws"] = model.sample_imputations(
            joined.views, joined.observed, n_draws=wanted.draws, matching=wanted.matching, **wanted.filling
        )
    imputed = _imputed(joined)
    for name in joined.names:
        source = by_view.get(name, given[0])
        arrays = {f"{name}{part}": of_views[name] for part, of_views in out.items()}
        extra = {f"{name}.{part}": of_views[name] for part, of_views in more.items() if name in of_views}
        if source.format == ".npy":
            for array in arrays.values():
                assert isinstance(array, np.memmap)
                array.flush()
                let_go(array)
            for file, array in {f"{name}.{IMPUTED}": imputed[name], **extra}.items():
                writing.write_array(folder / f"{file}.npy", array)
        else:
            key = key_of(source) if name in by_view else name
            for file, array in {**arrays, **extra}.items():
                also = {IMPUTED: imputed[name]} if file == name else {}
                writing.write_arrays(folder / f"{file}.npz", {key: array, **also})
    return imputed


def _imputed(joined: Joined) -> dict[str, np.ndarray]:
    """Per view, the rows (N,) in which anything is filled."""
    return {name: ~joined.whole[:, i] for i, name in enumerate(joined.names)}


def _id_of(joined: Joined, view: str) -> str:
    """What the view's table calls its ids."""
    ids: Any = joined.ids
    return str(joined.how[view].id or ids.name)


def _named(joined: Joined, view: str, filled: pd.DataFrame) -> pd.DataFrame:
    """One view's table: its input's columns in their order, the ids where they were, and which rows were imputed."""
    table, place = joined.tables.get(view), 0
    if table is not None and set(filled) == set(table.frame.columns):  # (probabilities have columns of their own)
        filled, place = filled[list(table.frame.columns)], table.id_place
    filled = filled.copy()
    ids: Any = joined.ids
    numbers = table if table is not None else next(iter(joined.tables.values()))
    if numbers.whole_ids and ids.str.fullmatch(r"0|-?[1-9]\d{0,17}").all():
        ids = ids.astype("int64")
    filled.insert(place, _id_of(joined, view), ids)
    filled[IMPUTED] = ~joined.whole[:, joined.names.index(view)]
    return filled.reset_index(drop=True)
