"""Cells so far from the mean in training that they are hardly measurements: another unit, or a code for "missing".

Encoders read them as ``reads_within`` standard deviations away (model.py), so that predictions go on; without a word nobody
would learn of it. Training is not looked at: of n rows none is more than the root of n of their own deviations away.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import JPVAEWarning
from ..model.model import Model
from .units import Units

HARDLY = 100.0  # standard deviations


class Far:
    """How many such cells a view has, and the first. Nothing is counted where encoders read cells as they are."""

    def __init__(self, model: Model, units: Units, view: int) -> None:
        self._units, self._reads_within, self._cells, self._rows, self._first = units, model.reads_within, 0, 0, ""
        self._at = model.limited(view)

    def add(self, values: np.ndarray, observed: np.ndarray, called: Sequence[Any]) -> None:
        """A block's values (R, p), whose rows are ``called`` so, observed (R,)."""
        if not self._at.size:
            return
        units, encoded = self._units, self._units.columns.encode(values)[:, self._at]
        away = (encoded.astype(np.float64) - units.location[self._at]) / units.scale[self._at]
        found = (np.abs(away) > HARDLY) & observed[:, None]
        if found.any() and not self._cells:
            row, k = (int(each) for each in np.argwhere(found)[0])
            title = units.columns.title(units.columns.sources[self._at[k]])
            self._first = f"row {called[row]}, column {title!r} is {encoded[row, k]:g}, {abs(away[row, k]):.3g} deviations away"
        self._cells += int(found.sum())
        self._rows += int(found.any(axis=1).sum())

    def warn(self) -> None:
        """Say so, once."""
        if self._cells:
            warnings.warn(
                f"view {self._units.view!r} has {self._cells} cells in {self._rows} rows more than {HARDLY:g} standard "
                f"deviations from the mean in training (first: {self._first}); predictions from these rows take them as "
                f"{self._reads_within:g} away. Another unit, or a code for a missing value? Correct them, or mark them missing",
                JPVAEWarning,
                stacklevel=4,
            )
