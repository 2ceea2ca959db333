"""How good a filling is, over the cells of which the truth is known (not NaN).

error    = ( mean over r, c of ((filled_rc - truth_rc) / sd_c)^2 )^{1/2}    sd_c: in training; column means give about 1
accuracy = mean over r, c of [filled_rc = truth_rc]                         for categories
"""

from __future__ import annotations

import numpy as np


def column_scales(values: np.ndarray) -> np.ndarray:
    """Standard deviations (c,) of the columns (rows, c), NaN left out; 1 for a constant column, whose error has no unit."""
    lowest, highest, deviation = np.nanmin(values, axis=0), np.nanmax(values, axis=0), np.nanstd(values, axis=0)
    return np.where((highest > lowest) & (deviation > 0), deviation, 1.0)


def error(truth: np.ndarray, filled: np.ndarray, scale: np.ndarray) -> float:
    """One number, from (rows, c), (rows, c) and (c,)."""
    return float(np.sqrt(np.nanmean(((filled - truth) / scale) ** 2)))


def accuracy(truth: np.ndarray, filled: np.ndarray) -> float:
    """The part that is right, of (rows, c) codes."""
    known = ~np.isnan(truth)
    return float(np.mean(filled[known] == truth[known]))
