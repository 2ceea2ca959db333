"""Six tables about the same digits, with holes: how well does JPVAE fill new rows, and what is used otherwise?

2,000 rows are split at random, 1,500 to fit and 500 to be filled. Views go missing, in both parts, in one of two ways:

    at random   each view of each row with probability 0.3
    by label    which views a row lacks depends on its digit: each view lacks three of the ten digits with probability 0.85, and
                the others with probability 0.064, which makes 0.3 over all. The methods do not see the label.

A row that would lose every view gets one back, any of the six. All methods learn from the same rows, holes and all, and fill
the same holes of the others. Their error counts the missing entries only, each column in units of its standard deviation in
the training rows that have it (tables/scoring.py); column means give about 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer

from ..estimator import JPVAE
from ..tables.rivals import Rival
from ..tables.rivals.imputers import ColumnMeans, Imputer
from ..tables.rivals.patterns import ridge
from ..tables.scoring import column_scales, error

Views = Mapping[str, np.ndarray]
Fill = Callable[[Views, Views], Views]
PART, HEAVY = 0.3, 0.85
TEST_ROWS, VALIDATION_ROWS = 500, 300
_LIGHT = (PART - 0.3 * HEAVY) / 0.7


def at_random(digits: np.ndarray, views: int) -> np.ndarray:
    """(N, views): the probability that a view is missing."""
    return np.full((len(digits), views), PART)


def by_label(digits: np.ndarray, views: int) -> np.ndarray:
    """(N, views): view i mostly lacks the digits s, s + 1, s + 2 modulo 10, where s = floor(10 i / views)."""
    first = 10 * np.arange(views) // views
    return np.where((digits[:, None] - first) % 10 < 3, HEAVY, _LIGHT)


MECHANISMS = {"at random": at_random, "by label": by_label}


def holes(probability: np.ndarray, seed: int) -> np.ndarray:
    """The mask (N, views), True where observed, of holes with these probabilities; no row is without a view."""
    rng = np.random.default_rng(seed)
    observed = rng.random(probability.shape) >= probability
    lost = np.flatnonzero(~observed.any(axis=1))
    observed[lost, rng.integers(probability.shape[1], size=len(lost))] = True
    return observed


def errors(truth: Views, filled: Views, observed: np.ndarray, scales: Views) -> dict[str, float]:
    """By view, over its missing rows. truth, filled: (N, c_i); observed (N, views); scales (c_i,)."""
    missing = dict(zip(truth, ~observed.T, strict=True))
    return {name: error(truth[name][rows], filled[name][rows], scales[name]) for name, rows in missing.items()}


def filled_by(make: Callable[[np.ndarray], Rival], train: Views, test: Views) -> Views:
    """The test views, filled by the rival that ``make(table)`` gives, on the joined table, columns standardised."""
    owner = np.repeat(np.arange(len(train)), [x.shape[1] for x in train.values()])
    table, holed = (np.concatenate(list(views.values()), axis=1) for views in (train, test))  # NaN where missing
    location, scale = np.nanmean(table, axis=0), column_scales(table)
    table, holed = (table - location) / scale, (holed - location) / scale
    filled = make(table).fit(table, owner).fill(holed) * scale + location
    return {name: filled[:, owner == i] for i, name in enumerate(test)}


def methods(options: Mapping[str, Any], *, neighbours: int, nearest: int, rounds: int) -> dict[str, Fill]:
    """What is compared, by name: fill(train, test) gives test with its NaN filled. options: of JPVAE; the others' are
    scikit-learn's defaults but for these three, and IterativeImputer stays within the values seen: on rows with many holes it
    runs away otherwise. Ridge: RidgeCV per pattern of missing views (tables/rivals/patterns.py)."""

    def iterative(table: np.ndarray) -> Rival:
        seen = {"min_value": np.nanmin(table, axis=0), "max_value": np.nanmax(table, axis=0)}
        return Imputer(IterativeImputer(n_nearest_features=nearest, max_iter=rounds, random_state=0, **seen))

    return {
        "JPVAE": lambda train, test: JPVAE(**options, missing="nan").fit(train).impute(test),
        "column means": lambda *data: filled_by(lambda _: ColumnMeans(), *data),
        "nearest neighbours": lambda *data: filled_by(lambda _: Imputer(KNNImputer(n_neighbors=neighbours)), *data),
        "IterativeImputer": lambda *data: filled_by(iterative, *data),
        "ridge per pattern": lambda *data: filled_by(lambda _: ridge(), *data),
    }


def compare(
    views: Views, digits: np.ndarray, mechanism: str, fills: Mapping[str, Fill], *, seed: int, validate: bool = False
) -> dict[str, dict[str, Any]]:
    """{method: {"errors": {view: error}, "seconds": CPU time to fit and fill}}.

    seed: of the holes. validate: for choosing settings: the 500 rows to be filled are left alone, and 300 of the others filled.
    """
    observed = holes(MECHANISMS[mechanism](digits, len(views)), seed)
    order = np.random.default_rng(0).permutation(len(digits))  # the same rows for every seed: settings were chosen without them
    train, test = order[:-TEST_ROWS], order[-TEST_ROWS:]
    if validate:
        train, test = train[:-VALIDATION_ROWS], train[-VALIDATION_ROWS:]
    holed = {n: np.where(seen[:, None], x, np.nan) for (n, x), seen in zip(views.items(), observed.T, strict=True)}
    old, new, truth = ({name: x[rows] for name, x in of.items()} for of, rows in ((holed, train), (holed, test), (views, test)))
    scales = {name: column_scales(x) for name, x in old.items()}
    result: dict[str, dict[str, Any]] = {}
    for method, fill in fills.items():
        began = time.process_time()
        filled = fill(old, new)
        seconds = time.process_time() - began
        result[method] = {"errors": errors(truth, filled, observed[test], scales), "seconds": seconds}
    return result
