"""Codes for missing that were left among measurements: warned of with the option that reads them, and no measurement is one."""

import json
import re
import shlex

import numpy as np
import pandas as pd
import pytest
from lab import FIT, LAB, table
from table_files import write

from jpvae.views.ends import Ends
from jpvae.views.sentinels import suspects

RNG = np.random.default_rng(0)


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


FILLS = [
    9.96921e36,
    9.969209968386869e36,
    float(np.float32(9.96921e36)),
    1e20,
    -1e20,
    1e30,
    -9999.0,
    -999.25,
    -32768.0,
    65535.0,
]
FILLS += [-3.4028234663852886e38, 3.4028235e38, 1.7e38, -1.7e38, 1.7976931348623157e308, -1.7e308, 2.0**31 - 1, -(2.0**63)]
FILLS += [-12345.0, 123456789.0, 0.5e7]  # nobody's code, but there twice and far from all else


@pytest.mark.parametrize("code", FILLS)
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_what_programs_fill_empty_cells_with_is_suspected(code, kind):
    values = RNG.normal(20, 3, (40, 2))
    if abs(code) > 3.5e38 and kind is np.float32:
        kind = np.float64
    values[[3, 17], 0] = code
    with np.errstate(over="ignore"):
        found = suspects(values.astype(kind))
    assert found == {0: (float(kind(code)),)}


def test_values_that_are_far_away_once_or_among_few_are_no_codes():
    values = np.tile(RNG.normal(0, 1, 40)[:, None], (1, 5))
    values[3, 0] = 1e7  # an outlier
    values[:, 1] = np.tile([0.0, 1.0, 10.0, 100.0, 1000.0], 8)  # doses
    values[:, 2] = np.where(np.arange(40) < 2, 1e6, 0.0)  # two values
    values[:, 3] = np.exp(4 * RNG.normal(0, 1, 40))  # a long tail
    values[:, 4] = np.where(np.arange(40) < 2, 32767.0, RNG.uniform(0, 30000, 40))  # the end of its scale
    assert suspects(values) == {}


def test_the_two_ends_of_columns_in_blocks_are_those_of_the_whole():
    values = RNG.integers(-3, 4, (60, 6)).astype(float)
    values[RNG.random(values.shape) < 0.3] = np.nan
    values[:, 4], values[:, 5] = np.nan, 2.0
    found = Ends.none(6)
    for start in range(0, 60, 7):
        found = found.and_of(Ends.of(values[start : start + 7]))
    for j, column in enumerate(values.T):
        different = sorted(set(column[~np.isnan(column)].tolist()))
        expected = [[*different, np.inf, np.inf][:2], [-np.inf, -np.inf, *different][-2:]]
        assert [[found.least[j], found.next_least[j]], [found.next_most[j], found.most[j]]] == expected


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".xlsx"])
def test_the_option_in_the_warning_of_a_fill_value_reads_it(in_lab, tmp_path, ending):
    """Whatever the format: the second fit has no warning, and these cells empty."""
    write(tmp_path / f"s{ending}", LAB.assign(y=np.where(np.arange(40) < 2, 9.969209968386869e36, LAB["x"])))
    views = ("--view", f"s=s{ending}", "--view", "lab=lab.csv", "--entries", "marginalise")
    _, _, err = in_lab("fit", *FIT, *views)
    option = re.search(r"--sentinel 's:y=[^']*'", " ".join(err.split()))
    (tmp_path / "m.safetensors").unlink()
    code, out, err = in_lab("fit", *FIT, *views, *shlex.split(option.group()), "--json")
    assert (code, json.loads(out)["empty_cells"], "look like codes" in err) == (0, 2, False)


@pytest.mark.parametrize("kind", ["int16", "int64", "float32", "float64", "Int32", "Float32", "object", "category", "string"])
def test_codes_of_a_parquet_are_empty_whatever_its_columns_are(tmp_path, kind):
    values = pd.Series([1, -999, 3, 4] * 10)
    written = values.astype(str).astype(kind) if kind in ("category", "string", "object") else values.astype(kind)
    write(tmp_path / "s.parquet", LAB.assign(y=written))
    found = table(tmp_path / "s.parquet", missing=(("y", "-999.0"), ("y", "-999")))["y"]
    assert found.isna().tolist() == (values == -999).tolist()
    assert found.dropna().astype(float).tolist() == values[values != -999].tolist()
