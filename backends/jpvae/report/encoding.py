"""Numbers for the page: as characters, where it holds thousands of columns (64 steps between two ends, one character each), and
for people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
MISSING = "."


def steps(values: Sequence[float] | np.ndarray, low: float, high: float) -> str:
    """Each number (n,) by the nearest of 64 steps from ``low`` to ``high``, those beyond by the ends; "." for NaN."""
    x = np.asarray(values, np.float64)
    width = high - low if high > low else 1.0
    with np.errstate(invalid="ignore"):
        at = np.clip(np.rint((x - low) / width * 63.0), 0.0, 63.0)
    return "".join(MISSING if k != k else ALPHABET[int(k)] for k in at)


def digits(value: float, count: int = 4) -> float | None:
    """Rounded to so many significant digits; None for what is not finite, which JSON lacks."""
    return float(f"{value:.{count}g}") if np.isfinite(value) else None


def percent(value: float, count: int = 0) -> str:
    """A part as per cent, with so many decimals; a dash for none."""
    return f"{100 * value:.{count}f} %" if np.isfinite(value) else "–"
