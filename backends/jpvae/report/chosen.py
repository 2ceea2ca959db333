"""The charts of what a reader chooses, a colour, a column or a subject: they have no data, which page.js fills in."""

from __future__ import annotations

from .vega import IMPUTED, LINE, OBSERVED, Spec, chart, name, number, tooltip, where

_SOFT = "var(--observed-soft)"


def map_chart() -> Spec:
    """The subjects' latents on a plane; page.js adds their colour and the axes' titles."""
    side = {"axis": {"grid": False, "tickCount": 7}, "scale": {"zero": False}}
    return chart(
        "Scatter plot of the subjects in the plane in which their latents vary most.",
        420,
        data={"values": []},
        mark={"type": "circle", "size": 34, "opacity": 0.85},
        encoding={
            "x": number("x", **side),
            "y": number("y", **side),
            "tooltip": tooltip(("id", "subject", None), ("shown", "value", None)),
        },
    )


def numbers_chart() -> Spec:
    """One column's histograms: observed filled, imputed outlined."""

    def bars(kind: str, **style: object) -> Spec:
        return {"transform": [{"filter": {"field": "kind", "equal": kind}}], "mark": {"type": "rect", **style}}

    return chart(
        "Histograms of one column: observed values and imputed values.",
        220,
        data={"values": []},
        encoding={
            "x": number("low", title=None, axis={"grid": False, "tickCount": 6}, scale={"zero": False, "nice": False}),
            "x2": {"field": "high"},
            "y": number("share", title="share of values", axis={"format": "%", "tickCount": 4}),
            "y2": {"datum": 0},
            "tooltip": tooltip(("kind", None, None), ("low", "from", ".4~g"), ("high", "to", ".4~g"), ("share", None, ".1%")),
        },
        layer=[
            bars("observed", fill=OBSERVED, fillOpacity=0.55, stroke=None),
            bars("imputed", fill="transparent", fillOpacity=0, stroke=IMPUTED, strokeWidth=2),
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
            "y": name("level", axis={"labelLimit": 190, "ticks": False}),
            "yOffset": {"field": "kind", "sort": ["observed", "imputed"]},
            "x": number("share", title="share of values", axis={"format": "%", "tickCount": 5}),
            "fill": where("kind", "observed", _SOFT, "transparent"),
            "stroke": where("kind", "observed", _SOFT, IMPUTED),
            "tooltip": tooltip(("full", "level", None), ("kind", None, None), ("share", None, ".1%")),
        },
    )


def subject_chart() -> Spec:
    """One view of one subject: filled values with their intervals, the truth as a hollow diamond."""
    point = {"type": "point", "opacity": 1}
    return chart(
        "Dot plot: the filled value of each column with its 95 % interval, and the observed value where there is one.",
        22,
        data={"values": []},
        encoding={
            "y": name("column", axis={"labelLimit": 190, "ticks": False}),
            "tooltip": tooltip(("full", "column", None), ("text", "filled", None), ("true", "observed", None)),
        },
        layer=[
            {
                "data": {"values": [{"zero": 0}]},
                "mark": {"type": "rule", "color": LINE},
                "encoding": {"x": number("zero"), "y": None, "tooltip": None},
            },
            {
                "mark": {"type": "rule", "color": IMPUTED, "strokeWidth": 3, "opacity": 0.55},
                "encoding": {
                    "x": number("low", title="standard deviations from the mean", axis={"tickCount": 7}),
                    "x2": {"field": "high"},
                },
            },
            {"mark": {**point, "filled": True, "size": 60, "color": IMPUTED}, "encoding": {"x": number("filled")}},
            {
                "transform": [{"filter": "datum.truth !== null"}],
                "mark": {**point, "shape": "diamond", "size": 90, "strokeWidth": 2, "color": OBSERVED},
                "encoding": {"x": number("truth")},
            },
        ],
    )
