"""The two least and the two largest values of every column, each value once, of rows that come block by block."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Ends(NamedTuple):
    """(p,) each; infinite where a column has no such value."""

    least: np.ndarray
    next_least: np.ndarray
    next_most: np.ndarray
    most: np.ndarray

    @classmethod
    def none(cls, columns: int) -> Ends:
        """Of no rows."""
        return cls(*(np.full(columns, end) for end in (np.inf, np.inf, -np.inf, -np.inf)))

    @classmethod
    def of(cls, values: np.ndarray) -> Ends:
        """Of rows (R, p), NaN where there is no value."""
        values = values.astype(np.result_type(values, np.float32), copy=False)
        low, high = np.fmin.reduce(values, axis=0, initial=np.inf), np.fmax.reduce(values, axis=0, initial=-np.inf)
        above = np.fmin.reduce(np.where(values == low, np.inf, values), axis=0, initial=np.inf)
        below = np.fmax.reduce(np.where(values == high, -np.inf, values), axis=0, initial=-np.inf)
        return cls(low, above, below, high)

    def and_of(self, other: Ends) -> Ends:
        """Of the rows of both."""
        low, above = _first_two(np.minimum, self.least, self.next_least, other.least, other.next_least)
        high, below = _first_two(np.maximum, self.most, self.next_most, other.most, other.next_most)
        return Ends(low, above, below, high)


def _first_two(pick: np.ufunc, a: np.ndarray, a_next: np.ndarray, b: np.ndarray, b_next: np.ndarray) -> list[np.ndarray]:
    """Of two pairs in order, the first two that differ."""
    other = np.minimum if pick is np.maximum else np.maximum
    later = np.where(a == b, pick(a_next, b_next), pick(other(a, b), pick(a_next, b_next)))
    return [pick(a, b), later]
