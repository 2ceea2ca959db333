"""A suite's figure from its results: a panel per sweep and quantity, log-log, every line named at its end.

python benchmarks/suite_figure.py kl conditioning       draw again what results/<name>.json keeps
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import suites

INK = "#1b1b1f"
QUANTITIES = {"minimum": "seconds", "error": "error", "peak_bytes": "bytes, peak"}


def draw(suite: suites.Suite, results: suites.Results) -> None:
    """results/<name>.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    # Between the panels there is room for the lines' names.
    shape = {"figsize": (6.0 * len(suite.panels), 4.3), "squeeze": False, "gridspec_kw": {"wspace": 0.72}}
    figure, axes = plt.subplots(1, len(suite.panels), **shape)
    for axis, panel in zip(axes[0], suite.panels, strict=True):
        draw_panel(axis, suite, results, panel)
    for axis in axes[0]:
        name_lines(axis, suite.ours)
    figure.savefig(suites.place(suite, "png"), dpi=130, bbox_inches="tight")
    plt.close(figure)


def draw_panel(axis: Any, suite: suites.Suite, results: suites.Results, panel: suites.Panel) -> None:
    """The lines. Ours is on top, with dots."""
    methods = [m for m in suite.colours if results.line(panel.sweep, m)]
    points = sorted({c.x for m in methods for c in results.line(panel.sweep, m)})
    axis.set(xscale="log", yscale="log", xlim=(points[0] / 1.08, points[-1] * 1.04))
    for method in methods:
        line = [c for c in results.line(panel.sweep, method) if getattr(c, panel.quantity) is not None]
        ours = method == suite.ours
        look = {"lw": 2.6, "marker": "o", "ms": 5, "mec": "white", "zorder": 3} if ours else {"lw": 1.6}
        axis.plot(
            [c.x for c in line], [getattr(c, panel.quantity) for c in line], color=suite.colours[method], label=method, **look
        )
    axis.set_title(panel.title, fontsize=12, color=INK, loc="left")
    axis.set_xlabel(suite.sweeps[panel.sweep])
    axis.set_ylabel(QUANTITIES[panel.quantity])
    axis.spines[["top", "right"]].set_visible(False)
    axis.minorticks_off()
    axis.set_xticks(points, [f"{x:,g}" for x in points])


def name_lines(axis: Any, ours: str) -> None:
    """Names in a column right of the panel, spread where they would overlap; a line that ends early is named at its end."""
    height = axis.transAxes.transform((0, 1))[1] - axis.transAxes.transform((0, 0))[1]
    gap = 15 * axis.figure.dpi / 72 / height  # 15 points, as a part of the axis
    scale = axis.transAxes.inverted()
    last = max(line.get_xdata()[-1] for line in axis.lines)
    ends = []
    for line in axis.lines:
        x, y = line.get_xdata()[-1], line.get_ydata()[-1]
        style = {"color": line.get_color(), "fontsize": 9.5, "weight": "bold" if line.get_label() == ours else "normal"}
        if x < last:
            axis.annotate(line.get_label(), (x, y), xytext=(6, 4), textcoords="offset points", **style)
        else:
            ends.append([float(scale.transform(axis.transData.transform((x, y)))[1]), (x, y), line.get_label(), style])
    ends.sort(key=lambda end: end[0])
    places = [end[0] for end in ends]
    for _ in range(200):  # neighbours that are too close push each other away
        for k in range(len(places) - 1):
            short = gap - (places[k + 1] - places[k])
            if short > 1e-9:
                places[k], places[k + 1] = places[k] - short / 2, places[k + 1] + short / 2
    for place, (_, point, name, style) in zip(places, ends, strict=True):
        arrow = {"arrowstyle": "-", "color": style["color"], "lw": 0.6, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)}
        where = {"xytext": (1.07, place), "textcoords": "axes fraction", "va": "center", "annotation_clip": False}
        axis.annotate(name, point, **where, arrowprops=arrow, **style)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        chosen = importlib.import_module(f"test_bench_{name}").SUITE
        draw(chosen, suites.load(chosen))
