"""What people fill missing views with otherwise, each a small class with ``fit(table, owner)`` and ``fill(table)``.

table (N, C): all views' columns side by side, of mean 0 and deviation 1, NaN where missing; owner (C,): each column's view.
METHODS has them by name; validation.py chooses among a method's settings, for all methods alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np

from ...model.factor_analysis import FactorAnalysis
from .imputers import ColumnMeans, iterative, nearest_neighbours
from .patterns import extra_trees, partial_least_squares, ridge
from .soft_impute import SoftImpute


class Rival(Protocol):
    """Learns from one table with holes, and fills others."""

    def fit(self, table: np.ndarray, owner: np.ndarray) -> Any:
        """Learn; gives itself back."""

    def fill(self, table: np.ndarray) -> np.ndarray:
        """The same rows without NaN."""


# name -> setting -> rival. Where there are several settings, held-out training rows choose.
METHODS: Mapping[str, Mapping[str, Callable[[], Rival]]] = {
    "column means": {"": ColumnMeans},
    "nearest neighbours": {f"{k} neighbours": partial(nearest_neighbours, k) for k in (5, 10, 20, 40)},
    "ridge": {"": ridge},
    "PLS": {f"{k} components": partial(partial_least_squares, k) for k in (2, 4, 8, 16)},
    "factor analysis": {f"{k} factors": partial(FactorAnalysis, k) for k in (2, 4, 8, 16, 32)},
    "softImpute": {f"penalty {s:g}": partial(SoftImpute, s) for s in (0.5, 0.3, 0.2, 0.1, 0.05)},
    "extra trees": {"": partial(extra_trees, 3)},
    "IterativeImputer": {"": iterative},
}
