"""What was observed comes back as it was: every format, every kind of column, every option that writes results.

The oracle reads the file that went in and the file that came out by one reader, which is not ours (csv, pyarrow, openpyxl).
"""

import csv
import functools
import gzip
import itertools

import numpy as np
import openpyxl
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from commands import invoke
from table_files import write

from jpvae import JPVAE

N = 40
WHO = [f"P{k:03}" for k in range(N)]
RNG = np.random.default_rng(0)
ODD = [0.1 + 0.2, 1 / 3, -0.0, 1e-17, 12345678.901234567, -2.5e-8]


def column(values):
    """Values, every seventh of them a hole, elsewhere in columns of other values."""
    return pd.Series([None if (k + len(values)) % 7 == 3 else values[k % len(values)] for k in range(N)])


KINDS = {
    "all digits": column([*ODD, *RNG.normal(size=20).tolist()]),
    "whole": column([3, 17, -4, 120, 2**52 + 1]),
    "float32": column([0.1, 1.5, 7.25]).astype(np.float32),
    "nullable": column([3, 5, 8, 13]).astype("Int64"),
    "flags": column([True, False]).astype("boolean"),
    "zeros and ones": column([0, 1, 1]),
    "texts": column(["low", "high", "NA", "None", "a,b", 'q"q', "é"]),
    "codes": column(["1", "2", "X", "03"]),
    "categories": column(["lo", "mid", "hi"]).astype(pd.CategoricalDtype(["lo", "mid", "hi"], ordered=True)),
    "of numbers": column([1.0, 2.0, 4.0]),
    "counts": column([0, 1, 2, 9, 30]),
}
SAID = {"of numbers": "categorical", "counts": "negative_binomial_unscaled", "all digits": "student_t"}
FIT = ["--steps", "3", "--hidden", "4", "--latent-dims", "1", "--backend", "numpy", "--out", "m.safetensors", "--id", "who"]
FIT += [word for name, kind in SAID.items() for word in ("--likelihood", f"s:{name}={kind}")]
ENDINGS = (".csv", ".tsv", ".csv.gz", ".parquet", ".xlsx")


def cells(path):
    """What a file has, row by row, the cells as texts or numbers; None for an empty one."""
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path).to_pylist()
    if path.suffix == ".xlsx":
        names, *rows = openpyxl.load_workbook(path).active.iter_rows(values_only=True)
    else:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="") as file:
            names, *rows = csv.reader(file, delimiter="\t" if ".tsv" in path.name else ",")
    return [{name: None if value == "" else value for name, value in zip(names, row, strict=True)} for row in rows]


def same(before, after):
    """Texts alike, numbers to the bit, whatever type a column with holes has come to have."""
    if before == after and isinstance(before, str) == isinstance(after, str):
        return not isinstance(before, float) or np.float64(before).tobytes() == np.float64(after).tobytes()
    numbers = [float({"True": 1, "False": 0}.get(x, x)) for x in (before, after)]
    return np.float64(numbers[0]).tobytes() == np.float64(numbers[1]).tobytes()


def changed(before, after, *, text=False):
    """Cells that were there and are not the same; of a text file not the same texts."""
    found = {row["who"]: row for row in after}
    return [
        (row["who"], name, value, found[row["who"]][name])
        for row in before
        for name, value in row.items()
        if value is not None and not (value == found[row["who"]][name] if text else same(value, found[row["who"]][name]))
    ]


@pytest.mark.filterwarnings("ignore::jpvae.errors.JPVAEWarning")
@pytest.mark.parametrize("others", [1, pytest.param(len(ENDINGS) - 1, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("ending", ENDINGS)
def test_files(monkeypatch, capsys, tmp_path, ending, others):
    """Fitted to one format, imputed in it and in the next (thoroughly in each), with draws and deviations; a later file has
    other rows."""
    monkeypatch.chdir(tmp_path)
    command = functools.partial(invoke, monkeypatch, capsys)
    frame = pd.DataFrame({"who": WHO} | KINDS)
    paths = {}
    for other in ENDINGS:
        given = frame.iloc[::-1].drop(index=[5, 6]).reset_index(drop=True)
        paths[other] = tmp_path / f"s{other}"
        if other == ".csv.gz":
            paths[other].write_bytes(gzip.compress(given.to_csv(index=False).encode()))
        else:
            write(paths[other], given)
    lab = write(tmp_path / "lab.csv", pd.DataFrame({"who": WHO, "x": RNG.normal(size=N)}))
    words = ["--entries", "marginalise", "--view", f"lab={lab}", "--view", f"s={paths[ending]}"]
    code, _, err = command("fit", *FIT, *words)
    assert code == 0, err
    tried = [ENDINGS[(ENDINGS.index(ending) + k) % len(ENDINGS)] for k in range(1 + others)]
    for other, more in [*itertools.product(tried, [[]]), (ending, ["--proposals", "8"])]:
        out = tmp_path / f"out{other}{len(more)}"
        extra = [] if more else ["--draws", "2", "--std", "--probabilities"]
        views = ["--view", f"lab={lab}", "--view", f"s={paths[other]}"]
        code, _, err = command("impute", "m.safetensors", *views, "--out", out, *extra, *more)
        assert code == 0, err
        before = cells(paths[other])
        text = ".csv" in other or ".tsv" in other
        assert changed(before, cells(out / f"s{other}"), text=text) == []
        if extra:
            drawn = cells(out / f"s.draws{other}")
            for draw in (1, 2):
                assert changed(before, [row for row in drawn if int(row["draw"]) == draw], text=text) == []


@pytest.mark.filterwarnings("ignore::jpvae.errors.JPVAEWarning")
@pytest.mark.parametrize("entries", ["error", "marginalise"])
@pytest.mark.parametrize("method", ["predictive", "plug-in"])
@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "arrays", "float32", "integers"])
def test_tables_in_memory(entries, method, kind):
    frame = pd.DataFrame(KINDS)
    holes = frame.isna().any(axis=1).to_numpy()
    mask = np.ones((N, 2), bool)
    mask[::5, 0] = False
    if kind in ("arrays", "float32", "integers"):
        dtype = {"arrays": np.float64, "float32": np.float32, "integers": np.int64}[kind]
        views = [(RNG.normal(size=(N, 4)) * 1e3).astype(dtype), RNG.normal(size=(N, 2))]
        if kind != "integers" and entries == "marginalise":
            views[0][1::6, 1] = np.nan
    else:
        made = {"pandas": lambda f: f, "polars": pl.from_pandas, "arrow": pa.Table.from_pandas}[kind]
        if entries == "error":
            mask[holes, 0] = False
        views = [made(frame), made(pd.DataFrame(RNG.normal(size=(N, 2)), columns=["x", "y"]))]
    options = {
        "latent_dims": 1,
        "hidden": (4,),
        "steps": 3,
        "backend": "numpy",
        "progress": False,
        "entries": entries,
        "missing": "nan",
    }
    model = JPVAE(**options, likelihood=["infer", "gaussian"]).fit(views, mask)
    results = [model.impute(views, mask, method=method)]
    if method == "predictive":
        results += [[v[k] for v in model.sample_imputations(views, mask, n_draws=2)] for k in range(2)]
    for result in results:
        for j, (view, filled) in enumerate(zip(views, result, strict=True)):
            if isinstance(view, np.ndarray):
                there = mask[:, [j]] & ~np.isnan(view)
                exact = view.astype(filled.dtype)
                assert exact[there].tobytes() == filled[there].tobytes()
                continue
            assert type(filled) is type(view)
            rows = [t.to_pandas() if hasattr(t, "to_pandas") else t for t in (view, filled)]
            before, after = (
                [{"who": k} | row for k, row in enumerate(t.astype(object).where(t.notna(), None).to_dict("records"))]
                for t in rows
            )
            assert changed([row for row in before if mask[row["who"], j]], after) == []
