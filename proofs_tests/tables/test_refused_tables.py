"""Files that are refused: each with a message that names the file, what was found and what was expected."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from table_files import BY_WHO, as_read, source, write

from jpvae.errors import ConfigError, ViewError
from jpvae.tables import text_files
from jpvae.tables.dialect import Dialect
from jpvae.tables.joining import join
from jpvae.tables.sources import sources

NOBODY = {name: Dialect() for name in "abc"}


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
        join(sources(words), BY_WHO)
    assert message in str(found.value)


def test_refused_sheets_and_ids_that_are_no_ids(tmp_path):
    frame = pd.DataFrame({"who": [1.5, 2.0], "x": [1.0, 2.0]})
    with pytest.raises(ViewError, match=r"the ids in 'who' are float64; expected integers or text"):
        as_read(source(write(tmp_path / "t.parquet", frame)), "who")
    with pd.ExcelWriter(tmp_path / "two.xlsx") as book:
        for sheet in ("first", "second"):
            frame.to_excel(book, sheet_name=sheet, index=False)
    with pytest.raises(ViewError, match=r"sheets \['first', 'second'\]; expected one"):
        as_read(source(tmp_path / "two.xlsx"), "who")


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
            join([source(path)], NOBODY if ending == ".npz" else BY_WHO)
        except ViewError as error:
            assert f"cannot be read as {ending}" in str(error)  # noqa: PT017 - some bytes are read by nobody
            refused += 1
    assert refused > 10
    if ending == ".xlsx":
        with zipfile.ZipFile(whole) as book, zipfile.ZipFile(path, "w") as broken:
            for name in book.namelist():
                broken.writestr(name, book.read(name)[: -9 if "sheet1" in name else None])
        with pytest.raises(ViewError, match=r"cannot be read as \.xlsx"):
            as_read(source(path), "who")
