"""Views in .h5ad (an AnnData) and .h5mu (a MuData, of which the view's name is the modality): cells go by their obs names.

Results are files of the same kind: the filled numbers are where they were read from (X, or a layer), obs has the marks, and all
else is the input's. Files of draws have them as layers. Of one .h5mu all modalities go into one again.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import MissingDependency, ViewError
from ..views.kinds import are_counts, summaries
from ..views.single_cell import check_sparse, like, numbers_of
from . import hdf5_trial
from .sources import ANNOTATED, Source
from .text_files import MOST, RATIO

OBS_NAMES = "obs_names"  # what the ids are called where nobody calls them anything
_MOST = 2**36  # bytes that a view may take as a dense table
_EMPTIEST = 2000  # cells of a large sparse table for each of its numbers


def is_annotated(source: Source) -> bool:
    """Whether it is one of these files."""
    return source.format in ANNOTATED


def read(source: Source, layer: str | None) -> tuple[Any, pd.DataFrame]:
    """The AnnData, and its numbers (cells, features). Raises ViewError."""
    annotated = _open(source)
    _check(source, annotated)
    dense = 8 * annotated.n_obs * annotated.n_vars
    if dense > _MOST:
        raise ViewError(
            f"{source} has {annotated.n_obs:,} cells x {annotated.n_vars:,} features, {dense >> 30:,} GiB as a dense table; "
            "choose features, such as the most variable ones"
        )
    return annotated, numbers_of(annotated, layer, source.view)


def _try(path: Path) -> None:
    """Read all of a file in another process, which the HDF5 library may bring down. Raises ValueError where it does."""
    size = path.stat().st_size
    command = [sys.executable, "-P", hdf5_trial.__file__, str(path.resolve()), str(MOST), str(RATIO)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60 + size / 2**22)
    except subprocess.TimeoutExpired as error:
        raise ValueError("reading it does not come to an end") from error
    if done.returncode not in (0, 1, 3):
        raise ValueError("it is damaged such that the HDF5 library crashes")
    if done.returncode:
        lines = (done.stdout if done.returncode == 3 else done.stderr).strip().splitlines()
        raise ValueError(lines[-1] if lines else "the HDF5 library does not read it")


def _texts_of_python() -> Any:
    """anndata 0.12 does not write the texts of pandas 3."""
    return pd.option_context("future.infer_string", False)


def _unregistered() -> type[Exception]:
    """What anndata raises on an element of no kind that it knows; the error has no public name."""
    try:
        from anndata._io.specs.registry import IORegistryError
    except ImportError:
        return ValueError
    unregistered: type[Exception] = IORegistryError
    return unregistered


def _open(source: Source) -> Any:
    try:
        with warnings.catch_warnings(), _texts_of_python():
            warnings.simplefilter("ignore", FutureWarning)  # theirs, of their next release
            if source.format == ".h5ad":
                from anndata import read_h5ad

                if source.rows is None:
                    _try(source.path)
                    return read_h5ad(source.path)
                if source.rows[0] == 0:  # of the other parts the file is the same
                    _try(source.path)
                whole = read_h5ad(source.path, backed="r")
                try:
                    return whole[slice(*source.rows)].to_memory()
                finally:
                    whole.file.close()
            from mudata import read_h5mu

            _try(source.path)
            modalities = read_h5mu(source.path).mod
    except ModuleNotFoundError as error:
        raise MissingDependency(f"{source} needs {error.name}: pip install 'jpvae[single-cell]'") from error
    except (TypeError, AttributeError, AssertionError, _unregistered()) as error:  # of damaged files, as UNREADABLE has others
        raise ValueError(str(error)) from error
    if source.view not in modalities:
        raise ViewError(f"{source} has the modalities {list(modalities)}; expected the view's name to be one of them")
    return modalities[source.view]


def _check(source: Source, annotated: Any) -> None:
    """Raise ViewError for matrices that are damaged, or claim a size that only a forged file has."""
    parts = [annotated.layers, annotated.obsm, annotated.varm, annotated.obsp, annotated.varp]
    for matrix in [annotated.X, *(one for part in parts for one in part.values())]:
        check_sparse(matrix, str(source))
        dense = 8 * math.prod(getattr(matrix, "shape", ()))
        if hasattr(matrix, "nnz") and dense > MOST and dense > _EMPTIEST * 8 * matrix.nnz:
            raise ViewError(
                f"{source} has a sparse matrix {matrix.shape} of {matrix.nnz:,} numbers, {dense >> 30:,} GiB as a dense table; "
                "choose features, such as the most variable ones"
            )


def has_counts(numbers: pd.DataFrame) -> bool:
    """Whether all are whole numbers, which are counts in these files."""
    return are_counts(summaries(numbers.to_numpy(np.float64)), known=True)


def filled(
    annotated: Any, tables: Sequence[pd.DataFrame], imputed: np.ndarray, part: str = "", layer: str | None = None
) -> Any:
    """An AnnData of a filled table (N, p), or of several as its layers. annotated: the view's own; None: it has none.

    part: which of the results it is; the filled table alone ("") has the input's layers."""
    from anndata import AnnData

    cells, features = (pd.Index([str(name) for name in names], dtype=object) for names in tables[0].axes)
    frame = tables[0].set_axis(cells, axis=0).set_axis(features, axis=1)
    if annotated is None:
        made = AnnData(frame.to_numpy(), pd.DataFrame(index=cells), pd.DataFrame(index=features))
    else:
        made = like(annotated, frame, None if part else layer)
    made.obs["imputed"] = imputed
    if part:
        made.layers.clear()
    if len(tables) > 1:
        made.layers.update({f"draw{k}": table.to_numpy() for k, table in enumerate(tables, start=1)})
    return made


def write(path: Path, made: Any | Mapping[str, Any]) -> None:
    """An AnnData to a .h5ad, several by their modality to a .h5mu."""
    with _texts_of_python():
        if isinstance(made, Mapping):
            from mudata import MuData, set_options

            with set_options(pull_on_update=False):
                MuData(dict(made)).write_h5mu(path)
        else:
            made.write_h5ad(path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
