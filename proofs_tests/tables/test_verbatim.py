"""What was observed is written as it stood: text files to the letter, decimals to the last digit, filled whole or in blocks."""

import csv
import decimal
import gzip
import itertools

import numpy as np
import openpyxl
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from lab import FIT, LAB, WHO
from table_files import write

from jpvae import JPVAE
from jpvae.errors import ViewError
from jpvae.tables.dialect import Dialect, dialects

# Written so that its number alone would be written otherwise; the third cell is empty.
CELLS = {
    "zip": ["01000", "02134", None, "00501"],
    "price": ["1.50", " 25.1 ", None, "-0.0"],
    "digits": ["0.12345678901234567890123", "1e-3", None, "+2"],
    "whole": ["3", "9007199254740991", None, "17"],
    "flag": ["TRUE", "false", None, "True"],
    "grade": ["lo", "mid, high", None, "hi"],
}
QUIET = pytest.mark.filterwarnings("ignore::jpvae.errors.JPVAEWarning")


def rows_of(path, encoding="utf-8", sep=","):
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding=encoding, newline="") as file:
        return list(csv.DictReader(file, delimiter=sep))


def text_file(path, columns, encoding="utf-8", sep=","):
    """Forty rows of these cells, each column beginning with another of them."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding=encoding, newline="") as file:
        made = csv.writer(file, delimiter=sep, lineterminator="\r\n")
        made.writerow(["who", *columns])
        for k, who in enumerate(WHO):
            made.writerow([who, *(cells[(k + j) % len(cells)] for j, cells in enumerate(columns.values()))])
    return path


def changed(before, after):
    """What was there and is not there to the letter."""
    pairs = zip(before, after, strict=True)
    return [(name, cell, new[name]) for old, new in pairs for name, cell in old.items() if cell and new[name] != cell]


@QUIET
@pytest.mark.parametrize("rows", [[], ["--rows", "7"]])
def test_cells_of_text_are_written_as_they_stood(in_lab, tmp_path, rows):
    text_file(tmp_path / "s.csv", CELLS)
    views = ["--view", "s=s.csv", "--view", "lab=lab.csv"]
    code, _, err = in_lab("fit", *FIT, "--entries", "marginalise", *views)
    assert code == 0, err
    code, _, err = in_lab("impute", "m.safetensors", *views, "--out", "filled", "--draws", "2", *rows)
    assert code == 0, err
    before, filled = rows_of(tmp_path / "s.csv"), rows_of(tmp_path / "filled" / "s.csv")
    assert changed(before, filled) == []
    assert all(row[name] for row in filled for name in CELLS)
    draws = rows_of(tmp_path / "filled" / "s.draws.csv")
    for draw in "12":
        assert changed(before, [row for row in draws if row["draw"] == draw]) == []
    assert {row["grade"] for row in filled} <= {"lo", "mid, high", "hi"}


@QUIET
def test_texts_and_truth_values_of_typed_files_stay_such(in_lab, tmp_path):
    """In a sheet "1 mg", a number as text, TRUE and a number beside empty cells; in a .parquet a column of texts."""
    columns = {
        "dose": ["1 mg", "2.5 mg", None, "4 mg"],
        "text": ["0.50", "007", None, "-1"],
        "flag": [True, None, False],
        "mixed": ["lo", 2.5, "hi", None],
    }
    made = {
        name: [(cells * 20)[(k + j) % (20 * len(cells))] for k in range(40)] for j, (name, cells) in enumerate(columns.items())
    }
    table = pd.DataFrame({"who": WHO, **made, "number": [None if k % 7 == 3 else k / 4 for k in range(40)]})
    write(tmp_path / "s.xlsx", table)
    write(tmp_path / "t.parquet", table.drop(columns=["flag", "mixed"]))
    views = ["--view", "s=s.xlsx", "--view", "t=t.parquet"]
    options = ["--unit", "s:dose=mg", "--unit", "t:dose=mg", "--entries", "marginalise", "--likelihood", "s:mixed=categorical"]
    code, _, err = in_lab("fit", *FIT, *views, *options)
    assert code == 0, err
    assert in_lab("impute", "m.safetensors", *views, "--out", "filled")[0] == 0
    names, *rows = openpyxl.load_workbook(tmp_path / "filled" / "s.xlsx").active.iter_rows(values_only=True)
    sheet = pd.DataFrame(rows, columns=names, dtype=object)
    parquet = pa.parquet.read_table(tmp_path / "filled" / "t.parquet").to_pandas()
    for found, given in ((sheet, [*columns, "number"]), (parquet, ["dose", "text", "number"])):
        for name in given:
            for old, new in zip(table[name].tolist(), found[name].tolist(), strict=True):
                assert (
                    (new is not None)
                    if pd.isna(old)
                    else (new == old and isinstance(new, type(old) if name != "number" else int | float))
                )


@QUIET
def test_signs_stay_and_what_is_filled_is_read_again(in_lab, tmp_path):
    """Percent, thousands and a decimal comma; the result, read by the same options, has the numbers that a run has now."""
    text_file(tmp_path / "s.csv", {"share": ["20 %", "7,5%", "", "1%"], "sum": ["1.200,50", "3.000", "", "80"]}, sep=";")
    options = ["--sep", "s=;", "--decimal", "s=,", "--thousands", "s=.", "--unit", "s:share=%"]
    views = ["--view", "s=s.csv", "--view", "lab=lab.csv"]
    assert in_lab("fit", *FIT, "--entries", "marginalise", *views, *options)[0] == 0
    assert in_lab("impute", "m.safetensors", *views, "--out", "filled")[0] == 0
    filled = rows_of(tmp_path / "filled" / "s.csv", sep=";")
    assert changed(rows_of(tmp_path / "s.csv", sep=";"), filled) == []
    (tmp_path / "again.csv").write_bytes((tmp_path / "filled" / "s.csv").read_bytes())
    drop = ["--drop", "s:imputed"]
    assert in_lab("impute", "m.safetensors", "--view", "s=again.csv", *views[2:], *drop, "--out", "twice")[0] == 0
    twice = rows_of(tmp_path / "twice" / "s.csv", sep=";")
    assert [{**row, "imputed": ""} for row in twice] == [{**row, "imputed": ""} for row in filled]


ENCODINGS, ENDINGS = ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp1252"], [".csv", ".tsv", ".csv.gz"]


def files():
    """Every encoding of a .csv, and every ending in two, one that begins with a mark; every other pair thoroughly."""
    for encoding, ending in itertools.product(ENCODINGS, ENDINGS):
        few = ending == ".csv" or encoding in ("utf-16", "cp1252")
        yield pytest.param(encoding, ending, marks=() if few else pytest.mark.thorough)


@QUIET
@pytest.mark.parametrize(("encoding", "ending"), list(files()))
def test_blocks_have_one_encoding(in_lab, tmp_path, ending, encoding):
    """A file that is filled seven rows at a time is, byte for byte, the one that is filled as a whole."""
    sep = "\t" if ending == ".tsv" else ","
    text_file(tmp_path / f"s{ending}", {"x é": ["1.5", "", "-2", "0.25"], "group": ['ä "b"', "c", "e\nf"]}, encoding, sep)
    text_file(tmp_path / f"t{ending}", {"y": ["1", "2.5", "4"]}, encoding, sep)
    views = ["--view", f"s=s{ending}", "--view", f"t=t{ending}", "--encoding", encoding]
    assert in_lab("fit", *FIT, "--entries", "marginalise", *views)[0] == 0
    for out, more in (("whole", []), ("blocks", ["--rows", "7"])):
        code, _, err = in_lab("impute", "m.safetensors", *views, "--out", out, *more)
        assert code == 0, err
    found, expected = (rows_of(tmp_path / out / f"s{ending}", encoding, sep) for out in ("blocks", "whole"))
    assert changed(rows_of(tmp_path / f"s{ending}", encoding, sep), expected) == []
    assert found == expected
    if ending != ".csv.gz":
        assert (tmp_path / "blocks" / f"s{ending}").read_bytes() == (tmp_path / "whole" / f"s{ending}").read_bytes()


@QUIET
@pytest.mark.parametrize("rows", [[], ["--rows", "20"]])
@pytest.mark.parametrize("gap", [None, 3, slice(0, 20)])
def test_decimals_keep_their_digits(in_lab, tmp_path, rows, gap):
    """Other digits in other blocks, one cell empty, or all of a block."""
    small, large = (decimal.Decimal(text) for text in ("1.25", "90123456789012345678.07"))
    prices = [(small if k < 20 else large) + k for k in range(40)]
    if gap is not None:
        prices = np.asarray(prices, dtype=object)
        prices[gap] = None
        prices = prices.tolist()
    table = pa.table({"who": WHO, "price": pa.array(prices, pa.decimal128(25, 2)), "z": LAB["x"].to_numpy()})
    pa.parquet.write_table(table, tmp_path / "s.parquet", row_group_size=20)
    write(tmp_path / "lab.parquet", LAB)
    views = ["--view", "s=s.parquet", "--view", "lab=lab.parquet"]
    assert in_lab("fit", *FIT, "--entries", "marginalise", *views)[0] == 0
    code, _, err = in_lab("impute", "m.safetensors", *views, "--out", "filled", "--draws", "2", *rows)
    assert code == 0, err
    filled = pa.parquet.read_table(tmp_path / "filled" / "s.parquet")
    assert pa.types.is_decimal(filled.schema.field("price").type) or gap is None
    for old, new in zip(prices, filled["price"].to_pylist(), strict=True):
        assert new == old if old is not None else new is not None


def test_numbers_that_look_like_codes_are_warned_of(in_lab, tmp_path):
    text_file(tmp_path / "s.csv", {"zip": ["01000", "02134", "10115"], "x": ["0.5", "0", "10"]})
    code, _, err = in_lab("fit", *FIT, "--view", "s=s.csv", "--view", "lab=lab.csv")
    assert code == 0
    assert "column 'zip' is taken for numbers and has '01000', as codes have. If they are codes: --likelihood 's:zip=cat" in err
    assert "column 'x'" not in err


def test_names_of_columns_may_have_the_sign(in_lab, tmp_path):
    """A column is left out, or has a code, whose name has =, : or both, and no other column of a similar name."""
    views = {"s": Dialect(id="who")}
    assert dialects({"drop": ["s:k=v", "s:=bmi", "s:a:b"]}, views)["s"].drop == ("k=v", "=bmi", "a:b")
    assert dialects({"na": ["s:k=v:w=?", r"s:x=\=0"]}, views)["s"].missing == (("k=v:w", "?"), ("x", "=0"))
    assert dialects({"na": ["s==N/A"], "sep": ["s=="]}, views)["s"] == Dialect(id="who", missing=((None, "=N/A"),), sep="=")
    assert dialects({"sentinel": ["s:a=b=-9"]}, views)["s"].missing == (("a=b", "-9"),)
    write(tmp_path / "s.csv", LAB.assign(**{"k": 1.0 + LAB["x"], "k=v": 2.0}))
    code, out, err = in_lab("fit", *FIT, "--view", "s=s.csv", "--view", "lab=lab.csv", "--drop", "s:k=v")
    assert code == 0, err
    assert "x, y, k" in out
    assert pd.read_csv(tmp_path / "s.csv").columns[-1] == "k=v"


@QUIET
def test_blocks_that_lack_a_letter_are_in_utf_8_as_the_whole_is(in_lab, tmp_path):
    """Never two encodings in one file."""
    text_file(tmp_path / "s.csv", {"group": ["Ж", "Ж", "é"], "x": ["1", "2.5", "4"]})
    text_file(tmp_path / "later.csv", {"group": ["é", ""], "x": ["1", "2.5", "4"]}, "cp1252")
    views = ["--view", "lab=lab.csv", "--entries", "marginalise"]
    assert in_lab("fit", *FIT, "--steps", "100", "--view", "s=s.csv", *views)[0] == 0  # learned: both are predicted
    given = ["--view", "s=later.csv", "--view", "lab=lab.csv", "--encoding", "s=cp1252"]
    for out, more in (("whole", []), ("blocks", ["--rows", "7"])):
        code, _, err = in_lab("impute", "m.safetensors", *given, "--out", out, *more)
        assert code == 0, err
    whole = (tmp_path / "whole" / "s.csv").read_bytes()
    assert (tmp_path / "blocks" / "s.csv").read_bytes() == whole
    assert "Ж" in whole.decode()


def test_integers_that_floats_cannot_hold_are_refused_beside_holes(in_lab, tmp_path):
    """In a .parquet with an empty cell, without one where a subject lacks the table, and in tables of Arrow and polars."""
    large = [2**40 + k for k in range(39)] + [2**53 + 1]
    for name, values in {"hole": [None, *large[1:]], "whole": large}.items():
        table = pa.table({"who": [*WHO[:39], "other" if name == "whole" else WHO[39]], "n": pa.array(values, pa.int64())})
        pa.parquet.write_table(table, tmp_path / f"{name}.parquet")
        views = ["--view", f"s={name}.parquet", "--view", "lab=lab.csv", "--entries", "marginalise"]
        code, _, err = in_lab("fit", *FIT, *views)
        assert (code, "has the integer 9007199254740993, beyond 2**53" in err) == (2, True)
        for made in (table.select(["n"]), pl.from_arrow(table.select(["n"]))):
            with pytest.raises(ViewError, match=r"column 'n' has the integer 9007199254740993, beyond 2\*\*53"):
                JPVAE(likelihood="gaussian", entries="marginalise", missing="nan", steps=1).fit([made, LAB[["x", "y"]]])
    ids = pa.table({"who": pa.array([2**60 + k for k in range(40)]), "z": LAB["x"].to_numpy()})
    pa.parquet.write_table(ids, tmp_path / "ids.parquet")
    assert in_lab("fit", *FIT, "--view", "s=ids.parquet")[0] == 0  # an id may be any


def test_messages_do_not_quote_whole_cells(in_lab, tmp_path):
    """Nor does one that is no number take its time: digits before a letter, in linear time, or this would take minutes."""
    assert in_lab("fit", *FIT, "--view", "lab=lab.csv")[0] == 0
    write(tmp_path / "later.csv", LAB.assign(x=["1" * 100_000 + "x", *["2"] * 39]))
    code, _, err = in_lab("impute", "m.safetensors", "--view", "lab=later.csv", "--out", "o")
    assert code == 2
    assert len(err) < 5_000
    assert "column 'x'" in err


def test_blocks_of_features_as_rows_are_refused(in_lab, tmp_path):
    LAB.set_index("who").T.rename_axis("feature").reset_index().to_csv(tmp_path / "t.csv", index=False)
    assert in_lab("fit", *FIT, "--view", "t=t.csv", "--transpose", "t")[0] == 0
    code, _, err = in_lab("impute", "m.safetensors", "--view", "t=t.csv", "--out", "o", "--rows", "7")
    assert (code, "['t'] have features as rows; fill them without --rows" in err) == (2, True)
