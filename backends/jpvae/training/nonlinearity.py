"""Whether views are related by more than lines: kernel ridge regression of each view on the others, left-one-out.

    lines   K = X X' / C          X: the other views' columns, of each view C_i columns of variance 1 / C_i
    curves  K + exp(-g d^2 / median d^2),  d distances between rows of X, g = 1 and 2

Left-one-out residuals of the fit H y = K (K + l)^-1 y are (y - H y) / (1 - diag H), at the penalty l that is best for each K.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MOST_ROWS, FEWEST_ROWS = 400, 40
_PENALTIES = np.logspace(-4, 3, 15)  # times the mean eigenvalue
_NARROW = (1.0, 2.0)


def gain_of_curves(tables: Sequence[np.ndarray]) -> float:
    """Of all views the largest share of its columns' variance that curves in the other views predict and lines do not.

    tables: (R, c_i), the same R rows of every view, NaN where a cell is missing. 0 where rows are too few to tell.
    """
    if len(tables) < 2 or len(tables[0]) < FEWEST_ROWS:
        return 0.0
    scaled = [_standardised(table) for table in tables]
    gains = [0.0]
    for i, y in enumerate(scaled):
        X = np.concatenate([x / np.sqrt(max(1, x.shape[1])) for j, x in enumerate(scaled) if j != i], axis=1)
        if y.shape[1] and X.shape[1]:
            lines = X @ X.T
            squared = np.diag(lines)[:, None] + np.diag(lines) - 2.0 * lines
            unit = np.median(squared[~np.eye(len(X), dtype=bool)])
            curves = [lines + np.exp(-narrow * squared / unit) for narrow in _NARROW] if unit > 0 else []
            straight = _left_out(lines, y)
            gains.append(straight - min((_left_out(K, y) for K in curves), default=straight))
    return float(max(gains))


def _standardised(table: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and variance 1, missing cells at the mean, without those that are constant."""
    x = np.asarray(table, dtype=np.float64)
    known = ~np.isnan(x)
    x = np.where(known, x, 0.0)
    x = np.where(known, x - x.sum(axis=0) / np.maximum(1, known.sum(axis=0)), 0.0)
    deviation = x.std(axis=0)
    varies = deviation > 1e-6 * np.abs(x).max(axis=0, initial=0.0)
    return np.asarray(x[:, varies] / deviation[varies])


def _left_out(K: np.ndarray, y: np.ndarray) -> float:
    """The mean square of left-one-out residuals, intercepts fitted. K (R, R), y (R, c) centred."""
    centred = K - K.mean(axis=0)
    eigenvalues, U = np.linalg.eigh(centred - centred.mean(axis=1)[:, None])
    eigenvalues, turned = np.maximum(eigenvalues, 0.0), U.T @ y
    found = []
    for penalty in _PENALTIES * eigenvalues.mean():
        kept = eigenvalues / (eigenvalues + penalty)
        leverage = U**2 @ kept + 1.0 / len(y)
        found.append(float(np.mean(((y - U @ (kept[:, None] * turned)) / (1.0 - leverage)[:, None]) ** 2)))
    return min(found)
