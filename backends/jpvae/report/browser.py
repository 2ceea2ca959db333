"""What the page's script reads, as plain JSON: the charts, and the data behind what a reader chooses."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..figures.distributions import Column
from ..figures.sample import Sample
from ..figures.subjects import Subject, Value
from ..views.columns import as_text
from . import charts, chosen
from .content import Content
from .encoding import digits, steps

MOST_COLOURED = 2_000_000  # characters: a subject's value in a column is one
MOST_LEVELS = 7  # of a category, each with a colour of its own


def browser_data(content: Content) -> dict[str, Any]:
    """Everything, by the names that page.js uses."""
    drawn = {"training": charts.training_chart(content.training)}
    if np.isfinite(content.calibration.found).any():
        drawn["calibration"] = charts.calibration_chart(content.calibration)
    if content.rivals is not None:
        drawn["rivals"] = charts.rivals_chart(content.rivals)
    if content.correlations.strongest:
        drawn["correlations"] = charts.correlations_chart(content.correlations)
    return {
        "charts": drawn,
        "views": list(content.sample.names),
        "columns": columns(content),
        "map": latent_map(content),
        "subjects": [subject(one) for one in content.subjects],
        "templates": {
            "map": chosen.map_chart(),
            "numbers": chosen.numbers_chart(),
            "levels": chosen.levels_chart(),
            "subject": chosen.subject_chart(),
        },
    }


def columns(content: Content) -> list[list[Any]]:
    """A row for each: view, name, labels, low, high, counts, means, deviations, shift, R^2, both histograms as characters."""
    index = {name: j for j, name in enumerate(content.sample.names)}
    r2 = np.concatenate(content.cross.columns)
    return [_column(index[one.view], one, float(r2[k])) for k, one in enumerate(content.columns)]


def _column(view: int, one: Column, r2: float) -> list[Any]:
    top = max((*one.observed, *one.imputed, 1e-12))
    numbers = [digits(x) for x in (*one.means, *one.deviations)]
    shapes = [steps(shares, 0.0, top) for shares in (one.observed, one.imputed)]
    ends = [digits(one.low, 5), digits(one.high, 5)]
    return [
        view,
        one.name,
        list(one.labels),
        *ends,
        *one.counts,
        *numbers,
        digits(one.shift, 3),
        digits(r2, 3),
        digits(top),
        *shapes,
    ]


def latent_map(content: Content) -> dict[str, Any]:
    """The places, and what they can be coloured by: the number of views that a subject has, and columns."""
    places, sample = content.map.places, content.sample
    pairs = [(j, k) for j, each in enumerate(sample.columns) for k in range(each.count)]
    room = MOST_COLOURED // len(places)
    if len(pairs) > room:
        pairs = sorted(pairs, key=lambda pair: -_along(places, sample.table(pair[0])[:, pair[1]]))[:room]
    return {
        "x": [digits(x) for x in places[:, 0]],
        "y": [digits(y) for y in places[:, 1]],
        "explained": [digits(part, 2) for part in content.map.explained],
        "ids": list(content.map.ids) if content.subjects else [],
        "has": ["".join("1" if seen else "0" for seen in row) for row in sample.observed],
        "colours": [_colour(sample, j, k) for j, k in sorted(pairs)],
        "left_out": sum(each.count for each in sample.columns) - len(pairs),
    }


def _along(places: np.ndarray, values: np.ndarray) -> float:
    """How strongly a column goes along with the map: its largest squared correlation with an axis."""
    known = ~np.isnan(values)
    if known.sum() < 3 or np.ptp(values[known]) == 0:
        return 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        found = [np.corrcoef(places[known, axis], values[known])[0, 1] ** 2 for axis in (0, 1)]
    return float(np.nan_to_num(found).max())


def _colour(sample: Sample, j: int, k: int) -> list[Any]:
    """view, name, labels (of categories with few levels), low, high, a character per subject."""
    columns, values = sample.columns[j], sample.table(j)[:, k]
    title = str(columns.title(k))
    levels = columns.coded.get(k)
    if levels is not None:
        labels = list(map(as_text, columns.texts.get(k, levels)))
        at = np.where(np.isnan(values), np.nan, np.searchsorted(levels, np.nan_to_num(values)))
        if len(levels) > MOST_LEVELS:
            labels = [*labels[: MOST_LEVELS - 1], "other"]
            at = np.minimum(at, MOST_LEVELS - 1)
        return [j, title, labels, 0, 63, steps(at, 0.0, 63.0)]
    known = values[~np.isnan(values)]
    low, high = (float(np.quantile(known, 0.01)), float(np.quantile(known, 0.99))) if known.size else (0.0, 1.0)
    if not high > low:
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    return [j, title, [], digits(low), digits(high), steps(values, low, high)]


def subject(one: Subject) -> dict[str, Any]:
    """Its views, numbers in standard deviations from the columns' means."""
    return {
        "id": one.id,
        "views": [
            {
                "view": shown.view,
                "present": shown.present,
                "left_out": shown.left_out,
                "values": [_value(v) for v in shown.values],
                "levels": [[v.column, v.filled, digits(v.probability, 2), v.truth] for v in shown.levels],
            }
            for shown in one.views
        ],
    }


def _value(v: Value) -> list[Any]:
    z = [digits((x - v.mean) / v.deviation, 3) for x in (v.filled, v.low, v.high, v.truth)]
    return [v.column, *z, *(digits(x) for x in (v.filled, v.low, v.high, v.truth))]
