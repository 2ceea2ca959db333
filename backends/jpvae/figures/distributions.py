"""Each column's observed values beside those that were put in its holes: one draw per hole, so that the spreads compare.

Of a measurement or a count a histogram over what both have, of a category or of zeros and ones the share of each level. shift:
(mean imputed - mean observed) / standard deviation observed, or of categories the total variation distance of the shares.
Imputed values may differ from observed ones for a good reason: other subjects lack the view than have it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..views.columns import Columns, as_text
from .sample import Sample, deviations, measured

BINS = 20


@dataclass(frozen=True)
class Column:
    """One column. labels: of its levels, empty for numbers; low, high: the ends of its histogram; observed, imputed: the shares
    of its bins or levels, each summing to 1 or empty; counts, means and deviations of both kinds of values."""

    view: str
    name: str
    labels: tuple[str, ...]
    low: float
    high: float
    observed: tuple[float, ...]
    imputed: tuple[float, ...]
    counts: tuple[int, int]
    means: tuple[float, float]
    deviations: tuple[float, float]
    shift: float


def distributions(sample: Sample) -> list[Column]:
    """Of every column of every view, in the tables' order."""
    imputed = _drawn(sample)
    return [column for j in range(len(sample.names)) for column in _of_view(sample, j, imputed[j])]


def view_distributions(sample: Sample, view: int) -> list[Column]:
    """Of every column of one view."""
    return _of_view(sample, view, _drawn(sample)[view])


def _drawn(sample: Sample) -> list[np.ndarray]:
    """Of each view (R, p): a draw where a cell is missing, NaN elsewhere."""
    imputed = [np.full(sample.table(j).shape, np.nan) for j in range(len(sample.names))]
    for view, _, rows, values in sample.draws(sample.observed, 1, whole=sample.data.whole):
        imputed[view][rows] = np.where(np.isnan(sample.table(view)[rows]), values[0], np.nan)
    return imputed


def _of_view(sample: Sample, j: int, imputed: np.ndarray) -> list[Column]:
    return view_columns(sample.names[j], sample.columns[j], sample.table(j), imputed)


def view_columns(view: str, columns: Columns, observed: np.ndarray, imputed: np.ndarray) -> list[Column]:
    """Of one view's known cells (R, p) and drawn cells (R, p), NaN where there is none."""
    spread = deviations(observed)
    found = []
    for k in range(columns.count):
        known, drawn = (table[:, k][~np.isnan(table[:, k])] for table in (observed, imputed))
        title = str(columns.title(k))
        if levels := levels_of(columns, k):
            found.append(_of_levels(view, title, tuple(levels.values()), tuple(levels), known, drawn))
        else:
            found.append(_of_numbers(view, title, known, drawn, float(spread[k])))
    return found


def levels_of(columns: Columns, k: int) -> dict[float, str] | None:
    """The names of a category's codes, or of zeros and ones; None of a measurement or a count."""
    if measured(columns)[k]:
        return None
    codes = columns.coded.get(k, (0.0, 1.0))
    return dict(zip(codes, map(as_text, columns.texts.get(k, codes)), strict=True))


def _of_numbers(view: str, title: str, known: np.ndarray, drawn: np.ndarray, spread: float) -> Column:
    both = np.concatenate([known, drawn])
    low, high = (float(both.min()), float(both.max())) if both.size else (0.0, 1.0)
    if known.size > 20:  # single far values would leave one bin for all others: the ends take them in
        inner = np.quantile(both, (0.005, 0.995))
        width = inner[1] - inner[0]
        low, high = (
            (max(low, float(inner[0] - 0.5 * width)), min(high, float(inner[1] + 0.5 * width))) if width else (low, high)
        )
    high = high if high > low else low + 1.0
    shares = [shares_of(np.clip(x, low, high), low, high) for x in (known, drawn)]
    means = [float(x.mean()) if x.size else float("nan") for x in (known, drawn)]
    stds = [float(x.std()) if x.size else float("nan") for x in (known, drawn)]
    shift = (means[1] - means[0]) / spread
    counts = (known.size, drawn.size)
    return Column(view, title, (), low, high, shares[0], shares[1], counts, (means[0], means[1]), (stds[0], stds[1]), shift)


def _of_levels(
    view: str, title: str, labels: tuple[str, ...], levels: tuple[float, ...], known: np.ndarray, drawn: np.ndarray
) -> Column:
    shares = [tuple(float(np.mean(x == level)) for level in levels) if x.size else () for x in (known, drawn)]
    shift = 0.5 * sum(abs(a - b) for a, b in zip(*shares, strict=True)) if all(shares) else float("nan")
    nan = float("nan")
    return Column(view, title, labels, 0.0, 1.0, shares[0], shares[1], (known.size, drawn.size), (nan, nan), (nan, nan), shift)


def shares_of(values: np.ndarray, low: float, high: float) -> tuple[float, ...]:
    """The part of the values in each of BINS bins of equal width; nothing for no values."""
    if not values.size:
        return ()
    counts, _ = np.histogram(values, BINS, (low, high))
    return tuple((counts / values.size).tolist())
