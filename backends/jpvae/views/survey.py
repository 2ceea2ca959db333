"""What is learned of the views' values in the one pass that reads them (reading.py): whether each suits its likelihood, and for
a fit which columns never vary; then location and scale, from the values that the fit holds in memory.

The moments are those of all rows at once, not merged block by block: the same bits as ever, and no row is read again for them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import JPVAEWarning, ViewError
from ..model.likelihoods import Likelihood
from . import dataframes as frames
from .opening import Opened
from .reading import Views


class Survey:
    """A visit of every block of rows. Raises ViewError naming the first value that does not suit its likelihood."""

    def __init__(self, opened: Opened, likelihoods: Sequence[Likelihood]) -> None:
        self.names, self.columns, self.likelihoods, self._index = opened.names, opened.columns, likelihoods, opened.index
        self._titles = [[columns.title(j) for j in columns.sources] for columns in self.columns]
        self._advice = "" if opened.fitting else ' To have such cells imputed: impossible="missing".'
        self._least, self._most = ([np.full(c.count, end) for c in self.columns] for end in (np.inf, -np.inf))
        self._counts = [np.zeros(c.count, np.int64) for c in self.columns]

    def __call__(self, view: int, rows: slice, values: np.ndarray, observed: np.ndarray) -> None:
        """values (R, p), NaN only in cells that are left out; observed (R,)."""
        columns, called = self.columns[view], frames.row_titles(self._index, rows)
        columns.check(values, observed, self.names[view], called)
        encoded = columns.encode(values)
        self.likelihoods[view].check(encoded, observed, self.names[view], called, self._titles[view], self._advice)
        there = values[observed]
        if len(there):
            self._least[view] = np.fmin(self._least[view], np.fmin.reduce(there, axis=0))
            self._most[view] = np.fmax(self._most[view], np.fmax.reduce(there, axis=0))
            self._counts[view] += (~np.isnan(there)).sum(axis=0)

    def warn_of_constant_columns(self) -> None:
        """Warn of measured columns that never vary: there is nothing to learn, and their density rises without bound."""
        for i, columns in enumerate(self.columns):
            measured = [j for group in columns.groups if group.likelihood in ("gaussian", "student_t") for j in group.columns]
            flat = (self._counts[i] > 1) & (self._least[i] == self._most[i])
            constant = [columns.title(j) for j in measured if flat[j]]
            if constant:
                some = ", ".join(f"{title!r}" for title in constant[:5]) + (", ..." if len(constant) > 5 else "")
                warnings.warn(
                    f"view {self.names[i]!r} has {len(constant)} constant columns ({some}): they carry no information, "
                    "and they inflate score the longer training runs; leave them out",
                    JPVAEWarning,
                    stacklevel=3,
                )


def scaling_of(likelihoods: Sequence[Likelihood], data: Views) -> list[tuple[np.ndarray, np.ndarray]]:
    """Location and scale (c_i,) of each view. Raises ViewError."""
    scaling: list[tuple[Any, Any]] = []
    for i, (likelihood, columns) in enumerate(zip(likelihoods, data.columns, strict=True)):
        with np.errstate(over="ignore", invalid="ignore"):
            location, scale = likelihood.scaling(columns.encode(data.read(i)), data.observed[:, i])
        for column in np.flatnonzero(~(np.isfinite(location) & np.isfinite(scale))):
            title = columns.title(columns.sources[column])
            raise ViewError(f"view {data.names[i]!r}, column {title!r} is too large to have a variance; rescale the column")
        scaling.append((location, scale))
    return scaling
