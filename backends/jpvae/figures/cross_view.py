"""How well each view is filled from each other view alone, and from all others together.

    R^2 of a column = 1 - sum_r (x_r - filled_r)^2 / sum_r (x_r - mean)^2      over the rows r that have both views

and of a view the mean over its table's columns that vary: 1 is perfect, 0 no better than column means, below 0 worse than them.
Of a category, zeros and ones per level filled with probabilities, both sums run over the levels too, so that it is one column
however many levels it has. The means are those of the training where they are given, else those of the rows themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..views.columns import Columns
from .sample import Sample, varying

LEAST = 5  # rows, and known values of a column, from which an R^2 is computed


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


def cross_view(sample: Sample, means: Sequence[np.ndarray] | None = None) -> CrossView:
    """Each view hidden from the rows that have it and others. means: of each view's model columns (c,)."""
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
                r2[i, j] = mean_of(_by_column(sample, j, truth[j][have[both]], filled[j][both], means))
    columns, counts = from_all_others(sample, means)
    each = tuple(x[variables(of)] for x, of in zip(columns, sample.columns, strict=True))
    return CrossView(sample.names, r2, rows, np.array([mean_of(x) for x in columns]), counts, each)


def from_all_others(sample: Sample, means: Sequence[np.ndarray] | None = None) -> tuple[list[np.ndarray], np.ndarray]:
    """Of each view R^2 by table column (p,), a one-hot category's at its first column and NaN at the others, when it is filled
    from whatever else a row has, and from how many rows (M,)."""
    observed, counts = sample.observed, np.zeros(len(sample.names), dtype=int)
    found = [np.full(columns.count, np.nan) for columns in sample.columns]
    for j, truth in enumerate(sample.truth):
        have = np.flatnonzero(observed[:, j] & (observed.sum(axis=1) > 1))
        counts[j] = have.size
        if have.size >= LEAST:
            seen = observed[have].copy()
            seen[:, j] = False
            found[j] = _by_column(sample, j, truth[have], sample.rows(have).means(seen)[j], means)
    return found, counts


def _by_column(sample: Sample, j: int, truth: np.ndarray, filled: np.ndarray, means: Sequence[np.ndarray] | None) -> np.ndarray:
    columns = sample.columns[j]
    owner = variables(columns)[columns.sources]
    return r_squared(truth, filled, None if means is None else means[j], owner=owner, count=columns.count)


def variables(columns: Columns) -> np.ndarray:
    """(p,): of each table column itself, or the first column of the category that it is a level of, where that is one-hot."""
    first = np.arange(columns.count)
    for group in columns.groups:
        if group.size:
            own = np.array(group.columns)
            first[own] = np.repeat(own[:: group.size], group.size)
    return first


def r_squared(
    truth: np.ndarray,
    filled: np.ndarray,
    middle: np.ndarray | None = None,
    *,
    owner: np.ndarray | None = None,
    count: int | None = None,
) -> np.ndarray:
    """Of each table column (count,), from model columns (R, c) and (R, c), cells of unknown truth left out; NaN where the truth
    does not vary, or has fewer than LEAST values. middle (c,): what 0 stands for, by default the truth's own means; owner (c,):
    the table column of each model column, by default its own.
    """
    known, c = ~np.isnan(truth), truth.shape[1]
    rows = known.sum(axis=0)
    own = np.where(known, truth, 0.0).sum(axis=0) / np.maximum(rows, 1)
    middle = own if middle is None else np.where(np.isnan(middle), own, middle)
    sums = [(np.where(known, truth - other, 0.0) ** 2).sum(axis=0) for other in (filled, middle)]
    at, n = (np.arange(c), c) if owner is None else (owner, count)
    residual, total, varies = (np.bincount(at, x, minlength=n or 0) for x in (*sums, varying(truth) & (rows >= LEAST)))
    return np.where(varies > 0, 1.0 - residual / np.where(varies > 0, total, 1.0), np.nan)


def mean_of(values: np.ndarray) -> float:
    """The mean of what is not NaN; NaN where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
