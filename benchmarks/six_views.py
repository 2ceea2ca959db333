"""Measure who fills six tables of digits best (jpvae/experiments/six_views.py says how): results/six_views.json.

    python benchmarks/six_views.py           three draws of the holes, at random and by label; some ten minutes on one core
    python benchmarks/six_views.py --tune    print the validation errors by which the settings were chosen; longer
    python benchmarks/six_views.py --tune "nearest neighbours"                        of this method alone
    python benchmarks/six_views.py --add "ridge per pattern"                          measure this method beside what is kept

six_views_page.py draws what was measured.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from itertools import product
from statistics import mean, stdev
from typing import Any

import suites

from jpvae.atomic import write_atomically
from jpvae.experiments.data import six_views
from jpvae.experiments.six_views import MECHANISMS, compare, methods

KEPT = suites.RESULTS / "six_views.json"
SEEDS = (0, 1, 2)
JPVAE_OPTIONS: dict[str, Any] = {"likelihood": "infer", "progress": False}  # its defaults
SETTINGS: dict[str, dict[str, int]] = {
    "at random": {"neighbours": 20, "nearest": 50, "rounds": 5},
    "by label": {"neighbours": 10, "nearest": 100, "rounds": 5},
}
NEIGHBOURS, REGRESSIONS = (5, 10, 20, 40), ((20, 5), (50, 5), (100, 5))
JPVAE_CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"coordinates": "frame"},
    {"weight_decay": 0.3},
    {"calibration": 0.1},
    {"hidden": (256,)},
)


def measure() -> None:
    """Every mechanism and seed; the file is whole after each."""
    views, digits = six_views()
    head = {
        "made_with": suites.made_with() | {"scikit-learn": version("scikit-learn")},
        "error": "root mean square over the missing entries of 500 rows, columns in units of their standard deviation",
        "jpvae": JPVAE_OPTIONS,
        "imputers": SETTINGS,
        "views": {name: x.shape[1] for name, x in views.items()},
    }
    cases: list[dict[str, Any]] = []
    for seed, mechanism in product(SEEDS, MECHANISMS):
        fills = methods(JPVAE_OPTIONS | {"seed": seed}, **SETTINGS[mechanism])
        for method, found in compare(views, digits, mechanism, fills, seed=seed).items():
            cases.append({"mechanism": mechanism, "seed": seed, "method": method, **rounded(found)})
            print(cases[-1], flush=True)
        write(head, cases)


def add(method: str) -> None:
    """Every mechanism and seed of one more method; the others' cases stay as they were measured."""
    kept = json.loads(KEPT.read_text())
    views, digits = six_views()
    order = [*dict.fromkeys(case["method"] for case in kept["cases"]), method]
    cases = [case for case in kept.pop("cases") if case["method"] != method]
    for seed, mechanism in product(SEEDS, MECHANISMS):
        fills = {method: methods(JPVAE_OPTIONS | {"seed": seed}, **SETTINGS[mechanism])[method]}
        found = compare(views, digits, mechanism, fills, seed=seed)[method]
        cases.append({"mechanism": mechanism, "seed": seed, "method": method, **rounded(found)})
        print(cases[-1], flush=True)
    cases.sort(key=lambda case: (case["seed"], list(MECHANISMS).index(case["mechanism"]), order.index(case["method"])))
    del kept["summary"]
    made_with = {name: suites.made_with()[name] for name in ("commit", "machine")}
    write({**kept, "jpvae": JPVAE_OPTIONS, "added": kept.get("added", {}) | {method: made_with}}, cases)


def rounded(found: dict[str, Any]) -> dict[str, Any]:
    """Errors to four digits after the point, seconds to one; the mean over the views beside them."""
    errors = {name: round(e, 4) for name, e in found["errors"].items()}
    return {"seconds": round(found["seconds"], 1), "mean": round(mean(found["errors"].values()), 4), "errors": errors}


def summary(cases: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """{mechanism: {method: {view, "mean" or "seconds": [mean over the seeds, standard deviation]}}}."""
    by: dict[tuple[str, str], list[dict[str, float]]] = {}
    for case in cases:
        by.setdefault((case["mechanism"], case["method"]), []).append(
            case["errors"] | {"mean": case["mean"], "seconds": case["seconds"]}
        )
    result: dict[str, dict[str, dict[str, list[float]]]] = {}
    for (mechanism, method), found in by.items():
        over = {key: [f[key] for f in found] for key in found[0]}
        result.setdefault(mechanism, {})[method] = {
            key: [round(mean(x), 4), round(stdev(x) if len(x) > 1 else 0.0, 4)] for key, x in over.items()
        }
    return result


def write(head: dict[str, Any], cases: list[dict[str, Any]]) -> None:
    """results/six_views.json: a line per case."""
    text = json.dumps(head | {"summary": summary(cases)}, indent=1).removesuffix("\n}")
    write_atomically(KEPT, (text + ',\n "cases": [\n  ' + ",\n  ".join(map(json.dumps, cases)) + "\n ]\n}\n").encode())


def tune(only: list[str]) -> None:
    """Errors on 300 of the 1,500 rows, after fitting to the others; seed 0. only: these methods, or all if none."""
    views, digits = six_views()
    others = SETTINGS["at random"]
    tried: list[tuple[str, dict[str, Any], dict[str, int]]] = [
        *(("JPVAE", change, others) for change in JPVAE_CHANGES),
        *(("nearest neighbours", {}, others | {"neighbours": k}) for k in NEIGHBOURS),
        *(("IterativeImputer", {}, others | {"nearest": n, "rounds": r}) for n, r in REGRESSIONS),
    ]
    for (method, change, settings), mechanism in product(tried, MECHANISMS):
        if method in only or not only:
            fills = {method: methods(JPVAE_OPTIONS | change, **settings)[method]}
            found = compare(views, digits, mechanism, fills, seed=0, validate=True)[method]
            print(mechanism, method, change if method == "JPVAE" else settings, rounded(found), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--add"]:
        add(sys.argv[2])
    else:
        tune(sys.argv[2:]) if sys.argv[1:2] == ["--tune"] else measure()
