"""Fitting and filling a table with missing views: seconds of processor time and peak memory, by the number of rows.

    python benchmarks/fit_and_impute.py 500 10000 100000 1000000     one line per number and method; results/fit_and_impute.json

Two views of 20 columns that share four numbers a row, float32, in memory; of every ten rows one lacks the first view, one the
second. Each number and method has a process of its own, one thread, and its imports are not counted. The peak is that of the
process above what it had once the table was made; the error is the root mean square of the filled cells' over their standard
deviation (0.27 is noise that no view knows). Ours is JPVAE's defaults in the NumPy engine with 8 latents and 64 draws a row.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":  # read when the libraries are imported
    os.environ |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}

import json
import resource
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results/fit_and_impute.json"
METHODS = ("JPVAE", "RidgeCV per pattern", "IterativeImputer")
COLUMNS, PATIENCE = 20, 600  # seconds of wall-clock time for one case


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
    else:
        rival = (ridge if method.startswith("Ridge") else iterative)()
        begin = time.process_time()
        rival.fit(seen, np.repeat([0, 1], COLUMNS))
        times.append(time.process_time() - begin)
        begin = time.process_time()  # the regressions of a pattern are learned when it is met
        found = rival.fill(seen)
    times.append(time.process_time() - begin)
    return found


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
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    for rows in map(int, sys.argv[1:]):
        for method in METHODS:
            words = [sys.executable, __file__, "--one", method, str(rows)]
            try:
                done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                print(f"{rows:>9,} rows  {method}: more than {PATIENCE} s", flush=True)
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
