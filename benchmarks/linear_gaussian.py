"""Draws of trained models against the truth, where the truth is a formula: three linear-Gaussian views, two of them seen.

    x_i = A_i u + B_i v_i + noise,   u ~ N(0, I_3) shared by all views, v_i ~ N(0, I_2) each view's own

For each setting of the estimator, over rows that it was not trained on, of the third view given the other two:

    slope   of the mean of the draws on the exact conditional mean: 1 is right, less is shrunken
    RMSE    of that mean over the exact conditional's
    beta    the regression coefficient of x_3 on x_1 estimated from imputed tables, over the truth
    cover   how many true values the central 95 % of the draws contain

    python benchmarks/linear_gaussian.py [--seeds 3] [--only NAME] [--out FILE.json]    the table; every run to the file
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from suites import made_with

from jpvae import JPVAE
from jpvae.options import BEFORE

COLUMNS, ROWS, TEST = (5, 5, 5), 2000, 2000
SETTINGS: dict[str, dict[str, Any]] = {
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
            runs = [measure(options | chosen.options, seed) for seed in range(chosen.seeds)]
            about = [
                made | {"setting": name, "options": options | chosen.options, "seed": seed} for seed in range(chosen.seeds)
            ]
            lines += [about | {"seed": seed} | run for seed, run in enumerate(runs)]
            print(f"| {name} |", " | ".join(f"{np.mean([r[key] for r in runs]):.3f}" for key in runs[0]), "|", flush=True)
    if chosen.out is not None:
        others = json.loads(chosen.out.read_text()) if chosen.out.exists() else []
        kept = [run for run in others if run["setting"] not in {line["setting"] for line in lines}]
        chosen.out.write_text(json.dumps(kept + lines, indent=1) + "\n")


if __name__ == "__main__":
    main()
