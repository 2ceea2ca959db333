"""Small tables of the same subjects in files of every format, and what is in them as plain Python, for the tests of tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

ENDINGS = (".csv", ".tsv", ".parquet", ".xlsx")


def write(path: Path, frame: pd.DataFrame) -> Path:
    """With pandas alone, in the format of the ending."""
    writers = {".csv": "to_csv", ".tsv": "to_csv", ".parquet": "to_parquet", ".xlsx": "to_excel"}
    options = {"sep": "\t"} if path.suffix == ".tsv" else {}
    getattr(frame, writers[path.suffix])(path, index=False, **options)
    return path


def read(path: Path) -> pd.DataFrame:
    """With pandas alone; numbers to their last bit."""
    if path.suffix in (".csv", ".tsv"):
        return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_excel(path)


def bits(values) -> bytes:
    """The bytes of float64 numbers."""
    return np.ascontiguousarray(values, dtype=np.float64).tobytes()


def three_tables(seed: int = 0, rows: int = 40) -> dict[str, pd.DataFrame]:
    """Tables a, b, c with the id ``who``, in shuffled orders, each without some subjects; two shared numbers per subject."""
    rng = np.random.default_rng(seed)
    u, has = rng.standard_normal((rows, 2)), rng.random((rows, 3)) < 0.7
    has[np.arange(rows), rng.integers(3, size=rows)] = True
    tables = {}
    for i, (name, c) in enumerate((("a", 3), ("b", 4), ("c", 2))):
        values = u @ rng.standard_normal((2, c)) + 0.1 * rng.standard_normal((rows, c))
        frame = pd.DataFrame(values, columns=[f"{name}{k}" for k in range(c)])
        frame.insert(i % 2, "who", [f"p{k:03}" for k in range(rows)])  # the id's column need not be the first
        tables[name] = frame[has[:, i]].sample(frac=1, random_state=seed + i)
    return tables


def views_of(folder: Path, tables: dict[str, pd.DataFrame], endings: tuple[str, ...]) -> list[str]:
    """Write the tables: -> the words name=path of ``--view``."""
    return [f"{n}={write(folder / (n + e), t)}" for (n, t), e in zip(tables.items(), endings, strict=True)]
