"""Where imputations go: new arrays, or the caller's own (memory-mapped files), written a block of rows at a time.

What is not imputed yet is NaN, and only what is NaN is written over. What a run leaves behind that was stopped is therefore
true wherever it is a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ViewError
from .memory_map import let_go
from .reading import Views, blocks


def begin(data: Views, out: Any, *, with_std: bool) -> list[list[np.ndarray]]:
    """The arrays (N, p_i) to fill; with_std, those for the standard deviations too. In them is what is known: where observed
    the data (std: 0), else NaN. Without ``out`` the first are the data's own tables. Raises ViewError for an unfit ``out``."""
    shapes = [(len(data.observed), c) for c in data.features]
    if out is None:
        own: list[Any] = list(data.tables)  # kept by the pass that read them
        results = [own, *([[np.empty(s, data.dtype(i)) for i, s in enumerate(shapes)]] if with_std else [])]
    else:
        if not data.plain:
            raise ViewError("out holds numbers only; omit it for DataFrames and text, which are returned as new objects")
        if with_std and not (isinstance(out, Sequence) and len(out) == 2):
            raise ViewError("out is not a pair; with return_std=True expected (imputations, standard deviations)")
        names = ["out[0]", "out[1]"] if with_std else ["out"]
        results = [_checked(data, shapes, part, name) for part, name in zip(out if with_std else [out], names, strict=True)]
    for i in range(len(shapes)):
        for rows in blocks(len(data.observed)):
            known = data.known(i, rows)
            if out is not None:
                write(results[0][i], rows, known)
            if with_std:
                write(results[1][i], rows, np.where(np.isnan(known), np.nan, 0.0))
    return results


def _checked(data: Views, shapes: list[tuple[int, int]], out: Any, name: str) -> list[np.ndarray]:
    keys: Sequence[Any]
    if data.keyed:
        if not isinstance(out, Mapping) or set(out) != set(data.names):
            found = sorted(out) if isinstance(out, Mapping) else f"a {type(out).__name__}"
            raise ViewError(f"{name} is {found}; expected a dict with one array for each of {list(data.names)}, as the views")
        out, keys = [out[view] for view in data.names], data.names
    else:
        if not isinstance(out, Sequence) or len(out) != len(shapes):
            raise ViewError(f"{name} is not a sequence of {len(shapes)} arrays; expected a list with one array per view")
        keys = range(len(shapes))
    for i, (key, array, shape) in enumerate(zip(keys, out, shapes, strict=True)):
        place, expected = f"{name}[{key!r}]", f"a writable NumPy array {shape} of {data.dtype(i)}"
        if not isinstance(array, np.ndarray):
            raise ViewError(f"{place} is a {type(array).__name__}; expected {expected}")
        if array.shape != shape or array.dtype != data.dtype(i):
            raise ViewError(f"{place} has shape {array.shape} and dtype {array.dtype}; expected {expected}")
        if not array.flags.writeable:
            raise ViewError(f"{place} is read-only; expected {expected} (a memory-mapped file: mode 'r+')")
    return list(out)


def fill(array: np.ndarray, rows: Any, values: np.ndarray) -> None:
    """Write values into what is NaN of array[rows]."""
    there = array[rows]
    write(array, rows, np.where(np.isnan(there), values, there))


def write(array: np.ndarray, rows: Any, values: np.ndarray) -> None:
    """array[rows] = values, without keeping a memory-mapped file's pages."""
    array[rows] = values
    let_go(array)
