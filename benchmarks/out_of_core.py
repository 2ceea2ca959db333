"""Anonymous memory of a fit and of an imputation from memory-mapped files to memory-mapped files, by the number of rows.

    python benchmarks/out_of_core.py 100000 1000000 4000000              one line per number; kept as results/out_of_core.json
    python benchmarks/out_of_core.py --parquet 100000 1000000 4000000    from Parquet files; results/out_of_core_parquet.json

Two views of 60 float32 columns, 480 bytes a row; every tenth row lacks the second. Each number has a process of its own. The
measure is RssAnon of /proc/self/status, looked at every 5 ms: memory that no file stands behind and that cannot be let go of.
The pages of the files themselves, which the kernel takes back whenever it needs them, are no part of it. Parquet files have
50,000 rows each, with ids: `jpvae fit` trains on the folders, `jpvae impute --rows 20000` fills the first file of each view.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS, STEPS = 60, 300
ROWS = (100_000, 1_000_000, 4_000_000)
MOST, FLAT = 300 * 2**20, 1.10  # bytes above what the process had before; the largest peak over the smallest
PART = 50_000  # rows that are made at a time, and those of a Parquet file
RESULTS = {kind: Path(__file__).parent / f"results/out_of_core{kind}.json" for kind in ("", "_parquet")}


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
    shape = (rows, COLUMNS)
    files = [np.lib.format.open_memmap(folder / f"{i}.npy", "w+", np.float32, shape) for i in range(2)]
    for start in range(0, rows, PART):
        for file, made in zip(files, tables(start, min(PART, rows - start)), strict=True):
            file[start : start + len(made)] = made
    for file in files:
        file.flush()


def tables(start: int, rows: int) -> list[np.ndarray]:
    """So many rows of both, from ``start`` on."""
    loadings = np.random.default_rng(0).standard_normal((2, 4, COLUMNS))
    rng = np.random.default_rng(1 + start)
    shared = rng.standard_normal((rows, 4))
    made = [(shared @ loadings[i] + 0.5 * rng.standard_normal((rows, COLUMNS))).astype(np.float32) for i in range(2)]
    made[1][::10] = np.nan
    return made


def write_parquet(folder: Path, rows: int) -> None:
    """The same with ids, in files of PART rows, each view in its folder."""
    import pandas as pd

    for i in range(2):
        (folder / f"v{i}").mkdir()
    for start in range(0, rows, PART):
        for i, made in enumerate(tables(start, min(PART, rows - start))):
            frame = pd.DataFrame(made, columns=[f"v{i}.{j}" for j in range(COLUMNS)])
            frame.insert(0, "id", [f"s{start + k:09}" for k in range(len(made))])
            frame.to_parquet(folder / f"v{i}" / f"{start:09}.parquet", index=False, row_group_size=PART // 5)


def from_parquet(rows: int) -> dict[str, Any]:
    """One process's numbers, in bytes."""
    from jpvae import JPVAE
    from jpvae.commands.program import program

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done = subprocess.run([sys.executable, __file__, "--write", str(rows), name], check=True)
        assert done.returncode == 0
        JPVAE(2, likelihood="gaussian", steps=2, backend="numpy", progress=False).fit([np.eye(9, 3), np.eye(9, 3)])  # imports
        options = ["--id", "id", "--latent-dims", "8", "--steps", str(STEPS), "--backend", "numpy", "--json"]
        with peak() as fitting, redirect_stdout(io.StringIO()):
            words = [f"--view=v{i}={folder}/v{i}" for i in range(2)]
            program()(["fit", *words, "--out", f"{folder}/model.safetensors", *options], standalone_mode=False)
        with peak() as imputing, redirect_stdout(io.StringIO()):
            words = [f"--view=v{i}={folder}/v{i}/{0:09}.parquet" for i in range(2)]
            words += ["--out", f"{folder}/filled", "--rows", "20000", "--json"]
            program()(["impute", f"{folder}/model.safetensors", *words], standalone_mode=False)
    return {"rows": rows, "data": rows * 2 * COLUMNS * 4, "fit": fitting, "impute": imputing}


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


def run(numbers: tuple[int, ...], kind: str) -> list[dict[str, Any]]:
    """Each in a process of its own."""
    found = []
    for rows in numbers:
        done = subprocess.run([sys.executable, __file__, f"--one{kind}", str(rows)], check=True, capture_output=True, text=True)
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
    elif sys.argv[1:2] == ["--one_parquet"]:
        print(json.dumps(from_parquet(int(sys.argv[2]))))
    elif sys.argv[1:2] == ["--write"]:
        write_parquet(Path(sys.argv[3]), int(sys.argv[2]))
    else:
        kind = "_parquet" if "--parquet" in sys.argv else ""
        results = run(tuple(int(word) for word in sys.argv[1:] if word.isdecimal()) or ROWS, kind)
        print("\n".join(map(line, results)))
        RESULTS[kind].write_text("[\n" + ",\n".join(map(json.dumps, results)) + "\n]\n")
        if wrong := check(results):
            raise SystemExit("; ".join(wrong))
