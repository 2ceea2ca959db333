"""Fitting and filling a table with missing views: seconds of processor time and peak memory, by the number of rows.

    python benchmarks/fit_and_impute.py 500 10000 100000 1000000     one line per number and method; results/fit_and_impute.json
    python benchmarks/fit_and_impute.py 1000000 --method IterativeImputer --patience 3600

Two views of 20 columns that share four numbers a row, float32, in memory; of every ten rows one lacks the first view, one the
second. Each number and method has a process of its own, one thread, and its imports are not counted. The peak is that of the
process above what it had once the table was made; the error is the root mean square of the filled cells' over their standard
deviation (0.27 is noise that no view knows). Ours is JPVAE's defaults in the NumPy engine with 8 latents and 64 draws a row.
MoPoE (Sutter et al. 2021) is that of the package multivae: its own networks, 8 latents, 1,500 steps of 128 rows and at least 30
passes; its decoders end in a sigmoid, so columns are brought to [0, 1], where their scale is 0.07, half a deviation. Where
the package is not installed (`pip install jpvae[guests]`) it is left out.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":  # read when the libraries are imported
    os.environ |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}

import argparse
import json
import resource
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results/fit_and_impute.json"
MOPOE = "MultiVae's MoPoE"
METHODS = ("JPVAE", "RidgeCV per pattern", "IterativeImputer", MOPOE)
COLUMNS = 20


def table(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 40) as it is, and with NaN for what is missing."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((rows, 4), dtype=np.float32)
    whole = shared @ rng.standard_normal((4, 2 * COLUMNS)).astype(np.float32)
    whole += 0.5 * rng.standard_normal(whole.shape, dtype=np.float32)
    whole /= whole.std(axis=0)
    seen = whole.copy()
    seen[3::10, :COLUMNS] = np.nan
    seen[7::10, COLUMNS:] = np.nan
    return whole, seen


def filled_by(method: str, seen: np.ndarray, times: list[float]) -> np.ndarray:
    """The table filled; times: of the fit, and of the filling."""
    from jpvae import JPVAE
    from jpvae.tables.rivals.imputers import iterative
    from jpvae.tables.rivals.patterns import ridge

    views = [seen[:, :COLUMNS], seen[:, COLUMNS:]]
    if method == "JPVAE":
        model = JPVAE(8, likelihood="gaussian", backend="numpy", missing="nan", progress=False)
        begin = time.process_time()
        model.fit(views)
        times.append(time.process_time() - begin)
        begin = time.process_time()
        found = np.concatenate(model.impute(views), axis=1)
    elif method == MOPOE:
        found = mopoe(views, times)
        return np.where(np.isnan(seen), found, seen)
    else:
        rival = (ridge if method.startswith("Ridge") else iterative)()
        begin = time.process_time()
        rival.fit(seen, np.repeat([0, 1], COLUMNS))
        times.append(time.process_time() - begin)
        begin = time.process_time()  # the regressions of a pattern are learned when it is met
        found = rival.fill(seen)
    times.append(time.process_time() - begin)
    return found


def mopoe(views: list[np.ndarray], times: list[float]) -> np.ndarray:
    """Both views, each as the other gives it by the mean of its posterior."""
    import logging
    import tempfile

    import torch
    from multivae.data.datasets import IncompleteDataset, MultimodalBaseDataset
    from multivae.models import MoPoE, MoPoEConfig
    from multivae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.WARNING)  # of every pass
    torch.set_num_threads(1)
    torch.manual_seed(0)
    names = ("0", "1")
    low, high = (np.stack([bound(view, axis=0) for view in views]) for bound in (np.nanmin, np.nanmax))
    unit = [(view - least) / (most - least) for view, least, most in zip(views, low, high, strict=True)]
    data = {name: torch.tensor(np.nan_to_num(view)) for name, view in zip(names, unit, strict=True)}
    masks = {name: torch.tensor(~np.isnan(view[:, 0])) for name, view in zip(names, views, strict=True)}
    config = MoPoEConfig(
        n_modalities=2,
        latent_dim=8,
        input_dims=dict.fromkeys(names, (COLUMNS,)),
        decoders_dist=dict.fromkeys(names, "normal"),
        decoder_dist_params={key: {"scale": 0.07} for key in names},
    )
    begin, model = time.process_time(), MoPoE(config)
    with tempfile.TemporaryDirectory() as folder:
        passes = max(30, 1_500 * 128 // len(views[0]))
        options = {"per_device_train_batch_size": 128, "num_epochs": passes, "learning_rate": 3e-3, "no_cuda": True, "seed": 0}
        training = BaseTrainerConfig(output_dir=folder, **options)
        BaseTrainer(model, IncompleteDataset(data, masks), training_config=training).train()
    times.append(time.process_time() - begin)
    begin, whole = time.process_time(), MultimodalBaseDataset(data)
    with torch.no_grad():
        found = [model.predict(whole, cond_mod=names[1 - i], gen_mod=names[i], return_mean=True)[names[i]] for i in (0, 1)]
    times.append(time.process_time() - begin)
    return np.concatenate([low[i] + x.numpy() * (high[i] - low[i]) for i, x in enumerate(found)], axis=1)


def measured(method: str, rows: int) -> dict[str, Any]:
    """One case, in this process."""
    filled_by(method, table(100)[1], [])  # imports
    whole, seen = table(rows)
    before, times = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, list[float]()
    found = filled_by(method, seen, times)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    error = float(np.sqrt(np.mean((found - whole)[np.isnan(seen)] ** 2)))
    return {"method": method, "rows": rows, "fit": times[0], "fill": times[1], "peak_mb": peak >> 10, "error": error}


def main() -> None:
    """Every case in a process of its own; what takes too long is left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int, nargs="+")
    parser.add_argument("--method", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--patience", type=float, default=600, help="seconds of wall-clock time for one case")
    asked = parser.parse_args()
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    for rows in asked.rows:
        for method in asked.method:
            if method == MOPOE and find_spec("multivae") is None:
                print(f"{rows:>9,} rows  {method}: not installed", flush=True)
                continue
            words = [sys.executable, __file__, "--one", method, str(rows)]
            try:
                done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=asked.patience)
            except subprocess.TimeoutExpired:
                print(f"{rows:>9,} rows  {method}: more than {asked.patience:g} s", flush=True)
                continue
            one = json.loads(done.stdout.splitlines()[-1])
            kept = [case for case in kept if (case["method"], case["rows"]) != (method, rows)] + [one]
            RESULTS.write_text("[\n" + ",\n".join(map(json.dumps, kept)) + "\n]\n", encoding="utf-8")
            numbers = f"fit {one['fit']:.2f} s, filling {one['fill']:.2f} s, {one['peak_mb']} MB, error {one['error']:.3f}"
            print(f"{rows:>9,} rows  {method}: {numbers}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measured(sys.argv[2], int(sys.argv[3]))))
    else:
        main()
