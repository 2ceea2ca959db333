"""How tables are read: every option, in every format; decided by the fit, stored, and the same for later files; refusals."""

import enum
import gzip
import inspect
import typing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from lab import FIT, LAB, WHO, table
from table_files import ENDINGS, read, write

from jpvae.commands import fit
from jpvae.commands.program import program
from jpvae.commands.reading_options import to_file
from jpvae.errors import JPVAEWarning, ViewError
from jpvae.files import checkpoints
from jpvae.tables.dialect import Dialect, dialects

OPTIONS = {
    "encoding": ("who,ville,x\np,Besançon,1\nq,Orléans,2\n".encode("cp1252"), {"encoding": "cp1252"}),
    "its first bytes": ("who,ville,x\np,Besançon,1\nq,Orléans,2\n".encode("utf-16"), {}),
    "separator and comma": ("who;ville;x\np;Besançon;1,0\nq;Orléans;2\n".encode(), {"sep": ";", "decimal": ((None, ","),)}),
    "unit": ("who,ville,x\np,Besançon,1 mg\nq,Orléans,2mg\n".encode(), {"units": (("x", "mg"),)}),
    "percent": ("who,ville,x\np,Besançon,1%\nq,Orléans,2 %\n".encode(), {"units": ((None, "%"),)}),
    "header": ("# exported\nwho,ville,x\np,Besançon,1\nq,Orléans,2\n".encode(), {"header": 2}),
    "drop": ("who,day,ville,x\np,2021-01-01,Besançon,1\nq,2021-01-02,Orléans,2\n".encode(), {"drop": ("day",)}),
    "transpose": ("feature,p,q\nville,Besançon,Orléans\nx,1,2\n".encode(), {"transpose": True}),
    "blanks after commas": ("who, ville, x\np,Besançon, 1\nq,Orléans, 2\n".encode(), {}),
    "commas at the ends": ("who,ville,x,\np,Besançon,1,\nq,Orléans,2,\n".encode(), {}),
}


@pytest.mark.parametrize(("content", "dialect"), OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("packed", [False, True])
def test_each_option_reads_the_same_table(tmp_path, content, dialect, packed):
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    assert table(path, **dialect).to_dict("index") == {
        "p": {"ville": "Besançon", "x": 1.0},
        "q": {"ville": "Orléans", "x": 2.0},
    }


@pytest.mark.parametrize(
    ("texts", "dialect", "expected"),
    [
        (["2,400.00", "800", "1,250"], {"thousands": ((None, ","),)}, [2400.0, 800.0, 1250.0]),
        (["2.400,5", "800", "1.250"], {"thousands": ((None, "."),), "decimal": ((None, ","),)}, [2400.5, 800.0, 1250.0]),
        (["165 000", "90 000", "1\u00a0200"], {"thousands": ((None, " "),)}, [165000.0, 90000.0, 1200.0]),
        (["7", "?", "3"], {"missing": (("x", "?"),)}, [7.0, None, 3.0]),
        (["-999", "1.5", "-999.0"], {"missing": ((None, "-999"),)}, [None, 1.5, None]),
        (["7", "NA", ""], {}, [7.0, None, None]),
        (["NA", "yes", "None"], {}, ["NA", "yes", "None"]),
        (["NA", "yes", "None"], {"missing": ((None, "NA"),)}, [None, "yes", "None"]),
        (["TRUE", "false", "True"], {}, [True, False, True]),
        (["1", "2", "X"], {}, ["1", "2", "X"]),
    ],
)
@pytest.mark.filterwarnings("ignore::jpvae.errors.JPVAEWarning")
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_cell_is_the_same_in_every_format(tmp_path, ending, texts, dialect, expected):
    frame = pd.DataFrame({"who": ["p", "q", "r"], "x": texts, "z": [1.0, 2.0, 4.0]})
    found = table(write(tmp_path / f"t{ending}", frame), **dialect)["x"].tolist()
    assert [None if v is None or v != v else v for v in found] == expected


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_later_file_is_read_by_the_fit_and_nothing_observed_is_changed(in_lab, tmp_path, ending):
    """grade is 1, 2, 3 or X in the fit and has no X later; region has the answer NA; dose has a code and a unit."""
    frame = pd.DataFrame({"who": WHO, "grade": ["1", "2", "3", "X"] * 10, "region": ["NA", "EU"] * 20})
    frame["dose"] = [f"{k % 7} mg" if k % 5 else "-9" for k in range(40)]
    write(tmp_path / f"s{ending}", frame)
    said = ["--sentinel", "s:dose=-9", "--unit", "s:dose=mg", "--entries", "marginalise", "--view", f"s=s{ending}"]
    code, _, err = in_lab("fit", *FIT, *said, "--view", "lab=lab.csv")
    assert code == 0
    assert "column 'region' has the texts ['NA']; if they mark missing values: --na 's:region=NA'" in " ".join(err.split())
    for later in ENDINGS:
        new = frame[frame["grade"] != "X"].iloc[:9]
        write(tmp_path / f"new{later}", new)
        out = f"out{later}"
        assert in_lab("impute", "m.safetensors", "--view", f"s=new{later}", "--out", out)[0] == 0
        after = read(tmp_path / out / f"s{later}")
        keep = {"dtype": str, "keep_default_na": False} if later in (".csv", ".xlsx") else None
        if keep:
            after = (pd.read_csv if later == ".csv" else pd.read_excel)(tmp_path / out / f"s{later}", **keep)
            assert after["region"].tolist() == new["region"].tolist()
        assert [str(v) for v in after["grade"]] == new["grade"].tolist()
        assert all(text == "-9" or value == text for value, text in zip(after["dose"], new["dose"], strict=True))


def test_options_come_from_a_file_that_fit_has_written(in_lab, tmp_path):
    words = [*FIT, "--na", "lab=?", "--view", "lab=lab.csv", "--drop", "lab:y", "--write-config", "t.toml"]
    assert in_lab("fit", *words)[0] == 0
    first = checkpoints.load("m.safetensors")
    assert in_lab("fit", "--config", "t.toml", "--out", "n.safetensors")[0] == 0
    second = checkpoints.load("n.safetensors")
    assert [each[1]["metadata"].pop("command").split()[:2] for each in (first, second)] == [["jpvae", "fit"]] * 2
    assert first[1] | {"history": 0} == second[1] | {"history": 0}
    assert first[1]["metadata"] == {"tables": {"lab": {"id": "who", "missing": [[None, "?"]], "drop": ["y"]}}}
    assert all(np.array_equal(x, second[0][name]) for name, x in first[0].items())
    for content, message in (("speed = 3", "has the options ['speed']"), ("view = 3", "expected a list"), ("x", "not TOML")):
        (tmp_path / "bad.toml").write_text(content)
        code, _, err = in_lab("fit", "--config", "bad.toml", "--out", "k.safetensors")
        assert code == 2
        assert message in " ".join(err.split())


def plain(value):
    """Before typer has made a list, a path or a member of it: how far click goes depends on their releases."""
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, Path) else getattr(value, "value", value)


def test_every_option_of_fit_goes_into_a_file_and_comes_back(tmp_path):
    """click reads the words and the file; one value of each option, and awkward texts where it takes any."""
    reader = typer.main.get_command(program()).commands["fit"]
    texts = ['a"b', "a'b", "a\\b", "é\t\n", "#", "view=x = 1", "[1]", "\x7f"]
    words, expected = [], {}
    for option in reader.params:
        if option.name in ("config", "write_config", "help"):
            continue
        (kind, *_) = typing.get_args(inspect.signature(fit.command).parameters[option.name].annotation)
        if type(None) in typing.get_args(kind):  # X | None
            kind = typing.get_args(kind)[0]
        if kind == list[str]:
            words += [word for text in texts for word in (option.opts[0], text)]
            expected[option.name] = texts
        elif kind is bool:
            words, expected[option.name] = [*words, option.opts[0]], True
        else:
            some = {int: 7, float: 1e-05, Path: Path('a "b\\c'), str: 'a "b\\c'}
            value = list(kind)[-1] if issubclass(kind, enum.Enum) else some[kind]
            value = "numpy" if option.name == "backend" else value  # of which not every text is one
            words, expected[option.name] = [*words, option.opts[0], f"{getattr(value, 'value', value)}"], value
    first = reader.make_context("fit", words)
    assert plain(first.params) == plain(expected | {"config": None, "write_config": None})
    to_file(first, tmp_path / "t.toml")
    again = reader.make_context("fit", ["--config", str(tmp_path / "t.toml")])
    assert plain(again.params | {"config": None}) == plain(expected | {"config": None, "write_config": None})


LEVELS = {  # of the fit's csv -> the same in a later file, as that writes them
    "truth values": (["TRUE", "FALSE", "maybe"], [True, False, True]),
    "codes": (["1", "2", "X"], [1.0, 2.0, 1.0]),
    "codes with zeros": (["01", "02", "X"], [1, 2, 1]),
    "as texts": (["1", "2", "X"], ["1.0", "2.0", "1"]),
}


@pytest.mark.parametrize(("levels", "later"), LEVELS.values(), ids=LEVELS.keys())
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_level_is_known_again_however_a_later_file_writes_it(in_lab, tmp_path, ending, levels, later):
    write(tmp_path / "s.csv", pd.DataFrame({"who": WHO, "x": (levels * 14)[:40], "z": LAB["x"]}))
    assert in_lab("fit", *FIT, "--view", "s=s.csv", "--view", "lab=lab.csv")[0] == 0
    new = pd.DataFrame({"who": WHO[:3], "x": later, "z": [0.5, 0.25, 1.0]})
    write(tmp_path / f"new{ending}", new)
    assert in_lab("impute", "m.safetensors", "--view", f"s=new{ending}", "--out", "filled")[0] == 0
    after = read(tmp_path / "filled" / f"s{ending}")["x"].tolist()
    assert [f"{v}".casefold().removesuffix(".0") for v in after] == [f"{v}".casefold().removesuffix(".0") for v in later]


@pytest.mark.parametrize("later", ["lo ", "Lo", "l\u00a0o"])
def test_a_level_that_nearly_is_one_of_the_fit_is_named(in_lab, tmp_path, later):
    write(tmp_path / "s.csv", pd.DataFrame({"who": WHO, "x": ["lo", "l o", "hi", "mid"] * 10, "z": LAB["x"]}))
    assert in_lab("fit", *FIT, "--view", "s=s.csv", "--view", "lab=lab.csv")[0] == 0
    write(tmp_path / "new.parquet", pd.DataFrame({"who": WHO[:3], "x": ["hi", later, "mid"], "z": [0.5, 0.25, 1.0]}))
    code, _, err = in_lab("impute", "m.safetensors", "--view", "s=new.parquet", "--out", "filled")
    assert code == 2
    assert "a category that was absent from training, but 'l" in " ".join(err.split())


def test_what_nobody_observed_in_a_later_file_is_imputed(in_lab, tmp_path):
    assert in_lab("fit", *FIT, "--entries", "marginalise", "--view", "lab=lab.csv")[0] == 0
    (tmp_path / "new.csv").write_text("who,x,y\np,NA,1\nq,NA,2\n")
    assert in_lab("impute", "m.safetensors", "--view", "lab=new.csv", "--out", "filled")[0] == 0
    assert read(tmp_path / "filled" / "lab.csv")["y"].tolist() == [1, 2]


def test_results_have_the_signs_and_the_encoding_of_their_input(in_lab, tmp_path):
    rows = [f"{who};{'éàè'[k % 3]};{k},5" for k, who in enumerate(WHO)]
    (tmp_path / "s.csv").write_bytes("\n".join(["who;ville;x", *rows, ""]).encode("cp1252"))
    how = ["--sep", "s=;", "--decimal", "s=,", "--encoding", "s=cp1252"]
    assert in_lab("fit", *FIT, *how, "--view", "s=s.csv", "--view", "lab=lab.csv")[0] == 0
    assert in_lab("impute", "m.safetensors", "--view", "s=s.csv", "--out", "filled")[0] == 0
    filled = (tmp_path / "filled" / "s.csv").read_bytes().decode("cp1252").splitlines()
    assert filled == ["who;ville;x;imputed", *(f"{row};False" for row in rows)]
    write(tmp_path / "lab.csv", LAB.assign(who=["Ж", *WHO[1:]]))
    in_lab("impute", "m.safetensors", "--view", "s=s.csv", "--view", "lab=lab.csv", "--out", "other")
    assert "Ж;" in (tmp_path / "other" / "s.csv").read_text(encoding="utf-8")  # cp1252 lacks the letter


def test_cells_of_a_sheet_that_read_as_empty_though_they_are_not(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    for row in [["who", "x"], *([who, k] for k, who in enumerate(WHO))]:
        book.active.append(row)
    book.active.merge_cells("B3:B5")
    book.save(tmp_path / "merged.xlsx")
    with pytest.warns(JPVAEWarning, match=r"of merged cells the first alone has a value"):
        assert table(tmp_path / "merged.xlsx")["x"].isna().sum() == 2
    book.active["B9"] = "=B8+1"
    book.save(tmp_path / "formula.xlsx")
    with pytest.raises(ViewError, match=r"its cell B9 has a formula without its value"):
        table(tmp_path / "formula.xlsx")


def test_signs_of_a_column_are_its_own(tmp_path):
    (tmp_path / "t.csv").write_text('who,x,y\np,"1,200.50",150 000\nq,"3,000",90 000\n')
    signs = dialects({"thousands": [",", "a:y=space"]}, {"a": Dialect()})["a"].thousands
    assert table(tmp_path / "t.csv", thousands=signs).to_numpy().tolist() == [[1200.5, 150000], [3000, 90000]]


def test_a_line_before_the_names_is_no_separator(tmp_path):
    for title, line in (("# exported 2024", 2), ("Study X", 2), ("Study\nof 2024", 3)):
        (tmp_path / "t.csv").write_text(f"{title}\nwho,x\np,1\n")
        with pytest.raises(ViewError, match=rf"and line {line} has 2; if the names are there: --header VIEW={line}"):
            table(tmp_path / "t.csv")
        assert table(tmp_path / "t.csv", header=line)["x"].tolist() == [1.0]
