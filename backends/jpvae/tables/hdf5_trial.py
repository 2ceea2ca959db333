"""Every dataset of an HDF5 file, read once in a process of its own: a damaged file can bring the HDF5 library down with a
segmentation fault, which no `except` of the process that reads it can catch.

    python hdf5_trial.py PATH MOST RATIO        exit code 0, or 3 with a reason on stdout; 1 with a traceback, or a signal

Stands alone, of h5py and the standard library, so that it starts quickly. Refused too: a file that takes more than MOST bytes,
and RATIO times its own size, to read; and one that refers to other files, whose content would come out as the table's.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

PART = 2**24  # bytes that are read at a time


def complaint(path: str, most: int, ratio: int) -> str | None:
    """Why a file is not to be read, None where it may be."""
    import h5py

    size = Path(path).stat().st_size
    taken = [0]

    def look(name: str, one: Any) -> str | None:
        for key in one.attrs:
            one.attrs[key]
        for key in one if isinstance(one, h5py.Group) else ():
            if isinstance(one.get(key, getlink=True), h5py.ExternalLink):
                return f"its {name}/{key} lies in another file"
        if isinstance(one, h5py.Dataset):
            if one.external or one.is_virtual:
                return f"its {name} lies in other files"
            taken[0] += one.size * one.dtype.itemsize if one.shape is not None else 0
            if taken[0] > most and taken[0] > ratio * size:
                return f"it unpacks from {size:,} to more than {taken[0]:,} bytes, more than data do"
            _read(one)
        return None

    with h5py.File(path, "r") as file:
        wrong = look("", file) or file.visititems(look)
    return None if wrong is None else str(wrong)


def _read(dataset: Any) -> None:
    """All of it, some rows at a time."""
    if not dataset.shape:
        dataset[()]
        return
    rows = max(1, PART // max(1, dataset.size // max(1, dataset.shape[0]) * dataset.dtype.itemsize))
    for start in range(0, dataset.shape[0], rows):
        dataset[start : start + rows]


if __name__ == "__main__":
    reason = complaint(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(reason or "")
    sys.exit(3 if reason else 0)
