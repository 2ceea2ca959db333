"""Which views are related by subjects, directly or through other views: where no chain of subjects joins two views, nothing in
the data is about how they go together."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from ..errors import JPVAEWarning


def groups(observed: np.ndarray) -> list[list[int]]:
    """Of a mask (N, M): the views in groups that no subject joins; a view that nobody has is in none of them."""
    has = np.asarray(observed, bool).astype(np.float64)
    joined = has.T @ has > 0
    for _ in range(len(joined).bit_length()):  # chains of two links, of four, ...
        joined = joined.astype(np.float64) @ joined > 0
    return [np.flatnonzero(row).tolist() for j, row in enumerate(joined) if row.any() and row.argmax() == j]


def warn_of_strangers(observed: np.ndarray, names: Sequence[str]) -> None:
    """Warn where the views fall into several groups."""
    found = groups(observed)
    if len(found) < 2:
        return
    words = "; ".join(", ".join(repr(names[j]) for j in group) for group in found)
    warnings.warn(
        f"no subject has views of two of these groups: {words}. How views of different groups are related cannot be learned "
        "from these subjects. Check the mask, or that the ids are written the same way in every table.",
        JPVAEWarning,
        stacklevel=3,
    )
