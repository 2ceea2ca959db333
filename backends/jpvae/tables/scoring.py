"""How good a filling is, over the cells of which the truth is known (not NaN).

error       ( mean over r, c of ((filled_rc - truth_rc) / sd_c)^2 )^{1/2}   sd_c: in training; column means give about 1
correlation of (filled_rc - mean_c) / sd_c with (truth_rc - mean_c) / sd_c, over all cells of the measured columns together
coverage    the part of the measured cells whose truth lies between two of the K draws: ranks (K + 1)(1 -+ level)/2, which
            enclose the truth with probability ``level`` where truth and draws are alike
width       the mean distance of these two, in sd_c
crps        mean_k |x_k - truth| - 1/2 mean_{k != l} |x_k - x_l|, in sd_c: |error| of a point, less where spread is honest
accuracy    mean over r, c of [the most probable level = truth_rc]          for columns of classes: categories, zeros and ones
log_loss    mean over r, c of -log p(truth_rc), nats, p held between FLOOR and 1 - FLOOR
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field

import numpy as np

from ..views.columns import Columns

DRAWS = 79  # ranks 2 and 78 enclose 95 %, 20 and 60 enclose 50 %
LEVELS = {"50": 0.5, "95": 0.95}
FLOOR = 0.01


@dataclass(frozen=True)
class Filled:
    """Rows of one view: mean (R, p) in the data's units, categories as codes; draws (K, R, p) of what the values may be;
    probabilities: column of classes -> (R, levels)."""

    mean: np.ndarray
    draws: np.ndarray
    probabilities: Mapping[int, np.ndarray]


def classes(columns: Columns) -> dict[int, tuple[float, ...]]:
    """The levels of each table column that is a coded category, or zeros and ones."""
    binary = {j: (0.0, 1.0) for group in columns.groups if group.likelihood == "bernoulli" for j in group.columns}
    return dict(sorted((dict(columns.coded) | binary).items()))


def column_scales(values: np.ndarray) -> np.ndarray:
    """Standard deviations (c,) of the columns (rows, c), NaN left out; 1 for a constant column, whose error has no unit."""
    lowest, highest, deviation = np.nanmin(values, axis=0), np.nanmax(values, axis=0), np.nanstd(values, axis=0)
    return np.where((highest > lowest) & (deviation > 0), deviation, 1.0)


def error(truth: np.ndarray, filled: np.ndarray, scale: np.ndarray) -> float:
    """One number, from (rows, c), (rows, c) and (c,)."""
    return float(np.sqrt(np.nanmean(((filled - truth) / scale) ** 2)))


def crps(truth: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Of each cell, from (...) and (K, ...). By the draws' order, sum_{k, l} |x_k - x_l| = 2 sum_k (2k - K - 1) x_(k)."""
    K = len(draws)
    ranks = 2.0 * np.arange(1, K + 1) - K - 1.0
    spread = np.tensordot(ranks, np.sort(draws, axis=0), axes=1) / (K * (K - 1))
    return np.asarray(np.abs(draws - truth).mean(axis=0) - spread)


@dataclass
class Scores:
    """Of one view and one method, gathered block of rows by block of rows.

    columns: the view's; training: its training rows (N, p), NaN where missing: the columns' means and deviations are theirs.
    """

    columns: Columns
    training: InitVar[np.ndarray]
    _cells: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def __post_init__(self, training: np.ndarray) -> None:
        self._location, self._scale = np.nanmean(training, axis=0), column_scales(training)

    def add(self, truth: np.ndarray, filled: Filled) -> None:
        """Rows (R, p) of which the truth is known; NaN where it is not."""
        levels = classes(self.columns)
        coded = [j for j in range(self.columns.count) if j in self.columns.coded]
        numbers = np.setdiff1d(np.arange(self.columns.count), coded)
        measured = np.setdiff1d(numbers, list(levels))
        scaled = [(x / self._scale)[:, numbers] for x in (truth, filled.mean)]
        self._keep("squares", (scaled[1] - scaled[0]) ** 2, ~np.isnan(scaled[0]))
        truth_at, draws = truth[:, measured] / self._scale[measured], filled.draws[..., measured] / self._scale[measured]
        known = ~np.isnan(truth_at)
        middle = self._location[measured] / self._scale[measured]
        self._keep("truth", truth_at - middle, known)
        self._keep("mean", filled.mean[:, measured] / self._scale[measured] - middle, known)
        self._keep("crps", crps(truth_at, draws), known)
        for name, level in LEVELS.items():
            low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0, method="weibull")
            self._keep(f"coverage_{name}", ((low <= truth_at) & (truth_at <= high)).astype(np.float64), known)
            self._keep(f"width_{name}", high - low, known)
        for j, values in levels.items():
            known = ~np.isnan(truth[:, j])
            true, p = np.searchsorted(values, truth[known, j]), np.clip(filled.probabilities[j][known], FLOOR, 1.0 - FLOOR)
            self._keep("log_loss", -np.log(p[np.arange(len(true)), true]))
            self._keep("accuracy", (p.argmax(axis=1) == true).astype(np.float64))

    def _keep(self, name: str, values: np.ndarray, known: np.ndarray | None = None) -> None:
        self._cells.setdefault(name, []).append(values[known] if known is not None else values)

    def result(self) -> dict[str, float | None]:
        """Every score by name; None where the view has no such column."""
        cells = {name: np.concatenate([part.ravel() for part in parts]) for name, parts in self._cells.items()}

        def mean(name: str) -> float | None:
            values = cells.get(name, np.empty(0))
            return float(values.mean()) if values.size else None

        squares, truth, filled = mean("squares"), *(cells.get(name, np.empty(0)) for name in ("truth", "mean"))
        varies = truth.size > 1 and np.ptp(truth) > 0 and np.ptp(filled) > 0
        return {
            "error": None if squares is None else squares**0.5,
            "correlation": float(np.corrcoef(truth, filled)[0, 1]) if varies else None,
            **{f"{what}_{name}": mean(f"{what}_{name}") for what in ("coverage", "width") for name in LEVELS},
            **{name: mean(name) for name in ("crps", "accuracy", "log_loss")},
        }
