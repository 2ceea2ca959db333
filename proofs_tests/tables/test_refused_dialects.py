"""Cells that are no numbers as they stand: refused with the option that reads them, or warned of."""

import gzip
import json
import zipfile

import pandas as pd
import pytest
from lab import FIT, LAB, table
from table_files import write

from jpvae.errors import CheckpointError, ConfigError, ViewError
from jpvae.tables import text_files
from jpvae.tables.dialect import Dialect, dialects, stored

REFUSED = {
    "reserved": (LAB.rename(columns={"y": "imputed"}), "has a column 'imputed', which results of imputation add"),
    "features as rows": (LAB.set_index("who").T.reset_index(), "its rows are the features. To read it so: --transpose a"),
    "dates": (LAB.assign(y=pd.date_range("2021", periods=40).astype(str)), "leave the column out: --drop a:y"),
    "percent": (LAB.assign(y=[f"{k}%" for k in range(40)]), "or in a file: --unit 'a:y=%'"),
    "thousands": (LAB.assign(y=[f"{k},000.5" for k in range(1, 41)]), "or in a file: --thousands 'a:y=,'"),
    "a code": (LAB.assign(y=["3.0", "6.0", "7.0", "?"] * 10), "or in a file: --na 'a:y=?'"),
}


@pytest.mark.parametrize(("frame", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_the_option_that_reads_it(in_lab, tmp_path, frame, message):
    write(tmp_path / "a.csv", frame)
    code, out, err = in_lab("fit", *FIT, "--view", "a=a.csv", "--view", "lab=lab.csv", columns=1000)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


def test_a_stray_quotation_mark_is_refused_and_a_line_break_in_a_cell_is_not(tmp_path):
    (tmp_path / "t.tsv").write_text('who\tx\tnote\np\t1\t"see\nq\t2\tok\nr\t3\tend"\n')
    with pytest.raises(ViewError, match=r"a quotation mark in line 2 takes everything up to line 4 into one cell"):
        table(tmp_path / "t.tsv")
    (tmp_path / "t.tsv").write_text('who\tx\tnote\np\t1\t"two\nlines"\nq\t2\tok\n')
    assert table(tmp_path / "t.tsv")["note"].tolist() == ["two\nlines", "ok"]


def test_files_that_unpack_to_gigabytes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "MOST", 2**20)
    content = b"who,x\n" + b"0,0\n" * 2**20
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(content))
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/worksheets/sheet1.xml", b" " * 2**23)
    for name in ("t.csv.gz", "t.xlsx"):
        with pytest.raises(ViewError, match=r"it unpacks from [\d,]+ to [\d,]+ bytes, more than data do"):
            table(tmp_path / name)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"encoding": ["a=klingon"]}, "--encoding is 'klingon'"),
        ({"sep": ["ab"]}, "--sep is 'ab'; expected one character"),
        ({"decimal": [","], "thousands": [","]}, "--decimal and --thousands are both ','"),
        ({"header": ["a=x"]}, "--header is 'a=x'"),
        ({"header": ["0"]}, "--header is 0"),
        ({"sentinel": ["-999"]}, "--sentinel is '-999'; expected VIEW=CODE"),
        ({"drop": ["a"]}, "--drop is 'a'; expected VIEW:COLUMN"),
        ({"transpose": ["z"]}, "--transpose is 'z'; expected VIEW"),
        ({"sheet": ["a:x=y"]}, "--sheet is 'a:x=y'; expected a value for all views"),
    ],
)
def test_refused_words(words, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        dialects(words, {"a": Dialect()})


def test_a_dialect_goes_into_a_file_and_forged_ones_are_refused():
    made = dialects(
        {"na": ["?", "a:x=-"], "id": ["who", "b=code"], "sep": ["tab"], "drop": ["a:y"]}, {"a": Dialect(), "b": Dialect()}
    )
    kept = json.loads(json.dumps({"tables": {name: each.to_json() for name, each in made.items()}}))
    assert stored(kept, ["a", "b"], "m") == made
    assert made["b"] == Dialect(id="code", missing=((None, "?"),), sep="\t")
    forged = [
        3,
        [],
        {"no": 1},
        {"id": 3},
        {"header": True},
        {"missing": ["ab", "x"]},
        {"drop": [3]},
        {"sep": "ab"},
        {"header": 0},
    ]
    for one in forged:
        with pytest.raises(CheckpointError, match="damaged header"):
            stored({"tables": {"a": one}}, ["a"], "m")


def test_what_a_sheet_cannot_hold_is_refused_before_the_work(in_lab, tmp_path):
    write(tmp_path / "lab.xlsx", LAB)
    for value, message in (("a\x01", "has a control character"), ("x" * 40_000, "is longer than the 32,767 characters")):
        write(tmp_path / "s.csv", LAB.assign(y=[value, "b"] * 20))
        assert in_lab("fit", *FIT, "--view", "s=s.csv", "--view", "lab=lab.xlsx")[0] == 0
        code, _, err = in_lab("impute", "m.safetensors", "--view", "lab=lab.xlsx", "--out", "filled")
        assert code == 2
        assert message in " ".join(err.split())
        (tmp_path / "m.safetensors").unlink()


def test_integers_that_floats_cannot_hold_are_refused_beside_holes_too(tmp_path):
    for text in (str(2**53 + 1), "1" * 400, "1" * 5000):
        (tmp_path / "t.csv").write_text(f"who,x\np,{text}\nq,\n")
        with pytest.raises(ViewError, match=r"'x' has the integer [\d.]+, beyond 2\*\*53"):
            table(tmp_path / "t.csv")
