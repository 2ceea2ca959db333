"""Who fills views that are related by curves? Simulated tables: results/curves.json, and the table in docs/experiments.md.

    python benchmarks/curves.py          measure everything, some minutes of one core
    python benchmarks/curves.py --page   bring docs/experiments.md up to date

Views a and b of N rows and 500 new ones; a fifth of the N lacks a, another fifth b, and of new rows one view is hidden in turn.

    lines      six numbers that both views have linear maps of, with noise
    tanh       both views are tanh of linear maps of three numbers
    clusters   six clusters
    products   b is made of the products of the columns of a; b tells nothing of a
    circle     a shows an angle's first harmonics, b the next two: all correlations across are 0

"by lines" is JPVAE as it would train if it had not seen the curves: its weight of cross terms on lines, half the steps.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import suites
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV

from jpvae import JPVAE
from jpvae.atomic import write_atomically
from jpvae.training.nonlinearity import CURVED, gain_of_curves, most_rows

KEPT, PAGE = suites.RESULTS / "curves.json", suites.ROOT / "docs/experiments.md"
BEGIN, END = "<!-- measured: benchmarks/curves.py -->", "<!-- end of measured -->"
NEW, ROWS = 500, (300, 1000)
TRUTHS = ("lines", "tanh", "clusters", "products", "circle")
METHODS = ("ridge", "kernel ridge", "extra trees", "JPVAE by lines", "JPVAE")


def tables(truth: str, rows: int) -> list[np.ndarray]:
    """Views a and b (rows, c), with noise."""
    rng, fixed = np.random.default_rng([rows, TRUTHS.index(truth)]), np.random.default_rng(TRUTHS.index(truth))
    if truth in ("lines", "tanh"):
        u = rng.standard_normal((rows, 6 if truth == "lines" else 3))
        whole = [u @ fixed.standard_normal((u.shape[1], c)) for c in (10, 12)]
        clean = whole if truth == "lines" else [np.tanh(2.0 * x) for x in whole]
    elif truth == "clusters":
        member = rng.integers(0, 6, rows)
        clean = [0.75 * fixed.standard_normal((6, c))[member] for c in (6, 9)]
    elif truth == "products":
        a = rng.standard_normal((rows, 5))
        i, j = np.triu_indices(5, 1)
        clean = [a, (a[:, i] * a[:, j]) @ fixed.standard_normal((10, 6)) / 3.0]
    else:
        t = rng.uniform(0.0, 2.0 * np.pi, rows)
        waves = [[wave(k * t) for k in harmonics for wave in (np.cos, np.sin)] for harmonics in ((1,), (2, 3))]
        clean = [np.stack(each, axis=1) @ fixed.standard_normal((len(each), 8)) for each in waves]
    noise = 1.0 if truth == "lines" else 0.4
    return [x + noise * rng.standard_normal(x.shape) for x in clean]


def filled(method: str, train: list[np.ndarray], new: list[np.ndarray], bent: bool) -> list[np.ndarray]:
    """Each view of the new rows, from the other."""
    known = [~np.isnan(x).any(axis=1) for x in train]
    if method.startswith("JPVAE"):
        few = 500.0 if len(train[0]) <= 300 else 1500.0
        weight = min(1.0, 10.0 * sum(x.shape[1] for x in train) / len(train[0]))
        by_lines = {"cross_weight": weight, "steps": round(few)} if bent and method != METHODS[-1] else {}
        model = JPVAE(likelihood="gaussian", missing="nan", progress=False, **by_lines).fit(train)
        holed = [[np.full_like(x, np.nan) if j == hidden else x for j, x in enumerate(new)] for hidden in (0, 1)]
        return [np.asarray(model.impute(views)[hidden]) for hidden, views in enumerate(holed)]
    both, columns = known[0] & known[1], float(np.mean([x.shape[1] for x in train]))
    make: dict[str, Callable[[], Any]] = {
        "ridge": lambda: RidgeCV(np.logspace(-3, 3, 13)),
        "kernel ridge": lambda: GridSearchCV(
            KernelRidge(kernel="rbf"), {"alpha": np.logspace(-2, 1, 4), "gamma": np.array([0.1, 0.3, 1.0, 3.0]) / columns}
        ),
        "extra trees": lambda: ExtraTreesRegressor(200, min_samples_leaf=2, random_state=0),
    }
    return [make[method]().fit(train[1 - j][both], train[j][both]).predict(new[1 - j]) for j in (0, 1)]


def measure(truth: str, rows: int) -> dict[str, Any]:
    """Errors of a and of b in standard deviations, and CPU seconds, of every method."""
    views = tables(truth, rows + NEW)
    views = [(x - x[:rows].mean(axis=0)) / x[:rows].std(axis=0) for x in views]
    lacking = np.random.default_rng(rows).random(rows)
    lost = [lacking < 0.2, lacking > 0.8]
    train = [np.where(gone[:, None], np.nan, x[:rows]) for gone, x in zip(lost, views, strict=True)]
    new = [x[rows:] for x in views]
    whole = np.flatnonzero(~(lost[0] | lost[1]))[: most_rows(2)]
    gain, found = gain_of_curves([x[whole] for x in train]), {}
    for method in METHODS:
        began = time.process_time()
        errors = [
            float(np.sqrt(np.mean((x - y) ** 2))) for x, y in zip(filled(method, train, new, gain > CURVED), new, strict=True)
        ]
        found[method] = {"errors": [round(e, 3) for e in errors], "seconds": round(time.process_time() - began, 1)}
    return {"truth": truth, "rows": rows, "gain": round(gain, 3), "methods": found}


def page() -> str:
    """docs/experiments.md with its table as it should be."""
    text = [f"| truth, rows | gain | {' | '.join(METHODS)} |", "|---" * (2 + len(METHODS)) + "|"]
    for case in json.loads(KEPT.read_text())["cases"]:
        errors = {method: case["methods"][method]["errors"] for method in METHODS}
        best = [min(e[j] for e in errors.values()) for j in (0, 1)]
        cells = [
            ", ".join(f"**{x:.3f}**" if x == b else f"{x:.3f}" for x, b in zip(errors[m], best, strict=True)) for m in METHODS
        ]
        text.append(f"| {case['truth']}, {case['rows']:,} | {case['gain']:.2f} | {' | '.join(cells)} |")
    before, rest = PAGE.read_text().split(BEGIN)
    indented = "".join(f"    {line}\n" for line in text)
    return f"{before}{BEGIN}\n\n{indented}\n    {END}{rest.split(END, 1)[1]}"


def main() -> None:
    """Measure, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="measure nothing; write the page")
    if parser.parse_args().page:
        PAGE.write_text(page())
        return
    cases = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for rows in ROWS:
            for truth in TRUTHS:
                cases.append(measure(truth, rows))
                print(json.dumps(cases[-1]), flush=True)
    lines = ",\n  ".join(map(json.dumps, cases))
    head = json.dumps({"made_with": suites.made_with()}, indent=1).removesuffix("\n}")
    write_atomically(Path(KEPT), (head + ',\n "cases": [\n  ' + lines + "\n ]\n}\n").encode())


if __name__ == "__main__":
    main()
