"""How well a view that is hidden is filled, by JPVAE and by what people use otherwise, on rows that none was fitted to.

Rows are split at random. All methods learn from the same training rows, holes and all. Of the held-out rows, each view is
hidden in turn where a row has it and another one; every method fills it from what is left. rivals/ has the methods, and in
validation.py how a setting is chosen and an interval made; scoring.py has what is counted.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ConfigError, JPVAEWarning, MissingDependency, ViewError
from ..estimator import JPVAE
from ..training.callbacks import Callback
from ..training.progress import progress_bar
from ..views.checking import checked
from ..views.columns import Columns
from ..views.opening import open_views
from ..views.reading import Views
from ..views.survey import Survey
from .fillers import FromJPVAE, FromRival, Imputer
from .joining import Joined
from .rivals import METHODS
from .scoring import DRAWS, Filled, Scores, classes

JPVAE_NAME = "JPVAE"
USUAL = ("column means", "nearest neighbours", "ridge", "PLS", "factor analysis", "softImpute")
CELLS = 20_000_000  # of draws, held at a time


def evaluate(
    fitted: JPVAE,
    joined: Joined,
    *,
    part: float,
    seed: int,
    methods: Sequence[str] = USUAL,
    on_method: Callable[[str], object] = str,
    on_filler: Callable[[str, Imputer, list[np.ndarray], list[np.ndarray]], object] = lambda *_: None,
) -> dict[str, Any]:
    """Train ``fitted``'s options anew on 1 - ``part`` of the rows; scores by view and method on the others.

    methods: names of rivals.METHODS to compare with. on_method: called with each method's name before it is fitted.
    on_filler: with its name, the fitted method, and of each view the training rows and the held-out rows, (R, p) numbers and
    codes.
    -> {"rows": {"train", "held_out"}, "seconds": {method}, "settings": {method: chosen}, "views": {view: {"rows", "columns",
    "classes": names, and by each score's name (scoring.py) {method: number}}}}, None where a view has no such column.
    Raises ConfigError, ViewError, MissingDependency.
    """
    if not 0 < part < 1:
        raise ConfigError(f"--held-out is {part}; expected a part of the rows, above 0 and below 1")
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise ConfigError(f"--method is {unknown[0]!r}; expected one of {list(METHODS)}")
    if len(joined.views) < len(joined.names):
        absent = [name for name in joined.names if name not in joined.views]
        raise ViewError(f"--view lacks {absent}; expected every view of the model: a new model is trained on these tables")
    opened = open_views(joined.views, joined.observed, names=fitted.view_names_, columns=fitted.table_columns_)
    data = checked(opened, missing="nan", entries=fitted.entries, visit=Survey(opened, fitted.model_.likelihoods))
    observed, N = data.observed, len(data.observed)
    held_out = np.sort(np.random.default_rng(seed).permutation(N)[: round(part * N)])
    train = np.setdiff1d(np.arange(N), held_out)
    tables = without_new_categories(data, train, held_out)
    hidden = {j: held_out[observed[held_out, j] & (observed[held_out].sum(axis=1) > 1)] for j in range(len(joined.names))}
    if not all(len(rows) for rows in hidden.values()):
        name = joined.names[next(j for j, rows in hidden.items() if not len(rows))]
        raise ViewError(
            f"none of the {len(held_out)} held-out rows has view {name!r} and another one to fill it from; expected at least "
            "one: give tables that share more subjects, or raise --held-out"
        )
    known = [table[train] for table in tables]
    seconds: dict[str, float] = {}
    settings: dict[str, str] = {}
    scores: dict[str, list[dict[str, float | None]]] = {}
    for method in (JPVAE_NAME, *methods):
        on_method(method)
        began = time.perf_counter()
        bar = progress_bar(fitted.progress)
        filler = fit(method, fitted.get_params(), data.names, known, data.columns, seed=seed, callbacks=bar)
        settings[method] = filler.setting
        on_filler(method, filler, known, [table[held_out] for table in tables])
        scores[method] = [
            score(filler, [t[rows] for t in tables], _without(tables, rows, j), data.columns, known)[j]
            for j, rows in hidden.items()
        ]
        seconds[method] = time.perf_counter() - began
    views: dict[str, Any] = {}
    for j, (name, columns) in enumerate(zip(joined.names, data.columns, strict=True)):
        by_score = {what: {method: found[j][what] for method, found in scores.items()} for what in scores[JPVAE_NAME][j]}
        views[name] = {
            "rows": len(hidden[j]),
            "columns": columns.count - len(columns.coded),
            "classes": [str(columns.title(k)) for k in classes(columns)],
            **{what: None if None in by_method.values() else by_method for what, by_method in by_score.items()},
        }
    rows = {"train": len(train), "held_out": len(held_out)}
    return {"rows": rows, "seconds": seconds, "settings": settings, "views": views}


def fit(
    method: str,
    options: Mapping[str, Any],
    names: Sequence[str],
    tables: Sequence[np.ndarray],
    columns: Sequence[Columns],
    *,
    seed: int,
    callbacks: Sequence[Callback] = (),
) -> Imputer:
    """The method of that name, fitted to each view's numbers and codes (N, p), NaN where missing. options: of JPVAE.

    Raises MissingDependency.
    """
    if method == JPVAE_NAME:
        observed = np.stack([~np.isnan(table).all(axis=1) for table in tables], axis=1)
        with warnings.catch_warnings():
            for known in (".* constant columns", "no subject has views of two"):  # the model's own fit has named them
                warnings.filterwarnings("ignore", known, JPVAEWarning)
            return FromJPVAE(options, names, tables, observed, columns, callbacks)
    try:
        return FromRival(METHODS[method], tables, columns, seed=seed)
    except ModuleNotFoundError as missing:
        raise MissingDependency(f"{method} needs scikit-learn: pip install 'jpvae[train]'") from missing


def score(
    filler: Imputer,
    truth: Sequence[np.ndarray],
    given: Sequence[np.ndarray],
    columns: Sequence[Columns],
    training: Sequence[np.ndarray],
) -> list[dict[str, float | None]]:
    """Every score of each view, over the rows of ``truth`` (R, p) that ``given`` lacks. training: each view (N, p)."""
    scores = [Scores(c, table) for c, table in zip(columns, training, strict=True)]
    asked = [np.isnan(g).all(axis=1) & ~np.isnan(t).all(axis=1) for t, g in zip(truth, given, strict=True)]
    rows = np.flatnonzero(np.any(asked, axis=0))
    size = max(1, CELLS // (DRAWS * sum(c.width for c in columns)))
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        for j, filled in enumerate(filler.fill([table[block] for table in given])):
            which = np.flatnonzero(asked[j][block])
            if which.size:
                probabilities = {k: p[which] for k, p in filled.probabilities.items()}
                scores[j].add(truth[j][block[which]], Filled(filled.mean[which], filled.draws[:, which], probabilities))
    return [of.result() for of in scores]


def _without(tables: Sequence[np.ndarray], rows: np.ndarray, view: int) -> list[np.ndarray]:
    """These rows of every view, the one hidden."""
    return [np.full_like(t[rows], np.nan) if j == view else t[rows] for j, t in enumerate(tables)]


def without_new_categories(data: Views, train: np.ndarray, held_out: np.ndarray) -> list[np.ndarray]:
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
