"""A large table a piece at a time, so that what is made of it on the way does not grow with its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

WHOLE, PIECE = 2**22, 2**20  # cells: a table of so many is one piece; those of a larger one have so many


def pieces(rows: int, columns: int) -> Iterator[slice]:
    """The rows of a table of so many columns, cut into slices; one if it is not large."""
    size = rows_of_a_piece(rows, columns)
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def rows_of_a_piece(rows: int, columns: int) -> int:
    """How many rows each slice but the last has."""
    return max(1, rows if rows * columns <= WHOLE else PIECE // columns)


class Gathered:
    """Takes the blocks of a table of so many rows and columns, and hands on its pieces: values (R, c) and observed (R,)."""

    def __init__(self, rows: int, columns: int, take: Callable[[np.ndarray, np.ndarray], None]) -> None:
        self._left, self._size, self._take = rows, rows_of_a_piece(rows, columns), take
        self._values, self._observed, self._filled = np.empty((0, columns)), np.empty(0, bool), 0

    def add(self, values: np.ndarray, observed: np.ndarray) -> None:
        """A block."""
        if not len(self._values):
            self._values, self._observed = np.empty((self._size, values.shape[1]), values.dtype), np.empty(self._size, bool)
        self._left -= len(values)
        start = 0
        while start < len(values):
            count = min(len(values) - start, self._size - self._filled)
            at, rows = slice(self._filled, self._filled + count), slice(start, start + count)
            self._values[at], self._observed[at] = values[rows], observed[rows]
            self._filled, start = at.stop, rows.stop
            if self._filled == self._size or not self._left:
                self._take(self._values[: self._filled], self._observed[: self._filled])
                self._filled = 0
        if not self._left:
            self._values, self._observed = self._values[:0].copy(), self._observed[:0].copy()


def spread(chosen: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the places where ``chosen`` (N,) is True, evenly spread among them, in order."""
    count = int(chosen.sum())
    ranks = np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))
    found, before = [], 0
    for rows in pieces(len(chosen), 1):
        there = rows.start + np.flatnonzero(chosen[rows])
        wanted = slice(*np.searchsorted(ranks, [before, before + len(there)]))
        found.append(there[ranks[wanted] - before])
        before += len(there)
    return np.concatenate(found)
