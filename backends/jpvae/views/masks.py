"""Which views each row has, as a caller writes it: (N, M) of True (observed) and False, or M columns of N by the views' names.

The names of a DataFrame (pandas, polars, Arrow) or dict are used, and so is pandas' index; an array goes by position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ViewError
from .arrays import as_array, is_foreign, to_pandas

_EXPECTED = "True (observed) or False (missing) in each entry"


def has_names(mask: Any) -> bool:
    """Whether its columns go by name."""
    return isinstance(mask, Mapping) or is_foreign(mask) or hasattr(mask, "iloc")


def read_mask(mask: Any, order: Sequence[str], N: int, index: Any, keyed: bool) -> np.ndarray:
    """A new (N, M) of bool, its views in ``order``. index: of the views' rows, where they have one; keyed: whether the views
    came with names. Raises ViewError."""
    shape = (N, len(order))
    if mask is None:
        return np.ones(shape, dtype=bool)
    if is_foreign(mask):
        m = _cells(_by_name(to_pandas(mask), order, keyed))  # without labels of rows
    elif isinstance(mask, Mapping):
        m = _of_columns(mask, order, N, index, keyed)
    elif hasattr(mask, "iloc") and hasattr(mask, "columns"):
        m = _by_label(_by_name(mask, order, keyed), index)
    else:
        m = as_array(mask, "mask", f"{shape} of {_EXPECTED}")
    if m.shape != shape:
        turned = "; pass mask.T" if m.shape == shape[::-1] else ""
        raise ViewError(f"mask has shape {m.shape}; expected {shape}: one row per subject, one column per view{turned}")
    if m.dtype != np.bool_ and not np.isin(m, (0, 1)).all():
        raise ViewError(f"mask has dtype {m.dtype} and values other than 0 and 1; expected {_EXPECTED}")
    return m.astype(bool)


def _of_columns(mask: Mapping[str, Any], order: Sequence[str], N: int, index: Any, keyed: bool) -> np.ndarray:
    if sorted(map(str, mask)) != sorted(order):
        raise ViewError(_wrong_names(list(mask), order, keyed))
    if all(hasattr(column, "iloc") for column in mask.values()):
        import pandas as pd

        return _by_label(pd.DataFrame(dict(mask))[list(order)], index)
    columns = {name: as_array(mask[name], f"mask[{name!r}]", f"{N} entries") for name in order}
    for name, column in columns.items():
        if column.shape != (N,):
            raise ViewError(f"mask[{name!r}] has shape {column.shape}; expected {(N,)}: one entry per subject")
    return np.stack(list(columns.values()), axis=1)


def _by_name(mask: Any, order: Sequence[str], keyed: bool) -> Any:
    """A DataFrame's columns in the order of the views."""
    names = mask.columns.tolist()
    if sorted(map(str, names)) == sorted(order):
        return mask[list(order)]
    if names != list(range(len(names))):
        raise ViewError(_wrong_names(names, order, keyed))
    return mask


def _by_label(mask: Any, index: Any) -> np.ndarray:
    """A DataFrame's rows in the order of the views', by its index."""
    if mask.index.equals(index):
        return _cells(mask)
    if index is None:  # arrays have positions
        whole = mask.index.is_unique and mask.index.isin(range(len(mask))).all()
        return _cells(mask.sort_index() if whole else mask)
    if len(mask) != len(index) or not mask.index.is_unique or not index.is_unique or not index.isin(mask.index).all():
        raise ViewError("mask has another index than the views; expected the same subjects: mask.reindex(views' index)")
    return _cells(mask.loc[index])


def _cells(mask: Any) -> np.ndarray:
    """A DataFrame's cells."""
    empty = int(mask.isna().to_numpy().sum())
    if empty:
        raise ViewError(f"mask has {empty} empty cells; expected {_EXPECTED}: mask.fillna(False), if they mean missing")
    return np.asarray(mask.to_numpy())


def _wrong_names(names: Sequence[Any], order: Sequence[str], keyed: bool) -> str:
    called = f"{list(order)}, in any order" if keyed else "a list's have no names: pass them in a dict, or mask.to_numpy()"
    return f"mask has the columns {list(names)}; expected one for each view: {called}"
