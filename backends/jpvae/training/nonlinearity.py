"""Whether views are related by more than lines: kernel ridge regression of each view on the others, left-one-out.

    lines   K = X X' / C          X: the other views' columns, of each view C_i columns of variance 1 / C_i
    curves  K + exp(-g d^2 / median d^2),  d distances between rows of X, g = 1 and 2

Left-one-out residuals of the fit H y = K (K + l)^-1 y are (y - H y) / (1 - diag H). For each K the penalty l is
that of the least error by generalised cross-validation, which takes the mean of diag H for its entries.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FEWEST_ROWS = 40
CURVED = 0.1  # a gain from which views count as related by curves: docs/experiments.md
_PENALTIES = np.logspace(-4, 3, 15)  # times the mean eigenvalue
_NARROW = (1.0, 2.0)
_CERTAIN = 2.0  # standard errors: one far row is no curve


def most_rows(views: int) -> int:
    """How many rows to look at: 400 of two views, fewer of more, so that the decompositions take no longer."""
    return int(400.0 * np.cbrt(2.0 / max(2, views)))


def gain_of_curves(tables: Sequence[np.ndarray]) -> float:
    """Of all views the largest share of its columns' variance that curves in the other views predict and lines do not.

    tables: (R, c_i), the same R rows of every view, NaN where a cell is missing. 0 where rows are too few to tell, or where
    the gain is that of a few rows: less than ``_CERTAIN`` standard errors of the rows' mean.
    """
    if len(tables) < 2 or len(tables[0]) < FEWEST_ROWS:
        return 0.0
    scaled = [x for x, _ in map(_standardised, tables) if x.shape[1]]
    products = [x @ x.T / x.shape[1] for x in scaled]
    gains = [0.0]
    for i, y in enumerate(scaled if len(scaled) > 1 else []):
        lines = np.sum([product for j, product in enumerate(products) if j != i], axis=0)
        squared = np.diag(lines)[:, None] + np.diag(lines) - 2.0 * lines
        unit = np.median(squared[~np.eye(len(y), dtype=bool)])
        if unit > 0:
            columns = _of_rank(y, products[i])
            straight = _left_out(lines, columns)
            curved = min((_left_out(lines + np.exp(-g * squared / unit), columns) for g in _NARROW), key=np.mean)
            gain = straight - curved
            gains.append(gain.mean() if gain.mean() > _CERTAIN * gain.std() / np.sqrt(len(gain)) else 0.0)
    return float(max(gains))


def explained_by_lines(tables: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Of each view's columns (c_i,) the share of the variance that lines in the other views predict, left-one-out; 0 at least.

    tables: as for ``gain_of_curves``; 0 where rows are too few to tell, and for constant columns.
    """
    shares = [np.zeros(x.shape[1]) for x in tables]
    if len(tables) < 2 or len(tables[0]) < FEWEST_ROWS:
        return shares
    scaled = [_standardised(x) for x in tables]
    products = [x @ x.T / max(1, x.shape[1]) for x, _ in scaled]
    for i, (y, varies) in enumerate(scaled):
        lines = np.sum([product for j, product in enumerate(products) if j != i], axis=0)
        if y.shape[1] and lines.any():
            left = (_residuals(lines, y) ** 2).mean(axis=0)
            shares[i][varies] = np.maximum(0.0, 1.0 - left)
    return shares


def _of_rank(y: np.ndarray, product: np.ndarray) -> np.ndarray:
    """y (R, c) / sqrt(c), or a root of ``product`` = y y' / c where that has fewer columns: residuals' squares sum up alike."""
    if y.shape[1] <= len(y):
        return np.asarray(y / np.sqrt(y.shape[1]))
    eigenvalues, U = np.linalg.eigh(product)
    return np.asarray(U * np.sqrt(np.maximum(eigenvalues, 0.0)))


def _standardised(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns of mean 0 and variance 1, missing cells at the mean, without those that are constant; which columns (c,) vary."""
    x = np.asarray(table, dtype=np.float64)
    known = ~np.isnan(x)
    x = np.where(known, x, 0.0)
    x = np.where(known, x - x.sum(axis=0) / np.maximum(1, known.sum(axis=0)), 0.0)
    deviation = x.std(axis=0)
    varies = deviation > 1e-6 * np.abs(x).max(axis=0, initial=0.0)
    return np.asarray(x[:, varies] / deviation[varies]), varies


def _left_out(K: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of each row (R,) the sum of squares of ``_residuals``."""
    return np.asarray((_residuals(K, y) ** 2).sum(axis=1))


def _residuals(K: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Left-one-out residuals (R, c), intercepts fitted. K (R, R), y (R, c) centred."""
    centred = K - K.mean(axis=0)
    eigenvalues, U = np.linalg.eigh(centred - centred.mean(axis=1)[:, None])
    eigenvalues, turned = np.maximum(eigenvalues, 0.0), U.T @ y
    lost = 1.0 - eigenvalues / (eigenvalues + _PENALTIES[:, None] * eigenvalues.mean())  # (penalties, R)
    generalised = lost**2 @ (turned**2).sum(axis=1) / (lost.sum(axis=1) - 1.0) ** 2
    best = lost[np.argmin(generalised)]
    residuals, kept = U @ (best[:, None] * turned), U**2 @ best - 1.0 / len(y)
    return np.asarray(residuals / kept[:, None])
