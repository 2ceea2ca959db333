"""Small tables of the same subjects in files of every format, and what is in them as plain Python, for the tests of tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from jpvae.tables import reading
from jpvae.tables.dialect import Dialect
from jpvae.tables.sources import Source, sources

BY_WHO = {name: Dialect(id="who") for name in "abc"}
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
        before_3_1 = tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1)  # then off by a bit without the option
        options = {"float_precision": "round_trip"} if before_3_1 else {}
        return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", **options)
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_excel(path)


def source(path: Path | str, view: str = "a") -> Source:
    """What ``--view view=path`` names."""
    return sources([f"{view}={path}"])[0]


def as_read(one: Source, name: str | None = "who") -> reading.Table:
    """What the package reads of it, with its ids in column ``name``."""
    return reading.read(one, Dialect(id=name))


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


def mixed_tables(seed: int = 0, rows: int = 60) -> dict[str, pd.DataFrame]:
    """Tables a (text, whole, bool, measured with empty cells), b (a count, measured) and c (text in three stages, measured with
    empty cells) with the id ``who``, each without some subjects; one shared number per subject. (Rounded: pandas writes 16
    digits to an xlsx.)"""
    rng = np.random.default_rng(seed)
    u, has = rng.standard_normal(rows), rng.random((rows, 3)) < 0.8
    has[np.arange(rows), rng.integers(3, size=rows)] = True
    who = [f"p{k:03}" for k in range(rows)]
    sex, stage = np.where(u > 0, "f", "m"), np.array(["I", "II", "III"])[np.digitize(u, (-0.5, 0.5))]
    bmi, crp = (np.where(rng.random(rows) < 0.1, np.nan, np.round(u + 0.1 * rng.standard_normal(rows), 4)) for _ in "xy")
    age, visits = np.round(50 + 10 * u).astype(int), rng.poisson(np.exp(u))
    frames = {
        "a": pd.DataFrame({"who": who, "sex": sex, "age": age, "smoker": u + rng.standard_normal(rows) > 0, "bmi": bmi}),
        "b": pd.DataFrame({"visits": visits, "who": who, "score": u**2}),
        "c": pd.DataFrame({"who": who, "stage": stage, "crp": crp}),
    }
    return {name: frame[own].reset_index(drop=True) for (name, frame), own in zip(frames.items(), has.T, strict=True)}


def views_of(folder: Path, tables: dict[str, pd.DataFrame], endings: tuple[str, ...]) -> list[str]:
    """Write the tables: -> the words name=path of ``--view``."""
    return [f"{n}={write(folder / (n + e), t)}" for (n, t), e in zip(tables.items(), endings, strict=True)]
