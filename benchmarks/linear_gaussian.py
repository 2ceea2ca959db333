"""Draws of trained models against the truth, where the truth is a formula: three linear-Gaussian views, two of them seen.

    x_i = A_i u + B_i v_i + noise,   u ~ N(0, I_3) shared by all views, v_i ~ N(0, I_2) each view's own

For each setting of the estimator, over rows that it was not trained on, of the third view given the other two:

    slope   of the mean of the draws on the exact conditional mean: 1 is right, less is shrunken
    RMSE    of that mean over the exact conditional's
    beta    the regression coefficient of x_3 on x_1 estimated from imputed tables, over the truth
    cover   how many true values the central 95 % of the draws contain

Then a model that is not trained but set by hand to the truth (proofs_tests/_support/exact.py), under both posteriors.

    python benchmarks/linear_gaussian.py [--seeds 3] [--only NAME] [--out FILE.json]    the table; every run to the file
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from suites import ROOT, made_with

from jpvae import JPVAE
from jpvae.options import BEFORE

sys.path.append(str(ROOT / "proofs_tests" / "_support"))
from exact import Exact, exact

COLUMNS, ROWS, TEST = (5, 5, 5), 2000, 2000
BY_HAND = "set by hand"
SETTINGS: dict[str, dict[str, Any]] = {
    f"{BY_HAND}, Eq. 3 posterior": {"posterior": "factorised"},
    f"{BY_HAND}, fused posterior": {"posterior": "fused"},
    "options of release 0.1.0": {
        **BEFORE,
        "prior": "canonical",
        "latent_dims": 20,
        "hidden": (512, 512),
        "epochs": 30,
        "learning_rate": 2e-3,
        "coupling_rate": 0.1,
        "max_gradient_norm": None,
        "backend": "torch",
    },
    "Eq. 3 posterior": {"posterior": "factorised"},
    "the cross terms at 0.4 whatever the rows": {"cross_weight": 0.4},
    "defaults": {},
}


def world() -> tuple[np.ndarray, np.ndarray]:
    """The covariance of all columns, and its factor."""
    rng = np.random.default_rng(2026)
    factor = np.zeros((sum(COLUMNS), 3 + 2 * len(COLUMNS)))
    start = 0
    for i, c in enumerate(COLUMNS):
        factor[start : start + c, :3] = rng.standard_normal((c, 3)) / np.sqrt(3)
        factor[start : start + c, 3 + 2 * i : 5 + 2 * i] = 0.7 * rng.standard_normal((c, 2)) / np.sqrt(2)
        start += c
    return factor @ factor.T + 0.1 * np.eye(len(factor)), factor


def tables(rows: int, seed: int) -> list[np.ndarray]:
    """New subjects."""
    covariance, _ = world()
    x = np.random.default_rng(seed).multivariate_normal(np.zeros(len(covariance)), covariance, rows)
    return np.split(x, np.cumsum(COLUMNS)[:-1], axis=1)


def measure(options: dict[str, Any], seed: int, draws: int = 200) -> dict[str, float]:
    """Train on complete rows, hide the third view of others, compare."""
    train, test = tables(ROWS, 10 + seed), tables(TEST, 1000 + seed)
    begin = time.perf_counter()
    model = JPVAE(likelihood="gaussian", seed=seed, progress=False, **options).fit(train)
    seconds = time.perf_counter() - begin
    covariance, _ = world()
    o, h = slice(0, 10), slice(10, 15)
    gain = np.linalg.solve(covariance[o, o], covariance[o, h])
    exact = np.concatenate(test[:2], axis=1) @ gain
    found = np.stack(model.sample_imputations([*test[:2], None], n_draws=draws)[2])
    mean = found.mean(axis=0)
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    betas = [np.linalg.lstsq(test[0] - test[0].mean(0), d - d.mean(0), rcond=None)[0] for d in found[:20]]
    truth = np.linalg.solve(covariance[:5, :5], covariance[:5, h])
    return {
        "slope": float(np.sum(mean * exact) / np.sum(exact**2)),
        "rmse": float(np.sqrt(np.mean((mean - test[2]) ** 2) / np.mean((exact - test[2]) ** 2))),
        "beta": float(np.sum(np.mean(betas, axis=0) * truth) / np.sum(truth**2)),
        "cover": float(np.mean((test[2] >= low) & (test[2] <= high))),
        "seconds": seconds,
    }


def set_by_hand(model: Exact, seed: int, rows: int = 2000, draws: int = 200) -> dict[str, float]:
    """The same slope and error, columns in units of their standard deviation, of a model that is the truth."""
    views, seen = model.sample(rows, 1000 + seed), np.array([True, True, False])
    wanted, covariance = model.conditional(views, seen)
    found = model.model.sample_imputations([*views[:2], None], n_draws=draws)[2]
    units = np.sqrt(np.diag(covariance))
    centred, error = (wanted - wanted.mean(axis=0)) / units, (found.mean(axis=0) - views[2]) / units
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    c, h = views[0].shape[1], slice(-views[2].shape[1], None)
    betas = [np.linalg.lstsq(views[0] - views[0].mean(0), d - d.mean(0), rcond=None)[0] for d in found[:20]]
    truth = np.linalg.solve(model.covariance[:c, :c], model.covariance[:c, h])
    variances = np.diag(model.covariance)
    scale = variances[:c, None] / variances[h]  # coefficients of columns in units of their standard deviations, squared
    return {
        "slope": float(1 + np.sum(centred * (found.mean(axis=0) - wanted) / units) / np.sum(centred**2)),
        "rmse": float(np.sqrt(np.mean(error**2) / np.mean(((wanted - views[2]) / units) ** 2))),
        "beta": float(np.sum(np.mean(betas, axis=0) * truth * scale) / np.sum(truth**2 * scale)),
        "cover": float(np.mean((views[2] >= low) & (views[2] <= high))),
        "seconds": 0.0,
    }


def write(lines: list[dict[str, Any]], path: Path) -> None:
    """Every run to a JSON file; what it has of other settings stays."""
    others = json.loads(path.read_text()) if path.exists() else []
    kept = [run for run in others if run["setting"] not in {line["setting"] for line in lines}]
    path.write_text(json.dumps(kept + lines, indent=1) + "\n")


def main() -> None:
    """Every setting, every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--options", type=json.loads, default={}, help="JSON, over every setting's own")
    parser.add_argument("--out", type=Path)
    chosen, lines = parser.parse_args(), []
    made = {name: made_with()[name] for name in ("commit", "machine")}
    print("| setting | slope | RMSE | beta | cover | s |\n|---|---|---|---|---|---|")
    for name, options in SETTINGS.items():
        if chosen.only in name:
            by_hand = name.startswith(BY_HAND)
            first = exact(**options) if by_hand else options | chosen.options
            runs = [(set_by_hand if by_hand else measure)(first, seed) for seed in range(chosen.seeds)]
            about = made | {"setting": name, "options": options | chosen.options}
            lines += [about | {"seed": seed} | run for seed, run in enumerate(runs)]
            print(f"| {name} |", " | ".join(f"{np.mean([r[key] for r in runs]):.3f}" for key in runs[0]), "|", flush=True)
    if chosen.out is not None:
        write(lines, chosen.out)


if __name__ == "__main__":
    main()
