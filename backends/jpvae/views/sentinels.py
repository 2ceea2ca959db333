"""Codes for missing that were left in a column of measurements: -999, 999.9, 88. Learned from, they ruin its mean and spread.

The ends of a column are suspected where they are written with one of the digits 7, 8 and 9 alone, and lie further from the
values that are no such codes than half of the distance over which those reach; so is -1 below whole numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import JPVAEWarning
from .columns import Columns
from .reading import Views

_MEASURED = ("gaussian", "student_t")
_WHOLE = [float(digit * length) for digit in "789" for length in range(1, 10)]
_CODES = [sign * code for code in (*_WHOLE[1:], 99.9, 999.9, 9999.9, 99.99, 999.99, 9999.99) for sign in (1.0, -1.0)]
_CELLS = 4_000_000  # that are looked at at a time


def suspects(values: np.ndarray) -> dict[int, tuple[float, ...]]:
    """Of columns of numbers (n, k), NaN where there are none: the suspected values of each that has some."""
    with np.errstate(invalid="ignore"):
        there = np.isfinite(values)
        ends = [
            pick(np.where(there, values, -end), axis=0, initial=-end) for pick, end in ((np.min, -np.inf), (np.max, np.inf))
        ]
    likely = np.isin(ends[0], [*_CODES, -1.0]) | np.isin(ends[1], _CODES)
    found = {int(j): _suspects_of(values[there[:, j], j]) for j in np.flatnonzero(likely)}
    return {j: codes for j, codes in found.items() if codes}


def _suspects_of(column: np.ndarray) -> tuple[float, ...]:
    present = np.unique(column)
    below = [-1.0] if (column % 1 == 0).all() else []
    real = present[~np.isin(present, [*_CODES, *below])]
    codes = present[np.isin(present, [*_CODES, *below])]
    if np.isin(column, real).sum() < 5 or real[-1] == real[0]:
        return ()
    with np.errstate(over="ignore"):
        low, high, reach = real[0], real[-1], real[-1] - real[0]
    far = [c for c in codes if c not in below and (c < low - 0.5 * reach or c > high + 0.5 * reach)]
    if low >= 0 and reach >= 10:
        far = sorted({*far, *(c for c in codes if c in below)})
    digits = [c for c in far if 0 < c < 10]  # of which measurements have some: only where the other one is no value
    return tuple(float(c) for c in far if c not in digits or len(digits) == 1)


def warn_of_sentinels(data: Views, columns: Sequence[Columns]) -> None:
    """One warning for each view that has such columns."""
    for i, (view, own) in enumerate(zip(data.names, columns, strict=True)):
        measured = sorted(j for group in own.groups if group.likelihood in _MEASURED for j in group.columns)
        table, observed = data.tables[i], data.observed[:, i]
        if table is None or not measured:
            continue
        size = max(1, _CELLS // len(observed))
        codes: dict[Any, Any] = {}
        for start in range(0, len(measured), size):
            part = measured[start : start + size]
            codes |= {part[k]: value for k, value in suspects(np.asarray(table[observed][:, part], np.float64)).items()}
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
