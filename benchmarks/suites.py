"""A benchmark suite: the cases that were timed, the one table of ratios that is printed, the JSON that is kept.

A case is one method at one point x of one sweep. Its error, against an independent float64 reference, was checked before
it was timed, and stands in the table: a faster case with a larger error is not a win, ours neither, and is marked "!".
A module test_bench_<name>.py has its Suite in ``SUITE``; conftest.py times the cases and calls what is here.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cpuinfo
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from jpvae.atomic import write_atomically

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results"


@dataclass(frozen=True)
class Case:
    """One method at one point of one sweep. peak_bytes: above what was there before; None where it can't be known."""

    sweep: str
    x: float
    method: str
    median: float  # seconds
    minimum: float  # seconds; ratios, growth and targets are of minima, which other work on the machine moves least
    error: float
    peak_bytes: int | None


class Results:
    """The cases of one run."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = list(cases)

    def at(self, sweep: str, x: float, method: str) -> Case | None:
        """That case, or None where it was left out."""
        return next((c for c in self.cases if (c.sweep, c.x, c.method) == (sweep, x, method)), None)

    def line(self, sweep: str, method: str) -> list[Case]:
        """A method's cases in a sweep, by x."""
        return sorted((c for c in self.cases if (c.sweep, c.method) == (sweep, method)), key=lambda c: c.x)

    def methods(self, sweep: str) -> list[str]:
        """The methods in a sweep, in the order in which they came."""
        return list(dict.fromkeys(c.method for c in self.cases if c.sweep == sweep))

    def ratio(self, sweep: str, x: float, method: str, other: str) -> float:
        """How many times as long as ``other`` the method takes."""
        case, reference = self.at(sweep, x, method), self.at(sweep, x, other)
        assert case is not None
        assert reference is not None
        return case.minimum / reference.minimum

    def growth(self, sweep: str, method: str) -> float:
        """p of time ~ x^p: least squares on the logarithms of the upper half of the points; NaN for fewer than three."""
        line = self.line(sweep, method)
        upper = line[len(line) // 2 :]
        if len(upper) < 3:
            return math.nan
        return float(np.polyfit(np.log([c.x for c in upper]), np.log([c.minimum for c in upper]), 1)[0])


@dataclass(frozen=True)
class Target:
    """What a suite must show: ``measure(results)`` at least or at most a number. A missed one fails the run if asserted."""

    says: str
    measure: Callable[[Results], float]
    at_least: float = -math.inf
    at_most: float = math.inf
    asserted: bool = True

    def report(self, results: Results) -> tuple[bool, str]:
        """Whether it is met, and a line that says so."""
        value = self.measure(results)
        met = self.at_least <= value <= self.at_most
        wanted = f"at least {self.at_least:g}" if self.at_most == math.inf else f"at most {self.at_most:g}"
        return met, f"{'met' if met else 'MISSED'}: {self.says}: {value:.3g} (wanted: {wanted})"


@dataclass(frozen=True)
class Panel:
    """One panel of the figure: quantity is "minimum", "error" or "peak_bytes" against the sweep's x."""

    sweep: str
    quantity: str
    title: str


@dataclass(frozen=True, eq=False)
class Suite:
    """What does not depend on the run. sweeps: name -> what x is; colours: method -> colour, drawn in this order."""

    name: str  # results/<name>.json and .png
    title: str
    ours: str  # the method that the others are divided by
    error: str  # what the error is
    sweeps: dict[str, str]
    colours: dict[str, str]
    panels: tuple[Panel, ...]
    notes: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()


def duration(seconds: float) -> str:
    """Three digits in a fitting unit."""
    unit, scale = next((u, s) for u, s in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)) if seconds >= s or u == "µs")
    return f"{seconds / scale:.3g} {unit}"


def table(suite: Suite, results: Results) -> str:
    """Our times, and how many times as long the others take; growth, worst error and peak memory at the last point."""
    width = max(len({c.x for c in results.cases if c.sweep == sweep}) for sweep in suite.sweeps)
    grid = Table(title=f"{suite.title}\nratios of minimal times to {suite.ours}", title_style="bold", show_header=False)
    for _ in range(width + 4):
        grid.add_column(justify="right", no_wrap=True)
    grid.columns[0].justify = "left"
    for sweep, meaning in suite.sweeps.items():
        points = sorted({c.x for c in results.cases if c.sweep == sweep})
        if not points:
            continue
        blank = [""] * (width - len(points))
        grid.add_row(meaning, *(f"{x:,g}" for x in points), *blank, "growth", "error", "memory", end_section=True, style="bold")
        for method in results.methods(sweep):
            line = results.line(sweep, method)
            cells = [cell(suite, results, sweep, x, method) for x in points]
            growth, peak = results.growth(sweep, method), line[-1].peak_bytes
            tail = ["" if math.isnan(growth) else f"{growth:.2f}", f"{max(c.error for c in line):.1e}"]
            grid.add_row(method, *cells, *blank, *tail, "" if peak is None else f"{peak / 1e6:,.3g} MB")
        grid.add_section()
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(grid)
    below = [f"error: {suite.error}; the worst of the line. memory: peak above the inputs, at the line's last point."]
    below += ["!: the faster of the two, that or ours, has the larger error."]
    below += ["growth: p of time ~ x^p, fitted on the upper half of the points.", *suite.notes]
    return capture.get() + "\n".join(below)


def cell(suite: Suite, results: Results, sweep: str, x: float, method: str) -> str:
    """A time where the method is ours, a ratio to ours elsewhere."""
    case, ours = results.at(sweep, x, method), results.at(sweep, x, suite.ours)
    if case is None:
        return "–"
    if ours is None or case is ours:
        return duration(case.minimum)
    faster, slower = (case, ours) if case.minimum < ours.minimum else (ours, case)
    mark = " !" if faster.error > slower.error else ""
    return f"× {case.minimum / ours.minimum:,.3g}{mark}"


def write_cases(path: Path, cases: Sequence[Mapping[str, Any]]) -> None:
    """A file of results, a line for each, whole or not at all."""
    write_atomically(path, ("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n").encode())


def made_with() -> dict[str, Any]:
    """Machine, versions and commit ("-dirty" where anything but results has changed since)."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results")
    device = torch.get_default_device().type
    return {
        "commit": (git("rev-parse", "--short", "HEAD") or "unknown") + ("-dirty" if changed else ""),
        "machine": f"{platform.system()} {platform.machine()}, {cpuinfo.get_cpu_info()['brand_raw']}, {os.cpu_count()} cores",
        "threads": 1,
        **({} if device == "cpu" else {"device": torch.cuda.get_device_name()}),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "torch", "jax")},
    }


def place(suite: Suite, ending: str) -> Path:
    """The file of a suite's results, by the device that torch computes on."""
    device = torch.get_default_device().type
    return RESULTS / f"{suite.name}{'' if device == 'cpu' else '-' + device}.{ending}"


def save(suite: Suite, results: Results) -> None:
    """results/<name>.json: a line per case, three digits."""
    head: dict[str, Any] = {"suite": suite.name, "made_with": made_with(), "error": suite.error}
    head["targets"] = [target.report(results)[1] for target in suite.targets]
    head["growth"] = {
        sweep: {m: round(p, 2) for m in results.methods(sweep) if not math.isnan(p := results.growth(sweep, m))}
        for sweep in suite.sweeps
    }
    lines = [
        json.dumps({k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in asdict(c).items()}, ensure_ascii=False)
        for c in results.cases
    ]
    text = json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}")
    place(suite, "json").write_text(text + ',\n "cases": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n")


def load(suite: Suite) -> Results:
    """What ``save`` kept."""
    kept = json.loads(place(suite, "json").read_text())
    return Results([Case(**case) for case in kept["cases"]])
