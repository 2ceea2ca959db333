"""The error of a filling: root mean square over rows and columns, each column in units of its standard deviation in training.

error = ( mean over r, c of ((filled_rc - truth_rc) / sd_c)^2 )^{1/2}        column means give about 1
"""

from __future__ import annotations

import numpy as np


def column_scales(values: np.ndarray) -> np.ndarray:
    """Standard deviations (c,) of the columns (rows, c), NaN left out; 1 for a constant column, whose error has no unit."""
    lowest, highest, deviation = np.nanmin(values, axis=0), np.nanmax(values, axis=0), np.nanstd(values, axis=0)
    return np.where((highest > lowest) & (deviation > 0), deviation, 1.0)


def error(truth: np.ndarray, filled: np.ndarray, scale: np.ndarray) -> float:
    """One number, from (rows, c), (rows, c) and (c,)."""
    return float(np.sqrt(np.mean(((filled - truth) / scale) ** 2)))
