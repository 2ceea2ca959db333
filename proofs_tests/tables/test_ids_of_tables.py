"""Ids: which column has them, and which of two tables are the same."""

import warnings

import numpy as np
import pandas as pd
import pytest
from lab import FIT, LAB, WHO, table
from table_files import ENDINGS, read, write

from jpvae.errors import ViewError


def test_ids_of_any_kind_are_matched_and_each_view_may_call_them_its_own_way(in_lab, tmp_path):
    numbers = [str(1000 + k) for k in range(40)]
    write(tmp_path / "a.csv", LAB.assign(who=[*numbers[:38], "1038B", "1039B"]))
    write(tmp_path / "b.xlsx", LAB.assign(who=range(1000, 1040)).rename(columns={"who": "barcode"}))
    code, _, err = in_lab("fit", *FIT, "--id", "b=barcode", "--view", "a=a.csv", "--view", "b=b.xlsx")
    assert (code, err) == (0, "")
    assert in_lab("impute", "m.safetensors", "--view", "b=b.xlsx", "--out", "filled")[0] == 0
    assert read(tmp_path / "filled" / "b.xlsx")["barcode"].tolist() == list(range(1000, 1040))
    assert next(iter(read(tmp_path / "filled" / "a.xlsx"))) == "who"


def test_ids_that_are_no_texts_or_integers_are_refused(tmp_path):
    for ids in ([[k] for k in range(40)], [b"a%d" % k for k in range(40)], np.arange(40) + 0.5):
        write(tmp_path / "t.parquet", LAB.assign(who=list(ids)))
        with pytest.raises(ViewError, match=r"the ids in 'who' are \w+; expected integers or text"):
            table(tmp_path / "t.parquet")


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
def test_ids_that_nearly_are_the_same_are_warned_of(in_lab, tmp_path, mine, yours):
    write(tmp_path / "a.csv", LAB.assign(who=[mine, *WHO[1:]]))
    write(tmp_path / "b.csv", LAB.assign(who=[yours, *WHO[1:]]))
    code, _, err = in_lab("fit", *FIT, "--view", "a=a.csv", "--view", "b=b.csv")
    assert code == 0
    assert "1 ids of one view differ from those of another in case, blanks, leading zeros" in " ".join(err.split())


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
