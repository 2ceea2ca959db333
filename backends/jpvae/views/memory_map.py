"""Memory-mapped files: every page of one that was touched counts as this process's memory until it is let go of."""

from __future__ import annotations

import mmap

import numpy as np


def let_go(array: np.ndarray) -> None:
    """Take the pages of a memory-mapped file out of this process's memory; what was written stays in the file.

    Other arrays are left alone, and so are private mappings (numpy's mode "c"), whose pages are all that holds their changes.
    """
    owner, mode = array, None
    while isinstance(owner, np.ndarray):
        mode = owner.mode if isinstance(owner, np.memmap) else mode
        owner = owner.base
    if mode in ("r", "r+", "w+") and hasattr(owner, "madvise"):  # Windows has none, and needs none
        owner.madvise(mmap.MADV_DONTNEED)
