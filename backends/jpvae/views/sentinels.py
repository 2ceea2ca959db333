"""Codes for missing that were left in a column of measurements: -999, 999.9, 88. Learned from, they ruin its mean and spread.

The least or the largest value of a column is suspected where it is written with nines or eights alone (or is -1 or -9 below
whole numbers), and lies further from the nearest other value than half of the distance over which the others reach.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from ..errors import JPVAEWarning
from .columns import Columns
from .reading import Views

_MEASURED = ("gaussian", "student_t")
_CELLS = 4_000_000  # that are looked at at a time


def suspects(values: np.ndarray) -> dict[int, float]:
    """Of columns of numbers (n, k), NaN where there are none: the suspected value of each that has one."""
    found: dict[int, float] = {}
    with np.errstate(invalid="ignore"):
        there = np.isfinite(values)
        for sign in (1.0, -1.0):
            x = np.where(there, sign * values, -np.inf)
            top = x.max(axis=0, initial=-np.inf)
            rest = x < top
            next_one = np.where(rest, x, -np.inf).max(axis=0, initial=-np.inf)
            reach = next_one - np.where(rest & there, x, np.inf).min(axis=0, initial=np.inf)
            far = np.isfinite(next_one) & (top - next_one > 0.5 * reach) & ((rest & there).sum(axis=0) >= 5) & (reach > 0)
            for j in np.flatnonzero(far):
                if _is_code(float(sign * top[j])):
                    found[int(j)] = float(sign * top[j])
            whole = (np.where(there, values, 0.0) % 1 == 0).all(axis=0)
            for j in np.flatnonzero((sign < 0) & whole & (top == 1.0) & (next_one <= 0) & (reach >= 10)):
                found[int(j)] = -1.0  # below counts, ages and scores
    return found


def _is_code(value: float) -> bool:
    digits = f"{abs(value):g}".replace(".", "")
    return abs(value) >= 8 and (set(digits) in ({"9"}, {"8"}, {"7"}))


def warn_of_sentinels(data: Views, columns: Sequence[Columns]) -> None:
    """One warning for each view that has such columns."""
    for i, (view, own) in enumerate(zip(data.names, columns, strict=True)):
        measured = sorted(j for group in own.groups if group.likelihood in _MEASURED for j in group.columns)
        table, observed = data.tables[i], data.observed[:, i]
        if table is None or not measured:
            continue
        size, codes = max(1, _CELLS // len(observed)), {}
        for start in range(0, len(measured), size):
            part = measured[start : start + size]
            codes |= {part[k]: value for k, value in suspects(np.asarray(table[observed][:, part], np.float64)).items()}
        if codes:
            some = ", ".join(f"{own.title(j)!r} {value:g}" for j, value in list(codes.items())[:5])
            j, value = next(iter(codes.items()))
            warnings.warn(
                f"view {view!r} has values that look like codes for missing, far from all others ({some}): if they are, leave "
                f"them empty, or --sentinel {view}:{own.title(j)}={value:g}",
                JPVAEWarning,
                stacklevel=4,
            )
