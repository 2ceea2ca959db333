"""jpvae impute on files: what it fills, what it copies to the bit, what it leaves when it is killed."""

import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from table_files import bits, read, views_of, write
from table_session import ENDINGS, FIT, MIXED, MIXED_ENDINGS, MIXED_WORDS, OUT, TABLES, WORDS, M, X, joined_by_hand, views

from jpvae import JPVAE

pytestmark = pytest.mark.usefixtures("folder")


def filled_matches(before, after, id_place):
    """Observed cells to the bit, holes filled and marked, columns in the input's order; -> how many rows were imputed."""
    assert list(after) == [*before, "imputed"]
    assert list(after).index("who") == id_place
    assert after.drop(columns="imputed").notna().all(axis=None)
    own = before.set_index("who")
    cells = after.set_index("who").drop(columns="imputed")
    assert bits(cells.loc[own.index]) == bits(own)
    assert after["imputed"].tolist() == [who not in own.index for who in after["who"]]
    return int(after["imputed"].sum())


def test_impute_fills_every_format_and_copies_what_was_there(command, folder):
    code, out, err = command("impute", "m.safetensors", *views(WORDS), "--out", "filled", "--json")
    assert (code, err) == (0, "")
    order = list(dict.fromkeys(who for t in TABLES.values() for who in t["who"]))
    result = json.loads(out)
    assert sorted(os.listdir("filled")) == result["files"] == ["a.csv", "b.parquet", "c.xlsx"]
    for i, (name, ending) in enumerate(zip("abc", ENDINGS, strict=True)):
        after = read(folder / "filled" / f"{name}{ending}")
        assert after["who"].tolist() == order
        count = filled_matches(read(folder / f"{name}{ending}"), after, i % 2)
        assert result["views"][name] == {"rows": len(order), "imputed": count}
    # the imputed values are the estimator's, on the rows joined by hand
    rows = {n: read(folder / f).set_index("who").to_dict("index") for n, f in (w.split("=") for w in WORDS)}
    arrays = {n: np.array([list(r.get(who, next(iter(r.values()))).values()) for who in order]) for n, r in rows.items()}
    columns = {n: [c for c in TABLES[n] if c != "who"] for n in arrays}
    frames = {n: pd.DataFrame(x, order, columns[n]) for n, x in arrays.items()}  # whose draws are known by the id
    expected = JPVAE.load("m.safetensors").impute(frames, np.array([[who in rows[n] for n in "abc"] for who in order]))
    for name, ending in zip("abc", ENDINGS, strict=True):
        after = read(folder / "filled" / f"{name}{ending}").drop(columns=["who", "imputed"])
        assert bits(after) == bits(expected[name])


def test_views_that_are_not_given_are_filled_for_everyone_and_columns_may_come_in_any_order(command, folder):
    turned = TABLES["a"][TABLES["a"].columns[::-1]]
    write(folder / "turned.tsv", turned)
    assert command("impute", "m.safetensors", "--view", "a=turned.tsv", "--out", "one")[0] == 0
    assert command("impute", "m.safetensors", "--view", "a=a.csv", "--out", "two")[0] == 0
    assert sorted(os.listdir("one")) == ["a.tsv", "b.tsv", "c.tsv"]
    for name in "bc":
        one, two = (read(folder / out / f"{name}{e}") for out, e in (("one", ".tsv"), ("two", ".csv")))
        assert one.equals(two)
        assert one["imputed"].all()
        assert list(one) == ["who", *(c for c in TABLES[name] if c != "who"), "imputed"]
    assert list(read(folder / "one" / "a.tsv")) == [*turned.columns, "imputed"]


def test_a_cell_that_is_hardly_a_measurement_is_named_once(command, folder):
    """However often the tables are read: for means, standard deviations and draws."""
    far = TABLES["a"].copy()
    column = far.columns.drop("who")[0]
    far[column] = far[column].astype(float)
    far.loc[far.index[2], column] = 1e12
    write(folder / "far.csv", far)
    code, _, err = command("impute", "m.safetensors", "--view", "a=far.csv", "--out", "filled", "--std", "--draws", "2")
    assert code == 0
    assert err.count("warning:") == 1
    assert f"first: row {far['who'].iloc[2]}, column '{column}' is 1e+12" in " ".join(err.split())


def test_draws_are_complete_tables_that_differ_where_imputed(command, folder):
    assert command("impute", "m.safetensors", *views(WORDS), "--out", "filled", "--draws", "4")[0] == 0
    for i, (name, ending) in enumerate(zip("abc", ENDINGS, strict=True)):
        before, long = read(folder / f"{name}{ending}"), read(folder / "filled" / f"{name}.draws{ending}")
        assert long["draw"].unique().tolist() == [1, 2, 3, 4]
        drawn = [long[long["draw"] == k].drop(columns="draw") for k in (1, 2, 3, 4)]
        for one in drawn:
            filled_matches(before, one, i % 2)
        stack = np.stack([one[one["imputed"]].drop(columns=["who", "imputed"]).to_numpy() for one in drawn])
        assert (stack.std(axis=0) > 0).all()


def test_types_of_columns_are_kept(command, folder):
    rng = np.random.default_rng(0)
    who = np.arange(30)
    a = pd.DataFrame({"who": who, "f": rng.standard_normal(30).astype(np.float32), "k": rng.integers(9, size=30)})
    b = pd.DataFrame({"who": who[5:], "g": rng.standard_normal(25).astype(np.float32), "n": rng.integers(9, size=25)})
    words = views_of(folder, {"a": a, "b": b}, (".parquet",) * 2)
    assert command("fit", *views(words), "--id", "who", "--out", "t.safetensors", *FIT)[0] == 0
    assert command("impute", "t.safetensors", *views(words), "--out", "filled")[0] == 0
    assert [str(t) for t in read(folder / "filled" / "a.parquet").dtypes] == ["int64", "float32", "int64", "bool"]
    after = read(folder / "filled" / "b.parquet")
    assert [str(t) for t in after.dtypes] == ["int64", "float32", "float64", "bool"]  # an imputed count is no integer
    assert bits(after[["g", "n"]][5:]) == bits(b[["g", "n"]])


def test_impute_gives_categories_as_texts_and_marks_single_cells(command, folder):
    assert command("impute", "mixed.safetensors", *views(MIXED_WORDS), "--out", "filled", "--draws", "2")[0] == 0
    frames, mask = joined_by_hand()
    expected = JPVAE.load("mixed.safetensors").impute(frames, mask)
    for (name, before), ending in zip(MIXED.items(), MIXED_ENDINGS, strict=True):
        after, known = read(folder / "filled" / f"m{name}{ending}"), before.set_index("who")
        assert list(after) == [*before, "imputed"]
        assert after["who"].tolist() == list(frames[f"m{name}"].index)
        whole = known.notna().all(axis=1)
        assert after["imputed"].tolist() == [not whole.get(who, False) for who in after["who"]]
        drawn = read(folder / "filled" / f"m{name}.draws{ending}")
        for table in (after, *(part for _, part in drawn.groupby("draw"))):
            cells = table.set_index("who")[list(known)]
            assert cells.notna().all(axis=None)
            for who, row in known.iterrows():
                assert all(cells.loc[who, c] == value for c, value in row.items() if value == value)
            for column in {"sex", "stage"} & set(known):
                assert set(cells[column]) == set(known[column])
        for column in known:
            theirs = expected[f"m{name}"][column].tolist()
            assert after[column].tolist() == theirs, column
    visits = read(folder / "filled" / "mb.draws.csv")["visits"]
    assert (visits == visits.round()).all()  # a drawn count is one


def test_a_column_of_texts_that_is_empty_in_every_row_is_filled(command, folder):
    """A file without one text gives pandas a column of numbers."""
    new = MIXED["a"].head(3).assign(sex=np.nan)
    for ending in ENDINGS:
        write(folder / f"new{ending}", new)
        out = f"filled{ending}"
        assert command("impute", "mixed.safetensors", *views([f"ma=new{ending}"]), "--out", out, "--draws", "1")[0] == 0
        for file in ("ma", "ma.draws"):
            assert set(read(folder / out / f"{file}{ending}")["sex"]) <= {"f", "m"}


def test_an_array_s_single_cells(command):
    x = np.load("x.npy")
    x[300, 1] = x[301, 2] = np.nan
    np.save("x.npy", x)
    both = views(["x=x.npy", "y=y.npy"])
    assert "view 'x', row 300, column 1 is nan" in command("fit", *both, "--out", "c.safetensors", *FIT)[2]
    assert command("fit", *both, "--out", "c.safetensors", *FIT, "--entries", "marginalise")[0] == 0
    assert command("impute", "c.safetensors", *both, "--out", "filled")[0] == 0
    after, imputed = np.load("filled/x.npy"), np.load("filled/x.imputed.npy")
    assert imputed.tolist() == np.isnan(x).any(axis=1).tolist()
    assert np.isfinite(after).all()
    assert np.array_equal(after[~np.isnan(x)], x[~np.isnan(x)])


def test_what_a_killed_impute_left_is_removed(command, folder):
    stale, other = folder / f".filled.{'0' * 32}", folder / f".other.{'0' * 32}"
    for path in (stale, other):
        path.mkdir()
        (path / "half.csv").write_text("half")
    assert command("impute", M, *views(["a=a.csv"]), *OUT)[0] == 0
    assert not stale.exists()
    assert other.exists()


def test_arrays_stream_by_position(command):
    code, out, _ = command(
        "impute", "arrays.safetensors", "--view", "y=y.npy", "--view", "x=x.npy", "--out", "filled", "--draws", "2", "--json"
    )
    assert code == 0
    assert json.loads(out)["files"] == sorted(f"{n}{e}.npy" for n in "xy" for e in ("", ".imputed", ".draws"))
    given = [np.load(f"{name}.npy") for name in "xy"]
    expected = JPVAE.load("arrays.safetensors").impute(given, missing="nan")
    for name, before, wanted in zip("xy", given, expected, strict=True):
        after, imputed, drawn = (np.load(f"filled/{name}{e}.npy") for e in ("", ".imputed", ".draws"))
        assert after.dtype == before.dtype
        assert imputed.tolist() == np.isnan(before[:, 0]).tolist()
        assert after[~imputed].tobytes() == before[~imputed].tobytes()
        assert after.tobytes() == wanted.tobytes()
        assert drawn.shape == (2, *before.shape)
        assert all(one[~imputed].tobytes() == before[~imputed].tobytes() for one in drawn)


def test_archives_keep_their_name_inside(command):
    np.savez("x.npz", counts=np.load("x.npy")[350:])
    assert command("impute", "arrays.safetensors", "--view", "x=x.npz", "--out", "filled", "--draws", "2")[0] == 0
    assert sorted(os.listdir("filled")) == [f"{n}{e}.npz" for n in "xy" for e in (".draws", "")]
    with np.load("filled/x.npz") as x, np.load("filled/y.npz") as y, np.load("filled/y.draws.npz") as draws:
        assert x["counts"].tobytes() == np.load("x.npy")[350:].tobytes()
        assert not x["imputed"].any()
        assert y["imputed"].all()
        assert (y["y"].shape, draws["y"].shape) == ((350, 3), (2, 350, 3))


def test_a_sheet_holds_so_many_rows(command, folder):
    code, _, err = command("impute", M, *views(["c=c.xlsx"]), *OUT, "--draws", "100000")
    assert code == 2
    assert "more than an .xlsx holds (1048575); take fewer draws, or give the view as .csv or .parquet" in err
    assert not (folder / "filled").exists()


def test_without_pandas_the_message_says_what_to_install(folder):
    (folder / "pandas.py").write_text("raise ModuleNotFoundError('No module named pandas', name='pandas')")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    command = [sys.executable, "-m", "jpvae", "impute", M, *views(["a=a.csv"]), *OUT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: tables need pandas: pip install 'jpvae[tables]'\n"


def test_memory_does_not_grow_with_the_rows_of_an_array(command):
    """Bytes that Python and NumPy hold at once (pages of mapped files are let go of: benchmarks/test_bench_imputation.py)."""
    peaks = []
    for rows in (1_024, 6_144):
        for name in "xy":
            np.save(f"{name}{rows}.npy", np.tile(np.load(f"{name}.npy")[200:456], (rows // 256, 1))[:rows])
        tracemalloc.start()
        code, _, err = command("impute", X, "--view", f"x=x{rows}.npy", "--view", f"y=y{rows}.npy", "--out", f"out{rows}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (code, err) == (0, "")
    # Per row: the mask twice and its inverse in parts (2 views: 6 bytes), which cells are complete and what was imputed (4
    # bytes). The smaller view whole would be 24 bytes per row, and 120 kB more.
    assert peaks[1] <= peaks[0] + 5_120 * 10 + 60_000
