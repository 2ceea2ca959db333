"""Which views are related by subjects, directly or through other views: where no chain of subjects joins two views, nothing in
the data is about how they go together."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from scipy.sparse.csgraph import connected_components

from ..errors import JPVAEWarning


def groups(observed: np.ndarray) -> list[list[int]]:
    """Of a mask (N, M): the views in groups that no subject joins; a view that nobody has is in none of them."""
    has = np.asarray(observed, bool)
    there = np.flatnonzero(has.any(axis=0))
    shared = has.T.astype(np.float64) @ has
    _, labels = connected_components(shared > 0, directed=False)
    return [[int(j) for j in there if labels[j] == label] for label in dict.fromkeys(labels[there].tolist())]


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
