"""Wide tables: CPU seconds to read a file of 200 subjects and to infer what its columns are, and how they grow.

    python benchmarks/wide_tables.py [COLUMNS]        20,000; exit code 1: a view takes 5 s, or growth is not linear

Growth is the time over that of a quarter of the columns: 4 if time is linear in them, 16 if it is quadratic.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from jpvae.tables.dialect import Dialect
from jpvae.tables.joining import join
from jpvae.tables.sources import sources
from jpvae.views.opening import open_views

ROWS, MOST, GROWTH = 200, 5.0, 8.0  # seconds a view; halfway, in powers of two, from linear to quadratic


def table(kind: str, columns: int) -> pd.DataFrame:
    """Numbers of four decimals, counts, or both with every hundredth column a text."""
    rng = np.random.default_rng(0)
    names = [f"g{k}" for k in range(columns)]
    counts = pd.DataFrame(rng.poisson(3.0, (ROWS, columns)), columns=names)
    if kind == "counts":
        return counts
    frame = pd.DataFrame(rng.standard_normal((ROWS, columns)).round(4), columns=names)
    texts = {name: np.where(counts[name] > 2, "high", "low") for name in names[::100]}
    return frame.assign(**texts) if kind == "mixed" else frame


def seconds(kind: str, ending: str, columns: int, folder: Path) -> float:
    """To read and to infer, of this process alone."""
    path = folder / f"{kind}{columns}{ending}"
    frame = table(kind, columns)
    frame.insert(0, "who", [f"p{k}" for k in range(ROWS)])
    frame.to_parquet(path) if ending == ".parquet" else frame.to_csv(path, index=False)
    begun = time.process_time()
    joined = join(sources([f"a={path}"]), {"a": Dialect(id="who")})
    open_views(joined.views, joined.observed, likelihood="infer")
    return time.process_time() - begun


def main(columns: int) -> int:
    """Print the table; 1 where a line is out of bounds."""
    print(f"{'table':10} {'file':9} {columns // 4:>9,} {columns:>9,} columns  growth")
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        seconds("numbers", ".csv", 100, Path(name))  # what is imported and made once
        for kind, ending in (("numbers", ".csv"), ("counts", ".csv"), ("mixed", ".csv"), ("numbers", ".parquet")):
            quarter, whole = (seconds(kind, ending, count, Path(name)) for count in (columns // 4, columns))
            print(f"{kind:10} {ending:9} {quarter:8.2f}s {whole:8.2f}s          {whole / quarter:6.1f}")
            failed |= whole >= MOST or whole / quarter >= GROWTH
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
