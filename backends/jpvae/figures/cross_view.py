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
    by_column, counts = from_all_others(sample)
    columns = [by_table_column(x, each.sources, each.count) for x, each in zip(by_column, sample.columns, strict=True)]
    return CrossView(sample.names, r2, rows, np.array([mean_of(x) for x in by_column]), counts, tuple(columns))


def from_all_others(sample: Sample) -> tuple[list[np.ndarray], np.ndarray]:
    """Of each view R^2 by model column (c,) when it is filled from whatever else a row has, and from how many rows (M,)."""
    observed, counts = sample.observed, np.zeros(len(sample.names), dtype=int)
    found = [np.full(truth.shape[1], np.nan) for truth in sample.truth]
    for j, truth in enumerate(sample.truth):
        have = np.flatnonzero(observed[:, j] & (observed.sum(axis=1) > 1))
        counts[j] = have.size
        if have.size >= LEAST:
            seen = observed[have].copy()
            seen[:, j] = False
            found[j] = r_squared(truth[have], sample.rows(have).means(seen)[j])
    return found, counts


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
    known = ~np.isnan(values)
    owner = np.asarray(sources)[known]
    rows = np.bincount(owner, minlength=count)
    return np.where(rows > 0, np.bincount(owner, values[known], minlength=count) / np.maximum(rows, 1), np.nan)
