"""Anonymous memory of a fit and of an imputation from memory-mapped files to memory-mapped files, by the number of rows.

    python benchmarks/out_of_core.py 100000 400000 1000000        one line per number; kept as results/out_of_core.json

Two views of 60 float32 columns, 480 bytes a row; every tenth row lacks the second. Each number has a process of its own. The
measure is RssAnon of /proc/self/status, looked at every 5 ms: memory that no file stands behind and that cannot be let go of.
The pages of the files themselves, which the kernel takes back whenever it needs them, are no part of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS, STEPS = 60, 300
ROWS = (100_000, 400_000, 1_000_000)
MOST, FLAT = 300 * 2**20, 1.10  # bytes above what the process had before; the largest peak over the smallest
RESULTS = Path(__file__).parent / "results/out_of_core.json"


def anonymous() -> int:
    """Bytes now."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")))


@contextmanager
def peak() -> Iterator[dict[str, int]]:
    """{"before", "peak"} of what runs inside."""
    found, over = {"before": anonymous(), "peak": anonymous()}, threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            found["peak"] = max(found["peak"], anonymous())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()


def write_tables(folder: Path, rows: int) -> None:
    """Two tables that share four numbers a row, so many rows at a time as fit in memory easily."""
    loadings = np.random.default_rng(0).standard_normal((2, 4, COLUMNS))
    shape = (rows, COLUMNS)
    files = [np.lib.format.open_memmap(folder / f"{i}.npy", "w+", np.float32, shape) for i in range(2)]
    for start in range(0, rows, 50_000):
        rng = np.random.default_rng(1 + start)
        shared = rng.standard_normal((min(50_000, rows - start), 4))
        for i, file in enumerate(files):
            made = shared @ loadings[i] + 0.5 * rng.standard_normal((len(shared), COLUMNS))
            if i:
                made[::10] = np.nan
            file[start : start + len(made)] = made
    for file in files:
        file.flush()


def measured(rows: int) -> dict[str, Any]:
    """One process's numbers, in bytes."""
    from jpvae import JPVAE

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tables(folder, rows)
        views = [np.load(folder / f"{i}.npy", mmap_mode="r") for i in range(2)]
        model = JPVAE(8, likelihood="infer", steps=STEPS, backend="numpy", missing="nan", progress=False)
        JPVAE(2, likelihood="gaussian", steps=2, backend="numpy", progress=False).fit([np.eye(9, 3), np.eye(9, 3)])  # imports
        with peak() as fitting:
            model.fit(views, checkpoint=folder / "model.safetensors")
        out = [np.lib.format.open_memmap(folder / f"out{i}.npy", "w+", np.float32, view.shape) for i, view in enumerate(views)]
        part = slice(0, min(rows, 100_000))  # drawing for a row takes longer than training on it
        with peak() as imputing:
            model.impute([v[part] for v in views], n_draws=2, out=[o[part] for o in out])
    return {"rows": rows, "data": rows * 2 * COLUMNS * 4, "fit": fitting, "impute": imputing}


def run(numbers: tuple[int, ...]) -> list[dict[str, Any]]:
    """Each in a process of its own."""
    found = []
    for rows in numbers:
        done = subprocess.run([sys.executable, __file__, "--one", str(rows)], check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


def check(found: list[dict[str, Any]]) -> list[str]:
    """What is wrong with these; nothing if memory is flat and below the limit."""
    above = [one["fit"]["peak"] - one["fit"]["before"] for one in found]
    peaks = [one["fit"]["peak"] for one in found]
    wrong = [f"{one['rows']:,} rows take {a >> 20} MB" for one, a in zip(found, above, strict=True) if a > MOST]
    return wrong + ([f"peaks from {min(peaks) >> 20} to {max(peaks) >> 20} MB"] if max(peaks) > FLAT * min(peaks) else [])


def line(one: dict[str, Any]) -> str:
    """For people."""
    fit, impute = one["fit"], one["impute"]
    return (
        f"{one['rows']:>9,} rows, {one['data'] >> 20:>5,} MB of data: fit {fit['peak'] - fit['before'] >> 20} MB above the "
        f"{fit['before'] >> 20} MB before it; impute {impute['peak'] - fit['before'] >> 20} MB"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measured(int(sys.argv[2]))))
    else:
        results = run(tuple(map(int, sys.argv[1:])) or ROWS)
        print("\n".join(map(line, results)))
        RESULTS.write_text("[\n" + ",\n".join(map(json.dumps, results)) + "\n]\n")
        if wrong := check(results):
            raise SystemExit("; ".join(wrong))
