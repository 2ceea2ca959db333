"""Values that a fitted model cannot take: a 2 where fit saw zeros and ones, a text that it never saw, a count of -1.

By default the first is an error, which names it. Under impossible="missing" such a cell is left out and imputed, as an empty
one is; where cells cannot be left out (entries="error"), the row's view is, and its other cells are given back as they are.
One warning per view counts them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import JPVAEWarning
from ..model.likelihoods import Likelihood
from .columns import Columns

UNSEEN = -1.0  # the code of a text that fit never saw


@dataclass(frozen=True)
class Impossible:
    """Finds them in one view, and leaves them out."""

    columns: Columns
    likelihood: Likelihood
    cells: bool  # whether single cells can be left out

    def find(self, values: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """(R, p) bool, of values (R, p) and observed rows (R,)."""
        there = observed[:, None] & np.isfinite(values)
        found: np.ndarray = np.zeros(values.shape, dtype=bool)
        with np.errstate(invalid="ignore"):
            bad = ~self.likelihood.valid(self.columns.encode(np.where(there, values, np.nan)))
        for j, levels in self.columns.coded.items():
            found[:, j] = ~np.isin(values[:, j], levels)
        plain = [k for k, j in enumerate(self.columns.sources) if j not in self.columns.coded]
        found[:, [self.columns.sources[k] for k in plain]] = bad[:, plain]
        found &= there
        return found

    def leave_out(self, values: np.ndarray, found: np.ndarray) -> np.ndarray:
        """The values, NaN where they were found; the same array where nothing was."""
        if not found.any():
            return values
        cut = found if self.cells else np.broadcast_to(found.any(axis=1, keepdims=True), found.shape)
        return np.where(cut, np.nan, values).astype(values.dtype if values.dtype.kind == "f" else np.float64)


class Tally:
    """How many were found in a view, and the first."""

    def __init__(self, view: str, columns: Columns) -> None:
        self.view, self.columns, self.cells, self.rows, self.first = view, columns, 0, 0, ""

    def add(self, values: np.ndarray, found: np.ndarray, called: Sequence[Any]) -> None:
        """What was found in a block, whose rows are ``called`` so."""
        if found.any() and not self.cells:
            row, j = (int(k) for k in np.argwhere(found)[0])
            value = "a category that was absent from training" if j in self.columns.texts else f"{values[row, j]:g}"
            self.first = f"row {called[row]}, column {self.columns.title(j)!r} is {value}"
        self.cells += int(found.sum())
        self.rows += int(found.any(axis=1).sum())

    def warn(self, what: str) -> None:
        """Say so, once; what is left out: "cells" or "rows"."""
        if self.cells:
            warnings.warn(
                f"view {self.view!r} has {self.cells} cells in {self.rows} rows that cannot have the fit's likelihoods (first: "
                f"{self.first}); these {what} are treated as missing, and "
                + ("imputed" if what == "cells" else "these cells are imputed; the others of the rows come back as they are"),
                JPVAEWarning,
                stacklevel=4,
            )
