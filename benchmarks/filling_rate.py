"""What filling a partition costs in processor time and bytes, and what that makes of a billion rows on a hundred workers.

    python benchmarks/filling_rate.py        kept as results/filling_rate.json, the numbers of docs/scale.md

Two views of 60 columns, every third row without the second; 64 draws a row. One partition of 2,000 and one of 6,000 rows are
filled as `jpvae impute` fills them, from Parquet to Parquet: the difference of the two is 4,000 rows without the start-up.
Processor time of one process on one thread, which other work on the machine hardly changes.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}

import numpy as np
import pandas as pd

from jpvae import JPVAE
from jpvae.tables import partitions, results

COLUMNS, SHORT, LONG, DRAWS = 60, 2_000, 6_000, 64
ROWS, WORKERS = 10**9, 100
RESULTS = Path(__file__).parent / "results/filling_rate.json"


def tables(rows: int, seed: int) -> dict[str, pd.DataFrame]:
    """By view, with the ids as index."""
    rng, ids = np.random.default_rng(seed), pd.Index([f"s{k:09}" for k in range(rows)], name="subject")
    shared = rng.standard_normal((rows, 4))
    made = {}
    for i, name in enumerate(("rna", "protein")):
        loadings = np.random.default_rng(i).standard_normal((4, COLUMNS))
        values = shared @ loadings + 0.5 * rng.standard_normal((rows, COLUMNS))
        made[name] = pd.DataFrame(values, ids, [f"{name}{j}" for j in range(COLUMNS)])
    made["protein"] = made["protein"][np.arange(rows) % 3 > 0]
    return made


def measured() -> dict[str, Any]:
    """Processor seconds and bytes."""
    with tempfile.TemporaryDirectory() as name:
        folder, seconds, read, written = Path(name), {}, {}, {}
        options: dict[str, Any] = {"likelihood": "gaussian", "steps": 300, "backend": "numpy", "progress": False}
        ids = tables(SHORT, 0)["rna"].index
        JPVAE(8, **options).fit({n: t.reindex(ids) for n, t in tables(SHORT, 0).items()}, missing="nan").save(folder / "model")
        task = partitions.Task(str(folder / "model"), str(folder / "out"), {}, results.Wanted())
        partitions.begin(task)
        for rows in (100, SHORT, LONG):
            for view, table in tables(rows, rows).items():
                (folder / view).mkdir(exist_ok=True)
                table.reset_index().to_parquet(folder / view / f"{rows}.parquet", index=False)
        for part in sorted(partitions.partitions([f"{v}={folder}/{v}" for v in ("rna", "protein")]), key=lambda p: int(p.name)):
            begin = time.process_time()
            partitions.fill(part, task)
            seconds[int(part.name)] = time.process_time() - begin
            read[int(part.name)] = sum(source.path.stat().st_size for source in part.sources)
            written[int(part.name)] = sum(
                (folder / "out" / v / f"{part.name}.parquet").stat().st_size for v in ("rna", "protein")
            )
    rows = LONG - SHORT
    rates = {key: (of[LONG] - of[SHORT]) / rows for key, of in (("seconds", seconds), ("read", read), ("written", written))}
    return {"columns": 2 * COLUMNS, "draws": DRAWS, "per_row": rates}


if __name__ == "__main__":
    found = measured()
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    rate = found["per_row"]
    print(f"per row: {1e6 * rate['seconds']:.0f} microseconds, {rate['read']:.0f} bytes read, {rate['written']:.0f} written")
    hours = ROWS * rate["seconds"] / WORKERS / 3600
    terabytes = {way: ROWS * rate[way] / 1e12 for way in ("read", "written")}
    print(f"{ROWS:.0e} rows on {WORKERS} workers: {hours:.1f} h, {terabytes['read']:.2f} TB in, {terabytes['written']:.2f} out")
    print(f"{1e6 * sum(terabytes.values()) / hours / 3600:.0f} MB/s of the file system")
