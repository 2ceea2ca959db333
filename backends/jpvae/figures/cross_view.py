"""How well each view is filled from each other view alone, and from all others together.

    R^2 of a column c = 1 - sum_r (x_rc - filled_rc)^2 / sum_r (x_rc - mean_c)^2      over the rows r that have both views

and of a view the mean over its columns that vary: 1 is perfect, 0 no better than column means, below 0 worse than these. A
category counts as one column of zeros and ones per level, filled with probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .sample import Sample

LEAST = 5  # rows from which an R^2 is computed


@dataclass(frozen=True)
class CrossView:
    """r2 (M, M): [i, j] of view j filled from view i alone; together (M,): from all others; rows: of how many subjects each is.
    NaN where fewer than LEAST have both.  columns: of each view, (p_j,), R^2 by table column from all others."""

    names: tuple[str, ...]
    r2: np.ndarray
    rows: np.ndarray
    together: np.ndarray
    together_rows: np.ndarray
    columns: tuple[np.ndarray, ...]


def cross_view(sample: Sample) -> CrossView:
    """Each view hidden from the rows that have it and others."""
    M, observed, truth = len(sample.names), sample.observed, sample.truth
    r2, rows = np.full((M, M), np.nan), np.zeros((M, M), dtype=int)
    together, counts = np.full(M, np.nan), np.zeros(M, dtype=int)
    columns = [np.full(each.count, np.nan) for each in sample.columns]
    for i in range(M):
        have = np.flatnonzero(observed[:, i])
        if have.size < LEAST:
            continue
        alone = np.zeros((have.size, M), dtype=bool)
        alone[:, i] = True
        filled = sample.rows(have).means(alone)
        for j in range(M):
            both = observed[have, j] & (j != i)
            rows[i, j] = both.sum()
            if rows[i, j] >= LEAST:
                r2[i, j] = mean_of(r_squared(truth[j][have[both]], filled[j][both]))
    for j in range(M):
        have = np.flatnonzero(observed[:, j] & (observed.sum(axis=1) > 1))
        counts[j] = have.size
        if have.size >= LEAST:
            seen = observed[have].copy()
            seen[:, j] = False
            found = r_squared(truth[j][have], sample.rows(have).means(seen)[j])
            together[j], columns[j] = mean_of(found), by_table_column(found, sample.columns[j].sources, sample.columns[j].count)
    return CrossView(sample.names, r2, rows, together, counts, tuple(columns))


def r_squared(truth: np.ndarray, filled: np.ndarray) -> np.ndarray:
    """Of each column (c,), from (R, c) and (R, c), NaN cells of the truth left out; NaN where the truth does not vary."""
    known = ~np.isnan(truth)
    rows = known.sum(axis=0)
    middle = np.where(known, truth, 0.0).sum(axis=0) / np.maximum(rows, 1)
    residual = np.where(known, truth - filled, 0.0)
    total = np.where(known, truth - middle, 0.0)
    spread = (total**2).sum(axis=0)
    varies = (rows > 1) & (spread > 1e-12 * (middle**2 * rows))
    return np.where(varies, 1.0 - (residual**2).sum(axis=0) / np.where(varies, spread, 1.0), np.nan)


def mean_of(values: np.ndarray) -> float:
    """The mean of what is not NaN; NaN where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def by_table_column(values: np.ndarray, sources: list[int], count: int) -> np.ndarray:
    """Model columns (c,) -> table columns (count,), of a category the mean over its levels."""
    owner = np.asarray(sources)
    return np.array([mean_of(values[owner == j]) for j in range(count)]) if len(owner) != count else values[np.argsort(owner)]
