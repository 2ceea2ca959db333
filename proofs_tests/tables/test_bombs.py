"""Small files that would take gigabytes: stopped by a limit, with a message, before anything is made of them."""

import gzip
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from lab import FIT
from table_files import as_read, source, write

from jpvae.errors import ViewError
from jpvae.tables import parquet_limits, text_files, xlsx, xlsx_limits
from jpvae.tables.dialect import Dialect


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    """The parts of a small .xlsx."""
    path = write(tmp_path_factory.mktemp("sheet") / "s.xlsx", pd.DataFrame({"who": ["p", "q"], "x": [1.5, 2.5]}))
    with zipfile.ZipFile(path) as book:
        return {name: book.read(name) for name in book.namelist()}


ROWS_END = b"</sheetData>"
ENTITY = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><worksheet'
BOMBS = {  # what stands for what in a part, and the complaint
    "cells in a line": (
        "sheet1",
        ROWS_END,
        b"<row>" + b"<c><v>1</v></c>" * 20_000 + b"</row>" + ROWS_END,
        "has more than the 16,384 cells",
    ),
    "empty cells": ("sheet1", ROWS_END, (b"<row>" + b"<c/>" * 16_000 + b"</row>") * 2 + ROWS_END, "more than 20,001 cells"),
    "a line": ("sheet1", ROWS_END, b'<row r="1048577"><c><v>1</v></c></row>' + ROWS_END, "has a line beyond 1,048,576"),
    "a line far away": ("sheet1", ROWS_END, b'<row r="1e300"/>' + ROWS_END, "has a line beyond 1,048,576"),
    "a text": (
        "sheet1",
        ROWS_END,
        b'<row><c t="str"><v>' + b"1" * 2**19 + b"</v></c></row>" + ROWS_END,
        "has a text longer than",
    ),
    "an attribute": ("sheet1", b"<sheetData", b'<x a="' + b"1" * 2**19 + b'"/><sheetData', "has a text longer than"),
    "entities": ("sheet1", b"<worksheet", ENTITY, "declares a document type"),
    "elements": ("sheet1", b"<sheetData", b"<x/>" * 100_000 + b"<sheetData", "elements in"),
    "styles": ("styles", b"</styleSheet>", b"<x/>" * 100_000 + b"</styleSheet>", "elements in"),
    "texts": ("workbook.xml", b"</workbook>", b"<x>" + b"<y/>" * 100_000 + b"</x></workbook>", "elements in"),
}


@pytest.mark.parametrize(("part", "old", "new", "message"), BOMBS.values(), ids=BOMBS.keys())
def test_small_sheets_that_would_take_gigabytes(sheet, tmp_path, monkeypatch, part, old, new, message):
    """They are stopped before openpyxl sees them."""
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w", zipfile.ZIP_DEFLATED) as book:
        for name, content in sheet.items():
            book.writestr(name, content.replace(old, new, 1) if part in name else content)
    monkeypatch.setattr("openpyxl.load_workbook", None)
    monkeypatch.setattr(xlsx_limits, "_ANYWAY", 20_000)  # else these would have to be large
    monkeypatch.setattr(xlsx_limits, "_PER_BYTE", 0)
    with pytest.raises(ViewError, match=message):
        as_read(source(tmp_path / "t.xlsx"), "who")


def test_a_sheet_of_excel_s_own_size_is_read(sheet, tmp_path):
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w", zipfile.ZIP_DEFLATED) as book:
        for name, content in sheet.items():
            book.writestr(name, content.replace(ROWS_END, far) if "sheet1" in name else content)
    names, rows = xlsx.read(tmp_path / "t.xlsx", Dialect())
    assert (len(names), len(rows), rows[-1][-1]) == (16_384, 3, "1")


LONG = {  # of a .csv: what stands in it, and the complaint
    "a cell": (b"who,x\np," + b"0" * 2**21, "cell of more than 524,288 bytes"),
    "a quoted cell": (b'who,x\np,"' + b"0" * 2**21 + b'"\n', "cell of more than 524,288 bytes"),
    "a name": (b"who," + b"x" * 2**21 + b"\np,1\n", "cell of more than 524,288 bytes"),
    "a line": (b"who" + b",a" * 2**24 + b"\np,1\n", "to a line of more than"),
}
PLAIN = ("a line", ".csv")  # a file that is no smaller than its line has what it takes


@pytest.mark.parametrize(
    ("name", "ending"),
    [(name, ending) for name in LONG for ending in (".csv", ".csv.gz", ".tsv.gz") if (name, ending) != PLAIN],
)
def test_cells_and_lines_that_no_table_has(tmp_path, monkeypatch, name, ending):
    """They are stopped before they are decoded."""
    content, message = LONG[name]
    (tmp_path / f"t{ending}").write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    monkeypatch.setattr(text_files, "encoding_of", None)
    with pytest.raises(ViewError, match=message):
        as_read(source(tmp_path / f"t{ending}"), "who")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp037"])
def test_a_table_of_long_lines_is_read_in_any_encoding(tmp_path, encoding):
    text = "who" + "".join(f"#g{k}" for k in range(80_000)) + "\np" + "#0" * 80_000 + "\n"
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode(encoding)))
    names, rows = text_files.read(tmp_path / "t.csv.gz", ",", Dialect(sep="#", encoding=encoding))
    assert (len(names), len(rows), names[-1]) == (80_001, 1, "g79999")


@pytest.mark.parametrize("kind", ["str", "category", "bytes"])
def test_texts_that_a_parquet_has_once_and_a_table_many_times(tmp_path, monkeypatch, kind):
    """Two megabytes of text in some kilobytes; pandas' categories are as small in memory."""
    monkeypatch.setattr(text_files, "MOST", 2**20)
    text = b"x" * 1000 if kind == "bytes" else "x" * 1000
    table = pd.DataFrame({"who": range(2000), "t": [text] * 2000, "x": 1.5})
    path = write(tmp_path / "t.parquet", table.astype({"t": "category"}) if kind == "category" else table)
    assert path.stat().st_size < 2**16
    monkeypatch.setattr(text_files, "RATIO", 10)
    if kind == "category":
        parquet_limits.check(path)
        return
    with pytest.raises(ViewError, match=r"it unpacks from [\d,]+ to 2,\d+,\d+ bytes, more than data do"):
        as_read(source(path), "who")


def test_a_parquet_of_texts_and_gaps_is_no_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "MOST", 0)
    monkeypatch.setattr(text_files, "RATIO", 4)
    table = pd.DataFrame({"who": [f"P{k}" for k in range(500)], "t": ["a", None, "bb", "", "c"] * 100, "x": 1.5})
    frame = as_read(source(write(tmp_path / "t.parquet", table)), "who").frame
    assert frame["t"].iloc[:5].tolist()[0] == "a"
    assert len(frame) == 500


def test_a_line_without_an_end_is_stopped_where_a_file_is_filled_in_blocks(in_lab, tmp_path, monkeypatch):
    assert in_lab("fit", *FIT, "--view", "lab=lab.csv")[0] == 0
    monkeypatch.setattr(text_files, "_LONGEST_LINE", 5_000)
    with gzip.open(tmp_path / "bomb.csv.gz", "wt") as file:
        file.write("who,x,y\nP000,1,2\n" + "9," * 2**20)
    code, _, err = in_lab("impute", "m.safetensors", "--view", "lab=bomb.csv.gz", "--out", "o", "--rows", "7")
    assert (code, (tmp_path / "o").exists()) == (2, False)
    assert "to a line of more than" in err


def test_a_dictionary_s_text_counts_as_often_as_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "MOST", 2**20)
    once = pa.DictionaryArray.from_arrays(np.zeros(2000, np.int32), ["u" * 2**16])
    pa.parquet.write_table(
        pa.table({"who": [str(k) for k in range(2000)], "c": once}), tmp_path / "t.parquet", compression="zstd"
    )
    with pytest.raises(ViewError, match="more than data do"):
        as_read(source(tmp_path / "t.parquet"), "who")
