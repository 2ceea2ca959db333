"""The page docs/real-tables.md, from what real_tables.py measured: every set and method, what was lost as well as what was won.

python benchmarks/real_tables_page.py           bring the page's tables up to date
python benchmarks/real_tables_page.py --check   only say whether the page shows what was measured
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from real_tables import METHODS, OURS, current
from suites import ROOT

from jpvae.experiments.real_tables import MECHANISMS, SETS

PAGE = ROOT / "docs/real-tables.md"
BEGIN, END = "<!-- measured: benchmarks/real_tables.py -->", "<!-- end of measured -->"
NEAR = 1.02
SHOWN = {  # score: title, form, which is the best
    "error": ("Root mean square error, in standard deviations of the training rows", "{:.3f}", min),
    "correlation": ("Correlation with the truth", "{:.3f}", max),
    "crps": ("Continuous ranked probability score of the draws", "{:.3f}", min),
    "coverage_95": ("Hidden values inside their 95 % interval", "{:.3f}", None),
    "width_95": ("Width of that interval, in standard deviations", "{:.2f}", None),
    "coverage_50": ("Hidden values inside their 50 % interval", "{:.3f}", None),
    "log_loss": ("Log loss of categories and of zeros and ones, nats", "{:.3f}", min),
    "accuracy": ("Categories and zeros and ones filled right", "{:.3f}", max),
    "fit_seconds": ("Seconds to fit, on one core", "{:.1f}", None),
}
Lines = Sequence[Mapping[str, Any]]


def value(line: Mapping[str, Any], score: str) -> float | None:
    """A line's score: the mean over its views that have one."""
    if score == "fit_seconds":
        return float(line[score])
    found = [view[score] for view in line["views"].values() if view[score] is not None]
    return mean(found) if found else None


def summary(lines: Lines, score: str) -> dict[str, tuple[float, float, int]]:
    """{method: (mean over the draws of the holes, its standard error, how many draws)}."""
    by: dict[str, list[float]] = {}
    for line in lines:
        found = value(line, score)
        if found is not None:
            by.setdefault(line["method"], []).append(found)
    return {m: (mean(x), stdev(x) / math.sqrt(len(x)) if len(x) > 1 else math.nan, len(x)) for m, x in by.items()}


def of(name: str, mechanism: str) -> Lines:
    """The lines of a set and mechanism."""
    return [line for line in current(name) if line["mechanism"] == mechanism]


def measured_methods(everything: Iterable[Mapping[str, Any]]) -> list[str]:
    """Ours first, then the others in the script's order."""
    found = {line["method"] for line in everything}
    order = [*OURS, *(m for m in METHODS if m not in OURS)]
    return [m for m in order if m in found] + sorted(found - set(order))


def table(score: str, mechanism: str, methods: Sequence[str]) -> list[str]:
    """A row per set, a column per method; ± the standard error over the draws of the holes, where there are several."""
    title, form, best_of = SHOWN[score]
    text = [f"**{title}; missing {mechanism}**", "", "| set | " + " | ".join(methods) + " |", "|---" * (len(methods) + 1) + "|"]
    for name in SETS:
        found = summary(of(name, mechanism), score)
        if not found:
            continue
        best = None if best_of is None or len(found) == 1 else best_of(form.format(x) for x, _, _ in found.values())
        cells = []
        for method in methods:
            if method not in found:
                cells.append("–")
                continue
            x, error, count = found[method]
            shown = form.format(x)
            mark = "**" if shown == best else ""
            cells.append(f"{mark}{shown}{mark}" + (f"\u00a0±\u00a0{form.format(error)}" if count > 1 else ""))
        text.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*text, ""]


def verdict(mechanism: str, methods: Sequence[str]) -> list[str]:
    """For each of ours: on how many of the sets with a rival it has the smallest error, and where another is more than 2 %
    better; of the draws of the holes that it was measured on."""
    text = []
    for ours in (m for m in methods if m in OURS):
        compared, won, lost = 0, [], []
        for name in SETS:
            lines = of(name, mechanism)
            draws = {line["holes"] for line in lines if line["method"] == ours}
            same = [line for line in lines if line["holes"] in draws]
            found = {
                m: x for m, (x, _, n) in summary(same, "error").items() if m == ours or (m not in OURS and n == len(draws))
            }
            if ours not in found or len(found) < 2:
                continue
            compared += 1
            other = min((m for m in found if m != ours), key=lambda m: found[m])
            if found[ours] <= found[other]:
                won.append(name)
            elif found[ours] > NEAR * found[other]:
                lost.append(f"{name} ({other} is {100 * (1 - found[other] / found[ours]):.0f} % below)")
        best = f"{len(won)} of the {compared} sets compared" + (f" ({', '.join(won)})" if won else "")
        worse = f"{len(lost)}: {'; '.join(lost)}" if lost else "none"
        if compared:
            text += [f"- {ours}, missing {mechanism}: smallest error on {best}; another is more than 2 % better on {worse}."]
    return text


def tables() -> str:
    """The markdown between the page's markers."""
    everything = [line for name in SETS for line in current(name)]
    methods = measured_methods(everything)
    draws = {m: [max((s[2] for s in summary(of(n, m), "error").values()), default=0) for n in SETS] for m in MECHANISMS}
    counts = "; ".join(f"{m}: {min(d)} to {max(d)}" for m, d in draws.items())
    commits = ", ".join(sorted({line["commit"] for line in everything}))
    machines = "; ".join(sorted({line["machine"] for line in everything}))
    text = [f"Draws of the holes by set, {counts}. Machine: {machines}. Commits: {commits}.", "", "### Won and lost", ""]
    for mechanism in MECHANISMS:
        text += verdict(mechanism, methods)
    text += ["", "### Scores", ""]
    for score in SHOWN:
        for mechanism in MECHANISMS:
            if any(summary(of(name, mechanism), score) for name in SETS):
                text += table(score, mechanism, methods)
    text += ["### Error by view, missing at random", ""]
    for name in SETS:
        text += by_view(name, methods)
    return "\n".join(text).rstrip()


def by_view(name: str, methods: Sequence[str]) -> list[str]:
    """Each view's error on one set."""
    lines = of(name, "at random")
    if not lines:
        return []
    text = [f"*{name}*", "", "| view | " + " | ".join(methods) + " |", "|---" * (len(methods) + 1) + "|"]
    for view in lines[0]["views"]:
        by: dict[str, list[float]] = {}
        for line in lines:
            if line["views"][view]["error"] is not None:
                by.setdefault(line["method"], []).append(line["views"][view]["error"])
        if by:
            text.append(f"| {view} | " + " | ".join(f"{mean(by[m]):.3f}" if m in by else "–" for m in methods) + " |")
    return [*text, ""]


def page() -> str:
    """docs/real-tables.md with the tables as they should be."""
    before, rest = PAGE.read_text().split(BEGIN)
    return f"{before}{BEGIN}\n{tables()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if PAGE.read_text() == page() else f"{PAGE.name} does not show what was measured: run {sys.argv[0]}")
    PAGE.write_text(page())
