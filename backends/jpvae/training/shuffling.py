"""Which row comes when: every pass shows each of N rows once, in an order that is a function of its generator alone.

Of up to 2^17 rows it is NumPy's permutation. A longer one would take 8 bytes a row, so there each place is computed: a Feistel
network over the bits of its number is a permutation of all numbers of so many bits (Luby and Rackoff 1988), and a number beyond
N is sent through again until it is not (cycle walking: Black and Rogaway 2002). Memory is that of the places asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_KEPT = 2**17  # rows
_ROUNDS = 8
_MULTIPLIERS = np.array([0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53], np.uint64)  # MurmurHash3's last steps (Appleby)


class Shuffled:
    """A permutation of 0 ... N-1, by place."""

    def __init__(self, rng: np.random.Generator, rows: int) -> None:
        self._rows = rows
        self._order = rng.permutation(rows) if rows <= _KEPT else None
        if self._order is None:
            self._keys = rng.integers(2**64, size=(_ROUNDS, 1), dtype=np.uint64)
            self._half = np.uint64(-(-(rows - 1).bit_length() // 2))  # of the bits of a row's number, rounded up

    def __getitem__(self, places: np.ndarray) -> np.ndarray:
        """The rows at these places."""
        if self._order is not None:
            chosen: np.ndarray = self._order[places]
            return chosen
        found = self._through(places.astype(np.uint64))
        while (beyond := found >= self._rows).any():
            found[beyond] = self._through(found[beyond])
        return found.astype(np.int64)

    def _through(self, numbers: np.ndarray) -> np.ndarray:
        low = (np.uint64(1) << self._half) - np.uint64(1)
        left, right = numbers >> self._half, numbers & low
        for key in self._keys:
            left, right = right, left ^ (_mixed(right ^ key) & low)
        mixed: np.ndarray = left << self._half | right
        return mixed


def _mixed(x: np.ndarray) -> np.ndarray:
    """Every bit of 64 depends on every bit."""
    for multiplier in _MULTIPLIERS:
        x = (x ^ (x >> np.uint64(33))) * multiplier
    mixed: np.ndarray = x ^ (x >> np.uint64(33))
    return mixed


@dataclass(frozen=True)
class Rest:
    """All of N rows but some, in order, by place; ``without``: those, sorted."""

    rows: int
    without: np.ndarray

    def __len__(self) -> int:
        return self.rows - len(self.without)

    def __getitem__(self, places: np.ndarray) -> np.ndarray:
        """The k-th that is left is k and as many as were left out before it."""
        chosen: np.ndarray = places + np.searchsorted(self.without - np.arange(len(self.without)), places, side="right")
        return chosen
