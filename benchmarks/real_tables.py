"""Measure who fills views of real tables best: results/real_tables/SET.jsonl, a line per set, mechanism, holes and method.

    python benchmarks/real_tables.py                                  everything that is not yet there, small sets first; days
    python benchmarks/real_tables.py --set lgg --method ridge PLS --holes 2
    python benchmarks/real_tables.py --method ridge --again           measure these anew

The sets and how their views go missing: jpvae/experiments/real_tables.py. Holes number k: 70 % of the rows to learn from and
30 % to fill, both with holes, all drawn with seed k; every method sees the same. Settings: of rivals by held-out training rows
(jpvae/tables/rivals/validation.py), of JPVAE its defaults. Scores: jpvae/tables/scoring.py. Seconds: of the CPU, to fit and
fill. A run that is stopped goes on where it was. real_tables_page.py makes docs/real-tables.md of it.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import suites

from jpvae.atomic import write_atomically
from jpvae.errors import JPVAEWarning
from jpvae.experiments.real_tables import MECHANISMS, SETS, Tables
from jpvae.experiments.six_views import holes
from jpvae.tables.evaluation import JPVAE_NAME, fit, score, without_new_categories
from jpvae.tables.fillers import Imputer
from jpvae.tables.rivals import METHODS as RIVALS
from jpvae.views.checking import read_views
from jpvae.views.reading import Views

FOLDER = suites.RESULTS / "real_tables"
HELD_OUT, HOLES = 0.3, 5
MOFA = "MOFA+"
# As they were measured at the commits of their lines, and are kept (docs/experiments.md, items 18 to 20): before views had
# tails and slopes, and before training started at factor analysis; and the first release's, of which the page has a column.
FORMER = ("JPVAE 0.1, estimator's defaults", "JPVAE, normal errors", "JPVAE, random start")
BEFORE = ("JPVAE 0.1",)
OURS = (JPVAE_NAME, *BEFORE)
METHODS = (
    "column means",
    "ridge",
    "factor analysis",
    JPVAE_NAME,
    "PLS",
    "softImpute",
    "nearest neighbours",
    "extra trees",
    MOFA,
)
Split = tuple[Views, list[np.ndarray], list[np.ndarray], list[np.ndarray]]


def split(tables: Tables, mechanism: str, seed: int) -> Split:
    """The views as they are read, and their tables (R, p): training rows with holes; other rows with holes; these whole."""
    order = np.random.default_rng(1000 + seed).permutation(tables.rows)
    held_out, train = np.split(order, [round(HELD_OUT * tables.rows)])
    data = read_views({name: frame(x, tables.categories.get(name, ())) for name, x in tables.views.items()}, likelihood="infer")
    observed = holes(MECHANISMS[mechanism](tables), seed)
    whole = without_new_categories(data, train, held_out)
    holed = [np.where(seen[:, None], x, np.nan) for x, seen in zip(whole, observed.T, strict=True)]
    return data, [x[train] for x in holed], [x[held_out] for x in holed], [x[held_out] for x in whole]


def frame(x: np.ndarray, categories: Sequence[int]) -> pd.DataFrame:
    """A table whose categories are texts, as a person would have them."""
    made = pd.DataFrame(x, columns=[f"c{j}" for j in range(x.shape[1])])
    return made.astype({f"c{j}": str for j in categories})


def options(seed: int) -> dict[str, Any]:
    """Of JPVAE: its defaults."""
    return {"missing": "nan", "seed": seed, "progress": False}


def cell(tables: Tables, mechanism: str, seed: int, method: str) -> dict[str, Any]:
    """One line: who, how good by view, how long."""
    data, train, given, truth = split(tables, mechanism, seed)
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JPVAEWarning)  # of more latents than columns, of columns that are constant in a split
        if method == MOFA:
            from real_tables_mofa import FromMOFA

            filler: Imputer = FromMOFA(train, data.columns, seed=seed)
        else:
            filler = fit(method, options(seed), data.names, train, data.columns, seed=seed)
        fitted = time.process_time()
        scores = score(filler, truth, given, data.columns, train)
    return {
        "setting": filler.setting,
        "fit_seconds": round(fitted - began, 2),
        "seconds": round(time.process_time() - began, 2),
        "views": {name: rounded(found) for name, found in zip(data.names, scores, strict=True)},
    }


def means(
    method: str, data: Views, observed: np.ndarray, train: np.ndarray, new: np.ndarray, seed: int, scores: Sequence[str]
) -> dict[str, float | None]:
    """The method's ``scores``, means over the views, and CPU seconds. data: complete views; observed (N, M): which are left of
    them; train, new: the rows to learn from and to fill."""
    whole = without_new_categories(data, train, new)
    holed = [np.where(there[:, None], x, np.nan) for x, there in zip(whole, observed.T, strict=True)]
    known, began = [x[train] for x in holed], time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JPVAEWarning)  # of columns that are constant in so few rows
        filler = fit(method, options(seed), data.names, known, data.columns, seed=seed)
        found = score(filler, [x[new] for x in whole], [x[new] for x in holed], data.columns, known)
    each = {name: [x for view in found if (x := view[name]) is not None] for name in scores}
    mean = {name: round(fmean(values), 4) if values else None for name, values in each.items()}
    return mean | {"seconds": round(time.process_time() - began, 2)}


def rounded(scores: Mapping[str, float | None]) -> dict[str, float | None]:
    """To four digits after the point."""
    return {name: None if value is None else round(value, 4) for name, value in scores.items()}


def path(name: str) -> Path:
    """Where a set's lines are kept."""
    return FOLDER / f"{name.replace(' ', '_')}.jsonl"


def current(name: str) -> list[dict[str, Any]]:
    """A set's lines, but those of former settings that the page has no column of."""
    return [line for line in kept(name) if line["method"] not in FORMER]


def kept(name: str) -> list[dict[str, Any]]:
    """A set's lines."""
    return [json.loads(line) for line in path(name).read_text().splitlines()] if path(name).is_file() else []


def key(line: Mapping[str, Any]) -> tuple[str, int, str]:
    """What a line is about, within its set."""
    return line["mechanism"], line["holes"], line["method"]


def cells(
    sets: Sequence[str], mechanisms: Sequence[str], methods: Sequence[str], count: int
) -> Iterator[tuple[str, str, int, str]]:
    """All that is asked for; first every set with the first holes."""
    for seed in range(count):
        for name in sets:
            for mechanism in mechanisms:
                for method in methods:
                    yield name, mechanism, seed, method


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--mechanism", nargs="+", default=list(MECHANISMS), choices=list(MECHANISMS))
    parser.add_argument("--method", nargs="+", default=list(METHODS), choices=[*RIVALS, JPVAE_NAME, MOFA])
    parser.add_argument("--holes", type=int, default=HOLES, help="how many draws of the holes")
    parser.add_argument("--again", action="store_true", help="measure anew what is already there")
    asked = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    made_with, done = suites.made_with(), {name: {key(line) for line in kept(name)} for name in asked.set}
    for name, mechanism, seed, method in cells(asked.set, asked.mechanism, asked.method, asked.holes):
        if (mechanism, seed, method) in done[name] and not asked.again:
            continue
        about = {"set": name, "mechanism": mechanism, "holes": seed, "method": method}
        line = {**about, **cell(SETS[name](), mechanism, seed, method), **{k: made_with[k] for k in ("commit", "machine")}}
        others = [other for other in kept(name) if key(other) != key(line)]  # another run may have written in the meantime
        ordered = sorted([*others, line], key=lambda x: (list(MECHANISMS).index(x["mechanism"]), x["holes"], x["method"]))
        write_atomically(path(name), "".join(json.dumps(x) + "\n" for x in ordered).encode())
        errors = [found["error"] for found in line["views"].values() if found["error"] is not None]
        print(name, mechanism, seed, method, line["setting"], f"{np.mean(errors):.4f}", f"{line['seconds']:.1f} s", flush=True)


if __name__ == "__main__":
    main()
