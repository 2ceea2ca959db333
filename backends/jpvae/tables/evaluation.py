"""How well a view that is hidden is filled, by JPVAE and by what people use otherwise, on rows that none was fitted to.

Rows are split at random. All methods learn from the same training rows, holes and all. Of the held-out rows, each view is
hidden in turn where a row has it and another one; every method fills it from what is left:

    column means       the training means
    nearest neighbours scikit-learn's KNNImputer on the joined table, columns standardised, its defaults (5 neighbours)
    IterativeImputer   scikit-learn's, on the same table, its defaults (Bayesian ridge regression, 10 rounds)
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ConfigError, MissingDependency, ViewError
from ..estimator import JPVAE
from .joining import Joined
from .scoring import column_scales, error

JPVAE_NAME, MEANS, NEIGHBOURS, ITERATIVE = "JPVAE", "column means", "nearest neighbours", "IterativeImputer"
Fill = Callable[[np.ndarray, int], np.ndarray]


def evaluate(options: dict[str, Any], joined: Joined, *, part: float, seed: int) -> dict[str, Any]:
    """Train a JPVAE with these options on 1 - ``part`` of the rows; errors by view and method on the others (scoring.py).

    -> {"rows": {"train", "held_out"}, "seconds": {method}, "views": {view: {"rows", "columns", "error": {method}}}}.
    Raises ConfigError, ViewError.
    """
    if not 0 < part < 1:
        raise ConfigError(f"--held-out is {part}; expected a part of the rows, above 0 and below 1")
    if len(joined.views) < len(joined.names):
        absent = [name for name in joined.names if name not in joined.views]
        raise ViewError(f"--view lacks {absent}; expected every view of the model: it is trained anew on these tables")
    observed = joined.observed
    held_out = np.sort(np.random.default_rng(seed).permutation(len(observed))[: round(part * len(observed))])
    train = np.setdiff1d(np.arange(len(observed)), held_out)
    hidden = {j: held_out[observed[held_out, j] & (observed[held_out].sum(axis=1) > 1)] for j in range(len(joined.names))}
    if not all(len(rows) for rows in hidden.values()):
        name = joined.names[next(j for j, rows in hidden.items() if not len(rows))]
        raise ViewError(
            f"none of the {len(held_out)} held-out rows has view {name!r} and another one to fill it from; expected at least "
            "one: give tables that share more subjects, or raise --held-out"
        )
    seconds: dict[str, float] = {}
    fills: dict[str, Fill] = {}
    for method, fit in _methods(options, joined, train).items():
        began = time.perf_counter()
        fills[method] = fit()
        seconds[method] = time.perf_counter() - began
    views: dict[str, Any] = {}
    for j, name in enumerate(joined.names):
        values = np.asarray(joined.views[name], np.float64)
        scale = column_scales(values[train[observed[train, j]]])
        errors = {}
        for method, fill in fills.items():
            began = time.perf_counter()
            errors[method] = error(values[hidden[j]], fill(hidden[j], j), scale)
            seconds[method] += time.perf_counter() - began
        views[name] = {"rows": len(hidden[j]), "columns": values.shape[1], "error": errors}
    return {"rows": {"train": len(train), "held_out": len(held_out)}, "seconds": seconds, "views": views}


def _methods(options: dict[str, Any], joined: Joined, train: np.ndarray) -> dict[str, Callable[[], Fill]]:
    """What to fit, by name; each fit returns fill(rows, view): that view of these rows, from their other views."""
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.experimental import enable_iterative_imputer  # noqa: F401
        from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
    except ModuleNotFoundError as missing:
        raise MissingDependency("jpvae evaluate needs scikit-learn: pip install 'jpvae[train]'") from missing

    tables = [np.asarray(joined.views[name], np.float64) for name in joined.names]
    owner = np.repeat(np.arange(len(tables)), [t.shape[1] for t in tables])
    wide = np.where(joined.observed[:, owner], np.concatenate(tables, axis=1), np.nan)
    location, scale = np.nanmean(wide[train], axis=0), column_scales(wide[train])
    wide = (wide - location) / scale

    def jpvae() -> Fill:
        model = JPVAE(**options).fit(joined.rows(train), joined.observed[train])

        def fill(rows: np.ndarray, view: int) -> np.ndarray:
            seen = joined.observed[rows] & (np.arange(len(tables)) != view)
            return np.asarray(model.impute(joined.rows(rows), seen)[joined.names[view]])

        return fill

    def of_scikit_learn(imputer: Any) -> Fill:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # ten rounds are the default that is compared with
            imputer.fit(wide[train])

        def fill(rows: np.ndarray, view: int) -> np.ndarray:
            filled = imputer.transform(np.where(owner == view, np.nan, wide[rows]))
            return (filled * scale + location)[:, owner == view]

        return fill

    return {
        JPVAE_NAME: jpvae,
        MEANS: lambda: of_scikit_learn(SimpleImputer()),
        NEIGHBOURS: lambda: of_scikit_learn(KNNImputer()),
        ITERATIVE: lambda: of_scikit_learn(IterativeImputer(random_state=0)),
    }
