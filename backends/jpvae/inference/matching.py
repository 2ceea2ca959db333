"""Predictive mean matching: a hole is filled with a value that somebody else was observed to have.

Rows of the tables at hand are a column's donors where they have the column, and other views to predict it from. Their
predictive means, the column's own view hidden, are compared with the recipient's mean in one draw of the latents; of the k
nearest donors one is chosen at random, and its observed value taken (Little 1988; type 1 of van Buuren 2018, section 3.4).
Draws are then whole, bounded and skewed as the observed values are, and never beyond them.

The model keeps no training rows: donors are those of the tables that are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import ViewError
from ..views.reading import Views
from ..views.units import Scaled, Units, check_imputed
from .filling import Seen, predictive
from .predictor import Predictor

_PREDICTIONS = 64  # draws of a donor's predictive mean


class Donors:
    """Of every view that has holes: its donors' predicted and observed values."""

    def __init__(self, predictor: Predictor, scaled: Sequence[Scaled], data: Views, units: Sequence[Units], k: int) -> None:
        self.k, self.units = k, units
        self.of: dict[int, list[tuple[np.ndarray, np.ndarray] | None]] = {}
        for j in np.flatnonzero(~data.whole.all(axis=0)).tolist():
            self.of[j] = self._of_view(j, predictor, scaled, data)

    def _of_view(
        self, j: int, predictor: Predictor, scaled: Sequence[Scaled], data: Views
    ) -> list[tuple[np.ndarray, np.ndarray] | None]:
        """Of each column (predicted, observed), sorted by the former; None of categories, and of columns without holes."""
        columns, name = self.units[j].columns, data.names[j]
        giving = data.observed[:, j] & (data.observed.sum(axis=1) > 1)
        observed, holes = data.observed.copy(), np.ones_like(data.observed)
        observed[giving, j] = holes[giving, j] = False
        hidden = [replace(view, data=replace(data, observed=observed)) for view in scaled]
        predicted = np.empty((len(giving), columns.count))
        for _, rows, mean, *_ in predictive(predictor, Seen(hidden, observed, holes), _PREDICTIONS):
            check_imputed(hidden, j, rows, mean)
            predicted[rows] = self.units[j].to_table(mean)
        table = data.read(j)
        known = data.observed[:, j, None] & ~np.isnan(table)
        made: list[tuple[np.ndarray, np.ndarray] | None] = []
        for c in range(columns.count):
            rows = np.flatnonzero(giving & known[:, c])
            if c in columns.categories or known[:, c].all():
                made.append(None)
                continue
            if len(rows) < self.k:
                raise ViewError(
                    f"matching is {self.k}, and view {name!r}, column {columns.title(c)!r} is observed beside other views in "
                    f"{len(rows)} rows of these tables; expected at least as many: give the training tables too, or take fewer"
                )
            order = rows[np.argsort(predicted[rows, c], kind="stable")]
            made.append((predicted[order, c], table[order, c].astype(np.float64)))
        return made

    def matched(self, j: int, drawn: np.ndarray, means: np.ndarray, chance: np.ndarray) -> np.ndarray:
        """Draws of view j (s, R, p) in the data's units, numbers replaced by donors'. means: of the same draws, without noise;
        chance (s, R, c): uniform numbers."""
        result, place = drawn.copy(), {c: at for at, c in enumerate(self.units[j].columns.sources)}
        for c, donors in enumerate(self.of[j]):
            if donors is not None:
                predicted, observed = donors
                first = nearest(predicted, means[..., c], self.k)
                result[..., c] = observed[first + (chance[..., place[c]] * self.k).astype(int)]
        return result


def nearest(sorted_values: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    """Where in the sorted values (D >= k,) the k begin that are nearest to each target."""
    D = len(sorted_values)
    first = np.clip(np.searchsorted(sorted_values, targets) - k, 0, D - k)
    for _ in range(k):  # on to the next, while that is nearer than the first
        after = sorted_values[np.minimum(first + k, D - 1)]
        first += (first + k < D) & (targets - sorted_values[first] > after - targets)
    return first
