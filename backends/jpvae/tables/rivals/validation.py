"""One rule by which every rival gets its setting and its intervals: held-out training rows, each of their views hidden in turn.

Rows are held out by folds: five where there are at most FEW rows, else one fifth once. A setting's error is the mean over the
views of the root mean square residual; the smallest wins, and is fitted anew to all rows. Its residuals' root mean square is
each column's predictive standard deviation: never the residual of a row that was learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from . import Rival

FEW, FOLDS = 200, 5


@dataclass(frozen=True)
class Chosen:
    """A fitted rival. deviation (C,): predictive standard deviations; errors: each setting's on the held-out rows."""

    rival: Rival
    setting: str
    deviation: np.ndarray
    errors: Mapping[str, float]


def choose(settings: Mapping[str, Callable[[], Rival]], table: np.ndarray, owner: np.ndarray, *, seed: int) -> Chosen:
    """The best of a method's settings. table (N, C): columns of mean 0, deviation 1; owner (C,): each column's view."""
    order = np.random.default_rng(seed).permutation(len(table))
    folds = np.array_split(order, FOLDS)[: FOLDS if len(table) <= FEW else 1]
    residuals = {name: _residuals(make, table, owner, folds) for name, make in settings.items()}
    views = range(int(owner.max()) + 1)
    errors = {name: float(np.mean([_root(found[:, owner == j]) for j in views])) for name, found in residuals.items()}
    best = min(errors, key=lambda name: errors[name])
    squares, known = np.nan_to_num(residuals[best]) ** 2, ~np.isnan(residuals[best])
    # A column that no held-out row has keeps the deviation 1 of column means; else that one counts as one more row.
    deviation = np.sqrt((squares.sum(axis=0) + 1.0) / (known.sum(axis=0) + 1.0))
    return Chosen(settings[best]().fit(table, owner), best, deviation, errors)


def _root(residuals: np.ndarray) -> float:
    known = residuals[~np.isnan(residuals)]
    return float(np.sqrt(np.mean(known**2))) if known.size else 1.0


def _residuals(make: Callable[[], Rival], table: np.ndarray, owner: np.ndarray, folds: list[np.ndarray]) -> np.ndarray:
    """Truth less filling (N, C) where a fold held the row out and its view was hidden; NaN elsewhere."""
    found = np.full_like(table, np.nan)
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(table)), fold)
        rival = make().fit(table[rest], owner)
        for view in range(int(owner.max()) + 1):
            hidden = np.where(owner == view, np.nan, table[fold])
            has = ~np.isnan(table[fold][:, owner == view]).all(axis=1) & ~np.isnan(hidden).all(axis=1)
            rows = fold[has]
            if rows.size:
                at = np.ix_(rows, owner == view)
                found[at] = table[at] - rival.fill(hidden[has])[:, owner == view]
    return found
