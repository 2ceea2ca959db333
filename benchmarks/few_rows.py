"""Who fills views when few rows are there to learn from? results/few_rows.json, and a table in docs/experiments.md.

    python benchmarks/few_rows.py                    what is not yet there, an hour of one core
    python benchmarks/few_rows.py --method JPVAE --again
    python benchmarks/few_rows.py --page             bring docs/experiments.md up to date

Sets of real_tables.py with more than 300 rows, cut to ROWS to learn from and 200 others to fill, drawn anew for each draw, 30 %
of the views of both missing at random. Every method sees the same. Settings and scores as in real_tables.py.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from statistics import mean
from typing import Any

import numpy as np
import real_tables
import suites

from jpvae.experiments.real_tables import MECHANISMS, SETS, Tables
from jpvae.experiments.six_views import holes
from jpvae.tables.evaluation import JPVAE_NAME
from jpvae.tables.rivals import METHODS as RIVALS
from jpvae.views.checking import read_views

KEPT, PAGE = suites.RESULTS / "few_rows.json", suites.ROOT / "docs/experiments.md"
BEGIN, END = "<!-- measured: benchmarks/few_rows.py -->", "<!-- end of few rows -->"
WIDE = ("lgg", "kipan", "brca", "breast cancer", "diabetes")
ROWS, NEW, DRAWS = (30, 80), 200, 5
BEFORE = "JPVAE, before"  # of the commit that its cases name (docs/experiments.md, item 22)
METHODS = (JPVAE_NAME, "ridge", "PLS", "factor analysis", "softImpute", "column means")
SCORES = ("error", "crps", "coverage_95", "log_loss")


def measure(tables: Tables, rows: int, draw: int, method: str) -> dict[str, Any]:
    """Means over the views of every score, and CPU seconds."""
    order = np.random.default_rng([rows, draw]).permutation(tables.rows)
    train, new = order[:rows], order[rows : rows + NEW]
    frames = {name: real_tables.frame(x, tables.categories.get(name, ())) for name, x in tables.views.items()}
    data = read_views(frames, likelihood="infer")
    return real_tables.means(method, data, holes(MECHANISMS["at random"](tables), draw), train, new, draw, SCORES)


def cases(asked: argparse.Namespace) -> Iterator[tuple[str, int, int, str]]:
    """All that is asked for; first every set with the first draw."""
    for draw in range(asked.draws):
        for rows in ROWS:
            for name in WIDE:
                for method in asked.method:
                    yield name, rows, draw, method


def key(case: Mapping[str, Any]) -> tuple[str, int, int, str]:
    """What a case is about."""
    return case["set"], case["rows"], case["draw"], case["method"]


def kept() -> list[dict[str, Any]]:
    """What has been measured."""
    return json.loads(KEPT.read_text()) if KEPT.exists() else []


def page() -> str:
    """docs/experiments.md with its table as it should be."""
    heads = ("error", "score", "95 %", "log loss")
    text = [f"| set, rows | method | {' | '.join(heads)} |", "|---" * (2 + len(heads)) + "|"]
    every = kept()
    for rows in ROWS:
        for name in WIDE:
            found = {
                m: [case for case in every if key(case)[:2] == (name, rows) and case["method"] == m] for m in (BEFORE, *METHODS)
            }
            scores = {m: [_mean(each, what) for what in SCORES] for m, each in found.items() if each}
            for method, values in scores.items():
                cells = []
                for k, value in enumerate(values):
                    every_one = [v[k] for v in scores.values() if v[k] is not None]
                    best = value is not None and SCORES[k] != "coverage_95" and value == min(every_one)
                    cells.append("–" if value is None else f"**{value:.3f}**" if best else f"{value:.3f}")
                text.append(f"| {name}, {rows} | {method} | {' | '.join(cells)} |")
    before, rest = PAGE.read_text().split(BEGIN)
    indented = "".join(f"    {line}\n" for line in text)
    return f"{before}{BEGIN}\n\n{indented}\n    {END}{rest.split(END, 1)[1]}"


def _mean(found: list[dict[str, Any]], what: str) -> float | None:
    values = [case[what] for case in found if case[what] is not None]
    return round(mean(values), 3) if values else None


def main() -> None:
    """Measure what is missing, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", nargs="+", default=METHODS, choices=[JPVAE_NAME, *RIVALS])
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--again", action="store_true", help="measure anew what is already there")
    parser.add_argument("--page", action="store_true", help="measure nothing; write the page")
    asked = parser.parse_args()
    if asked.page:
        PAGE.write_text(page())
        return
    made_with, done = suites.made_with(), {key(case) for case in kept()}
    for name, rows, draw, method in cases(asked):
        if (name, rows, draw, method) in done and not asked.again:
            continue
        about = {"set": name, "rows": rows, "draw": draw, "method": method}
        case = about | measure(SETS[name](), rows, draw, method) | {k: made_with[k] for k in ("commit", "machine")}
        every = [other for other in kept() if key(other) != key(case)] + [case]
        suites.write_cases(KEPT, sorted(every, key=lambda x: (x["rows"], WIDE.index(x["set"]), x["draw"], x["method"])))
        print(*key(case), {name: case[name] for name in (*SCORES, "seconds")}, flush=True)


if __name__ == "__main__":
    main()
