"""Texts that are no categories: numbers, dates, one level written twice. And those that are."""

import numpy as np
import pandas as pd
import pytest

from jpvae.errors import ViewError
from jpvae.views.dataframes import read_table
from jpvae.views.inferring import columns_of

N = 60
RNG = np.random.default_rng(0)
NUMBERS = [f"{x:.1f}" for x in RNG.normal(70, 10, 40)]
WRONG = {
    "numbers": (NUMBERS, r"holds \d+ different numbers as texts"),
    "a code for missing": (["3.0", "6.0", "7.0", "?"], r"holds numbers but for '\?': if that is a code for missing"),
    "another": (["0", "1", "n/a"], "holds numbers but for 'n/a'"),
    "beside numbers": ([0, 1, 2, "."], r"holds numbers but for '\.'"),
    "percent": (["35%", "40%", "7.5 %"], "holds numbers that are written as texts"),
    "thousands": (["1,200.50", "800", "12,000"], r"written as texts \('1,200\.50', '12,000'\)"),
    "blanks": (["150 000", "90 000", "1 200"], "written as texts"),
    "units": (["5 mg", "10 mg", "20mg"], "written as texts .*without signs, commas or units"),
    "below the limit": (["<5", "7", "12.5"], "written as texts .'<5'"),
    "dates": (["2021-03-04", "2021-03-05", "2020-12-31"], "holds dates .*days since a day"),
    "other dates": (["3/4/2021", "31/12/2020", "1/1/2022"], "holds dates"),
    "blanks at the end": (
        ["male", "female", "male "],
        "has the levels 'male' and 'male ', which differ in case or blanks alone",
    ),
    "case": (["Yes", "no", "yes"], "has the levels 'Yes' and 'yes'"),
}
RIGHT = {
    "words": ["low", "middle", "high"],
    "codes": ["1", "2", "3", "X"],
    "numbers as codes": ["0", "1"],
    "bands": ["<18", "18-30", "31-50", "50+"],
    "grades": ["1a", "1b", "2a"],
    "stages": ["T1", "T2", "T3"],
    "unknown is an answer": ["yes", "no", "unknown"],
    "codes of places": ["A-1", "A-2", "B-1"],
}


def table(levels):
    return pd.DataFrame({"x": (list(levels) * N)[:N], "y": np.arange(N) / 7}).astype({"x": object})


@pytest.mark.parametrize(("levels", "message"), WRONG.values(), ids=WRONG.keys())
def test_texts_that_are_no_categories(levels, message):
    everyone = np.ones(N, dtype=bool)
    with pytest.raises(ViewError, match=rf"view 'clinic', column 'x' .*{message}"):
        columns_of("infer", read_table(table(levels), "clinic"), everyone)
    with pytest.raises(
        ViewError, match=r"say so: likelihood=\{'clinic': \{'x': \"categorical\"\}\}, or --likelihood clinic:x="
    ):
        columns_of({"y": "gaussian"}, read_table(table(levels), "clinic"), everyone)
    said = columns_of({"x": "categorical"}, read_table(table(levels), "clinic"), everyone)
    as_category = table(levels).astype({"x": "category"})
    for columns in (said, columns_of("infer", read_table(as_category, "clinic"), everyone)):
        assert len(columns.coded[0]) == len(set(levels))


@pytest.mark.parametrize("levels", RIGHT.values(), ids=RIGHT.keys())
def test_texts_that_are_categories(levels):
    columns = columns_of("infer", read_table(table(levels), "clinic"), np.ones(N, dtype=bool))
    assert columns.texts[0] == tuple(sorted(levels))
