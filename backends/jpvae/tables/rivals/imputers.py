"""Column means, and scikit-learn's own imputers, behind the same two methods as the other rivals."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np


class ColumnMeans:
    """Of columns of mean 0: zeros."""

    def fit(self, table: np.ndarray, owner: np.ndarray) -> ColumnMeans:
        """Nothing to learn."""
        return self

    def fill(self, table: np.ndarray) -> np.ndarray:
        """The rows (R, C) with NaN at 0."""
        filled: np.ndarray = np.nan_to_num(table)
        return filled


class Imputer:
    """A scikit-learn imputer."""

    def __init__(self, imputer: Any) -> None:
        self._imputer = imputer

    def fit(self, table: np.ndarray, owner: np.ndarray) -> Imputer:
        """table (N, C), NaN where missing."""
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of rounds is a setting
            self._imputer.fit(table)
        return self

    def fill(self, table: np.ndarray) -> np.ndarray:
        """The rows (R, C) with NaN filled."""
        return np.asarray(self._imputer.transform(table))


def nearest_neighbours(count: int) -> Imputer:
    """KNNImputer: the mean of the nearest rows that have the cell; distances over the cells that both rows have."""
    from sklearn.impute import KNNImputer

    return Imputer(KNNImputer(n_neighbors=count, keep_empty_features=True))


def iterative() -> Imputer:
    """IterativeImputer, its defaults: Bayesian ridge regression of each column on all others, ten rounds."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    return Imputer(IterativeImputer(random_state=0, keep_empty_features=True))
