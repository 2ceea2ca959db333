"""Frames in, frames out: what a cluster's own tool calls for each piece of a table, in whichever process it likes.

    Spark      frame.mapInPandas(Filler("model.safetensors", id="subject").over, frame.schema)
    Ray Data   dataset.map_batches(Filler("model.safetensors", id="subject"), batch_format="pandas")
    Dask       frame.map_partitions(Filler("model.safetensors", id="subject"), meta=frame._meta)

A row's filling depends on the model, the seed and the row's id alone: how the table is cut into pieces changes no bit of it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import ViewError
from ..predicting import Predicting


@functools.lru_cache(maxsize=4)
def _read(path: str, _stamp: tuple[int, int], backend: str | None, device: str | None, threads: int | None) -> Predicting:
    return Predicting.load(path, backend=backend, device=device, threads=threads)


def loaded(path: str, backend: str | None = None, device: str | None = None, threads: int | None = None) -> Predicting:
    """The model in that file, read once in each process (and again where the file has changed)."""
    found = os.stat(path) if os.path.isfile(path) else None
    return _read(path, (found.st_mtime_ns, found.st_size) if found else (0, 0), backend, device, threads)


@dataclass(frozen=True)
class Filler:
    """Fills frames that have the columns of all views side by side, an empty cell where nothing was observed.

    Parameters
    ----------
    model : path
        A file that ``JPVAE.save`` or ``jpvae fit`` wrote, readable wherever frames are filled.
    id : str, optional
        The column with the rows' names, different in all of the table. Without it a row's draws depend on its content.
    columns : dict, optional
        The frame's columns of each view, in the fit's order; by default the fit's own names, or "view.column" where views have
        columns of the same name.
    n_draws : int, default 64
        As for ``JPVAE.impute``.
    std : bool, default False
        Also give each column's standard deviations, as "column_std".
    backend, device, threads : optional
        As for ``JPVAE.load``.

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas as pd
    >>> from jpvae import Filler
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "model.safetensors")
    >>> model.fit({"rna": pd.DataFrame(rna).add_prefix("gene"), "protein": pd.DataFrame(protein).add_prefix("p")}).save(path)
    >>> table = pd.DataFrame(rna).add_prefix("gene").assign(subject=range(300), p0=float("nan"), p1=float("nan"))
    >>> fill = Filler(path, id="subject", n_draws=2)
    >>> filled = fill(table.assign(p2=float("nan"), p3=float("nan")))
    >>> bool(filled.notna().all(axis=None)), list(filled.columns) == [*table.columns, "p2", "p3"]
    (True, True)
    >>> [part.equals(filled[:5]) for part in fill.over(iter([table.assign(p2=float("nan"), p3=float("nan"))[:5]]))]
    [True]
    >>> folder.cleanup()
    """

    model: str | os.PathLike[str]
    id: str | None = None
    columns: Mapping[str, Sequence[str]] | None = None
    n_draws: int = 64
    std: bool = False
    backend: str | None = None
    device: str | None = None
    threads: int | None = None

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A copy of the frame without holes; numbers are float64, so that all pieces of a table have the same types.

        Parameters
        ----------
        frame : DataFrame

        Returns
        -------
        DataFrame

        Raises
        ------
        ViewError
            Where a column is absent, or a row has no view at all.
        CheckpointError, ConfigError
            As ``JPVAE.load`` does.
        """
        fitted = loaded(str(Path(self.model)), self.backend, self.device, self.threads)
        own = self._columns(fitted)
        absent = [name for names in own.values() for name in names if name not in frame]
        if absent or (self.id is not None and self.id not in frame):
            raise ViewError(f"frame has no columns {absent or [self.id]}; expected those of all views: {list(frame.columns)}")
        ids = pd.RangeIndex(len(frame)) if self.id is None else pd.Index(frame[self.id].astype(str), dtype="str")
        if not len(frame):
            return frame.copy()
        views = {view: _named(frame, names, fitted.columns_[view], ids) for view, names in own.items()}
        observed = np.stack([view.notna().any(axis=1).to_numpy() for view in views.values()], axis=1)
        found = fitted.impute(views, observed, n_draws=self.n_draws, return_std=self.std)
        made = frame.copy()
        for part, suffix in zip(found if self.std else (found,), ("", "_std"), strict=False):
            for view, names in own.items():
                for place, name in enumerate(names):
                    values = part[view].iloc[:, place]
                    numbers = pd.api.types.is_numeric_dtype(values.dtype)
                    made[f"{name}{suffix}"] = values.to_numpy(np.float64) if numbers else values.array
        return made

    def over(self, frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """One after the other, as Spark's ``mapInPandas`` hands them in.

        Parameters
        ----------
        frames : iterator of DataFrame

        Returns
        -------
        iterator of DataFrame
        """
        return map(self, frames)

    def _columns(self, fitted: Predicting) -> dict[str, list[str]]:
        if self.columns is not None:
            own = {view: list(names) for view, names in self.columns.items()}
            sizes = {view: columns.count for view, columns in zip(fitted.view_names_, fitted.table_columns_, strict=True)}
            if {view: len(names) for view, names in own.items()} != sizes:
                raise ViewError(
                    f"columns has { ({v: len(n) for v, n in own.items()}) } names; expected, as in the fit: {sizes}"
                )
            return {view: own[view] for view in fitted.view_names_}
        own = {view: [f"{view}.{j}" for j in names or ()] for view, names in fitted.columns_.items()}
        if None in fitted.columns_.values():
            raise ViewError("columns is None, and the model was fitted to arrays without names; expected names for each view")
        plain = [str(name) for names in fitted.columns_.values() for name in names or ()]
        if len(set(plain)) == len(plain):
            own = {view: [str(name) for name in names or ()] for view, names in fitted.columns_.items()}
        return own


def _named(frame: pd.DataFrame, own: list[str], names: Sequence[str | int] | None, ids: pd.Index) -> pd.DataFrame:
    """A view's columns under the fit's names, indexed by id."""
    view = frame[own].set_axis(ids, axis=0)
    return view if names is None else view.set_axis(list(names), axis=1)
