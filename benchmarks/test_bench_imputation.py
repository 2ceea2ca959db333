"""Imputation streamed from memory-mapped files into memory-mapped files: rows per second, and memory that stays where it was.

    pytest benchmarks/test_bench_imputation.py --benchmark-only         prints the table, writes results/imputation.json

Two views of 100 columns, float32, a third of the rows without the first view and a third without the second; nets of 128
and 128, latents of 16, one thread. Each run has a process of its own. Its peak is the kernel's VmHWM less what it was once
the model was loaded (Linux; ru_maxrss will not do, a child inherits its parent's): pages of the files count while the process
holds them. Every run's first rows are compared: plug-in with dense float64 algebra, predictive with the mean of draws.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import suites

from jpvae import JPVAE
from jpvae.testing import dense

COLUMNS, SHARED, CHUNK, CHECKED = 100, 10, 50_000, 300
ROWS = (100_000, 1_000_000)
METHODS: dict[str, dict[str, Any]] = {
    "plug-in": {"method": "plug-in"},
    "predictive, 4 draws": {"n_draws": 4},
}
MODEL = {"latent_dims": 16, "hidden": (128, 128), "likelihood": "gaussian", "steps": 200, "progress": False}
LIMIT = 500e6  # bytes above the model
LINES: list[dict[str, Any]] = []


def draw(rows: int, seed: int) -> list[np.ndarray]:
    """Both views of some rows: ten shared numbers per row, noise of their size."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    u = rng.standard_normal((rows, SHARED), dtype=np.float32)
    loadings = fixed.standard_normal((2, SHARED, COLUMNS), dtype=np.float32)
    return [u @ A + rng.standard_normal((rows, COLUMNS), dtype=np.float32) for A in loadings]


def mask(rows: int) -> np.ndarray:
    """True where observed: both, the second alone, the first alone, equally often and mixed."""
    missing = np.random.default_rng(1).integers(3, size=rows)
    return missing[:, None] != np.array([1, 2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """x-0.npy and x-1.npy with the most rows, and a model for each backend."""
    path = tmp_path_factory.mktemp("imputation")
    files = [np.lib.format.open_memmap(path / f"x-{i}.npy", "w+", np.float32, (ROWS[-1], COLUMNS)) for i in range(2)]
    for start in range(0, ROWS[-1], CHUNK):
        for file, values in zip(files, draw(CHUNK, 2 + start), strict=True):
            file[start : start + CHUNK] = values
    for backend in ("torch", "numpy"):
        JPVAE(**MODEL, backend=backend).fit(draw(2_000, 2)).save(path / backend)
    return path


@pytest.fixture(scope="module", autouse=True)
def results(request):
    """The table; the JSON where all cases were measured, and on the CPU, where the runs always compute."""
    yield
    print(f"\n{'engine':8}{'method':22}{'rows':>12}{'rows/s':>12}{'MB above the model':>20}{'error':>10}")
    for line in LINES:
        memory = f"{line['peak_bytes'] / 1e6:20,.0f}"
        print(
            f"{line['engine']:8}{line['method']:22}{line['rows']:12,}{line['rows_per_second']:12,.0f}{memory}{line['error']:10.1e}"
        )
    measured = request.config.option.benchmark_only and request.config.getoption("--device", "cpu") == "cpu"
    if measured and len(LINES) == 2 * len(METHODS) * len(ROWS):
        text = json.dumps({"made_with": suites.made_with(), "model": MODEL}, indent=1).removesuffix("\n}")
        lines = ",\n  ".join(json.dumps(line) for line in LINES)
        (suites.RESULTS / "imputation.json").write_text(f'{text},\n "cases": [\n  {lines}\n ]\n}}\n')


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_imputation(benchmark, folder, backend, method, rows):
    command = [sys.executable, __file__, str(folder), backend, method, str(rows)]
    run = {"target": lambda: subprocess.run(command, stdout=subprocess.PIPE, check=True), "rounds": 1, "iterations": 1}
    found = json.loads(benchmark.pedantic(**run).stdout)
    error = difference(folder, backend, method, rows)
    # float32 sums of 10 to 128 terms through six layers, in a column's deviations, of size up to 5: 128 eps each.
    assert error <= 6 * 128 * np.finfo(np.float32).eps * 5
    assert found["peak_bytes"] < LIMIT
    LINES.append({"engine": backend, "method": method, "rows": rows, **found, "error": float(f"{error:.2g}")})


def difference(folder: Path, backend: str, method: str, rows: int) -> float:
    """The largest difference in the first rows between what was written and another way to it, over the columns' deviation."""
    model, observed = JPVAE.load(folder / backend), mask(rows)[:CHECKED]
    views = [np.load(folder / f"x-{i}.npy", mmap_mode="r")[:CHECKED] for i in range(2)]
    written = [np.load(folder / f"out-{i}.npy", mmap_mode="r")[:CHECKED] for i in range(2)]
    expected = plug_in(model, views, observed) if method == "plug-in" else draws(model, views, observed)
    scales = [scale for _, scale in model.scaling_]
    return max(float((np.abs(a - b) / s).max()) for a, b, s in zip(written, expected, scales, strict=True))


def draws(model: JPVAE, views: list[np.ndarray], observed: np.ndarray) -> list[np.ndarray]:
    """The mean of the draws, in float64."""
    return [d.mean(axis=0, dtype=np.float64) for d in model.sample_imputations(views, observed, n_draws=4)]


def plug_in(model: JPVAE, views: list[np.ndarray], observed: np.ndarray) -> list[np.ndarray]:
    """Dense algebra in float64, one row after the other."""
    p = {name: x.astype(np.float64) for name, x in model.parameters_.items()}
    S, at, result = dense.covariance(model.model_, p), dense.blocks(model.model_), [v.astype(np.float64) for v in views]
    for r, seen in enumerate(observed):
        for j in np.flatnonzero(~seen):
            i = 1 - j
            (location, scale), (own_location, own_scale) = model.scaling_[i], model.scaling_[j]
            mean, _ = dense.encode(p, i, (views[i][r] - location) / scale)
            z = S[np.ix_(at[j], at[i])] @ mean  # the prior's variances are 1
            result[j][r] = dense.network(p, f"decoder.{j}", z) * own_scale + own_location
    return result


def memory(field: str) -> int:
    """A line of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field + ":")).split()[1])


def child(folder: Path, backend: str, method: str, rows: int) -> dict[str, float]:
    """Impute so many rows of the files in ``folder``; seconds without imports and loading, and the peak above the model."""
    model = JPVAE.load(folder / backend)
    views = [np.load(folder / f"x-{i}.npy", mmap_mode="r")[:rows] for i in range(2)]
    out = [np.lib.format.open_memmap(folder / f"out-{i}.npy", "w+", np.float32, (rows, COLUMNS)) for i in range(2)]
    observed = mask(rows)
    before, begin = memory("VmHWM"), time.perf_counter()
    model.impute(views, observed, out=out, **METHODS[method])
    seconds = time.perf_counter() - begin
    return {"rows_per_second": round(rows / seconds), "peak_bytes": memory("VmHWM") - before}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name, kind in (("folder", Path), ("backend", str), ("method", str), ("rows", int)):
        parser.add_argument(name, type=kind)
    print(json.dumps(child(**vars(parser.parse_args()))))
