"""Which views the subjects have: each combination with its number of subjects, the most frequent first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pattern:
    """has: by view; rows: how many subjects have exactly these views."""

    has: tuple[bool, ...]
    rows: int


@dataclass(frozen=True)
class Patterns:
    """rows: of the whole table; of_view: how many have each view; shown: the most frequent patterns; others: how many further
    patterns there are, with how many rows."""

    names: tuple[str, ...]
    rows: int
    of_view: tuple[int, ...]
    shown: tuple[Pattern, ...]
    others: tuple[int, int]

    @property
    def alone(self) -> int:
        """How many of the shown patterns' subjects have a single view."""
        return sum(p.rows for p in self.shown if sum(p.has) == 1)

    @property
    def complete(self) -> int:
        """How many subjects have every view."""
        return sum(p.rows for p in self.shown if all(p.has))


def patterns(observed: np.ndarray, names: Sequence[str], most: int = 24) -> Patterns:
    """Of a mask (N, M)."""
    found, counts = np.unique(observed, axis=0, return_counts=True)
    order = sorted(range(len(found)), key=lambda k: (-counts[k], found[k].tolist()))
    shown = tuple(Pattern(tuple(map(bool, found[k])), int(counts[k])) for k in order[:most])
    rest = order[most:]
    totals = tuple(int(n) for n in observed.sum(axis=0))
    return Patterns(tuple(names), len(observed), totals, shown, (len(rest), int(counts[rest].sum())))
