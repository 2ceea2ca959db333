"""How the suites' ratios have changed: each whole run of `make bench` adds its lines to results/history.csv.

    python benchmarks/history.py        draws docs/history.png and writes docs/history.md

A line is a suite's target, a ratio within one run: it depends on the machine much less than the times behind it.
"""

from __future__ import annotations

import csv
import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FILE = ROOT / "benchmarks/results/history.csv"
FIELDS = ("date", "commit", "machine", "suite", "quantity", "value")


def append(suite: str, made_with: Mapping[str, Any], values: Mapping[str, float], file: Path = FILE) -> None:
    """The values of one run, by what they are."""
    new, day = not file.exists(), datetime.datetime.now(datetime.UTC).date().isoformat()
    with file.open("a", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerows([FIELDS] if new else [])
        for quantity, value in values.items():
            writer.writerow((day, made_with["commit"], made_with["machine"], suite, quantity, f"{value:.3g}"))


def read(file: Path = FILE) -> dict[tuple[str, str], list[dict[str, str]]]:
    """The lines by suite and quantity, in the order of the runs."""
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    with file.open(newline="") as lines:
        for line in csv.DictReader(lines):
            found.setdefault((line["suite"], line["quantity"]), []).append(line)
    return found


def page(found: Mapping[tuple[str, str], Sequence[Mapping[str, str]]]) -> str:
    """The page's text."""
    lines = [
        "# Speed over time",
        "",
        "The targets of the benchmark suites, run by run: ratios within one run, of minimal times. `make bench` adds a line",
        "for each to `benchmarks/results/history.csv`; `python benchmarks/history.py` makes this page. Lines before",
        "2026-11-23 are those of the results that were committed. Where a target's wording changed, its line begins anew.",
        "",
        "![A curve for each quantity over the runs](history.png)",
        "",
        "| suite | quantity | first | last | runs | last commit |",
        "|---|---|---|---|---|---|",
    ]
    for (suite, quantity), runs in sorted(found.items()):
        first, last = runs[0], runs[-1]
        lines.append(f"| {suite} | {quantity} | {first['value']} | {last['value']} | {len(runs)} | {last['commit']} |")
    return "\n".join(lines) + "\n"


def draw(found: Mapping[tuple[str, str], Sequence[Mapping[str, str]]], path: Path) -> None:
    """One panel per suite, one line per quantity, by run."""
    from matplotlib.figure import Figure

    suites = sorted({suite for suite, _ in found})
    figure = Figure(figsize=(6.4, 4.2 * len(suites)), layout="constrained")
    for axes, suite in zip(figure.subplots(len(suites), squeeze=False)[:, 0], suites, strict=True):
        for (of, quantity), runs in found.items():
            if of == suite:
                axes.plot(
                    [f"{r['date']}\n{r['commit']}" for r in runs], [float(r["value"]) for r in runs], "o-", label=quantity
                )
        low, high = axes.get_ylim()
        axes.set(title=suite, yscale="log" if low < 0 or high > 10 * low else "linear")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.tick_params("x", labelsize=8)
        axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    figure.savefig(path, dpi=160)


if __name__ == "__main__":
    runs = read()
    draw(runs, ROOT / "docs/history.png")
    (ROOT / "docs/history.md").write_text(page(runs))
