"""How tables are read: every option, in every format; decided by the fit, stored, and the same for later files; refusals."""

import enum
import functools
import gzip
import inspect
import json
import typing
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from commands import invoke
from table_files import ENDINGS, read, write

from jpvae.commands import fit
from jpvae.commands.program import program
from jpvae.commands.reading_options import to_file
from jpvae.errors import CheckpointError, ConfigError, JPVAEWarning, ViewError
from jpvae.files import checkpoints
from jpvae.tables import reading, text_files
from jpvae.tables.dialect import Dialect, dialects, stored
from jpvae.tables.sources import sources
from jpvae.views.sentinels import suspects

FIT = ["--id", "who", "--steps", "5", "--hidden", "4", "--backend", "numpy", "--latent-dims", "1", "--out", "m.safetensors"]
WHO = [f"P{k:03}" for k in range(40)]
RNG = np.random.default_rng(0)
LAB = pd.DataFrame({"who": WHO, "x": RNG.normal(size=40).round(3), "y": RNG.normal(size=40).round(3)})


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "lab.csv", LAB)
    return functools.partial(invoke, monkeypatch, capsys)


def table(path, **dialect):
    [source] = sources([f"a={path}"])
    return reading.read(source, Dialect(id="who", **dialect)).frame


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
def test_a_later_file_is_read_by_the_fit_and_nothing_observed_is_changed(command, tmp_path, ending):
    """grade is 1, 2, 3 or X in the fit and has no X later; region has the answer NA; dose has a code and a unit."""
    frame = pd.DataFrame({"who": WHO, "grade": ["1", "2", "3", "X"] * 10, "region": ["NA", "EU"] * 20})
    frame["dose"] = [f"{k % 7} mg" if k % 5 else "-9" for k in range(40)]
    write(tmp_path / f"s{ending}", frame)
    said = ["--sentinel", "s:dose=-9", "--unit", "s:dose=mg", "--entries", "marginalise", "--view", f"s=s{ending}"]
    code, _, err = command("fit", *FIT, *said, "--view", "lab=lab.csv")
    assert code == 0
    assert "column 'region' has the texts ['NA']; if they mark missing values: --na 's:region=NA'" in " ".join(err.split())
    for later in ENDINGS:
        new = frame[frame["grade"] != "X"].iloc[:9]
        write(tmp_path / f"new{later}", new)
        out = f"out{later}"
        assert command("impute", "m.safetensors", "--view", f"s=new{later}", "--out", out)[0] == 0
        after = read(tmp_path / out / f"s{later}")
        keep = {"dtype": str, "keep_default_na": False} if later in (".csv", ".xlsx") else None
        if keep:
            after = (pd.read_csv if later == ".csv" else pd.read_excel)(tmp_path / out / f"s{later}", **keep)
            assert after["region"].tolist() == new["region"].tolist()
        assert [str(v) for v in after["grade"]] == new["grade"].tolist()
        expected = [float(text.split()[0]) if text != "-9" else None for text in new["dose"]]
        assert all(e is None or float(v) == e for v, e in zip(after["dose"], expected, strict=True))


def test_ids_of_any_kind_are_matched_and_each_view_may_call_them_its_own_way(command, tmp_path):
    numbers = [str(1000 + k) for k in range(40)]
    write(tmp_path / "a.csv", LAB.assign(who=[*numbers[:38], "1038B", "1039B"]))
    write(tmp_path / "b.xlsx", LAB.assign(who=range(1000, 1040)).rename(columns={"who": "barcode"}))
    code, _, err = command("fit", *FIT, "--id", "b=barcode", "--view", "a=a.csv", "--view", "b=b.xlsx")
    assert (code, err) == (0, "")
    assert command("impute", "m.safetensors", "--view", "b=b.xlsx", "--out", "filled")[0] == 0
    assert read(tmp_path / "filled" / "b.xlsx")["barcode"].tolist() == list(range(1000, 1040))
    assert next(iter(read(tmp_path / "filled" / "a.xlsx"))) == "who"


def test_options_come_from_a_file_that_fit_has_written(command, tmp_path):
    words = [*FIT, "--na", "lab=?", "--view", "lab=lab.csv", "--drop", "lab:y", "--write-config", "t.toml"]
    assert command("fit", *words)[0] == 0
    first = checkpoints.load("m.safetensors")
    assert command("fit", "--config", "t.toml", "--out", "n.safetensors")[0] == 0
    second = checkpoints.load("n.safetensors")
    assert first[1] | {"history": 0} == second[1] | {"history": 0}
    assert first[1]["metadata"] == {"tables": {"lab": {"id": "who", "missing": [[None, "?"]], "drop": ["y"]}}}
    assert all(np.array_equal(x, second[0][name]) for name, x in first[0].items())
    for content, message in (("speed = 3", "has the options ['speed']"), ("view = 3", "expected a list"), ("x", "not TOML")):
        (tmp_path / "bad.toml").write_text(content)
        code, _, err = command("fit", "--config", "bad.toml", "--out", "k.safetensors")
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
            words, expected[option.name] = [*words, option.opts[0], f"{getattr(value, 'value', value)}"], value
    first = reader.make_context("fit", words)
    assert plain(first.params) == plain(expected | {"config": None, "write_config": None})
    to_file(first, tmp_path / "t.toml")
    again = reader.make_context("fit", ["--config", str(tmp_path / "t.toml")])
    assert plain(again.params | {"config": None}) == plain(expected | {"config": None, "write_config": None})


REFUSED = {
    "reserved": (LAB.rename(columns={"y": "imputed"}), "has a column 'imputed', which results of imputation add"),
    "features as rows": (LAB.set_index("who").T.reset_index(), "its rows are the features. To read it so: --transpose a"),
    "dates": (LAB.assign(y=pd.date_range("2021", periods=40).astype(str)), "leave the column out: --drop a:y"),
    "percent": (LAB.assign(y=[f"{k}%" for k in range(40)]), "or in a file: --unit 'a:y=%'"),
    "thousands": (LAB.assign(y=[f"{k},000.5" for k in range(1, 41)]), "or in a file: --thousands 'a:y=,'"),
    "a code": (LAB.assign(y=["3.0", "6.0", "7.0", "?"] * 10), "or in a file: --na 'a:y=?'"),
}


@pytest.mark.parametrize(("frame", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_the_option_that_reads_it(command, tmp_path, frame, message):
    write(tmp_path / "a.csv", frame)
    code, out, err = command("fit", *FIT, "--view", "a=a.csv", "--view", "lab=lab.csv", columns=1000)
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


def test_codes_that_were_left_in_are_suspected_and_measurements_are_not():
    n = 40
    values = np.column_stack([RNG.normal(120, 10, n).round() for _ in range(6)])
    values[:2, 0], values[3, 1], values[5, 2] = -999, 999.9, np.nan
    values[:, 3] = RNG.integers(0, 60, n)
    values[7, 3], values[:, 3] = 30, np.where(np.arange(n) == 4, -1, values[:, 3])
    values[9, 4] = 300.0  # an outlier is no code
    values[:, 5] = RNG.normal(0, 1, n)
    assert suspects(values) == {0: (-999.0,), 1: (999.9,), 3: (-1.0,)}
    scale = np.repeat([[1.0], [2.0], [3.0], [4.0], [5.0], [77.0], [88.0], [99.0]], 3, axis=0)
    assert suspects(scale) == {0: (77.0, 88.0, 99.0)}
    assert suspects(np.arange(120.0)[:, None]) == {}  # in which 77 is a value among others
    assert suspects(np.repeat([0.0, 1.0, 2.0, 3.0, 4.0, 8.0, 9.0], 3)[:, None]) == {}  # a long tail


LEVELS = {  # of the fit's csv -> the same in a later file, as that writes them
    "truth values": (["TRUE", "FALSE", "maybe"], [True, False, True]),
    "codes": (["1", "2", "X"], [1.0, 2.0, 1.0]),
    "codes with zeros": (["01", "02", "X"], [1, 2, 1]),
    "as texts": (["1", "2", "X"], ["1.0", "2.0", "1"]),
}


@pytest.mark.parametrize(("levels", "later"), LEVELS.values(), ids=LEVELS.keys())
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_level_is_known_again_however_a_later_file_writes_it(command, tmp_path, ending, levels, later):
    write(tmp_path / "s.csv", pd.DataFrame({"who": WHO, "x": (levels * 14)[:40], "z": LAB["x"]}))
    assert command("fit", *FIT, "--view", "s=s.csv", "--view", "lab=lab.csv")[0] == 0
    new = pd.DataFrame({"who": WHO[:3], "x": later, "z": [0.5, 0.25, 1.0]})
    write(tmp_path / f"new{ending}", new)
    assert command("impute", "m.safetensors", "--view", f"s=new{ending}", "--out", "filled")[0] == 0
    after = read(tmp_path / "filled" / f"s{ending}")["x"].tolist()
    assert [f"{v}".casefold().removesuffix(".0") for v in after] == [f"{v}".casefold().removesuffix(".0") for v in later]


@pytest.mark.parametrize("later", ["lo ", "Lo", "l\u00a0o"])
def test_a_level_that_nearly_is_one_of_the_fit_is_named(command, tmp_path, later):
    write(tmp_path / "s.csv", pd.DataFrame({"who": WHO, "x": ["lo", "l o", "hi", "mid"] * 10, "z": LAB["x"]}))
    assert command("fit", *FIT, "--view", "s=s.csv", "--view", "lab=lab.csv")[0] == 0
    write(tmp_path / "new.parquet", pd.DataFrame({"who": WHO[:3], "x": ["hi", later, "mid"], "z": [0.5, 0.25, 1.0]}))
    code, _, err = command("impute", "m.safetensors", "--view", "s=new.parquet", "--out", "filled")
    assert code == 2
    assert "a category that was absent from training, but 'l" in " ".join(err.split())


def test_ids_that_are_no_texts_or_integers_are_refused(tmp_path):
    for ids in ([[k] for k in range(40)], [b"a%d" % k for k in range(40)], np.arange(40) + 0.5):
        write(tmp_path / "t.parquet", LAB.assign(who=list(ids)))
        with pytest.raises(ViewError, match=r"the ids in 'who' are \w+; expected integers or text"):
            table(tmp_path / "t.parquet")


def test_what_nobody_observed_in_a_later_file_is_imputed(command, tmp_path):
    assert command("fit", *FIT, "--entries", "marginalise", "--view", "lab=lab.csv")[0] == 0
    (tmp_path / "new.csv").write_text("who,x,y\np,NA,1\nq,NA,2\n")
    assert command("impute", "m.safetensors", "--view", "lab=new.csv", "--out", "filled")[0] == 0
    assert read(tmp_path / "filled" / "lab.csv")["y"].tolist() == [1, 2]


IDS = {
    "floats": np.arange(100.0, 140.0),
    "nullable": pd.array(range(100, 140), dtype="Int64"),
    "small": np.arange(100, 140, dtype=np.uint8),
    "texts of floats": [f"{k}.0" for k in range(100, 140)],
}


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS.keys())
@pytest.mark.parametrize("ending", ENDINGS)
def test_whole_numbers_are_the_same_ids_of_whatever_type(tmp_path, ids, ending):
    path = write(tmp_path / f"t{ending}", LAB.assign(who=ids))
    assert table(path).index.tolist() == [str(k) for k in range(100, 140)]


@pytest.mark.parametrize(("mine", "yours"), [("p7", "P7"), ("007", "7"), ("é7", "e\u03017"), ("a 7", "a\u00a07")])
def test_ids_that_nearly_are_the_same_are_warned_of(command, tmp_path, mine, yours):
    write(tmp_path / "a.csv", LAB.assign(who=[mine, *WHO[1:]]))
    write(tmp_path / "b.csv", LAB.assign(who=[yours, *WHO[1:]]))
    code, _, err = command("fit", *FIT, "--view", "a=a.csv", "--view", "b=b.csv")
    assert code == 0
    assert "1 ids of one view differ from those of another in case, blanks, leading zeros" in " ".join(err.split())


def test_results_have_the_signs_and_the_encoding_of_their_input(command, tmp_path):
    rows = [f"{who};{'éàè'[k % 3]};{k},5" for k, who in enumerate(WHO)]
    (tmp_path / "s.csv").write_bytes("\n".join(["who;ville;x", *rows, ""]).encode("cp1252"))
    how = ["--sep", "s=;", "--decimal", "s=,", "--encoding", "s=cp1252"]
    assert command("fit", *FIT, *how, "--view", "s=s.csv", "--view", "lab=lab.csv")[0] == 0
    assert command("impute", "m.safetensors", "--view", "s=s.csv", "--out", "filled")[0] == 0
    filled = (tmp_path / "filled" / "s.csv").read_bytes().decode("cp1252").splitlines()
    assert filled == ["who;ville;x;imputed", *(f"{row};False" for row in rows)]
    write(tmp_path / "lab.csv", LAB.assign(who=["Ж", *WHO[1:]]))
    command("impute", "m.safetensors", "--view", "s=s.csv", "--view", "lab=lab.csv", "--out", "other")
    assert "Ж;" in (tmp_path / "other" / "s.csv").read_text(encoding="utf-8")  # cp1252 lacks the letter


def test_what_a_sheet_cannot_hold_is_refused_before_the_work(command, tmp_path):
    write(tmp_path / "lab.xlsx", LAB)
    for value, message in (("a\x01", "has a control character"), ("x" * 40_000, "is longer than the 32,767 characters")):
        write(tmp_path / "s.csv", LAB.assign(y=[value, "b"] * 20))
        assert command("fit", *FIT, "--view", "s=s.csv", "--view", "lab=lab.xlsx")[0] == 0
        code, _, err = command("impute", "m.safetensors", "--view", "lab=lab.xlsx", "--out", "filled")
        assert code == 2
        assert message in " ".join(err.split())
        (tmp_path / "m.safetensors").unlink()


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


@pytest.mark.parametrize(
    ("column", "warned"),
    [(range(40), True), (range(40, 0, -1), True), (np.arange(1.0, 41.0), True), (range(1980, 2020), False)],
)
def test_a_column_that_counts_the_rows_is_warned_of(tmp_path, column, warned):
    path = write(tmp_path / "t.csv", LAB.assign(k=list(column)))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        table(path)
    assert [("counts the rows" in str(one.message)) for one in found] == [True] * warned


def test_integers_that_floats_cannot_hold_are_refused_beside_holes_too(tmp_path):
    for text in (str(2**53 + 1), "1" * 400, "1" * 5000):
        (tmp_path / "t.csv").write_text(f"who,x\np,{text}\nq,\n")
        with pytest.raises(ViewError, match=r"'x' has the integer [\d.]+, beyond 2\*\*53"):
            table(tmp_path / "t.csv")


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
