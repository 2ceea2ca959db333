"""Codes for missing that were left in a column of measurements: -999, 999.9, 88, 9.96921e36. Learned from, they ruin its mean
and spread.

The ends of a column are suspected where they are written with one of the digits 7, 8 and 9 alone, or are what programs fill
empty cells with, and lie further from the values that are no such codes than half of the distance over which those reach; so is
-1 below whole numbers; and any value that is there more than once, further away than a hundred times that distance.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np

from ..errors import JPVAEWarning
from .ends import Ends
from .memory_map import let_go
from .pieces import pieces
from .reading import Views

_WHOLE = [float(digit * length) for digit in "789" for length in range(1, 10)]
_CODES = np.array([s * code for code in (*_WHOLE[1:], 99.9, 999.9, 9999.9, 99.99, 999.99, 9999.99) for s in (1.0, -1.0)])
_LIMITS = [2.0**bits - k for bits in (15, 16, 31, 32, 63, 64) for k in (0, 1, 2)]  # what whole numbers of so many bits end at
_LARGEST = [(2 - 2.0**-23) * 2.0**127, 2.0**127, 2.0**1023, float(np.finfo(np.float64).max)]  # floats, and the halves of them
_WRITTEN = [
    9.969209968386869e36,
    9.96921e36,
    9.97e36,
    1.7e38,
    3.4e38,
    1.7e308,
    1.79e308,
    999.25,
    9999.25,
]  # by NetCDF and others
_FILLS = np.array([*_LIMITS, *_LARGEST, *_WRITTEN, *(10.0**k for k in (15, 20, *range(30, 39), 99, 100, 300, 308))])
_NEAR = 1e-6  # as a part of the value: single precision, and texts of seven digits
_FAR, _DIFFERENT = 100.0, 5  # from how many different values


def suspects(values: np.ndarray) -> dict[int, tuple[float, ...]]:
    """Of columns of numbers (n, k), NaN where there are none: the suspected values of each that has some."""
    there = np.where(np.isfinite(values), values, np.nan)
    return _found(Ends.of(there), range(values.shape[1]), lambda j: [there[:, j]])


def _found(ends: Ends, columns: Iterable[int], read: Callable[[int], Iterable[np.ndarray]]) -> dict[int, tuple[float, ...]]:
    """read: a column's values, NaN where there are none, piece by piece."""
    likely = (ends.least == -1.0) | _are_codes(ends.least) | _are_codes(ends.most)
    with np.errstate(over="ignore", invalid="ignore"):
        reach = ends.next_most - ends.next_least
        below, above = (
            (reach > 0) & (gap > _FAR * reach) for gap in (ends.next_least - ends.least, ends.most - ends.next_most)
        )
    far = {j: ({ends.least[j]} if below[j] else set()) | ({ends.most[j]} if above[j] else set()) for j in columns}
    found = {j: _suspects_of(read(j), far[j]) for j in columns if likely[j] or far[j]}
    return {j: codes for j, codes in found.items() if codes}


def _are_codes(values: np.ndarray) -> np.ndarray:
    """Which of the values are written like a code, or are what programs fill empty cells with."""
    size = np.abs(values)
    found: np.ndarray = np.isin(values, _CODES)
    for fill in _FILLS:  # those that a float of 32 bits does not hold are rounded in it
        found |= np.abs(size - fill) <= (0.0 if fill < 2.0**24 else _NEAR * fill)
    return found


class _Real:
    """Of a column's values, those that are no codes: how many, some that differ, and their ends."""

    def __init__(self) -> None:
        self.count, self.low, self.high = 0, np.inf, -np.inf
        self.some: set[float] = set()

    def add(self, real: np.ndarray) -> None:
        self.count += len(real)
        self.low, self.high = min(self.low, real.min(initial=np.inf)), max(self.high, real.max(initial=-np.inf))
        if len(self.some) < _DIFFERENT:
            self.some |= set(np.unique(real)[:_DIFFERENT].tolist())


def _suspects_of(column: Iterable[np.ndarray], far: Collection[float] = ()) -> tuple[float, ...]:
    """far: the ends of the column that lie far from all else."""
    present: set[float] = set()
    times = dict.fromkeys(far, 0)
    whole, measured, counted = True, _Real(), _Real()
    for piece in column:
        there = piece[~np.isnan(piece)]
        code, away = _are_codes(there), np.isin(there, list(far))
        present |= set(np.unique(there[code | (there == -1.0)]).tolist())
        times = {value: k + int((there == value).sum()) for value, k in times.items()}
        whole = whole and bool((there[~code & ~away] % 1 == 0).all())
        measured.add(there[~code & ~away])
        counted.add(there[~code & ~away & (there != -1.0)])
    real = counted if whole else measured
    if real.count < 5 or real.high == real.low:
        return ()
    with np.errstate(over="ignore"):
        low, high, reach = real.low, real.high, real.high - real.low
    codes = sorted(present - {-1.0})
    found = {c for c in codes if c < low - 0.5 * reach or c > high + 0.5 * reach}
    found |= {-1.0} & present if whole and low >= 0 and reach >= 10 else set()
    digits = [c for c in found if 0 < c < 10]  # of which measurements have some: only where the other one is no value
    found -= set(digits) if len(digits) > 1 else set()
    if len(real.some) >= _DIFFERENT:
        found |= {c for c, k in times.items() if k > 1 and max(low - c, c - high) > _FAR * reach}
    return tuple(map(float, sorted(found)))


def warn_of_sentinels(data: Views, ends: Sequence[Ends]) -> None:
    """One warning for each view that has such columns. ends: of each view's table columns."""
    for i, (view, own) in enumerate(zip(data.names, data.columns, strict=True)):
        table, observed = data.tables[i], data.observed[:, i]
        if table is None:
            continue

        def read(j: int, table: np.ndarray = table, observed: np.ndarray = observed) -> Iterator[np.ndarray]:
            for rows in pieces(*table.shape):
                yield table[rows, j][observed[rows]].astype(np.float64)
                let_go(table)

        codes = _found(ends[i], sorted(own.measurements), read)
        if codes:
            pairs = [(own.title(j), value) for j, of_column in codes.items() for value in of_column]
            some = ", ".join(f"{title!r} {_digits(value)}" for title, value in pairs[:5])
            options = " ".join(f"--sentinel '{view}:{title}={_digits(value)}'" for title, value in pairs[:5])
            warnings.warn(
                f"view {view!r} has values that look like codes for missing, far from all others ({some}): if they are, leave "
                f"them empty, or {options}",
                JPVAEWarning,
                stacklevel=4,
            )


def _digits(value: float) -> str:
    """The shortest text that means the number."""
    return f"{value:.10g}" if float(f"{value:.10g}") == value else repr(value)
