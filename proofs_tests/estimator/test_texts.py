"""Texts that are no categories: numbers, dates, one level written twice. And those that are."""

import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from jpvae import JPVAE
from jpvae.errors import JPVAEWarning, ViewError
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
    "decimal commas": (["7", "1,5"], "written as texts .'1,5'.*or in a file: --decimal 'clinic:x=,'"),
    "both signs": (["1.200,5", "7", "3,5"], "--decimal 'clinic:x=,' --thousands 'clinic:x=.'"),
    "either sign": (["1,200", "2,500"], "--thousands 'clinic:x=,' or --decimal 'clinic:x=,'"),
    "apostrophes": (["1'200", "800"], '--thousands "clinic:x=\'"'),
    "money": (["$1,200.50", "$3", "$4"], r"--unit 'clinic:x=\$' --thousands 'clinic:x=,'"),
    "other units": (["3 months", "6 months", "12 months"], "--unit 'clinic:x=months'"),
    "a unit with numbers in it": (["1.5 x10^9/L", "2.5 x10^9/L", "2 x10^9/L"], r"--unit 'clinic:x=x10\^9/L'"),
    "several units": (["500 mg", "1 g", "2 g"], "in one unit instead of 'g', 'mg'"),
    "marks": (["5.1 H", "5.2", "4.3 L", "6.1*"], r"--unit 'clinic:x=\*' --unit 'clinic:x=H' --unit 'clinic:x=L'"),
    "percent and a code": (["20%", "ND", "35%"], "--unit 'clinic:x=%' --na 'clinic:x=ND'"),
    "one text among numbers": ([*map(str, range(9)), "high"], r"is not numeric \('high'\), yet 9 of its 10 values are numbers"),
    "months": (["4 Mar 2021", "May 5, 2021", "06-Apr-21"], "holds dates"),
    "months of a year": (["2021-03", "2021-04", "2021-05"], "holds dates"),
    "times": (["10:30", "11:45", "09:15"], "holds times"),
    "two numbers": (["120/80", "130/85", "110/70"], "holds several numbers in each cell"),
    "plus or minus": (["1.5±0.2", "1.7±0.3", "2.1±0.1"], "holds several numbers in each cell"),
    "powers of ten": (["1.2x10^3", "3.4x10^5", "1.1x10^2"], r"holds powers of ten .*write them as 1\.2e3"),
    "brackets": (["(5.2)", "3.1", "(4.4)"], "holds numbers with brackets or a minus behind"),
    "minus behind": ([f"{k}.5-" for k in range(12)], "holds numbers with brackets or a minus behind"),
    "full width": (
        [f"{k}.5".translate({46: 0xFF0E, **{48 + d: 0xFF10 + d for d in range(10)}}) for k in range(12)],
        "signs about|written as texts",
    ),
    "thousand": ([f"{k}.5k" for k in range(12)], "signs about them"),
    "a spreadsheet's mark of texts": ([f"'{k}" for k in range(12)], "signs about them"),
    "days of a year": (["1-Jan", "2-Jan", "3-Feb"], "holds dates"),
    "weeks": (["2021-W01", "2021-W02", "2021-W13"], "holds dates"),
    "limits as a word": (["1.2", "3.4", "<LOD"], "holds numbers but for '<LOD'"),
    "typesetters' minus": ([f"\u2212{k}.5" for k in range(12)], "written as texts"),
    "two forms of one letter": (
        ["caf\u00e9", "cafe\u0301", "thé"],
        r"has the levels 'cafe\\u0301' and 'caf\\xe9', which differ in the form of a letter \(Unicode's composed",
    ),
    "two widths of one letter": (
        ["A1", "\uff211", "b"],
        r"'A1' and '\\uff211', which differ in the form of a letter \(Unicode's compat",
    ),
    "blanks at the end": (
        ["male", "female", "male "],
        "has the levels 'male' and 'male ', which differ in case or blanks alone",
    ),
    "case": (["Yes", "no", "yes"], "has the levels 'Yes' and 'yes'"),
    "a few with the minus behind": (["12-", "7.5-", "3"], "with brackets or a minus behind"),
    "to base 16": (["0x1F", "0x2A", "0x33"], "holds numbers to base 16.*write them to base 10"),
    "weeks and days": (["12w3d", "13w", "20w0d"], "parts of several units .*numbers of one unit"),
    "feet and inches": (["5'10\"", "6'1\"", "5'7\""], "parts of several units"),
    "hours and minutes": (["1h30", "2h", "45 min"], "parts of several units"),
    "degrees": (["48°51'N", "2°21'E", "51°30'N"], "parts of several units"),
    "durations": (["P1DT2H", "PT30M", "P2D"], "parts of several units"),
    "fractions": (["½", "1¼", "2"], "holds fractions .*0.5"),
    "superscripts": (["1.2×10³", "3.4×10⁵", "7"], "holds powers of ten"),
    "weeks plus days": (["38+4", "40+0", "39+6"], "holds several numbers in each cell"),
    "points out of ten": (["3 of 10", "4 of 10", "7 out of 10"], "holds several numbers in each cell"),
    "mean and deviation": (["5.1 (1.2)", "6.2 (1.1)", "7.3 (0.9)"], "holds several numbers in each cell"),
    "titres": (["1:40", "1:80", "1:160"], "several numbers in each cell .*or one number"),
    "quarters": (["2021Q1", "Q2 2021", "2022-Q4"], "holds dates"),
    "months of another language": (["4. März 2021", "12. Mai 2020", "1. Juni 2021"], "holds dates"),
    "days of a week": (["Mon, 4 Mar 2021", "Tue, 5 Mar 2021", "Wed, 6 Mar 2021"], "holds dates"),
    "forms side by side": (["10:30", "1h30", "90"], "holds times"),
    "marks between digits": (["1_000", "2_500", "3_000"], "written as texts"),
    "months of a year, turned": (["03/2021", "04/2021", "11/2020"], "holds dates"),
    "characters of dates": (["2021年3月4日", "2021年3月5日", "2020年12月1日"], "holds dates"),
    "hours of a day": (["9am", "10 pm", "11am"], "holds times"),
    "an interval": (["1.2 (0.9-1.5)", "1.5 [1.1, 1.9]", "0.9 (0.5-1.3)"], "several numbers in each cell"),
    "arrows": (["120→80", "130→85", "110→70"], "several numbers in each cell"),
    "years and months": (["3 years 2 months", "4 years", "11 months"], "parts of several units"),
    "a word among fractions": (["trace", "1.2", "3.4", "4.5"], r"is not numeric \('trace'\), yet 3 of its 4"),
}
UNSURE = {
    "codes": ["1", "2", "3", "X"],
    "numbers as codes": ["0", "1"],
    "two doses": ["5 mg", "10 mg"],
    "two dates": ["2021-01-01", "2021-06-01"],
    "a sign before": ["#1", "#12", "#7"],
    "words and titres": ["neg", "1:40", "1:80", "1:160"],
    "a word before fractions": ["pH 7.1", "pH 7.2", "pH 7.4"],
    "a word before many": [f"score {k}" for k in range(12)],
    "rates": ["3/day", "2/day", "1/day"],
    "fractions with a letter": ["$1.2k", "$3.4k", "$0.9M"],
    "bands of fractions": ["0.5-1.0", "1.0-1.5", "1.5-2.0"],
    "lists": ["[1, 2]", "[2, 3]", "[1, 3]"],
    "a limit beside one value": ["<0.5", "1.2"],
}
RIGHT = {
    "words": ["low", "middle", "high"],
    "bands": ["<18", "18-30", "31-50", "50+"],
    "classes": [f"{k}{letter}" for k in range(5, 13) for letter in "ab"],
    "grades": ["1a", "1b", "2a"],
    "stages": ["T1", "T2", "T3"],
    "unknown is an answer": ["yes", "no", "unknown"],
    "genotypes": ["0/0", "0/1", "1/1"],
    "places in an order": ["1st", "2nd", "3rd", "4th"],
    "numbers with words": ["1 - low", "2 - middle", "3 - high"],
    "two incomes": ["<=50", ">50"],
    "codes of places": ["A-1", "A-2", "B-1"],
    "pluses": ["1+", "2+", "3+"],
    "sites": ["site 1", "site 2", "site 3"],
    "Roman numbers": ["I", "II", "III", "IV"],
    "numbers in words": ["one", "two", "three"],
    "letters and digits": ["1A", "0C", "F3"],
    "blood groups": ["A+", "A-", "0+", "0-"],
    "points": ["v1", "v2", "v2b"],
}


def table(levels):
    return pd.DataFrame({"x": (list(levels) * N)[:N], "y": np.arange(N) / 7}).astype({"x": object})


@pytest.mark.parametrize(("levels", "message"), WRONG.values(), ids=WRONG.keys())
def test_texts_that_are_no_categories(levels, message):
    everyone = np.ones(N, dtype=bool)
    with pytest.raises(ViewError, match=rf"view 'clinic', column 'x' .*(?:{message})"):
        columns_of("infer", read_table(table(levels), "clinic"), everyone)
    with pytest.raises(
        ViewError,
        match=r"categories as they stand: likelihood=\{'clinic': \{'x': \"categorical\"\}\}, or --likelihood clinic:x=",
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


@pytest.mark.parametrize("levels", UNSURE.values(), ids=UNSURE.keys())
def test_texts_that_may_be_numbers(levels):
    """A category, with a warning that names the column and how to say what it is; without one where it is said."""
    everyone, doubtful = np.ones(N, dtype=bool), read_table(table(levels), "clinic")
    with pytest.warns(JPVAEWarning, match=r"view 'clinic': 1 of its .* may be numbers \('x': .*clinic:x=categorical"):
        columns = columns_of("infer", doubtful, everyone)
    assert columns.texts[0] == tuple(sorted(levels))
    assert columns_of({"x": "categorical"}, doubtful, everyone) == columns


def test_numbers_that_are_days():
    """Of eight digits, all of a calendar; one more month is none."""
    days = 20210100 + np.arange(N) % 28 + 1
    for values, suspected in ((days, True), (np.where(np.arange(N) == 0, 20211301, days), False)):
        frame = pd.DataFrame({"seen": values, "y": np.arange(N) / 7})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            columns_of("infer", read_table(frame, "clinic"), np.ones(N, dtype=bool))
        assert [("'seen'" in str(w.message), "look like dates" in str(w.message)) for w in caught] == [(True, True)] * suspected


OTHER_CATEGORIES = {
    "intervals": pd.interval_range(0, 3),  # as pd.cut makes them
    "times": pd.date_range("2020", periods=3),
    "months": pd.period_range("2020", periods=3, freq="M"),
    "durations": pd.to_timedelta([1, 2, 3], unit="D"),
    "decimals": [Decimal(k) for k in range(3)],
    "tuples": [("a", 1), ("b", 2), ("c", 3)],
    "bytes": [b"a", b"b", b"c"],
}


@pytest.mark.parametrize("name", OTHER_CATEGORIES)
def test_a_category_that_a_file_cannot_hold_is_refused_before_any_work(name):
    levels = pd.Series(list(OTHER_CATEGORIES[name]), dtype=object).astype("category")
    frame = pd.DataFrame({"x": levels.iloc[np.arange(N) % 3].array, "y": RNG.standard_normal(N)})
    with pytest.raises(
        ViewError, match=r"column 'x' has the category .*; expected texts or numbers: .*map\(str, na_action='ignore'\)"
    ):
        JPVAE(2, likelihood="infer", steps=1, progress=False).fit({"clinic": frame})
    gaps = frame["x"].where(np.arange(N) > 0)  # an empty cell stays one
    texts = read_table(frame.assign(x=gaps.map(str, na_action="ignore")), "clinic")
    assert len(texts.labels(0, np.ones(N, dtype=bool))) == 3
