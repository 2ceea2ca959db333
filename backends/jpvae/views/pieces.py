"""A large table a piece at a time, so that what is made of it on the way does not grow with its rows."""

from __future__ import annotations

from collections.abc import Iterator

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
