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


class Into:
    """The caller's arrays, which take the values as they are checked (checking.py), so that these are read once.

    What is refused leaves the arrays as they were: zeros are written back. Arrays that hold anything else from some block on,
    the views themselves for instance, are not written before all is checked; the rows from there on are then read again.
    """

    def __init__(self, out: Any, *, with_std: bool) -> None:
        self._out, self._with_std = out, with_std
        self.results: list[list[np.ndarray]] = []  # (N, p_i): the imputations, and with_std their standard deviations
        self._written: list[int] = []  # rows of each view

    def begin(self, data: Views) -> None:
        """Raises ViewError for arrays that do not fit the views."""
        out, shapes = self._out, [(len(data.observed), c) for c in data.features]
        if not data.plain:
            raise ViewError("out holds numbers only; omit it for DataFrames and text, which are returned as new objects")
        if self._with_std and not (isinstance(out, Sequence) and len(out) == 2):
            raise ViewError("out is not a pair; with return_std=True expected (imputations, standard deviations)")
        named = zip(out, ("out[0]", "out[1]"), strict=True) if self._with_std else [(out, "out")]
        self.results = [_checked(data, shapes, part, name) for part, name in named]
        self._written = [0] * len(shapes)

    def write(self, view: int, rows: slice, known: np.ndarray) -> None:
        """A block, where all before it were written and nothing stands there."""
        arrays = [part[view] for part in self.results]
        if self._written[view] == rows.start and not any(_bytes(array[rows]).any() for array in arrays):
            self._write(view, rows, known)

    def rest(self, data: Views) -> None:
        """The blocks that were not written, of views that are checked."""
        for i, first in enumerate(self._written):
            for rows in blocks(len(data.observed)):
                if rows.start >= first:
                    self._write(i, rows, data.known(i, rows))

    def undo(self) -> None:
        """Zeros, where anything was written."""
        for i, written in enumerate(self._written):
            for rows in blocks(written):
                for part in self.results:
                    write(part[i], rows, np.zeros_like(part[i][rows]))

    def _write(self, view: int, rows: slice, known: np.ndarray) -> None:
        self._written[view] = rows.stop
        write(self.results[0][view], rows, known)
        if self._with_std:
            write(self.results[1][view], rows, zeros_where_known(known))


def zeros_where_known(known: np.ndarray) -> np.ndarray:
    """The standard deviations of what was observed: 0, NaN where nothing was."""
    return np.where(np.isnan(known), np.nan, 0.0)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).view(np.uint8)


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
