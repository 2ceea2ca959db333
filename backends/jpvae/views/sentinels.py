"""Codes for missing that were left in a column of measurements: -999, 999.9, 88. Learned from, they ruin its mean and spread.

The ends of a column are suspected where they are written with one of the digits 7, 8 and 9 alone, and lie further from the
values that are no such codes than half of the distance over which those reach; so is -1 below whole numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from ..errors import JPVAEWarning
from .memory_map import let_go
from .pieces import pieces
from .reading import Views

_MEASURED = ("gaussian", "student_t")
_WHOLE = [float(digit * length) for digit in "789" for length in range(1, 10)]
_CODES = [sign * code for code in (*_WHOLE[1:], 99.9, 999.9, 9999.9, 99.99, 999.99, 9999.99) for sign in (1.0, -1.0)]


def suspects(values: np.ndarray) -> dict[int, tuple[float, ...]]:
    """Of columns of numbers (n, k), NaN where there are none: the suspected values of each that has some."""
    there = np.where(np.isfinite(values), values, np.nan)
    low, high = np.fmin.reduce(there, axis=0, initial=np.inf), np.fmax.reduce(there, axis=0, initial=-np.inf)
    return _found(low, high, range(values.shape[1]), lambda j: [there[:, j]])


def _found(
    low: np.ndarray, high: np.ndarray, columns: Iterable[int], read: Callable[[int], Iterable[np.ndarray]]
) -> dict[int, tuple[float, ...]]:
    """low, high: the columns' ends; read: a column's values, NaN where there are none, piece by piece."""
    likely = np.isin(low, [*_CODES, -1.0]) | np.isin(high, _CODES)
    found = {j: _suspects_of(read(j)) for j in columns if likely[j]}
    return {j: codes for j, codes in found.items() if codes}


class _Real:
    """Of a column's values, those that are none of these codes: how many, and their ends."""

    def __init__(self, codes: Sequence[float]) -> None:
        self.codes, self.count, self.low, self.high = codes, 0, np.inf, -np.inf

    def add(self, values: np.ndarray) -> None:
        real = values[~np.isin(values, self.codes)]
        self.count += len(real)
        self.low, self.high = min(self.low, real.min(initial=np.inf)), max(self.high, real.max(initial=-np.inf))


def _suspects_of(column: Iterable[np.ndarray]) -> tuple[float, ...]:
    present: set[float] = set()
    whole, measured, counted = True, _Real(_CODES), _Real([*_CODES, -1.0])
    for piece in column:
        there = piece[~np.isnan(piece)]
        present |= set(there[np.isin(there, counted.codes)].tolist())
        whole = whole and bool((there % 1 == 0).all())
        measured.add(there)
        counted.add(there)
    below = [-1.0] if whole else []
    real = counted if whole else measured
    codes = sorted(present.intersection([*_CODES, *below]))
    if real.count < 5 or real.high == real.low:
        return ()
    with np.errstate(over="ignore"):
        low, high, reach = real.low, real.high, real.high - real.low
    far = [c for c in codes if c not in below and (c < low - 0.5 * reach or c > high + 0.5 * reach)]
    if low >= 0 and reach >= 10:
        far = sorted({*far, *(c for c in codes if c in below)})
    digits = [c for c in far if 0 < c < 10]  # of which measurements have some: only where the other one is no value
    return tuple(float(c) for c in far if c not in digits or len(digits) == 1)


def warn_of_sentinels(data: Views, ends: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """One warning for each view that has such columns. ends: the least and the largest value of each table column, by view."""
    for i, (view, own) in enumerate(zip(data.names, data.columns, strict=True)):
        measured = sorted(j for group in own.groups if group.likelihood in _MEASURED for j in group.columns)
        table, observed = data.tables[i], data.observed[:, i]
        if table is None:
            continue

        def read(j: int, table: np.ndarray = table, observed: np.ndarray = observed) -> Iterator[np.ndarray]:
            for rows in pieces(*table.shape):
                yield table[rows, j][observed[rows]].astype(np.float64)
                let_go(table)

        codes = _found(*ends[i], measured, read)
        if codes:
            pairs = [(own.title(j), value) for j, of_column in codes.items() for value in of_column]
            some = ", ".join(f"{title!r} {value:.10g}" for title, value in pairs[:5])
            options = " ".join(f"--sentinel '{view}:{title}={value:.10g}'" for title, value in pairs[:5])
            warnings.warn(
                f"view {view!r} has values that look like codes for missing, far from all others ({some}): if they are, leave "
                f"them empty, or {options}",
                JPVAEWarning,
                stacklevel=4,
            )
