"""The grammar that the page's charts share, as Vega-Lite. Colours are the page's CSS variables, so that they follow light, dark
and print.

No name from a file is ever a field name or an expression: names are values of fields x, y, view, ... and text of titles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Spec = dict[str, Any]
COLOURS = tuple(f"var(--c{k})" for k in range(8))
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
OBSERVED, IMPUTED, INK, LINE = "var(--observed)", "var(--imputed)", "var(--ink-2)", "var(--line)"
_TEXT = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
_CONFIG: Spec = {
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
    "axis": {**_TEXT, "titlePadding": 8, "domainColor": LINE, "tickColor": LINE, "gridColor": "var(--grid)"},
    "axisQuantitative": {"labelExpr": "abs(datum.value) < 1e5 ? datum.label : format(datum.value, '.2~e')"},
    "legend": {**_TEXT, "orient": "top", "symbolStrokeWidth": 2, "columns": 3, "labelLimit": 150},
    "view": {"stroke": None},
}


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


def number(field: str, **more: Any) -> Spec:
    """A channel of numbers. title=None: without one; where none is given, that of the chart's other layers."""
    return {"field": field, "type": "quantitative", **more}


def name(field: str, **more: Any) -> Spec:
    """A channel of names, in the order of the data."""
    return {"field": field, "type": "nominal", "title": None, "sort": None, **more}


def series(field: str, names: Sequence[str], values: Sequence[Any], **more: Any) -> Spec:
    """A channel by which the lines or points of a chart differ: each name has its own of the values, over again where there
    are more names."""
    scale = {"domain": list(names), "range": [values[k % len(values)] for k in range(len(names))]}
    return {"field": field, "type": "nominal", "scale": scale, **more}


def tooltip(*lines: tuple[str, str | None, str | None]) -> list[Spec]:
    """Of each line its field, and its title and number format where it has them."""
    return [
        {"field": field, **({"title": title} if title else {}), **({"format": form} if form else {})}
        for field, title, form in lines
    ]


def where(field: str, equal: str, then: Any, otherwise: Any) -> Spec:
    """A channel of one value for the points of a kind, and another for the rest."""
    return {"condition": {"test": {"field": field, "equal": equal}, "value": then}, "value": otherwise}
