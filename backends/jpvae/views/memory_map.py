"""Memory-mapped files: every page of one that was touched counts as this process's memory until it is let go of."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np


def is_mapped(array: np.ndarray | None) -> bool:
    """Whether the array's memory is a memory-mapped file's."""
    return isinstance(_owner(array)[0], mmap.mmap)


def let_go(array: np.ndarray | None) -> None:
    """Take the pages of a memory-mapped file out of this process's memory; what was written stays in the file.

    Other arrays are left alone, and so are private mappings (numpy's mode "c"), whose pages are all that holds their changes.
    """
    owner, mode = _owner(array)
    if mode in ("r", "r+", "w+") and hasattr(owner, "madvise"):  # Windows has none, and needs none
        owner.madvise(mmap.MADV_DONTNEED)


def _owner(array: np.ndarray | None) -> tuple[Any, str | None]:
    """What holds an array's memory, and of a memory-mapped file the mode."""
    owner: Any = array
    mode = None
    while isinstance(owner, np.ndarray):
        mode = owner.mode if isinstance(owner, np.memmap) else mode
        owner = owner.base
    return owner, mode
