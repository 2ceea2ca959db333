"""The page docs/accuracy.md and its picture, from the lines that accuracy.py measured.

python benchmarks/accuracy_page.py           draw both
python benchmarks/accuracy_page.py --check   only say whether the page shows those lines
"""

from __future__ import annotations

import csv
import sys

import numpy as np
from accuracy import CASES, FAILURES, GAPS, MAIN, MOVED, OURS, ROOT, SEEDS, TABLE

PAGE, PICTURE = ROOT / "docs/accuracy.md", ROOT / "docs/accuracy.png"
BEGIN, END = "<!-- measured: benchmarks/accuracy.py -->", "<!-- end of measured -->"
SHOWN_GAPS = {"float32": ["1e-02", "1e-04", "1e-06"], "float64": ["1e-03", "1e-06", "1e-09", "1e-12"]}
INK = "#1b1b1f"
# Colour and line width, from the back to the front. The others lie on one another: each is drawn wider than the next.
LOOKS = {
    "slogdet, solve": ("#8a8a93", 8.0),
    "Cholesky": ("#009e73", 5.8),
    "torch.distributions": ("#3f9fdc", 3.6),
    "Eq. 9, inv": ("#0b3c6f", 1.3),
    OURS: ("#c8431b", 2.6),
}


def read_table() -> tuple[str, dict[tuple[str, ...], dict[str, str]]]:
    """The line that says with what, and the measured lines by (case, dtype, gap, method, library)."""
    with TABLE.open(newline="") as file:
        made_with = file.readline().removeprefix("# ").strip()
        return made_with, {tuple(r[k] for k in ("case", "dtype", "gap", "method", "library")): r for r in csv.DictReader(file)}


def cell(line: dict[str, str]) -> str:
    """median / worst, two digits; the count of failures in place of a worst or a median that is one."""
    failed = ", ".join(f"{line[kind]} {kind}" for kind in FAILURES if line[kind] != "0")
    return " / ".join(f"{float(line[k]):.1e}" if np.isfinite(float(line[k])) else failed for k in ("median", "worst"))


def tables() -> str:
    """The markdown between the page's markers."""
    made_with, lines = read_table()
    text = [f"Measured at: {made_with}."]
    for dtype, gaps in SHOWN_GAPS.items():
        text += ["", f"**{dtype}**, {MAIN}: relative error, median / worst of {len(SEEDS)} seeds", ""]
        text += ["| 1 − s | " + " | ".join(gaps) + f" | worst at {gaps[-1]}, in eps |", "|---" * (len(gaps) + 2) + "|"]
        for method, library in [key[3:] for key in lines if key[:3] == (MAIN, dtype, gaps[0])]:
            row = [lines[MAIN, dtype, gap, method, library] for gap in gaps]
            text.append(
                f"| {method} ({library}) | {' | '.join(map(cell, row))} | {float(row[-1]['worst']) / np.finfo(dtype).eps:.2g} |"
            )
    ends = [(dtype, gaps[-1]) for dtype, gaps in SHOWN_GAPS.items()]
    columns = [(dtype, gap, method) for dtype, gap in ends for method in (OURS, "slogdet, solve", MOVED)]
    text += [
        "",
        f"**Other cases**, torch, at 1 − s = {' and '.join(gap for _, gap in ends)}: relative error, median / worst",
        "",
    ]
    text += ["| | " + " | ".join(f"{dtype}: {method}" for dtype, _, method in columns) + " |", "|---" * 7 + "|"]
    for name in CASES:
        row = [lines[name, *column, "exact" if column[2] == MOVED else "torch"] for column in columns]
        text.append(f"| {name} | {' | '.join(map(cell, row))} |")
    return "\n".join(text)


def page() -> str:
    """docs/accuracy.md with the tables as they should be."""
    before, rest = PAGE.read_text().split(BEGIN)
    return f"{before}{BEGIN}\n{tables()}\n{END}{rest.split(END)[1]}"


def plot() -> None:
    """Median error of the main case against 1 - s, in torch, a panel per dtype; a cross at the top where seeds failed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    _, lines = read_table()
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.2))
    for axis, (dtype, gaps), limits in zip(axes, GAPS.items(), ((1e-8, 1e3), (1e-17, 1e1)), strict=True):
        eps, crosses = float(np.finfo(dtype).eps), 0
        axis.set(xscale="log", yscale="log", xlim=(gaps[0] * 1.3, gaps[-1] / 1.3), ylim=limits)
        axis.axhline(eps, color=INK, lw=0.8, ls=(0, (4, 3)), zorder=0)
        axis.annotate("eps", (gaps[-1], eps), xytext=(0, 5), textcoords="offset points", ha="right", color=INK, fontsize=9)
        for place, (method, (colour, width)) in enumerate(LOOKS.items()):
            rows = [lines[MAIN, dtype, f"{gap:.0e}", method, "torch"] for gap in gaps]
            medians = [float(row["median"]) for row in rows]
            axis.plot(
                gaps,
                medians,
                color=colour,
                lw=width,
                solid_capstyle="butt",
                marker="o" if method == OURS else "",
                ms=5,
                mec="white",
            )
            shift = 0 if method == OURS else 20 - 14 * place  # the others end in one point: their names are spread
            axis.annotate(
                method,
                (gaps[-1], medians[-1]),
                xytext=(24, shift),
                textcoords="offset points",
                va="center",
                color=colour,
                fontsize=10,
                weight="bold" if method == OURS else "normal",
                arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.6, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)},
            )
            for gap, row in zip(gaps, rows, strict=True):
                if failed := sum(int(row[kind]) for kind in FAILURES):
                    at, top = (gap, 0.98 - 0.06 * crosses), axis.get_xaxis_transform()
                    axis.plot(*at, "x", color=colour, mew=1.8, ms=6, transform=top, clip_on=False)
                    text = f"{method}: {failed} of {row['seeds']} fail"
                    where = {"xycoords": top, "xytext": (-8, 0), "textcoords": "offset points", "ha": "right", "va": "center"}
                    axis.annotate(text, at, **where, color=colour, fontsize=9)
                    crosses += 1
        axis.set_title(dtype, fontsize=12, color=INK, loc="left")
        axis.set_xlabel("1 − s, the coupling's distance from 1")
        axis.spines[["top", "right"]].set_visible(False)
        axis.minorticks_off()
    axes[0].set_ylabel("relative error of the KL")
    figure.tight_layout(w_pad=1.0)
    figure.savefig(PICTURE, dpi=130)


def write() -> None:
    """The page with its tables brought up to date, and the picture."""
    PAGE.write_text(page())
    plot()


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if PAGE.read_text() == page() else "docs/accuracy.md does not show benchmarks/results/accuracy.csv")
    write()
