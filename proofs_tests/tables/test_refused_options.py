"""Options that would change nothing, or something else than is meant: refused with what was found and what was expected."""

import inspect
import typing
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import typer
from lab import FIT, LAB, WHO
from table_files import write

from jpvae.commands import fit
from jpvae.commands.program import program
from jpvae.errors import ConfigError
from jpvae.tables.dialect import Dialect, dialects

VIEWS = {"a": Dialect(), "p": Dialect()}
WORDS = {
    "no such view": ({"na": ["zz=NA"]}, r"--na is 'zz=NA', and there is no view 'zz'; expected .* one of \['a', 'p'\]"),
    "no such view's column": ({"unit": ["zz:x=mg"]}, "there is no view 'zz'"),
    "no such view's sheet": ({"sheet": ["zz=S"]}, "there is no view 'zz'"),
    "no unit": ({"unit": ["a:p="]}, "--unit is 'a:p='; expected a value behind the equals sign"),
    "no code": ({"na": ["a="]}, "--na is 'a='; expected a value behind"),
    "nothing": ({"na": [""]}, "--na is ''; expected a value"),
    "no id": ({"id": ["a="]}, "--id is 'a='; expected a value"),
    "a letter for a decimal sign": ({"decimal": ["x"]}, "--decimal is 'x'; expected a sign that is no part of a number"),
    "a digit for one": ({"decimal": ["a:c=0"]}, "--decimal is '0'; expected a sign"),
    "a minus for one": ({"decimal": ["-"]}, "--decimal is '-'; expected a sign"),
    "a blank for one": ({"decimal": ["space"]}, "--decimal is ' '; expected a sign"),
    "a letter between thousands": ({"thousands": ["k"]}, "--thousands is 'k'; expected a sign"),
    "a letter between columns": ({"sep": ["x"]}, "--sep is 'x'; expected a sign that stands in no cell"),
    "a mark of quotation": ({"sep": ['"']}, "expected a sign that stands in no cell"),
    "an exponent": ({"unit": ["a:c=D+02"]}, r"--unit is 'D\+02', a part of numbers, .* Fortran's 5D\+02 is to be written as"),
    "an exponent in small": ({"unit": ["d-3"]}, "a part of numbers"),
    "another exponent": ({"unit": ["E5"]}, "a part of numbers"),
    "digits": ({"unit": ["0"]}, "a part of numbers"),
    "a sign": ({"unit": ["-"]}, "a part of numbers"),
    "a point": ({"unit": ["."]}, "a part of numbers"),
}


@pytest.mark.parametrize(("words", "message"), WORDS.values(), ids=WORDS.keys())
def test_words_of_options(words, message):
    with pytest.raises(ConfigError, match=message):
        dialects(words, VIEWS)


def test_words_with_an_equals_sign_of_their_own():
    made = dialects({"na": ["a=x=y", "?=?"], "sep": ["a=="], "unit": ["m2", "d", "dl", "Euro", "q", "eq/l"]}, VIEWS)
    assert made["a"].missing == ((None, "x=y"), (None, "?=?"))
    assert (made["p"].missing, made["a"].sep, made["p"].sep) == (((None, "?=?"),), "=", None)
    assert [unit for _, unit in made["a"].units] == ["m2", "d", "dl", "Euro", "q", "eq/l"]


FORMATS = {
    "a sheet of a csv": (("--sheet", "a=S"), "--sheet is 'a=S', an option of .xlsx, given for view 'a' (a.csv)"),
    "any sheet": (("--sheet", "S"), "--sheet is 'S', an option of .xlsx"),
    "any layer": (("--layer", "x"), "--layer is 'x', an option of .h5ad and .h5mu"),
    "a separator of a parquet": (
        ("--sep", "p=;"),
        "--sep is 'p=;', an option of .csv and .tsv, given for view 'p' (p.parquet)",
    ),
    "its encoding": (("--encoding", "p=latin-1"), "an option of .csv and .tsv"),
    "its line of names": (("--header", "p=2"), "an option of .csv and .tsv and .xlsx"),
    "a decimal sign": (("--decimal", "x"), "--decimal is 'x'"),
}


@pytest.mark.parametrize(("words", "message"), FORMATS.values(), ids=FORMATS.keys())
def test_options_of_other_formats(in_lab, tmp_path, words, message):
    write(tmp_path / "a.csv", LAB)
    write(tmp_path / "p.parquet", LAB)
    views = ("--view", "a=a.csv", "--view", "p=p.parquet")
    if not (tmp_path / "m.safetensors").exists() and words[0] == "--sheet":
        assert in_lab("fit", *FIT, *views)[0] == 0
        code, _, err = in_lab("impute", "m.safetensors", *views, "--out", "filled", *words)
        assert (code, message in " ".join(err.split())) == (2, True)
        (tmp_path / "m.safetensors").unlink()
    code, _, err = in_lab("fit", *FIT, *views, *words)
    assert (code, message in " ".join(err.split())) == (2, True)
    assert not (tmp_path / "m.safetensors").exists()


OF_TABLES = {"na": "NA", "sentinel": "a=-999", "unit": "mg", "decimal": ",", "thousands": "_", "sep": ";", "transpose": "a"}
OF_TABLES |= {"drop": "a:x", "header": "2", "encoding": "latin-1", "sheet": "S", "layer": "x"}


@pytest.mark.parametrize(("option", "word"), OF_TABLES.items(), ids=OF_TABLES.keys())
def test_options_of_tables_with_arrays(in_lab, tmp_path, option, word):
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", LAB[["x", "y"]].to_numpy())
    code, _, err = in_lab("fit", *FIT[2:], "--view", "a=a.npy", "--view", "b=b.npy", f"--{option}", word)
    assert (code, f"--{option} is '{word}', an option of" in err) == (2, True)


GOOD = {int: ["7"], float: ["0.5", "7"], bool: ["true"], str: ['"7"'], list: ['["7"]', "[]"]}
VALUES = ["7", "0.5", "true", '"7"', '["7"]', "[]", "[7]", "[true]", "{a = 1}", "[[]]", "2021-03-04", "1" * 400]
OPTIONS = {name: parameter.annotation for name, parameter in inspect.signature(fit.command, eval_str=True).parameters.items()}


def kind_of(annotation):
    """int, float, bool, list, or str for all that is written as a text."""
    kind = typing.get_args(annotation)[0]
    kind = next((one for one in typing.get_args(kind) if one is not type(None)), kind) if kind != list[str] else list
    kind = list if kind == list[str] else kind
    return str if kind is Path or (isinstance(kind, type) and issubclass(kind, Enum)) else kind


def test_every_option_of_a_file_is_of_its_type(tmp_path):
    """What TOML has must be what the option is: true is no step, 3 no text, and a text no number."""
    reader, refused = typer.main.get_command(program()).commands["fit"], 0
    for option in reader.params:
        if option.name in ("config", "help"):
            continue
        kind = list if option.name.startswith("read_") else kind_of(OPTIONS[option.name])
        for value in VALUES:
            (tmp_path / "t.toml").write_text(f"{option.opts[0].removeprefix('--')} = {value}\n")
            words = ["--config", str(tmp_path / "t.toml"), "--view", "a=a.csv", "--out", "m"]
            if value in GOOD[kind] or (kind is int and value == "1" * 400):
                continue  # (of those some are refused later, for their value)
            with pytest.raises(ConfigError, match=rf"has {option.opts[0].removeprefix('--')} = .*; expected (a|an|true)\b"):
                reader.make_context("fit", words)
            refused += 1
    assert refused > 10 * 30


def test_a_config_that_trains_one_step_for_true(in_lab, tmp_path):
    (tmp_path / "t.toml").write_text("steps = true\n")
    code, out, err = in_lab("fit", *FIT[:2], *FIT[4:], "--view", "lab=lab.csv", "--config", "t.toml")
    assert (code, out) == (2, "")
    assert "--config 't.toml' has steps = true; expected an integer, such as 10" in " ".join(err.split())


FORTRAN = {
    "with signs": [f"{k}D+02" for k in range(40)],
    "in small": [f"{k}.5d-03" for k in range(40)],
    "of four times the length": [f"0.{k}Q+00" for k in range(40)],
    "without a sign": [f"{k}.5D2" for k in range(40)],
    "a few": [f"{k % 3}.D+00" for k in range(40)],
}


@pytest.mark.parametrize("texts", FORTRAN.values(), ids=FORTRAN.keys())
def test_fortran_s_exponents_are_no_units(in_lab, tmp_path, texts):
    write(tmp_path / "a.csv", LAB.assign(y=texts))
    code, _, err = in_lab("fit", *FIT, "--view", "a=a.csv", columns=1000)
    assert code == 2
    assert "Fortran's exponents" in " ".join(err.split())
    assert "--unit" not in err


LATER = {
    "a large integer": (".csv", {"x": ["9007199254740993", *["1"] * 39]}, "the model needs the column: correct these cells"),
    "one of a parquet": (
        ".parquet",
        {"x": np.r_[2**53 + 1, np.ones(39, int)]},
        "the model needs the column: correct these cells",
    ),
    "one in another column": (".csv", {"z": ["9007199254740993", *["1"] * 39]}, "--drop 'a:z'"),
    "another case": (".csv", {"X": LAB["x"], "x": None}, "has unknown columns ['X'], and no columns ['x']; expected those of"),
    "another column": (".csv", {"z": [1.0] * 40}, "What the fit did not have is left out, in a file by --drop 'a:z'"),
}


@pytest.mark.parametrize(("ending", "columns", "message"), LATER.values(), ids=LATER.keys())
def test_later_files_are_refused_with_advice_that_can_be_followed(in_lab, tmp_path, ending, columns, message):
    write(tmp_path / "a.csv", LAB)
    assert in_lab("fit", *FIT, "--view", "a=a.csv")[0] == 0
    write(
        tmp_path / f"n{ending}", LAB.assign(**columns).drop(columns=[name for name, cells in columns.items() if cells is None])
    )
    code, _, err = in_lab("impute", "m.safetensors", "--view", f"a=n{ending}", "--out", "filled", columns=1000)
    assert code == 2
    assert message in " ".join(err.split())
    assert "--drop 'a:x'" not in err.replace("jpvae fit --drop 'a:x'", "")
    assert ("Write 'x' for 'X'" in err) == ("X" in columns)
    if "'a:z'" in message:  # and the advice works
        assert in_lab("impute", "m.safetensors", "--view", f"a=n{ending}", "--out", "filled", "--drop", "a:z")[0] == 0
        assert len(WHO) == len((tmp_path / "filled" / "a.csv").read_text().splitlines()) - 1
