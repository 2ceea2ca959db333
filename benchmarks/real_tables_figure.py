"""The picture docs/real-tables.png, from what real_tables.py measured: errors beside ridge's, and how many hidden values lie in
their intervals.

python benchmarks/real_tables_figure.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from real_tables import OURS
from real_tables_page import of, summary
from suites import ROOT

from jpvae.experiments.real_tables import MECHANISMS, SETS
from jpvae.tables.evaluation import JPVAE_NAME

PICTURE = ROOT / "docs/real-tables.png"
WHOLE = "diabetes"  # every method was measured on it
MARKS = {
    JPVAE_NAME: ("D", "#d55e00"),
    "factor analysis": ("^", "#0072b2"),
    "PLS": ("s", "#009e73"),
    "softImpute": ("v", "#777777"),
    "extra trees": ("*", "#cc79a7"),
    "nearest neighbours": ("x", "#e69f00"),
    "MOFA+": ("+", "#000000"),
}
TARGETS = {"coverage_95": (0.93, 0.95, 0.97), "coverage_50": (0.47, 0.50, 0.53)}


def draw(path: Path) -> None:
    """Two panels of errors, one of coverage."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[1, 1, 1.15])
    for axes, mechanism in zip((left, middle), MECHANISMS, strict=True):
        errors(axes, mechanism)
    left.set_yticks(range(len(SETS)), list(SETS))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=len(MARKS), fontsize=9, frameon=False)
    coverage(right)
    figure.savefig(path, dpi=110)


def errors(axes: Axes, mechanism: str) -> None:
    """Per set each method's error in percent of ridge's, on the draws of the holes that both have."""
    for at, name in enumerate(SETS):
        lines = of(name, mechanism)
        for method, (mark, colour) in MARKS.items():
            found = ratio(lines, method)
            if found is not None:
                axes.plot(
                    found,
                    at,
                    mark,
                    color=colour,
                    markersize=9 if method in OURS else 6,
                    label=method if name == WHOLE else None,
                )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_ylim(len(SETS) - 0.4, -0.6)
    axes.set_yticks(range(len(SETS)), [""] * len(SETS))
    axes.set_xlabel("error beside ridge's, %  (left is better)")
    axes.set_title(f"missing {mechanism}", fontsize=11)
    axes.grid(axis="y", color="#dddddd")


def ratio(lines: Sequence[Mapping[str, object]], method: str) -> float | None:
    """By how many percent the method's error is above ridge's."""
    draws = {line["holes"] for line in lines if line["method"] == method} & {
        line["holes"] for line in lines if line["method"] == "ridge"
    }
    found = summary([line for line in lines if line["holes"] in draws], "error")
    return 100 * (found[method][0] / found["ridge"][0] - 1) if draws else None


def coverage(axes: Axes) -> None:
    """JPVAE's, one dot per view, mean over the draws of the holes at random."""
    for at, name in enumerate(SETS):
        lines = [line["views"] for line in of(name, "at random") if line["method"] == JPVAE_NAME]
        for score, (low, level, high) in TARGETS.items():
            if at == 0:
                axes.axvspan(low, high, color="#f0e442", alpha=0.5, linewidth=0)
                axes.axvline(level, color="black", linewidth=0.8)
            for view in lines[0]:
                known = [views[view][score] for views in lines if views[view][score] is not None]
                if known:
                    axes.plot(np.mean(known), at, "o", color="#d55e00", alpha=0.8, markersize=6)
    axes.set_ylim(len(SETS) - 0.4, -0.6)
    axes.set_yticks(range(len(SETS)), [""] * len(SETS))
    axes.set_xticks([0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    axes.set_xlabel("inside the 50 % and the 95 % interval")
    axes.set_title("JPVAE's intervals, a dot per view", fontsize=11)
    axes.grid(axis="y", color="#dddddd")


if __name__ == "__main__":
    draw(PICTURE)
