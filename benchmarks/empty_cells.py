"""Single empty cells against the truth: three linear-Gaussian views of which each row shows one cell in five.

The world is that of linear_gaussian.py. Every training row lacks a random share of its cells, every test row four of the five
cells of each view; what the three cells left imply for the others is Gaussian regression. Release 0.1.0 hid no cells in
training, and its encoders were not told which cells are empty. Over the test rows' empty cells:

    slope        of the mean of the draws on the exact conditional mean: 1 is right
    rmse         of that mean over the exact conditional's
    correlation  of that mean with the true values, and `best`, that of the exact mean
    cover        how many true values the central 95 % of the draws contain
    effective    draws that 64 are worth, in the middle row

    python benchmarks/empty_cells.py [--seeds 3] [--out FILE.json]        prints the table, writes every run
"""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import linear_gaussian
import numpy as np
from linear_gaussian import ROWS, tables, world, write
from suites import made_with

from jpvae import JPVAE, planning

TEST, DRAWS = 1000, 200
BEFORE = "options of release 0.1.0"
SETTINGS: dict[str, dict[str, Any]] = {
    BEFORE: linear_gaussian.SETTINGS[BEFORE],
    "cells are not dropped in training": {"cell_dropout": 0.0},
    "defaults": {},
    "no cross terms": {"cross_weight": 0.0},
}
PROPOSALS: tuple[str | int | None, ...] = ("auto", None, 1000)


def without_bits() -> Any:
    """For a while, models whose encoders read 0 where a cell is empty, as 0.1.0's did: no option makes such any more."""
    made = planning.model_of
    return mock.patch("jpvae.fitting.model_of", lambda *args: replace(made(*args), cell_bits=False))


def with_gaps(views: list[np.ndarray], seed: int, *, four_of_five: bool) -> list[np.ndarray]:
    """NaN where empty: in each view of each row all cells but one, or a uniformly random share of them (never all)."""
    rng, result = np.random.default_rng(seed), []
    for view in views:
        order = np.argsort(rng.random(view.shape), axis=1)
        kept = np.ones((len(view), 1)) if four_of_five else rng.integers(1, view.shape[1] + 1, (len(view), 1))
        result.append(np.where(order < kept, view, np.nan))
    return result


def exact_means(x: np.ndarray) -> np.ndarray:
    """E[x | its cells that are not NaN], row by row."""
    covariance, _ = world()
    result = x.copy()
    for row in result:
        o, h = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
        row[h] = covariance[np.ix_(h, o)] @ np.linalg.solve(covariance[np.ix_(o, o)], row[o])
    return result


def measure(options: dict[str, Any], seed: int, before: bool) -> list[dict[str, Any]]:
    """Train once; impute as by default, without importance resampling and with much of it: 0.1.0 had none."""
    base: dict[str, Any] = {"likelihood": "gaussian", "entries": "marginalise", "seed": seed, "progress": False}
    with without_bits() if before else nullcontext():
        model = JPVAE(**base | options).fit(with_gaps(tables(ROWS, 10 + seed), seed, four_of_five=False))
    true = tables(TEST, 1000 + seed)
    given = with_gaps(true, 1000 + seed, four_of_five=True)
    x, gaps = np.concatenate(true, axis=1), np.isnan(np.concatenate(given, axis=1))
    exact = exact_means(np.where(gaps, np.nan, x))[gaps]
    effective = float(np.median(model.effective_draws(given)))
    runs = []
    for proposals in (None,) if before else PROPOSALS:
        drawn = np.concatenate(model.sample_imputations(given, n_draws=DRAWS, proposals=proposals), axis=-1)
        mean = drawn.mean(axis=0)[gaps]
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        found = {
            "slope": np.sum(mean * exact) / np.sum(exact**2),
            "rmse": np.sqrt(np.mean((mean - x[gaps]) ** 2) / np.mean((exact - x[gaps]) ** 2)),
            "correlation": np.corrcoef(mean, x[gaps])[0, 1],
            "best": np.corrcoef(exact, x[gaps])[0, 1],
            "cover": np.mean(((x >= low) & (x <= high))[gaps]),
            "effective": effective,
        }
        runs.append({"proposals": proposals, "seed": seed, **{name: float(value) for name, value in found.items()}})
    return runs


def main() -> None:
    """Every setting, every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--options", type=json.loads, default={}, help="JSON, over every setting's own")
    parser.add_argument("--out", type=Path)
    chosen, lines = parser.parse_args(), []
    made = {name: made_with()[name] for name in ("commit", "machine")}
    print("| setting | proposals | slope | rmse | correlation | best | cover | effective |\n" + "|---" * 8 + "|")
    for name, options in SETTINGS.items():
        if chosen.only not in name:
            continue
        runs = [run for seed in range(chosen.seeds) for run in measure(options | chosen.options, seed, name == BEFORE)]
        lines += [made | {"setting": name, "options": options | chosen.options, **run} for run in runs]
        for proposals in dict.fromkeys(run["proposals"] for run in runs):
            own = [run for run in runs if run["proposals"] == proposals]
            numbers = [f"{np.mean([run[key] for run in own]):.3f}" for key in list(own[0])[2:]]
            print(f"| {name} | {proposals or 'none'} | {' | '.join(numbers)} |", flush=True)
    if chosen.out is not None:
        write(lines, chosen.out)


if __name__ == "__main__":
    main()
