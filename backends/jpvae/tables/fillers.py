"""Whoever fills missing views, behind one method: ``fill(tables)`` gives each view's mean, draws and probabilities.

A rival (rivals/) sees the views' columns side by side, standardised; a category of K levels is K columns of zeros and ones, so
that its filled columns, cut off at 0 and divided by their sum, are probabilities. Its draws are normal around what it fills,
with the deviations that its held-out residuals had. Zeros and ones: their filled value, cut off at 0 and 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ..errors import JPVAEWarning
from ..estimator import JPVAE
from ..training.callbacks import Callback
from ..views.columns import Columns
from .rivals import Rival
from .rivals.validation import choose
from .scoring import DRAWS, Filled, classes, column_scales


class Imputer(Protocol):
    """Fitted to some rows, fills others."""

    setting: str

    def fill(self, tables: Sequence[np.ndarray]) -> list[Filled]:
        """Of each view (R, p), numbers and codes, NaN where missing."""


class FromRival:
    """A method of rivals/, fitted to each view's table (N, p); setting: the one that was chosen."""

    def __init__(
        self,
        settings: Mapping[str, Callable[[], Rival]],
        tables: Sequence[np.ndarray],
        columns: Sequence[Columns],
        *,
        seed: int,
    ) -> None:
        self._columns, self._seed = columns, seed
        wide = self._wide(tables)
        with np.errstate(invalid="ignore"):
            self._location = np.nan_to_num(np.nanmean(wide, axis=0))
            self._scale = column_scales(wide)
        self._owner = np.repeat(np.arange(len(columns)), [c.width for c in columns])
        chosen = choose(settings, (wide - self._location) / self._scale, self._owner, seed=seed)
        self.setting, self._rival, self._deviation = chosen.setting, chosen.rival, chosen.deviation

    def fill(self, tables: Sequence[np.ndarray]) -> list[Filled]:
        """Of each view (R, p), numbers and codes, NaN where missing."""
        wide = self._rival.fill((self._wide(tables) - self._location) / self._scale)
        noise = np.random.default_rng(self._seed).standard_normal((DRAWS, *wide.shape)) * self._deviation
        filled = []
        for j, columns in enumerate(self._columns):
            at = self._owner == j
            mean, draws = (x[..., at] * self._scale[at] + self._location[at] for x in (wide, wide + noise))
            filled.append(Filled(columns.decode(mean), columns.decode(draws), _shares(columns, mean)))
        return filled

    def _wide(self, tables: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([c.encode(table) for c, table in zip(self._columns, tables, strict=True)], axis=1)


def _shares(columns: Columns, mean: np.ndarray) -> dict[int, np.ndarray]:
    """Probabilities of each column of classes, of filled model columns (R, c)."""
    result = {}
    for j, levels in classes(columns).items():
        part = np.clip(mean[:, np.equal(columns.sources, j)], 0.0, 1.0)
        if len(levels) > part.shape[1]:  # zeros and ones are one column
            part = np.concatenate([1.0 - part, part], axis=1)
        total = part.sum(axis=1, keepdims=True)
        result[j] = np.where(total > 0, part / np.where(total > 0, total, 1.0), 1.0 / len(levels))
    return result


class FromJPVAE:
    """A JPVAE with these options, fitted to each view's table (N, p). observed (N, M)."""

    setting = ""

    def __init__(
        self,
        options: Mapping[str, Any],
        names: Sequence[str],
        tables: Sequence[np.ndarray],
        observed: np.ndarray,
        columns: Sequence[Columns],
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self._names, self._columns = names, columns
        likelihood = dict(zip(names, map(likelihood_of, columns), strict=True))
        self.model = JPVAE(**{**options, "likelihood": likelihood, "view_slices": None, "progress": False})
        self.model.fit(dict(zip(names, tables, strict=True)), observed, callbacks=callbacks)

    def fill(self, tables: Sequence[np.ndarray]) -> list[Filled]:
        """Of each view (R, p), numbers and codes, NaN where missing."""
        given = dict(zip(self._names, tables, strict=True))
        observed = np.stack([~np.isnan(table).all(axis=1) for table in tables], axis=1)
        with warnings.catch_warnings():  # which would name places in a part of the person's rows
            warnings.filterwarnings("ignore", ".* standard deviations from the mean in training", JPVAEWarning)
            mean = self.model.impute(given, observed)
            coded = any(columns.coded for columns in self._columns)
            of_levels = self.model.impute_probabilities(given, observed) if coded else {}
            draws = self.model.sample_imputations(given, observed, n_draws=DRAWS, observation_noise=True)
        filled = []
        for name, columns in zip(self._names, self._columns, strict=True):
            probabilities, start, learned = {}, 0, self.model.table_columns_[self._names.index(name)].coded
            for j, levels in classes(columns).items():  # in the table's order
                if j in columns.coded:
                    stop = start + len(learned[j])  # levels that no training row has are not among them
                    probabilities[j] = np.zeros((len(mean[name]), len(levels)))
                    probabilities[j][:, np.searchsorted(levels, learned[j])] = np.asarray(of_levels[name])[:, start:stop]
                    start = stop
                else:
                    probabilities[j] = np.stack([1.0 - mean[name][:, j], mean[name][:, j]], axis=1)
            filled.append(Filled(np.asarray(mean[name]), np.asarray(draws[name]), probabilities))
        return filled


def likelihood_of(columns: Columns) -> Any:
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
