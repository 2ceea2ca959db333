"""The page docs/six-views.md and its figure, from what six_views.py measured.

python benchmarks/six_views_page.py           draw both
python benchmarks/six_views_page.py --check   only say whether the page shows what was measured
"""

from __future__ import annotations

import json
import sys
from typing import Any

from six_views import KEPT
from suites import ROOT

PAGE, PICTURE = ROOT / "docs/six-views.md", KEPT.with_suffix(".png")
BEGIN, END = "<!-- measured: benchmarks/six_views.py -->", "<!-- end of measured -->"
INK, FAINT = "#1b1b1f", "#d9d9de"
COLOURS = {
    "JPVAE": "#c8431b",
    "nearest neighbours": "#0b3c6f",
    "IterativeImputer": "#3f9fdc",
    "ridge per pattern": "#2f7d4f",
    "column means": "#8a8a93",
}


def tables(kept: dict[str, Any]) -> str:
    """The markdown between the page's markers: a table per mechanism, the best of each column in bold."""
    made = kept["made_with"]
    seeds = len({case["seed"] for case in kept["cases"]})
    text = [
        f"Measured at commit {made['commit']} on {made['machine']}; mean ± standard deviation of {seeds} draws of the holes."
    ]
    for method, added in kept.get("added", {}).items():
        text[0] += f" {method}: commit {added['commit']}, {added['machine']}."
    for mechanism, found in kept["summary"].items():
        columns = [*kept["views"], "mean", "seconds"]
        text += ["", f"**Missing {mechanism}**", "", "| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        best = {c: min(row[c][0] for row in found.values()) for c in columns[:-1]}
        for method, row in found.items():
            cells = [cell(*row[c], bold=row[c][0] == best[c]) for c in columns[:-1]]
            text.append(f"| {method} | {' | '.join(cells)} | {row['seconds'][0]:.0f} |")
    return "\n".join(text)


def cell(mean: float, spread: float, *, bold: bool) -> str:
    """0.512 ± 0.004, in bold or not."""
    mark = "**" if bold else ""
    return f"{mark}{mean:.3f}{mark} ± {spread:.3f}"


def page() -> str:
    """docs/six-views.md with the tables as they should be."""
    before, rest = PAGE.read_text().split(BEGIN)
    return f"{before}{BEGIN}\n{tables(json.loads(KEPT.read_text()))}\n{END}{rest.split(END)[1]}"


def plot() -> None:
    """A panel per mechanism: a row per view, a dot per method at its error, a thin line over the draws' range."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    kept = json.loads(KEPT.read_text())
    views = [*kept["views"], "mean"]
    figure, axes = plt.subplots(1, len(kept["summary"]), figsize=(9.5, 4.3), sharex=True, sharey=True)
    for axis, (mechanism, found) in zip(axes, kept["summary"].items(), strict=True):
        for y, view in enumerate(views):
            at = [row[view][0] for row in found.values()]
            axis.plot([min(at), max(at)], [y, y], color=FAINT, lw=3, solid_capstyle="round", zorder=1)
        for method, colour in COLOURS.items():
            cases = [
                c["errors"] | {"mean": c["mean"]} for c in kept["cases"] if (c["mechanism"], c["method"]) == (mechanism, method)
            ]
            look = {"s": 95, "zorder": 4} if method == "JPVAE" else {"s": 55, "zorder": 3}
            axis.scatter(
                [found[method][v][0] for v in views], range(len(views)), color=colour, edgecolors="white", label=method, **look
            )
            for y, view in enumerate(views):
                draws = [case[view] for case in cases]
                axis.plot([min(draws), max(draws)], [y, y], color=colour, lw=1.6, zorder=2)
        axis.axhline(len(views) - 1.5, color=INK, lw=0.6)
        axis.set_title(f"missing {mechanism}", fontsize=12, color=INK, loc="left")
        axis.set_xlabel("error on new rows, standard deviations")
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    names = [f"{name} ({columns})" for name, columns in kept["views"].items()]
    axes[0].set_yticks(range(len(views)), [*names, "mean of the six"])
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=len(COLOURS), frameon=False, fontsize=10.5, labelcolor="linecolor")
    figure.tight_layout(w_pad=2.0, rect=(0, 0, 1, 0.93))
    figure.savefig(PICTURE, dpi=130)


def write() -> None:
    """The page with its tables brought up to date, and the figure."""
    PAGE.write_text(page())
    plot()


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if PAGE.read_text() == page() else f"{PAGE.name} does not show {KEPT.name}: run {sys.argv[0]}")
    write()
