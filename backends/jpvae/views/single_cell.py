"""AnnData as a view, MuData as all of them: read as DataFrames of cells x features, given back in their own type.

A cell that a modality of a MuData does not have lacks that view. Whole numbers of these objects are counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..errors import ViewError
from .dataframes import Table, read_table


def is_annotated(table: Any) -> bool:
    """Whether it is an AnnData, without importing it."""
    return type(table).__module__.partition(".")[0] == "anndata" and hasattr(table, "obs_names")


def is_multimodal(views: Any) -> bool:
    """Whether it is a MuData, without importing it."""
    return type(views).__module__.partition(".")[0] == "mudata" and hasattr(views, "mod")


@dataclass(frozen=True)
class Modality:
    """One AnnData in the rows of its MuData, some of which it may lack."""

    annotated: Any
    index: Any


def read(table: Any, view: str, layer: Any) -> Table:
    """An AnnData's X, or the layer that is named for the view. Raises ViewError."""
    annotated, index = (table.annotated, table.index) if isinstance(table, Modality) else (table, None)
    if not is_annotated(annotated):
        raise ViewError(f"view {view!r} is a {type(annotated).__name__}; expected an AnnData in each modality")
    if not annotated.obs_names.is_unique:
        raise ViewError(f"view {view!r} has cells of the same name; expected different ones: call obs_names_make_unique()")
    layer = layer.get(view) if isinstance(layer, Mapping) else layer
    frame = numbers_of(annotated, layer, view)
    if index is not None and not index.equals(frame.index):
        frame = frame.reindex(index)
    made = read_table(frame, view)
    return Table(view, made.values, frame, back=partial(like, annotated, layer=layer), counts=True)


def numbers_of(annotated: Any, layer: str | None, view: str) -> Any:
    """X or a layer as a DataFrame, dense."""
    import pandas as pd

    if layer is not None and layer not in annotated.layers:
        raise ViewError(f"view {view!r} has no layer {layer!r}; expected one of {list(annotated.layers)}, or None for X")
    matrix = annotated.X if layer is None else annotated.layers[layer]
    if matrix is None:
        raise ViewError(f"view {view!r} has no X; name one of its layers {list(annotated.layers)}: layer=")
    if hasattr(matrix, "to_memory"):  # of a file that is open
        matrix = matrix.to_memory()
    check_sparse(matrix, f"view {view!r}")
    dense = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
    return pd.DataFrame(dense, annotated.obs_names, annotated.var_names.tolist())


def check_sparse(matrix: Any, place: str) -> None:
    """Raise ViewError for a sparse matrix whose indices lie outside of it: SciPy would write there."""
    if hasattr(matrix, "check_format"):
        try:
            matrix.check_format(full_check=True)
        except ValueError as error:
            raise ViewError(f"{place} has a damaged sparse matrix ({error}); write it anew from its source") from error


def like(annotated: Any, frame: Any, layer: str | None = None) -> Any:
    """An AnnData whose X, or layer of that name, is the frame; all else is the given one's, with gaps (NaN) for cells that it
    lacks, of which there are no distances (obsp) then. Of a frame with other features (probabilities) obs and uns alone."""
    import pandas as pd
    from anndata import AnnData

    features = [str(name) for name in frame.columns]
    rows, columns = annotated.obs_names.get_indexer(frame.index), annotated.var_names.get_indexer(features)
    if (columns < 0).any():
        var = pd.DataFrame(index=pd.Index(features, dtype=object))
        return AnnData(frame.to_numpy(), annotated.obs.reindex(frame.index), var, uns=dict(annotated.uns))
    if (rows >= 0).all():
        made = annotated[rows, columns].to_memory()
        if layer is None:
            made.X = frame.to_numpy()
        else:
            made.layers[layer] = frame.to_numpy()
        return made
    known = annotated[:, columns]
    parts = {key: _with_gaps(value, rows, frame.index) for key, value in known.obsm.items()}
    layers = {key: _with_gaps(value, rows, frame.index) for key, value in known.layers.items()}
    obs, var, uns = known.obs.reindex(frame.index), known.var.copy(), dict(known.uns)
    X = frame.to_numpy()
    if layer is not None:
        X, layers[layer] = None if known.X is None else _with_gaps(known.X, rows, frame.index), X
    return AnnData(X, obs, var, uns=uns, obsm=parts, varm=dict(known.varm), layers=layers)


def _with_gaps(values: Any, rows: np.ndarray, index: Any) -> Any:
    """The rows (-1: none) of a table as a table of floats."""
    if hasattr(values, "reindex"):
        return values.reindex(index)
    dense = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
    taken = dense[rows].astype(np.result_type(dense.dtype, np.float32))
    taken[rows < 0] = np.nan
    return taken


def modalities(multimodal: Any) -> tuple[dict[str, Modality], np.ndarray]:
    """A MuData's modalities in the rows of the whole, and (N, M) which of them have which."""
    if getattr(multimodal, "axis", 0) != 0:
        raise ViewError("views is a MuData whose modalities share their features; expected shared cells, axis=0")
    names = multimodal.obs_names
    found = {str(name): Modality(part, names) for name, part in multimodal.mod.items()}
    has = [names.isin(part.annotated.obs_names) for part in found.values()]
    return found, np.stack(has, axis=1) if has else np.empty((len(names), 0), bool)


def together(multimodal: Any, made: Mapping[str, Any]) -> Any:
    """Results by view as a MuData of the given one's cells; lists of draws as a list."""
    from anndata import AnnData
    from mudata import MuData, set_options

    if any(isinstance(one, list) for one in made.values()):
        draws = zip(*made.values(), strict=True)
        return [together(multimodal, dict(zip(made, draw, strict=True))) for draw in draws]
    parts = {name: one if is_annotated(one) else AnnData(one) for name, one in made.items()}
    with set_options(pull_on_update=False):
        whole = MuData(parts)
    whole.obs = multimodal.obs.reindex(whole.obs_names)
    whole.uns = dict(multimodal.uns)
    for key, value in multimodal.obsm.items():
        if key not in multimodal.mod:  # (those have the modalities' names, and are MuData's own)
            whole.obsm[key] = _with_gaps(value, multimodal.obs_names.get_indexer(whole.obs_names), whole.obs_names)
    return whole
