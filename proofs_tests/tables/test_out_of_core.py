"""Tables larger than memory: a training from many files by its cache, and a filling so many rows at a time.

The oracle is the same command on the same rows as one file a view, read whole.
"""

import contextlib
import gzip
import io
import json

import anndata
import numpy as np
import pandas as pd
import pytest
from synthetic import three_views

from jpvae.commands.program import program
from jpvae.errors import ConfigError, ViewError
from jpvae.files import checkpoints
from jpvae.tables import cache, ranges
from jpvae.tables.cache import cached
from jpvae.tables.dialect import Dialect
from jpvae.tables.partitions import partitions

PARTS, ROWS = 4, 200
NAMES = ("rna", "protein", "clinic")
FIT = ["--id", "subject", "--steps", "12", "--latent-dims", "2", "--backend", "numpy", "--entries", "marginalise", "--json"]
# Twelve steps: encoders that know little of empty cells yet.
pytestmark = pytest.mark.filterwarnings("ignore:importance weights have collapsed")


def run(*arguments):
    """What the command prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        program()(list(map(str, arguments)), standalone_mode=False)
    return output.getvalue()


def tables():
    """Floats of both sizes, whole numbers; every view lacks subjects, and a cell of one is empty."""
    views, mask = three_views(ROWS, 5)
    made = {}
    for name, view, has in zip(NAMES, views, mask.T, strict=True):
        made[name] = pd.DataFrame(view, columns=[f"{name}{j}" for j in range(view.shape[1])])
        made[name].insert(0, "subject", [f"s{k:03}" for k in range(ROWS)])
        made[name] = made[name][has]
    made["rna"] = made["rna"].astype({name: np.float32 for name in made["rna"] if name != "subject"})
    made["clinic"]["visits"] = np.arange(len(made["clinic"])) % 5
    made["protein"].iloc[3, 2] = np.nan
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """whole/<view>.parquet; parts/<view>/part.<k>.parquet, of which protein lacks the third; even/<view>.parquet and .csv, with
    an empty row where a subject lacks the view."""
    folder, made = tmp_path_factory.mktemp("tables"), tables()
    for name in ("whole", "even", *(f"parts/{name}" for name in NAMES)):
        (folder / name).mkdir(parents=True)
    part = {name: table["subject"].str[1:].astype(int) // (ROWS // PARTS) for name, table in made.items()}
    made["protein"] = made["protein"][part["protein"] != 2]
    order = [name for k in range(PARTS) for name in _ids(made, part, k)]
    for name, table in made.items():
        table.to_parquet(folder / f"whole/{name}.parquet", index=False)
        for k in set(part[name][table.index]):
            table[part[name][table.index] == k].to_parquet(folder / f"parts/{name}/part.{k}.parquet", index=False)
        even = table.set_index("subject").reindex(order).reset_index()
        even.to_parquet(folder / f"even/{name}.parquet", index=False, row_group_size=30)
        even.to_csv(folder / f"even/{name}.csv", index=False)
    return folder


def _ids(made, part, k):
    """The subjects of a part in the order in which its tables name them."""
    return list(dict.fromkeys(who for name, table in made.items() for who in table["subject"][part[name][table.index] == k]))


def files(folder, pattern):
    return [word for name in NAMES for word in ("--view", f"{name}={folder}/{pattern.format(name)}")]


@pytest.fixture(scope="module")
def model(folder):
    """Trained on the whole files, whose rows stand in the order of the parts."""
    run("fit", *files(folder, "even/{}.parquet"), "--out", folder / "model.safetensors", *FIT)
    return folder / "model.safetensors"


def same(one, other):
    ours, theirs = (checkpoints.load(path)[0] for path in (one, other))
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(x, theirs[name]) for name, x in ours.items())


@pytest.mark.parametrize("pattern", ["parts/{}", "even/{}*.parquet"])
def test_a_dataset_trains_as_one_table(folder, model, tmp_path, monkeypatch, pattern):
    """Of many files, and of one large one that is read by ranges of rows."""
    monkeypatch.setattr(ranges, "CELLS", 400)
    out = tmp_path / "m.safetensors"
    found = json.loads(run("fit", *files(folder, pattern), "--out", out, *FIT))
    assert (found["rows"], found["empty_cells"]) == (len(pd.read_csv(folder / "even/rna.csv")), 1)
    same(out, model)
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def how():
    return {name: Dialect(id="subject") for name in NAMES}


def given(folder):
    return partitions([f"{name}={folder}/parts/{name}" for name in NAMES])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "ids"}  # (hashes, sorted in the end)


def test_a_cache_goes_on_where_it_was_stopped(folder, tmp_path, monkeypatch):
    """In the third part, between the rows of two views."""
    cached(given(folder), how(), tmp_path / "whole")
    append, join, joined = cache._append, cache.join, []

    def stopping(path, array, rows):
        append(path, array, rows)
        if rows and path.name == "protein.rows" and len(joined) == 3:
            raise KeyboardInterrupt

    def counting(sources, *arguments, **options):
        if "names" in options:  # else it is the look at what a view's columns are
            joined.append(sources)
        return join(sources, *arguments, **options)

    monkeypatch.setattr(cache, "_append", stopping)
    monkeypatch.setattr(cache, "join", counting)
    with pytest.raises(KeyboardInterrupt):
        cached(given(folder), how(), tmp_path / "stopped")
    monkeypatch.setattr(cache, "_append", append)
    cached(given(folder), how(), tmp_path / "stopped")
    assert len(joined) == PARTS + 1
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    cached(given(folder), how(), tmp_path / "stopped")
    assert len(joined) == PARTS + 1


def test_a_cache_of_other_files_is_made_anew(folder, tmp_path):
    cached(given(folder), how(), tmp_path / "c")
    found = cached(given(folder)[1:], how(), tmp_path / "c")
    expected = cached(given(folder)[1:], how(), tmp_path / "d")
    assert contents(tmp_path / "c") == contents(tmp_path / "d")
    assert np.array_equal(found.observed, expected.observed)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # anndata's own
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_cells_are_read_by_ranges(tmp_path, monkeypatch):
    """An .h5ad in backed mode; whole numbers of both are counts."""
    numbers = np.random.default_rng(0).poisson(3.0, (50, 4)).astype(np.float32)
    named = [f"c{k}" for k in range(50)], [f"g{k}" for k in range(4)]
    cells = anndata.AnnData(numbers, *(pd.DataFrame(index=pd.Index(names, dtype=object)) for names in named))
    cells.write_h5ad(tmp_path / "cells.h5ad")
    monkeypatch.setattr(ranges, "CELLS", 44)
    found = cached(partitions([f"rna={tmp_path}/*.h5ad"]), {"rna": Dialect()}, tmp_path / "c")
    assert np.array_equal(found.views["rna"].to_numpy(), numbers)
    assert json.loads((tmp_path / "c/made.json").read_text())["parts"] == 5
    assert found.counts == {"rna"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(rna0="high"), r"column 'rna0' is 'high' at subject '.*'; a dataset of files is trained on numbers"),
        (
            lambda t: t.assign(rna0=pd.Timestamp("2020-01-01")),
            r"column 'rna0' has the type datetime64.*trained on numbers alone",
        ),
        (lambda t: t.drop(columns="rna0"), r"has other columns than .*part\.0\.parquet: \['rna0'\]"),
        (lambda t: t.assign(rna0=t["rna0"].astype(float)), r"has numbers of other types than .*, which has float32"),
        (lambda t: t.assign(subject="s000"), r"more than once"),
        (lambda t: t[:1].assign(subject="s000"), r"two parts of the dataset have the same id"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path, change, message):
    rng = np.random.default_rng(1)
    for k in range(2):
        table = pd.DataFrame(rng.standard_normal((3, 2)).astype(np.float32), columns=["rna0", "rna1"])
        table.insert(0, "subject", [f"s{3 * k + i:03}" for i in range(3)])
        (change(table) if k else table).to_parquet(tmp_path / f"part.{k}.parquet", index=False)
    with pytest.raises(ViewError, match=message):
        cached(partitions([f"rna={tmp_path}/*.parquet"]), {"rna": Dialect(id="subject")}, tmp_path / "c")


def test_large_files_in_different_orders_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ranges, "CELLS", 12)
    for k, name in enumerate(("rna", "protein")):
        table = pd.DataFrame({"subject": [f"s{i}" for i in range(9)], f"x{k}": np.arange(9.0)})
        (table[::-1] if k else table).to_parquet(tmp_path / f"{name}.parquet", index=False)
    both = partitions([f"rna={tmp_path}/rna.parquet", f"protein={tmp_path}/protein.parquet"])
    one = [type(both[0])("one", tuple(source for part in both for source in part.sources))]
    with pytest.raises(ViewError, match=r"have different subjects; expected the same ids in the same order"):
        cached(one, {name: Dialect(id="subject") for name in ("rna", "protein")}, tmp_path / "c")


# On some processors a row's product depends on its place in a block, by roundings of float32: some twenty, of numbers up to 30.
ROUNDINGS = 20 * 2.0**-24


def _same_but_for_roundings(ours, theirs):
    """Of what is filled; rows that were there are the same to the last bit."""
    if "imputed" in ours:
        there = ~ours["imputed"].astype(bool)
        assert there.any()
        pd.testing.assert_frame_equal(ours[there], theirs[there], check_exact=True, check_dtype=False)
    pd.testing.assert_frame_equal(ours, theirs, check_dtype=False, rtol=ROUNDINGS, atol=30 * ROUNDINGS)


@pytest.fixture(scope="module")
def filled(folder, model):
    """By ending, the folder of what is filled from whole files."""
    for ending in ("parquet", "csv"):
        run("impute", model, *files(folder, f"even/{{}}.{ending}"), "--out", folder / ending, "--std", "--draws", "2", "--json")
    return {ending: folder / ending for ending in ("parquet", "csv")}


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_files_are_filled_some_rows_at_a_time(folder, model, filled, tmp_path, ending):
    out = tmp_path / "filled"
    words = [*files(folder, f"even/{{}}.{ending}"), "--out", out, "--std", "--draws", "2", "--json"]
    found = json.loads(run("impute", model, *words, "--rows", "47"))
    assert found["files"] == sorted(path.name for path in filled[ending].iterdir())
    read = pd.read_parquet if ending == "parquet" else pd.read_csv
    for name in found["files"]:
        ours, theirs = read(out / name), read(filled[ending] / name)
        if ".draws" in name:
            ours, theirs = (each.sort_values(["draw", "subject"]).reset_index(drop=True) for each in (ours, theirs))
        _same_but_for_roundings(ours, theirs)
    whole = pd.read_parquet(filled["parquet"] / "rna.parquet")
    assert (found["subjects"], found["imputed"]["rna"]) == (len(whole), int(whole["imputed"].sum()))


def test_text_files_are_cut_as_they_stand(folder, model, tmp_path):
    """A title before the names, ids with separators, quotes and line ends, semicolons, decimal commas, packed."""
    for name in NAMES:
        table = pd.read_csv(folder / f"even/{name}.csv")
        table["subject"] = np.where(table["subject"] < "s100", 'a;"', '"\n') + table["subject"]
        text = "A title\n\n" + table.to_csv(index=False, sep=";", decimal=",")
        (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress(text.replace("\n", "\r\n").encode("cp1252")))
    how = ["--sep", ";", "--decimal", ",", "--header", "3", "--encoding", "cp1252"]
    for out, rows in (("whole", []), ("rows", ["--rows", "90"])):
        run("impute", model, *files(tmp_path, "{}.csv.gz"), "--out", tmp_path / out, *how, *rows, "--json")
    for name in NAMES:
        ours, theirs = (pd.read_csv(tmp_path / f"{out}/{name}.csv.gz", sep=";", decimal=",") for out in ("rows", "whole"))
        _same_but_for_roundings(ours, theirs)


def test_rows_that_cannot_be_cut_are_refused(folder, model, tmp_path):
    words = ["--out", tmp_path / "o", "--rows", "50"]
    rna = ["--view", f"rna={folder}/even/rna.csv"]
    with pytest.raises(ConfigError, match=r"the files are \['.csv', '.parquet'\]; expected files that are all .parquet"):
        run("impute", model, *rna, "--view", f"protein={folder}/even/protein.parquet", *words)
    for name, rows in (("rna", 90), ("protein", 70)):
        pd.read_csv(folder / f"even/{name}.csv").fillna(0.0)[:rows].to_csv(tmp_path / f"{name}.csv", index=False)
    with pytest.raises(ViewError, match=r"the files have different numbers of rows, from row 50 on"):
        run("impute", model, *files(tmp_path, "{}.csv")[:4], *words)
    with pytest.raises(ConfigError, match=r"--match looks at all rows"):
        run("impute", model, *rna, *words, "--draws", "2", "--match", "3")
    assert not (tmp_path / "o").exists()
