"""Files of tables: numbers to the bit in every format, joins as plain dicts make them, complaints, nothing half-written."""

import math

import numpy as np
import pandas as pd
import pytest
from table_files import BY_WHO, ENDINGS, as_read, bits, source, three_tables, views_of, write

from jpvae.errors import MissingDependency
from jpvae.tables import writing
from jpvae.tables.joining import join
from jpvae.tables.sources import sources

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
        found = as_read(source(tmp_path / f"{name}{ending}"), "who").frame
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
    assert as_read(source(path), "who").frame.index.tolist() == expected


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
    frame = as_read(source(write(tmp_path / "t.parquet", pd.DataFrame(columns))), "who").frame
    text = str(pd.Series(["I", None]).dtype)  # object before pandas 3
    assert [str(t) for t in frame.dtypes] == ["float32", "Int64", "bool", "int64", text, "category"]
    assert frame["c"].cat.categories.tolist() == ["y", "x"]
    assert frame["s"].tolist()[0] == "I"
    assert np.argwhere(frame.isna()).tolist() == [[1, 1], [1, 4]]


def test_an_index_that_pandas_wrote_is_a_column(tmp_path):
    pd.DataFrame({"x": [1.0, 2.0]}, index=pd.Index([5, 6], name="who")).to_parquet(tmp_path / "t.parquet")
    assert as_read(source(tmp_path / "t.parquet"), "who").frame.index.tolist() == ["5", "6"]


@pytest.mark.parametrize("seed", range(4))
def test_the_join_is_the_one_that_dicts_make(tmp_path, seed):
    tables = three_tables(seed)
    tables["b"].iloc[3, [0, *range(2, 5)]] = np.nan  # a row with an id and nothing else
    if (lonely := tables["b"].iloc[3]["who"]) not in {*tables["a"]["who"], *tables["c"]["who"]}:
        tables["a"].iloc[0, 0] = lonely
    joined = join(sources(views_of(tmp_path, tables, (".csv", ".parquet", ".tsv"))), BY_WHO)

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


def test_text_that_is_no_mistake(tmp_path):
    """An empty first line; texts with commas are categories; digits that are text in a typed file are as in a csv."""
    (tmp_path / "t.csv").write_text('\nwho,x\np,"a,b"\nq,c\n')
    assert as_read(source(tmp_path / "t.csv"), "who").frame["x"].tolist() == ["a,b", "c"]
    frame = pd.DataFrame({"who": pd.Categorical(["p", "q"]), "stage": ["1", "2"]})
    assert as_read(source(write(tmp_path / "t.parquet", frame)), "who").frame.to_dict("index") == {
        "p": {"stage": 1},
        "q": {"stage": 2},
    }


def test_sheets_as_people_leave_them(tmp_path):
    """Empty rows and columns that were touched, NA, names that are numbers; text that looks like a formula stays text."""
    table = [["who", 2020, "y", None], ["p", 1.5, "NA", None], [None] * 4, ["q", 2, 3, ""]]
    pd.DataFrame(table).to_excel(tmp_path / "t.xlsx", index=False, header=False)
    frame = as_read(source(tmp_path / "t.xlsx"), "who").frame
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
        as_read(source(path), "who")


def test_text_of_a_csv_is_what_plain_python_reads(tmp_path):
    """Every number written is the shortest decimal that means it: float() of the text is the number."""
    values = np.random.default_rng(1).standard_normal(200) * 10.0 ** np.arange(-100, 100)
    writing.write_frame(tmp_path / "t.csv", pd.DataFrame({"x": values}))
    lines = (tmp_path / "t.csv").read_text().split()
    assert bits([float(word) for word in lines[1:]]) == bits(values)
