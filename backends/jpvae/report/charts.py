"""The charts as Vega-Lite specifications. Colours are the page's CSS variables, so that they follow light, dark and print.

No name from a file is ever a field name or an expression: names are values of fields x, y, view, ... and text of titles.
Charts whose data depend on what a reader chooses (a column, a colour, a subject) have none: page.js fills in "values".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..figures.calibration import Calibration
from ..figures.correlations import Correlations
from ..figures.training import Training
from .encoding import digits
from .rivals import OURS, Rivals

Spec = dict[str, Any]
SHADES = 11  # of the heat map, from -limit to limit
COLOURS = tuple(f"var(--c{k})" for k in range(8))
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")


def chart(description: str, height: int, **parts: Any) -> Spec:
    """A specification as wide as its place on the page. description: for screen readers; height: in pixels, in a chart
    that page.js gives its rows, of one row."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": description,
        "width": "container",
        "height": height,
        "background": "transparent",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": _CONFIG,
        **parts,
    }


_TEXT = {"labelColor": "var(--ink-2)", "titleColor": "var(--ink-2)", "labelFontSize": 12, "titleFontSize": 12}
_CONFIG: Spec = {
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
    "axis": {
        **_TEXT,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "gridColor": "var(--grid)",
    },
    "legend": {**_TEXT, "titleFontWeight": "normal", "orient": "top", "symbolStrokeWidth": 2, "columns": 3, "labelLimit": 150},
    "view": {"stroke": None},
}


def training_chart(training: Training) -> Spec:
    """The loss over the steps; evaluations on held-out rows as a second, dashed line; the best of them marked."""
    points = [
        {"step": step, "loss": digits(loss, 5), "rows": "training rows"}
        for step, loss in zip(training.steps, training.loss, strict=True)
    ] + [
        {"step": step, "loss": digits(loss, 5), "rows": "held-out rows"}
        for step, loss in zip(training.held_out_steps, training.held_out, strict=True)
    ]
    losses = [*training.loss, *training.held_out]
    # The first steps are far above all others; the axis leaves them out where they would press the rest flat.
    top, low = float(np.quantile(losses, 0.97)), min(losses)
    top = top + 0.1 * (top - low) if top > low else top + 1.0
    series = ["training rows", "held-out rows"] if training.held_out else ["training rows"]
    layers: list[Spec] = [
        {
            "mark": {"type": "line", "strokeWidth": 2, "clip": True},
            "encoding": {
                "color": {
                    "field": "rows",
                    "type": "nominal",
                    "scale": {"domain": series, "range": ["var(--c0)", "var(--c1)"][: len(series)]},
                    "legend": {"title": None} if len(series) > 1 else None,
                },
                "strokeDash": {
                    "field": "rows",
                    "type": "nominal",
                    "scale": {"domain": series, "range": [[1, 0], [6, 3]][: len(series)]},
                },
            },
        }
    ]
    if training.best is not None:
        layers.append(
            {
                "data": {"values": [{"step": training.best}]},
                "mark": {"type": "rule", "color": "var(--ink-2)", "strokeDash": [2, 3]},
                "encoding": {"x": {"field": "step", "type": "quantitative"}, "y": None, "tooltip": None},
            }
        )
    return chart(
        "Line chart of the loss over the training steps.",
        260,
        data={"values": points},
        encoding={
            "x": {"field": "step", "type": "quantitative", "title": "step", "axis": {"grid": False, "tickCount": 6}},
            "y": {
                "field": "loss",
                "type": "quantitative",
                "title": "loss, nats per subject",
                "scale": {"domain": [low - 0.03 * (top - low), top], "nice": True, "zero": False},
            },
            "tooltip": [
                {"field": "rows", "title": "loss on"},
                {"field": "step", "format": ","},
                {"field": "loss", "format": ".4g"},
            ],
        },
        layer=layers,
    )


def calibration_chart(found: Calibration) -> Spec:
    """Promised against found, a line per view; the diagonal is what both would be if the intervals were right."""
    points = [
        {"view": name, "promised": digits(float(level)), "found": digits(float(part))}
        for name, parts in zip(found.names, found.found, strict=True)
        for level, part in zip(found.levels, parts, strict=True)
        if np.isfinite(part)
    ]
    names = [name for name, parts in zip(found.names, found.found, strict=True) if np.isfinite(parts).any()]
    axis = {"format": "%", "values": [0, 0.25, 0.5, 0.75, 1.0]}
    scale = {"domain": [0, 1]}
    return chart(
        "Line chart: the part of the true values inside the intervals, against the part that the intervals promise. A line on "
        "the diagonal is right; below it, intervals are too narrow.",
        300,
        layer=[
            {
                "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
                "mark": {"type": "line", "color": "var(--ink-2)", "strokeDash": [3, 3], "strokeWidth": 1},
                "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}},
            },
            {
                "data": {"values": points},
                "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 32, "filled": True}},
                "encoding": {
                    "x": {
                        "field": "promised",
                        "type": "quantitative",
                        "title": "the interval promises",
                        "scale": scale,
                        "axis": axis,
                    },
                    "y": {
                        "field": "found",
                        "type": "quantitative",
                        "title": "true values inside it",
                        "scale": scale,
                        "axis": axis,
                    },
                    "color": coloured(names),
                    "shape": {"field": "view", "type": "nominal", "scale": {"domain": names, "range": _cycle(SHAPES, names)}},
                    "tooltip": [
                        {"field": "view"},
                        {"field": "promised", "format": ".0%"},
                        {"field": "found", "format": ".1%"},
                    ],
                },
            },
        ],
    )


def rivals_chart(found: Rivals) -> Spec:
    """The error of every method on every view."""
    views = list(dict.fromkeys(line.view for line in found.lines))
    methods = list(found.methods)
    return chart(
        "Dot plot: each method's error on each view; further left is better.",
        40 * len(views) + 10,
        data={"values": [{**point, "error": digits(point["error"])} for point in found.errors()]},
        mark={"type": "point", "strokeWidth": 2, "opacity": 1},
        encoding={
            "x": {
                "field": "error",
                "type": "quantitative",
                "title": "error, in standard deviations",
                "scale": {"zero": False, "nice": True},
                "axis": {"tickCount": 6},
            },
            "y": {
                "field": "view",
                "type": "nominal",
                "title": None,
                "sort": views,
                "axis": {"grid": True, "ticks": False, "domain": False, "labelLimit": 110},
            },
            "color": {
                "field": "method",
                "type": "nominal",
                "scale": {"domain": methods, "range": _cycle(COLOURS, methods)},
                "legend": {"title": None},
            },
            "shape": {
                "field": "method",
                "type": "nominal",
                "scale": {"domain": methods, "range": _cycle(SHAPES, methods)},
            },
            "size": {"condition": {"test": {"field": "method", "equal": OURS}, "value": 190}, "value": 70},
            "fill": {"condition": {"test": {"field": "method", "equal": OURS}, "value": "var(--c0)"}, "value": "transparent"},
            "tooltip": [{"field": "view"}, {"field": "method"}, {"field": "error", "format": ".3f"}],
        },
    )


def correlations_chart(found: Correlations) -> Spec:
    """Latent by latent, white between views' blocks; within a view nothing is drawn."""
    limit = max(found.strongest, 0.01)
    n = len(found.owner)
    cells = [
        {"x": c, "y": r, "v": digits(float(found.matrix[r, c]), 3), "a": _latent(found, r), "b": _latent(found, c)}
        for r in range(n)
        for c in range(n)
        if np.isfinite(found.matrix[r, c])
    ]
    ends = np.cumsum([0, *(int((found.owner == j).sum()) for j in range(len(found.names)))])
    middles = [(float(a) + float(b) - 1) / 2 for a, b in pairwise(ends)]
    labels = [{"m": m, "name": name} for m, name in zip(middles, found.names, strict=True)]
    steps = np.linspace(-limit, limit, SHADES + 1)[1:-1]
    sides = {"domain": [-0.5, n - 0.5], "nice": False, "zero": False}
    place = {"type": "quantitative", "scale": sides, "axis": None}
    return chart(
        "Heat map of the correlations between the latents of different views.",
        400,
        layer=[
            {
                "data": {"values": cells},
                "transform": [
                    {"calculate": f"datum.{at} {sign} 0.5", "as": f"{at}{k}"} for at in "xy" for k, sign in enumerate("-+")
                ],
                "mark": {"type": "rect"},
                "encoding": {
                    "x": {"field": "x0", **place},
                    "x2": {"field": "x1"},
                    "y": {"field": "y0", "type": "quantitative", "scale": {**sides, "reverse": True}, "axis": None},
                    "y2": {"field": "y1"},
                    "color": {
                        "field": "v",
                        "type": "quantitative",
                        "scale": {
                            "type": "threshold",
                            "domain": [round(float(s), 4) for s in steps],
                            "range": [f"var(--d{k})" for k in range(SHADES)],
                        },
                        "legend": {"title": "correlation", "format": ".1f", "labelOverlap": "greedy"},
                    },
                    "tooltip": [
                        {"field": "a", "title": "latent"},
                        {"field": "b", "title": "with"},
                        {"field": "v", "title": "correlation", "format": ".2f"},
                    ],
                },
            },
            {
                "data": {"values": labels},
                "mark": {"type": "text", "color": "var(--ink)", "fontWeight": 600, "fontSize": 12},
                "encoding": {
                    "x": {"field": "m", **place},
                    "y": {"field": "m", "type": "quantitative", "scale": {**sides, "reverse": True}, "axis": None},
                    "text": {"field": "name"},
                },
            },
        ],
    )


def _latent(found: Correlations, k: int) -> str:
    return f"{found.names[found.owner[k]]} {found.latent[k]}"


def map_chart() -> Spec:
    """The subjects' latents on a plane; page.js adds their colour."""
    return chart(
        "Scatter plot of the subjects in the plane in which their latents vary most.",
        420,
        data={"values": []},
        mark={"type": "circle", "size": 34, "opacity": 0.85},
        encoding={
            "x": {"field": "x", "type": "quantitative", "axis": {"grid": False, "tickCount": 7}, "scale": {"zero": False}},
            "y": {"field": "y", "type": "quantitative", "axis": {"grid": False, "tickCount": 7}, "scale": {"zero": False}},
            "tooltip": [{"field": "id", "title": "subject"}, {"field": "shown", "title": "value"}],
        },
    )


def numbers_chart() -> Spec:
    """One column's histograms: observed filled, imputed outlined."""
    x = {
        "type": "quantitative",
        "field": "low",
        "title": None,
        "axis": {"grid": False, "tickCount": 6},
        "scale": {"zero": False, "nice": False},
    }
    y = {"type": "quantitative", "field": "share", "title": "share of values", "axis": {"format": "%", "tickCount": 4}}
    return chart(
        "Histograms of one column: observed values and imputed values.",
        220,
        data={"values": []},
        encoding={
            "x": x,
            "x2": {"field": "high"},
            "y": y,
            "y2": {"datum": 0},
            "tooltip": [
                {"field": "kind"},
                {"field": "low", "format": ".4~g", "title": "from"},
                {"field": "high", "format": ".4~g", "title": "to"},
                {"field": "share", "format": ".1%"},
            ],
        },
        layer=[
            {
                "transform": [{"filter": {"field": "kind", "equal": "observed"}}],
                "mark": {"type": "rect", "fill": "var(--observed)", "fillOpacity": 0.55, "stroke": None},
            },
            {
                "transform": [{"filter": {"field": "kind", "equal": "imputed"}}],
                "mark": {"type": "rect", "fillOpacity": 0, "fill": "transparent", "stroke": "var(--imputed)", "strokeWidth": 2},
            },
        ],
    )


def levels_chart() -> Spec:
    """One category's shares: observed filled, imputed outlined, side by side."""
    return chart(
        "Bar chart of one category: the shares of its levels among observed and among imputed values.",
        16,
        data={"values": []},
        mark={"type": "bar", "strokeWidth": 2, "fillOpacity": 1},
        encoding={
            "y": {
                "field": "level",
                "type": "nominal",
                "title": None,
                "sort": None,
                "axis": {"labelLimit": 140, "ticks": False},
            },
            "yOffset": {"field": "kind", "sort": ["observed", "imputed"]},
            "x": {
                "field": "share",
                "type": "quantitative",
                "title": "share of values",
                "axis": {"format": "%", "tickCount": 5},
            },
            "fill": {
                "condition": {"test": {"field": "kind", "equal": "observed"}, "value": "var(--observed-soft)"},
                "value": "transparent",
            },
            "stroke": {
                "condition": {"test": {"field": "kind", "equal": "observed"}, "value": "var(--observed-soft)"},
                "value": "var(--imputed)",
            },
            "tooltip": [{"field": "level"}, {"field": "kind"}, {"field": "share", "format": ".1%"}],
        },
    )


def subject_chart() -> Spec:
    """One view of one subject: filled values with their intervals, the truth as a hollow diamond."""
    y = {"field": "column", "type": "nominal", "title": None, "sort": None, "axis": {"labelLimit": 150, "ticks": False}}
    tooltip = [{"field": "column"}, {"field": "text", "title": "filled"}, {"field": "true", "title": "observed"}]
    z = "standard deviations from the column's mean"
    return chart(
        "Dot plot: the filled value of each column with its 95 % interval, and the observed value where there is one.",
        22,
        data={"values": []},
        encoding={"y": y, "tooltip": tooltip},
        layer=[
            {
                "data": {"values": [{"zero": 0}]},
                "mark": {"type": "rule", "color": "var(--line)"},
                "encoding": {"x": {"field": "zero", "type": "quantitative"}, "y": None, "tooltip": None},
            },
            {
                "mark": {"type": "rule", "color": "var(--imputed)", "strokeWidth": 3, "opacity": 0.55},
                "encoding": {
                    "x": {"field": "low", "type": "quantitative", "title": z, "axis": {"tickCount": 7}},
                    "x2": {"field": "high"},
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1, "color": "var(--imputed)"},
                "encoding": {"x": {"field": "filled", "type": "quantitative"}},
            },
            {
                "transform": [{"filter": "datum.truth !== null"}],
                "mark": {
                    "type": "point",
                    "shape": "diamond",
                    "size": 90,
                    "opacity": 1,
                    "strokeWidth": 2,
                    "color": "var(--observed)",
                },
                "encoding": {"x": {"field": "truth", "type": "quantitative"}},
            },
        ],
    )


def coloured(names: Sequence[str]) -> Spec:
    """The colour channel of views."""
    scale = {"domain": list(names), "range": _cycle(COLOURS, names)}
    return {"field": "view", "type": "nominal", "scale": scale, "legend": {"title": None}}


def _cycle(values: Sequence[Any], names: Sequence[str]) -> list[Any]:
    return [values[k % len(values)] for k in range(len(names))]
