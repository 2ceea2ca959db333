"""Views in .npy and .npz files: no ids, rows matched by position, a missing view is a row of NaN.

A .npy is memory-mapped, so that it is never whole in memory; a .npz holds one array, whose name is kept.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import ViewError
from .sources import UNREADABLE, Source
from .text_files import check_packing


def open_arrays(given: Sequence[Source]) -> dict[str, np.ndarray]:
    """Arrays (N, c_i) by view. Raises ViewError for any other file, and for one without a table of numbers."""
    arrays = {}
    for source in given:
        try:
            if source.format == ".npz":
                array = _from_archive(source)
            else:
                array = np.load(source.path, mmap_mode="r", allow_pickle=False)
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
    with zipfile.ZipFile(source.path) as archive:
        names = archive.namelist()
    if len(names) != 1 or not names[0].endswith(".npy"):
        raise ValueError(f"it holds {[name.removesuffix('.npy') for name in names]}; expected one array per file")
    return names[0].removesuffix(".npy")


def _from_archive(source: Source) -> np.ndarray:
    """The one array in a .npz. Raises ValueError for another content, before anything of the size that it claims is made."""
    name = f"{key_of(source)}.npy"
    with zipfile.ZipFile(source.path) as archive:
        member = archive.getinfo(name)
        check_packing(member.compress_size, member.file_size)
        with archive.open(name) as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(file)
            if math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
                raise ValueError(f"its array has another size than its shape {shape}")
        with archive.open(name) as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def new_array(path: Path, dtype: np.dtype, shape: tuple[int, int]) -> np.ndarray:
    """A new memory-mapped .npy, its place on the disk taken at once: a disk that fills up under a mapping kills the process.

    Raises OSError where there is no place.
    """
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):  # Windows takes the place when it maps
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    return array
