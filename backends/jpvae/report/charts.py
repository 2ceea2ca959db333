"""The charts whose data are all on the page: training, calibration, errors of all methods, correlations."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..figures.calibration import Calibration
from ..figures.correlations import Correlations
from ..figures.training import Training
from .encoding import digits
from .rivals import OURS, Rivals
from .vega import COLOURS, INK, SHAPES, Spec, chart, name, number, series, tooltip, where

SHADES = 11  # of the heat map, from -limit to limit


def training_chart(training: Training) -> Spec:
    """The loss over the steps; evaluations on held-out rows as a second, dashed line; the best of them marked."""
    curves = [("training rows", training.steps, training.loss), ("held-out rows", training.held_out_steps, training.held_out)]
    points = [
        {"step": step, "loss": digits(loss, 5), "rows": rows}
        for rows, steps, losses in curves
        for step, loss in zip(steps, losses, strict=True)
    ]
    every = [*training.loss, *training.held_out]
    # The first steps are far above all others; the axis leaves them out where they would press the rest flat.
    top, low = float(np.quantile(every, 0.97)), min(every)
    top = top + 0.1 * (top - low) if top > low else top + 1.0
    names = [rows for rows, steps, _ in curves if steps]
    layers: list[Spec] = [
        {
            "mark": {"type": "line", "strokeWidth": 2, "clip": True},
            "encoding": {
                "color": series("rows", names, COLOURS, legend={"title": None} if len(names) > 1 else None),
                "strokeDash": series("rows", names, ([1, 0], [6, 3])),
            },
        }
    ]
    if training.best is not None:
        layers.append(
            {
                "data": {"values": [{"step": training.best}]},
                "mark": {"type": "rule", "color": INK, "strokeDash": [2, 3]},
                "encoding": {"x": number("step"), "y": None, "tooltip": None},
            }
        )
    ends = {"domain": [low - 0.03 * (top - low), top], "nice": True, "zero": False}
    return chart(
        "Line chart of the loss over the training steps.",
        260,
        data={"values": points},
        encoding={
            "x": number("step", title="step", axis={"grid": False, "tickCount": 6}),
            "y": number("loss", title="loss, nats per subject", scale=ends),
            "tooltip": tooltip(("rows", "loss on", None), ("step", None, ","), ("loss", None, ".4g")),
        },
        layer=layers,
    )


def calibration_chart(found: Calibration) -> Spec:
    """Promised against found, a line per view; the diagonal is what both would be if the intervals were right."""
    shown = [(view, parts) for view, parts in zip(found.names, found.found, strict=True) if np.isfinite(parts).any()]
    points = [
        {"view": view, "promised": digits(float(level)), "found": digits(float(part))}
        for view, parts in shown
        for level, part in zip(found.levels, parts, strict=True)
    ]
    names = [view for view, _ in shown]
    side = {"scale": {"domain": [0, 1]}, "axis": {"format": "%", "values": [0, 0.25, 0.5, 0.75, 1.0]}}
    diagonal = {
        "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
        "mark": {"type": "line", "color": INK, "strokeDash": [3, 3], "strokeWidth": 1},
        "encoding": {"x": number("x"), "y": number("y")},
    }
    lines = {
        "data": {"values": points},
        "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 32, "filled": True}},
        "encoding": {
            "x": number("promised", title="the interval promises", **side),
            "y": number("found", title="true values inside it", **side),
            "color": series("view", names, COLOURS, legend={"title": None}),
            "shape": series("view", names, SHAPES),
            "tooltip": tooltip(("view", None, None), ("promised", None, ".0%"), ("found", None, ".1%")),
        },
    }
    return chart(
        "Line chart: the part of the true values inside the intervals, against the part that the intervals promise. A line on "
        "the diagonal is right; below it, intervals are too narrow.",
        300,
        layer=[diagonal, lines],
    )


def rivals_chart(found: Rivals) -> Spec:
    """The error of every method on every view."""
    points = [{**point, "error": digits(point["error"])} for point in found.errors()]
    return chart(
        "Dot plot: each method's error on each view; further left is better.",
        40 * len({point["view"] for point in points}) + 10,
        data={"values": points},
        mark={"type": "point", "strokeWidth": 2, "opacity": 1},
        encoding={
            "x": number(
                "error", title="error, in standard deviations", scale={"zero": False, "nice": True}, axis={"tickCount": 6}
            ),
            "y": name("view", axis={"grid": True, "ticks": False, "domain": False, "labelLimit": 110}),
            "color": series("method", found.methods, COLOURS, legend={"title": None}),
            "shape": series("method", found.methods, SHAPES),
            "size": where("method", OURS, 190, 70),
            "fill": where("method", OURS, COLOURS[0], "transparent"),
            "tooltip": tooltip(("view", None, None), ("method", None, None), ("error", None, ".3f")),
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
    bounds = [round(float(s), 4) for s in np.linspace(-limit, limit, SHADES + 1)[1:-1]]
    across: Spec = {"scale": {"domain": [-0.5, n - 0.5], "nice": False, "zero": False}, "axis": None}
    down: Spec = {**across, "scale": {**across["scale"], "reverse": True}}
    colour = number(
        "v",
        scale={"type": "threshold", "domain": bounds, "range": [f"var(--d{k})" for k in range(SHADES)]},
        legend={"title": "correlation", "format": ".1f", "labelOverlap": "greedy"},
    )
    squares = {
        "data": {"values": cells},
        "transform": [{"calculate": f"datum.{at} {sign} 0.5", "as": f"{at}{k}"} for at in "xy" for k, sign in enumerate("-+")],
        "mark": {"type": "rect"},
        "encoding": {
            "x": number("x0", **across),
            "x2": {"field": "x1"},
            "y": number("y0", **down),
            "y2": {"field": "y1"},
            "color": colour,
            "tooltip": tooltip(("a", "latent", None), ("b", "with", None), ("v", "correlation", ".2f")),
        },
    }
    titles = {
        "data": {"values": [{"m": m, "name": view} for m, view in zip(middles, found.names, strict=True)]},
        "mark": {"type": "text", "color": "var(--ink)", "fontWeight": 600, "fontSize": 12},
        "encoding": {"x": number("m", **across), "y": number("m", **down), "text": {"field": "name"}},
    }
    return chart("Heat map of the correlations between the latents of different views.", 400, layer=[squares, titles])


def _latent(found: Correlations, k: int) -> str:
    return f"{found.names[found.owner[k]]} {found.latent[k]}"
