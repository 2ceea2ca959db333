"""How well a view that is hidden is filled, by JPVAE and by what people use otherwise, on rows that none was fitted to.

Rows are split at random. All methods learn from the same training rows, holes and all. Of the held-out rows, each view is
hidden in turn where a row has it and another one; every method fills it from what is left:

    column means       the training means
    nearest neighbours scikit-learn's KNNImputer on the joined table, columns standardised, its defaults (5 neighbours)
    IterativeImputer   scikit-learn's, on the same table, its defaults (Bayesian ridge regression, 10 rounds)

For these three a category of K levels is K - 1 columns of zeros and ones, standardised as all are. (With all K, each would
follow from the others, and IterativeImputer's rounds would stay at the means that they begin with.) The last level has what is
left of 1, and the level with the most is their answer: the most frequent one (column means), or the neighbours' vote.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ConfigError, MissingDependency, ViewError
from ..estimator import JPVAE
from ..training.progress import progress_bar
from ..views.columns import Columns
from ..views.reading import Views, read_views
from ..views.survey import check_values
from .joining import Joined
from .scoring import accuracy, column_scales, error

JPVAE_NAME, MEANS, NEIGHBOURS, ITERATIVE = "JPVAE", "column means", "nearest neighbours", "IterativeImputer"
Fill = Callable[[np.ndarray, int], np.ndarray]


def evaluate(fitted: JPVAE, joined: Joined, *, part: float, seed: int) -> dict[str, Any]:
    """Train ``fitted``'s options anew on 1 - ``part`` of the rows; errors by view and method on the others (scoring.py).

    -> {"rows": {"train", "held_out"}, "seconds": {method}, "views": {view: {"rows", "columns", "error": {method}, "categories":
    names, "accuracy": {method}}}}; columns and error are of those that are no categories, None where a view has none.
    Raises ConfigError, ViewError.
    """
    if not 0 < part < 1:
        raise ConfigError(f"--held-out is {part}; expected a part of the rows, above 0 and below 1")
    if len(joined.views) < len(joined.names):
        absent = [name for name in joined.names if name not in joined.views]
        raise ViewError(f"--view lacks {absent}; expected every view of the model: it is trained anew on these tables")
    data = read_views(
        joined.views,
        joined.observed,
        missing="nan",
        entries=fitted.entries,
        names=fitted.view_names_,
        columns=fitted.table_columns_,
    )
    check_values(fitted.model_.likelihoods, data)
    observed, N = data.observed, len(data.observed)
    held_out = np.sort(np.random.default_rng(seed).permutation(N)[: round(part * N)])
    train = np.setdiff1d(np.arange(N), held_out)
    tables = _tables(data, train, held_out)
    hidden = {j: held_out[observed[held_out, j] & (observed[held_out].sum(axis=1) > 1)] for j in range(len(joined.names))}
    if not all(len(rows) for rows in hidden.values()):
        name = joined.names[next(j for j, rows in hidden.items() if not len(rows))]
        raise ViewError(
            f"none of the {len(held_out)} held-out rows has view {name!r} and another one to fill it from; expected at least "
            "one: give tables that share more subjects, or raise --held-out"
        )
    seconds: dict[str, float] = {}
    fills: dict[str, Fill] = {}
    for method, fit in _methods(fitted, data, tables, train).items():
        began = time.perf_counter()
        fills[method] = fit()
        seconds[method] = time.perf_counter() - began
    views: dict[str, Any] = {}
    for j, (name, values, columns) in enumerate(zip(joined.names, tables, data.columns, strict=True)):
        categories = sorted(columns.coded)
        numbers = np.setdiff1d(np.arange(columns.count), categories)
        scale = column_scales(values[train[observed[train, j]]][:, numbers])
        errors, right = {}, {}
        for method, fill in fills.items():
            began = time.perf_counter()
            truth, filled = values[hidden[j]], fill(hidden[j], j)
            errors[method] = error(truth[:, numbers], filled[:, numbers], scale) if len(numbers) else None
            right[method] = accuracy(truth[:, categories], filled[:, categories]) if categories else None
            seconds[method] += time.perf_counter() - began
        views[name] = {
            "rows": len(hidden[j]),
            "columns": len(numbers),
            "error": errors if len(numbers) else None,
            "categories": [str(columns.title(k)) for k in categories],
            "accuracy": right if categories else None,
        }
    return {"rows": {"train": len(train), "held_out": len(held_out)}, "seconds": seconds, "views": views}


def _tables(data: Views, train: np.ndarray, held_out: np.ndarray) -> list[np.ndarray]:
    """Each view's numbers and codes (N, p), NaN where there is none.

    A category that no training row has can be neither learned nor read: held-out rows with one lose the view, for all methods.
    """
    tables = []
    for j, columns in enumerate(data.columns):
        table = np.where(data.observed[:, j, None], np.asarray(data.tables[j], np.float64), np.nan)
        for k in columns.coded:
            new = ~np.isnan(table[held_out, k]) & ~np.isin(table[held_out, k], table[train, k])
            data.observed[held_out[new], j], table[held_out[new]] = False, np.nan
        tables.append(table)
    return tables


def _said(columns: Columns) -> Any:
    """The likelihood of a view whose columns are these, for the estimator: nothing is left to be inferred from fewer rows."""
    if isinstance(columns.spec, str):
        return columns.spec
    said: dict[Any, str] = {}
    for group in columns.groups:
        size = group.size or 1
        for start in range(0, len(group.columns), size):
            at = group.columns[start : start + size]
            said[at if size > 1 else at[0]] = group.likelihood
    return said


def _methods(fitted: JPVAE, data: Views, tables: list[np.ndarray], train: np.ndarray) -> dict[str, Callable[[], Fill]]:
    """What to fit, by name; each fit returns fill(rows, view): that view of these rows (R, p), from their other views."""
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.experimental import enable_iterative_imputer  # noqa: F401
        from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
    except ModuleNotFoundError as missing:
        raise MissingDependency("jpvae evaluate needs scikit-learn: pip install 'jpvae[train]'") from missing

    coded = [columns.encode(table) for columns, table in zip(data.columns, tables, strict=True)]
    owner = np.repeat(np.arange(len(coded)), [t.shape[1] for t in coded])
    wide = np.concatenate(coded, axis=1)
    starts = np.cumsum([0, *(t.shape[1] for t in coded)])[:-1]
    levels = [
        start + np.flatnonzero(np.equal(columns.sources, k))
        for columns, start in zip(data.columns, starts, strict=True)
        for k in columns.coded
    ]
    free = np.setdiff1d(np.arange(len(owner)), [at[-1] for at in levels])
    location, scale = np.nanmean(wide[train], axis=0), column_scales(wide[train])
    wide = (wide - location) / scale

    def jpvae() -> Fill:
        likelihood = dict(zip(data.names, map(_said, data.columns), strict=True))
        model = JPVAE(**fitted.get_params() | {"likelihood": likelihood, "view_slices": None, "progress": False})
        given = dict(zip(data.names, [t[train] for t in tables], strict=True))
        model.fit(given, data.observed[train], callbacks=progress_bar(fitted.progress))

        def fill(rows: np.ndarray, view: int) -> np.ndarray:
            seen = data.observed[rows] & (np.arange(len(tables)) != view)
            given = dict(zip(data.names, [t[rows] for t in tables], strict=True))
            return np.asarray(model.impute(given, seen)[data.names[view]])

        return fill

    def of_scikit_learn(imputer: Any) -> Fill:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # ten rounds are the default that is compared with
            imputer.fit(wide[train][:, free])

        def fill(rows: np.ndarray, view: int) -> np.ndarray:
            filled = np.empty((len(rows), len(owner)))
            filled[:, free] = (
                imputer.transform(np.where(owner == view, np.nan, wide[rows])[:, free]) * scale[free] + location[free]
            )
            for at in levels:
                filled[:, at[-1]] = 1.0 - filled[:, at[:-1]].sum(axis=1)
            return data.columns[view].decode(filled[:, owner == view])

        return fill

    return {
        JPVAE_NAME: jpvae,
        MEANS: lambda: of_scikit_learn(SimpleImputer()),
        NEIGHBOURS: lambda: of_scikit_learn(KNNImputer()),
        ITERATIVE: lambda: of_scikit_learn(IterativeImputer(random_state=0)),
    }
