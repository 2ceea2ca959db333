"""Files of tables: numbers to the bit in every format, joins as plain dicts make them, complaints, nothing half-written."""

import errno
import io
import math
import os
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from table_files import ENDINGS, bits, three_tables, views_of, write

from jpvae.errors import ConfigError, MissingDependency, ViewError
from jpvae.tables import reading, text_files, writing
from jpvae.tables.arrays import new_array
from jpvae.tables.dialect import Dialect
from jpvae.tables.joining import join
from jpvae.tables.sources import sources

WHO = {name: Dialect(id="who") for name in "abc"}
NOBODY = {name: Dialect() for name in "abc"}


def read(one, name="who"):
    return reading.read(one, Dialect(id=name))


def source(path, view="a"):
    return sources([f"{view}={path}"])[0]


NUMBERS = [0.1, 1 / 3, -5e-324, 1.7976931348623157e308, 2.0**-1074 * 3, -1e-300, 123456789.123456789, math.pi, 1e16 + 2, 7.0]


@pytest.mark.parametrize("ending", ENDINGS)
def test_numbers_come_back_to_the_bit(tmp_path, ending):
    """Extreme numbers and random ones, through pandas' writer and our reader, and through our writer and our reader."""
    values = np.concatenate([NUMBERS, np.random.default_rng(0).standard_normal(300) * 10.0 ** np.arange(300)])
    frame = pd.DataFrame({"who": [f"p{k}" for k in range(len(values))], "x": values, "y": values[::-1]})
    write(tmp_path / f"theirs{ending}", frame)
    writing.write_frame(tmp_path / f"ours{ending}", frame)
    digits = 16 if ending == ".xlsx" else 17  # that pandas writes (by openpyxl, whose %.16g makes the largest double infinite)
    for name, written in (("theirs", digits), ("ours", 17)):
        found = read(source(tmp_path / f"{name}{ending}"), "who").frame
        assert list(found.index) == list(frame["who"])
        for column in "xy":
            assert bits(found[column]) == bits([float(f"{x:.{written}g}") for x in frame[column]])


@pytest.mark.parametrize(
    ("ending", "ids", "expected"),
    [
        (".csv", ["007", "8"], ["007", "8"]),
        (".csv", ["7", "8"], ["7", "8"]),
        (".tsv", ["-7", "0"], ["-7", "0"]),
        (".csv", ["7", "8b"], ["7", "8b"]),
        (".csv", ["12345678901234567890", "1"], ["12345678901234567890", "1"]),
        (".xlsx", ["7", "8"], ["7", "8"]),
        (".xlsx", [7, 8], ["7", "8"]),
        (".parquet", [7, 8], ["7", "8"]),
        (".parquet", ["7", "8"], ["7", "8"]),
    ],
)
def test_what_ids_are(tmp_path, ending, ids, expected):
    path = write(tmp_path / f"t{ending}", pd.DataFrame({"who": ids, "x": [1.0, 2.0]}))
    assert read(source(path), "who").frame.index.tolist() == expected


def test_columns_are_what_they_are_in_the_file(tmp_path):
    columns = {
        "who": ["p", "q"],
        "f": np.array([0.1, 0.2], np.float32),
        "n": pd.array([1, None], "Int64"),
        "b": [True, False],
        "k": [2, 3],
        "s": ["I", None],
        "c": pd.Categorical(["x", "y"], ["y", "x"]),
    }
    frame = read(source(write(tmp_path / "t.parquet", pd.DataFrame(columns))), "who").frame
    text = str(pd.Series(["I", None]).dtype)  # object before pandas 3
    assert [str(t) for t in frame.dtypes] == ["float32", "Int64", "bool", "int64", text, "category"]
    assert frame["c"].cat.categories.tolist() == ["y", "x"]
    assert frame["s"].tolist()[0] == "I"
    assert np.argwhere(frame.isna()).tolist() == [[1, 1], [1, 4]]


def test_an_index_that_pandas_wrote_is_a_column(tmp_path):
    pd.DataFrame({"x": [1.0, 2.0]}, index=pd.Index([5, 6], name="who")).to_parquet(tmp_path / "t.parquet")
    assert read(source(tmp_path / "t.parquet"), "who").frame.index.tolist() == ["5", "6"]


@pytest.mark.parametrize("seed", range(4))
def test_the_join_is_the_one_that_dicts_make(tmp_path, seed):
    tables = three_tables(seed)
    tables["b"].iloc[3, [0, *range(2, 5)]] = np.nan  # a row with an id and nothing else
    if (lonely := tables["b"].iloc[3]["who"]) not in {*tables["a"]["who"], *tables["c"]["who"]}:
        tables["a"].iloc[0, 0] = lonely
    joined = join(sources(views_of(tmp_path, tables, (".csv", ".parquet", ".tsv"))), WHO)

    contents = {name: {row.pop("who"): row for row in t.to_dict("records")} for name, t in tables.items()}
    contents["b"].pop(lonely)
    order = list(dict.fromkeys(who for t in tables.values() for who in t["who"]))
    assert joined.ids.tolist() == order
    assert joined.observed.tolist() == [[who in contents[name] for name in "abc"] for who in order]
    for name, view in joined.views.items():
        for who, row in zip(order, view.to_dict("records"), strict=True):
            expected = contents[name].get(who)
            assert all(map(math.isnan, row.values())) if expected is None else row == expected
    counts = {p: sum(tuple(who in contents[n] for n in "abc") == p for who in order) for p in {p for p, _ in joined.patterns()}}
    assert dict(joined.patterns()) == counts
    assert sum(counts.values()) == len(order)


GOOD = "who,x,y\np,1,2\nq,3,4\n"
REFUSED = {
    "no equals": (["a"], {}, ConfigError, "--view is 'a'; expected NAME=PATH, such as rna=rna.csv"),
    "a path for a name": (["../a=t.csv"], {"t.csv": GOOD}, ConfigError, "--view is '../a=t.csv'; expected NAME=PATH"),
    "one name twice": (["a=t.csv", "a=t.csv"], {"t.csv": GOOD}, ConfigError, "--view names 'a' twice"),
    "nothing": ([], {}, ConfigError, "--view is missing; expected at least one NAME=PATH"),
    "no file": (["a=t.csv"], {}, ViewError, "view 'a' (t.csv): there is no such file"),
    "ending": (["a=t.sav"], {"t.sav": GOOD}, ViewError, "has the ending '.sav'; expected one of .csv, .tsv, .parquet"),
    "array beside table": (["a=t.csv", "b=t.npy"], {"t.csv": GOOD, "t.npy": ""}, ViewError, "t.npy without ids beside tables"),
    "no header": (
        ["a=t.csv"],
        {"t.csv": ""},
        ViewError,
        "view 'a' (t.csv) cannot be read as .csv (it has no line 1",
    ),
    "no rows": (["a=t.csv"], {"t.csv": "who,x\n"}, ViewError, "view 'a' (t.csv) has no rows"),
    "no id column": (["a=t.csv"], {"t.csv": "x,y\n1,2\n"}, ViewError, "no column 'who' (the id); its columns are 'x', 'y'"),
    "only ids": (["a=t.csv"], {"t.csv": "who\np\n"}, ViewError, "has no column beside the id 'who'"),
    "no id": (["a=t.csv"], {"t.csv": "who,x\np,1\n,2\n"}, ViewError, "row 2 has no 'who'; expected an id in each"),
    "duplicate ids": (["a=t.csv"], {"t.csv": GOOD + "p,5,6\n"}, ViewError, "'who' has 'p' more than once (1 such rows)"),
    "row numbers": (
        ["a=t.csv"],
        {"t.csv": ",who,x\n0,p,1\n"},
        ViewError,
        "column 1 of 3 has no name; expected a name for each",
    ),
    "columns twice": (["a=t.csv"], {"t.csv": "who,x,x\np,1,2\n"}, ViewError, "more than one column named ['x']"),
    "nobody home": (
        ["a=t.csv"],
        {"t.csv": GOOD + "r,,\n"},
        ViewError,
        "who 'r' has no value in any of the given views (1 such rows)",
    ),
    "long rows": (
        ["a=t.csv"],
        {"t.csv": "who,x\np,1,2\nq,1,2\n"},
        ViewError,
        "column 1 of 3 has no name; expected",
    ),
    "one long row": (
        ["a=t.csv"],
        {"t.csv": GOOD + "r,1,2,3\n"},
        ViewError,
        "(line 4 has 4 cells; expected 3",
    ),
    "huge integer": (
        ["a=t.csv"],
        {"t.csv": f"who,x\np,{2**53 + 1}\n"},
        ViewError,
        "'x' has the integer 9007199254740993, beyond 2**53",
    ),
    "semicolons": (
        ["a=t.csv"],
        {"t.csv": "who;x\np;1,5\n"},
        ViewError,
        "are 'who;x'. A .csv has commas between its columns and decimal points; else: --sep ';' --decimal ,",
    ),
    "padded id": (["a=t.csv"], {"t.csv": GOOD + "p ,5,6\n"}, ViewError, "the id 'p ' in 'who' begins or ends with white space"),
    "open quote": (["a=t.csv"], {"t.csv": '"' + GOOD * 9999}, ViewError, "cannot be read as .csv (field larger than"),
    "no csv": (
        ["a=t.csv"],
        {"t.csv": b"who\xff\xfe\x00w"},
        ViewError,
        "view 'a' (t.csv) cannot be read as .csv ('utf-8' codec",
    ),
    "no parquet": (["a=t.parquet"], {"t.parquet": GOOD}, ViewError, "view 'a' (t.parquet) cannot be read as .parquet ("),
    "no xlsx": (["a=t.xlsx"], {"t.xlsx": GOOD}, ViewError, "view 'a' (t.xlsx) cannot be read as .xlsx ("),
    "no npy": (["a=t.npy"], {"t.npy": GOOD}, ViewError, "view 'a' (t.npy) has no ids, where 'who' is to match the rows"),
}


@pytest.mark.parametrize(("words", "files", "kind", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(tmp_path, monkeypatch, words, files, kind, message):
    monkeypatch.chdir(tmp_path)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(kind) as found:
        join(sources(words), WHO)
    assert message in str(found.value)


def test_refused_sheets_and_ids_that_are_no_ids(tmp_path):
    frame = pd.DataFrame({"who": [1.5, 2.0], "x": [1.0, 2.0]})
    with pytest.raises(ViewError, match=r"the ids in 'who' are float64; expected integers or text"):
        read(source(write(tmp_path / "t.parquet", frame)), "who")
    with pd.ExcelWriter(tmp_path / "two.xlsx") as book:
        for sheet in ("first", "second"):
            frame.to_excel(book, sheet_name=sheet, index=False)
    with pytest.raises(ViewError, match=r"sheets \['first', 'second'\]; expected one"):
        read(source(tmp_path / "two.xlsx"), "who")


ARRAYS = {
    "not two axes": (
        {"a.npy": np.zeros(3)},
        r"view 'a' \(.*a.npy\) is an array of shape \(3,\) and dtype float64; expected \(N, c\)",
    ),
    "text": ({"a.npy": np.array([["x"]])}, "dtype <U1; expected"),
    "objects": ({"a.npy": np.array([[None]])}, "cannot be read as .npy"),
    "no rows": ({"a.npy": np.zeros((0, 3))}, r"shape \(0, 3\)"),
    "row counts": ({"a.npy": np.zeros((3, 1)), "b.npy": np.zeros((4, 1))}, r"matched by position, but their row counts differ"),
}


@pytest.mark.parametrize(("files", "message"), ARRAYS.values(), ids=ARRAYS.keys())
def test_refused_arrays(tmp_path, files, message):
    for name, array in files.items():
        np.save(tmp_path / name, array)
    with pytest.raises(ViewError, match=message):
        join(sources([f"{name[0]}={tmp_path / name}" for name in files]), NOBODY)


def test_refused_archives_and_missing_ids(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 2)), y=np.zeros((2, 2)))
    with pytest.raises(ViewError, match=r"it holds \['x', 'y'\]; expected one array per file"):
        join([source(tmp_path / "a.npz")], NOBODY)
    (tmp_path / "t.csv").write_text(GOOD)
    with pytest.raises(ViewError, match=r"is a table, whose rows are matched by an id; name the id column with --id"):
        join([source(tmp_path / "t.csv")], NOBODY)


def archive(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)


def array_file(shape, size):
    """A .npy that claims a shape, and has so many bytes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return header.getvalue() + bytes(size)


ARCHIVES = {
    "no array": ({"x.npy": b"hello"}, "cannot be read as .npz"),
    "another file": ({"readme.txt": b"hello"}, r"it holds \['readme.txt'\]; expected one array per file"),
    "two": ({"x.npy": array_file((1, 1), 8), "y.npy": array_file((1, 1), 8)}, "expected one array per file"),
    "nothing": ({}, "expected one array per file"),
    "a claim": ({"x.npy": array_file((10**9, 100), 80)}, "its array has another size than its shape"),
    "objects": ({"x.npy": array_file((10, 1), 80).replace(b"'<f8'", b"'|O' ")}, "cannot be read as .npz"),
    "a bomb": ({"x.npy": array_file((2**18, 1), 2**21)}, "more than data do"),
}


@pytest.mark.parametrize(("members", "message"), ARCHIVES.values(), ids=ARCHIVES.keys())
def test_archives_that_hold_something_else(tmp_path, monkeypatch, members, message):
    monkeypatch.setattr(text_files, "MOST", 2**20)
    archive(tmp_path / "t.npz", members)
    with pytest.raises(ViewError, match=message):
        join([source(tmp_path / "t.npz")], NOBODY)


@pytest.mark.parametrize("ending", [".xlsx", ".npz"])
def test_damaged_archives(tmp_path, ending):
    """Forty bytes of what is compressed inverted, one at a time, and broken XML in a sound zip: refused, or read."""
    path, whole = tmp_path / f"t{ending}", tmp_path / f"whole{ending}"
    values = np.random.default_rng(0).standard_normal((100, 2))
    if ending == ".npz":
        np.savez_compressed(whole, x=values)
    else:
        write(whole, pd.DataFrame({"who": range(100), "x": values[:, 0]}))
    content, refused = whole.read_bytes(), 0
    for place in np.linspace(60, len(content) // 2, 40, dtype=int):
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        try:
            join([source(path)], NOBODY if ending == ".npz" else WHO)
        except ViewError as error:
            assert f"cannot be read as {ending}" in str(error)  # noqa: PT017 - some bytes are read by nobody
            refused += 1
    assert refused > 10
    if ending == ".xlsx":
        with zipfile.ZipFile(whole) as book, zipfile.ZipFile(path, "w") as broken:
            for name in book.namelist():
                broken.writestr(name, book.read(name)[: -9 if "sheet1" in name else None])
        with pytest.raises(ViewError, match=r"cannot be read as \.xlsx"):
            read(source(path), "who")


def test_text_that_is_no_mistake(tmp_path):
    """An empty first line; texts with commas are categories; digits that are text in a typed file are as in a csv."""
    (tmp_path / "t.csv").write_text('\nwho,x\np,"a,b"\nq,c\n')
    assert read(source(tmp_path / "t.csv"), "who").frame["x"].tolist() == ["a,b", "c"]
    frame = pd.DataFrame({"who": pd.Categorical(["p", "q"]), "stage": ["1", "2"]})
    assert read(source(write(tmp_path / "t.parquet", frame)), "who").frame.to_dict("index") == {
        "p": {"stage": 1},
        "q": {"stage": 2},
    }


def test_sheets_as_people_leave_them(tmp_path):
    """Empty rows and columns that were touched, NA, names that are numbers; text that looks like a formula stays text."""
    table = [["who", 2020, "y", None], ["p", 1.5, "NA", None], [None] * 4, ["q", 2, 3, ""]]
    pd.DataFrame(table).to_excel(tmp_path / "t.xlsx", index=False, header=False)
    frame = read(source(tmp_path / "t.xlsx"), "who").frame
    assert frame.columns.tolist() == ["2020", "y"]
    assert bits(frame) == bits([[1.5, np.nan], [2.0, 3.0]])
    ids = ["=1+1", "q", "007"]
    writing.write_frame(tmp_path / "u.xlsx", pd.DataFrame({"who": ids, "x": [1.0, 2.0, 3.0], "imputed": [True, False, True]}))
    again = pd.read_excel(tmp_path / "u.xlsx", dtype={"who": str})
    assert again.to_dict("list") == {"who": ids, "x": [1, 2, 3], "imputed": [True, False, True]}


def test_a_package_that_is_not_installed_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "t.xlsx", pd.DataFrame({"who": [1], "x": [1.0]}))
    monkeypatch.setattr("jpvae.tables.reading.find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match=r"needs openpyxl for .xlsx: pip install openpyxl, or 'jpvae\[tables\]'"):
        read(source(path), "who")


def half(_, file, **__):
    """A disk that fills up in the middle of a table."""
    file.write(b"half of it")
    raise OSError(errno.ENOSPC, "No space left on device")


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


FULL = [(pd.DataFrame, "to_csv", half), (os, "fsync", full), (os, "replace", full), (os, "posix_fallocate", full)]


@pytest.mark.parametrize(("where", "what", "how"), FULL, ids=[what for _, what, _ in FULL])
def test_a_disk_that_fills_up_leaves_nothing(tmp_path, monkeypatch, where, what, how):
    def work():
        with writing.new_folder(tmp_path / "filled") as folder:
            writing.write_frame(folder / "a.csv", three_tables()["a"])
            new_array(folder / "b.npy", np.dtype(float), (10, 2))

    monkeypatch.setattr(where, what, how)
    with pytest.raises(OSError, match=r"No space left on device; nothing was written: '.*/filled'") as found:
        work()
    assert found.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


REALLY_FULL = """
import os, resource, sys
from pathlib import Path
import numpy as np, pandas as pd
from jpvae.tables import reading, text_files, writing
from jpvae.tables.arrays import new_array

out, frame = Path(sys.argv[1]), pd.DataFrame({"x": np.arange(4000) / 7})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for ending in sys.argv[2:]:
    try:
        with writing.new_folder(out) as folder:
            path = folder / f"a{ending}"
            if ending == ".npz":
                writing.write_arrays(path, {"x": frame.to_numpy()})
            elif ending == ".npy":
                new_array(path, np.dtype(float), frame.shape)
            else:
                writing.write_frame(path, frame)
    except OSError as error:
        print(ending, error, os.listdir(out.parent))
"""


def test_a_disk_that_is_really_full(tmp_path):
    """The kernel refuses to let a file grow beyond 20,000 bytes, whichever library writes it."""
    endings, out = [*ENDINGS, ".npz", ".npy"], tmp_path / "filled"
    script = [sys.executable, "-c", REALLY_FULL, str(out), *endings]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    lines = [f"{ending} [Errno 27] File too large; nothing was written: '{out}' []" for ending in endings]
    assert done.stdout.splitlines() == lines


def test_a_folder_appears_complete_or_not_at_all(tmp_path):
    def stopped():
        with writing.new_folder(tmp_path / "stopped") as folder:
            (folder / "half").write_text("of it")
            raise KeyboardInterrupt

    out = tmp_path / "filled"
    out.mkdir()  # an empty one may be there
    with writing.new_folder(out) as folder:
        writing.write_arrays(folder / "a.npz", {"x": np.zeros((2, 2))})
        assert os.listdir(out) == []
    assert os.listdir(out) == ["a.npz"]
    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert os.listdir(tmp_path) == ["filled"]


def test_folders_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "a.csv").write_text("")
    for name, message in (
        ("file", "a file; expected the name of a new folder"),
        ("used", "a folder that contains files; expected a new or empty folder"),
        ("no/where", "in a folder that does not exist; create"),
    ):
        with pytest.raises(ViewError, match=message):
            writing.check_new_folder(tmp_path / name)
    writing.check_new_folder(tmp_path / "new")
    monkeypatch.setattr("os.access", lambda *_: False)  # (root may write anywhere)
    with pytest.raises(ViewError, match="where you may not write; choose another folder"):
        writing.check_new_folder(tmp_path / "new")


def test_text_of_a_csv_is_what_plain_python_reads(tmp_path):
    """Every number written is the shortest decimal that means it: float() of the text is the number."""
    values = np.random.default_rng(1).standard_normal(200) * 10.0 ** np.arange(-100, 100)
    writing.write_frame(tmp_path / "t.csv", pd.DataFrame({"x": values}))
    lines = (tmp_path / "t.csv").read_text().split()
    assert bits([float(word) for word in lines[1:]]) == bits(values)
