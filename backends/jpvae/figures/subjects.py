"""Single subjects: each view as the model fills it from the subject's other views, with 95 % intervals, and the truth if known.

A view that the subject lacks is imputed; one that it has is hidden and filled all the same, so that its truth can be compared.
Numbers stand in standard deviations from the column's mean (z), so that columns of all units fit one axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..views.columns import as_text
from .sample import Sample, deviations, measured

DRAWS, MOST_COLUMNS, MOST_CELLS = 199, 12, 8_000_000


@dataclass(frozen=True)
class Value:
    """A number's filling in the data's units, and where mean and deviation put it; truth: NaN where the cell is missing."""

    column: str
    filled: float
    low: float
    high: float
    truth: float
    mean: float
    deviation: float


@dataclass(frozen=True)
class Level:
    """A category's (or a zero-or-one's) most probable level and its probability; truth: "" where the cell is missing."""

    column: str
    filled: str
    probability: float
    truth: str


@dataclass(frozen=True)
class Shown:
    """One view of one subject. left_out: how many further columns it has, which deviate less from their means."""

    view: str
    present: bool
    values: tuple[Value, ...]
    levels: tuple[Level, ...]
    left_out: int


@dataclass(frozen=True)
class Subject:
    """One subject; its views that can be filled from another."""

    id: str
    views: tuple[Shown, ...]


def subjects(sample: Sample, most: int = 30) -> list[Subject]:
    """At most ``most`` of them, those with a missing view first, evenly spread."""
    chosen = chosen_rows(sample.observed, max(1, min(most, MOST_CELLS // (DRAWS * max(sample.data.features)))) if most else 0)
    by_view = [view_of(sample, j, chosen) for j in range(len(sample.names))]
    found = [(sample.ids[row], tuple(shown for view in by_view if (shown := view[k]))) for k, row in enumerate(chosen)]
    return [Subject(i, views) for i, views in found if views]


def view_of(sample: Sample, j: int, chosen: np.ndarray) -> list[Shown | None]:
    """View j of the rows at these positions; None for a row without another view."""
    part = sample.rows(chosen)
    seen = part.observed.copy()
    seen[:, j] = False
    have = np.flatnonzero(seen.any(axis=1))
    found: list[Shown | None] = [None] * len(chosen)
    if not have.size:
        return found
    those, whole = part.rows(have), np.ones((have.size, len(sample.names)), dtype=bool)
    whole[:, j] = False
    drawn = np.empty((DRAWS, have.size, sample.columns[j].count))
    for _, which, rows, values in those.draws(seen[have], DRAWS, whole=whole):
        drawn[which, rows] = values
    for r, k in enumerate(have):
        found[k] = _shown(sample, j, sample.names[j], bool(part.observed[k, j]), drawn[:, r], part.table(j)[k])
    return found


def chosen_rows(observed: np.ndarray, most: int) -> np.ndarray:
    """Positions: rows that lack a view and have two others first, then rows that lack one, then complete ones."""
    count, M = observed.sum(axis=1), observed.shape[1]
    kinds = [np.flatnonzero((count < M) & (count > 1)), np.flatnonzero((count < M) & (count == 1)), np.flatnonzero(count == M)]
    taken: list[int] = []
    for kind in kinds:
        left = most - len(taken)
        if left > 0 and kind.size:
            taken += kind[np.unique(np.linspace(0, kind.size - 1, min(left, kind.size)).astype(int))].tolist()
    return np.array(sorted(taken), dtype=int)


def _shown(sample: Sample, j: int, name: str, present: bool, drawn: np.ndarray, truth: np.ndarray) -> Shown:
    """drawn (K, p), truth (p,), NaN where missing."""
    columns, known = sample.columns[j], sample.table(j)
    numbers = np.flatnonzero(measured(columns)).tolist()
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0, method="weibull")
    spread = deviations(known)
    middle = np.array([np.nanmean(known[:, k]) if not np.isnan(known[:, k]).all() else np.nan for k in numbers])
    mean = drawn.mean(axis=0)
    values = [
        Value(str(columns.title(k)), *(float(x) for x in (mean[k], low[k], high[k], truth[k], m, spread[k])))
        for k, m in zip(numbers, middle, strict=True)
        if spread[k] > 0
    ]
    values.sort(key=lambda v: -abs(v.filled - v.mean) / v.deviation)
    levels = []
    for k in sorted(set(range(columns.count)) - set(numbers)):
        options = columns.coded.get(k, (0.0, 1.0))
        labels = tuple(map(as_text, columns.texts.get(k, options)))
        shares = np.array([np.mean(drawn[:, k] == option) for option in options])
        best = int(shares.argmax())
        true = "" if np.isnan(truth[k]) else labels[options.index(truth[k])] if truth[k] in options else as_text(truth[k])
        levels.append(Level(str(columns.title(k)), labels[best], float(shares[best]), true))
    left_out = max(0, len(values) - MOST_COLUMNS) + max(0, len(levels) - MOST_COLUMNS)
    return Shown(name, present, tuple(values[:MOST_COLUMNS]), tuple(levels[:MOST_COLUMNS]), left_out)
