"""Views in .npy and .npz files: no ids, rows matched by position, a missing view is a row of NaN.

A .npy is memory-mapped, so that it is never whole in memory; a .npz holds one array, whose name is kept.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import ViewError
from .sources import UNREADABLE, Source


def open_arrays(given: Sequence[Source]) -> dict[str, np.ndarray]:
    """Arrays (N, c_i) by view. Raises ViewError for a file that is none, or holds something else than a table of numbers."""
    arrays = {}
    for source in given:
        try:
            array = np.load(source.path, mmap_mode="r", allow_pickle=False)
            if source.format == ".npz":
                with array as archive:
                    array = archive[key_of(source)]
        except UNREADABLE as error:
            raise ViewError(
                f"{source} cannot be read as {source.format} ({error}). Check that it is an undamaged array."
            ) from error
        if array.dtype.kind not in "biuf" or array.ndim != 2 or 0 in array.shape:
            raise ViewError(
                f"{source} is an array of shape {array.shape} and dtype {array.dtype}; expected (N, c) numbers: one row per "
                "subject, at least one row and one column"
            )
        arrays[source.view] = array
    return arrays


def key_of(source: Source) -> str:
    """The name of the one array in a .npz. Raises ValueError where it holds none or several."""
    with np.load(source.path, allow_pickle=False) as archive:
        names = list(archive)
    if len(names) != 1:
        raise ValueError(f"it holds the arrays {names}; expected one per file")
    return names[0]


def new_array(path: Path, dtype: np.dtype, shape: tuple[int, int]) -> np.ndarray:
    """A new memory-mapped .npy, its place on the disk taken at once: a disk that fills up under a mapping kills the process.

    Raises OSError where there is no place.
    """
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):  # Windows takes the place when it maps
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    return array
