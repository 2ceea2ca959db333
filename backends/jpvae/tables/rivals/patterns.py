"""One regression per missing pattern: a missing view from those that a row has, learned from the rows that have all of them.

Rows that lack the views O^c and are asked for view j: fit on the training rows that have O and j. Where fewer than LEAST rows
do, O gives up the view whose loss frees the most rows, and in the end the mean is all that is left.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

LEAST = 10


class PerPattern:
    """make(rows, predictors): a scikit-learn regressor of several outputs for a training table of that size."""

    def __init__(self, make: Callable[[int, int], Any]) -> None:
        self._make = make

    def fit(self, table: np.ndarray, owner: np.ndarray) -> PerPattern:
        """table (N, C): columns of mean 0, NaN where missing; owner (C,): the view of each column."""
        self._owner, self._views = owner, int(owner.max()) + 1
        self._table, self._observed = np.nan_to_num(table), self._have(table)
        self._fitted: dict[tuple[tuple[int, ...], int], tuple[tuple[int, ...], Any]] = {}
        return self

    def fill(self, table: np.ndarray) -> np.ndarray:
        """The rows (R, C) with every NaN filled; single cells missing from a view that is there, by their mean."""
        filled: np.ndarray = np.nan_to_num(table)
        observed = self._have(table)
        for pattern in np.unique(observed, axis=0):
            rows, given = (observed == pattern).all(axis=1), tuple(np.flatnonzero(pattern).tolist())
            for view in np.flatnonzero(~pattern).tolist():
                used, regressor = self._regressor(given, view)
                if used:
                    predictors = filled[np.ix_(rows, np.isin(self._owner, used))]
                    answer = np.asarray(regressor.predict(predictors))
                    filled[np.ix_(rows, self._owner == view)] = answer.reshape(len(predictors), -1)
        return filled

    def _have(self, table: np.ndarray) -> np.ndarray:
        """(R, views): which views a row has anything of."""
        known = ~np.isnan(table)
        return np.stack([known[:, self._owner == j].any(axis=1) for j in range(self._views)], axis=1)

    def _regressor(self, given: tuple[int, ...], view: int) -> tuple[tuple[int, ...], Any]:
        if (given, view) not in self._fitted:
            used = list(given)
            while used and self._complete([*used, view]).sum() < LEAST:
                used.remove(max(used, key=lambda j: self._complete([*(i for i in used if i != j), view]).sum()))
            self._fitted[given, view] = (tuple(used), self._learned(used, view) if used else None)
        return self._fitted[given, view]

    def _complete(self, views: list[int]) -> np.ndarray:
        return np.asarray(self._observed[:, views].all(axis=1))

    def _learned(self, used: list[int], view: int) -> Any:
        rows = self._complete([*used, view])
        X, Y = (self._table[np.ix_(rows, np.isin(self._owner, part))] for part in (used, [view]))
        with warnings.catch_warnings():  # of scikit-learn: outputs that are constant in these rows, singular systems
            warnings.simplefilter("ignore")
            return self._make(*X.shape).fit(X, Y)


def ridge() -> PerPattern:
    """RidgeCV: the penalty of each pattern and view by leaving one row out."""
    from sklearn.linear_model import RidgeCV

    return PerPattern(lambda *_: RidgeCV(alphas=np.logspace(-1.0, 5.0, 13)))


def partial_least_squares(components: int) -> PerPattern:
    """PLS regression, the views' columns as they are scaled."""
    from sklearn.cross_decomposition import PLSRegression

    return PerPattern(lambda rows, predictors: PLSRegression(min(components, predictors, rows - 1), scale=False))


def extra_trees(leaf: int) -> PerPattern:
    """A hundred extremely randomised trees, at least ``leaf`` rows to a leaf, a third of the columns to each split."""
    from sklearn.ensemble import ExtraTreesRegressor

    return PerPattern(lambda *_: ExtraTreesRegressor(100, min_samples_leaf=leaf, max_features=1 / 3, random_state=0))
