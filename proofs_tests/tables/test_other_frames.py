"""Masks by their labels; polars and Arrow tables in their own type; wide tables; categories of any type."""

import numpy as np
import pandas as pd
import pytest

from jpvae import JPVAE
from jpvae.errors import ViewError
from jpvae.views.kinds import summaries

pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
RNG = np.random.default_rng(0)
IDS = [f"P{i}" for i in range(40)]
RNA = pd.DataFrame(RNG.normal(size=(40, 3)), index=IDS, columns=list("abc"))
LAB = pd.DataFrame(RNG.normal(size=(40, 2)), index=IDS, columns=list("xy"))
OPTIONS = {"latent_dims": 1, "prior": "canonical", "likelihood": "infer", "hidden": (4,), "steps": 3, "backend": "numpy"}
OPTIONS |= {"progress": False, "missing": "nan", "entries": "marginalise"}


@pytest.mark.parametrize("columns", [["rna", "lab"], ["lab", "rna"]])
@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_a_mask_is_read_by_its_labels(columns, order):
    has = pd.DataFrame({"rna": True, "lab": True}, index=IDS)
    has.loc[IDS[:10], "lab"] = False
    mask, views = has[columns].iloc[order], {"rna": RNA, "lab": LAB}
    filled = JPVAE(**OPTIONS).fit(views, mask).impute(views, mask)
    assert filled["rna"].equals(RNA)
    changed = (filled["lab"] != LAB).any(axis=1)
    assert changed[changed].index.tolist() == IDS[:10]


@pytest.mark.parametrize("make", [pl.from_pandas, pa.Table.from_pandas])
def test_a_mask_of_another_kind_is_read_by_its_names(make):
    has = pd.DataFrame({"lab": np.arange(40) >= 10, "rna": True})
    views = {"rna": RNA, "lab": LAB}
    filled = JPVAE(**OPTIONS).fit(views, make(has)).impute(views, make(has))
    assert filled["rna"].equals(RNA)
    assert (filled["lab"] != LAB).any(axis=1).tolist() == [True] * 10 + [False] * 30


def test_a_list_has_no_names_for_a_mask_to_have():
    with pytest.raises(ViewError, match=r"mask has the columns \['lab', 'rna'\]; expected .* a list's have no names"):
        JPVAE(**OPTIONS).fit([RNA, LAB], pd.DataFrame(True, IDS, ["lab", "rna"]))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (pd.DataFrame(True, IDS, ["rna", "labs"]), r"mask has the columns \['rna', 'labs'\]; expected one for each view"),
        (pd.DataFrame(True, [f"Q{i}" for i in range(40)], ["rna", "lab"]), "mask has another index than the views"),
    ],
)
def test_labels_that_are_not_the_views_are_refused(mask, message):
    with pytest.raises(ViewError, match=message):
        JPVAE(**OPTIONS).fit({"rna": RNA, "lab": LAB}, mask)


@pytest.mark.parametrize(("make", "kind"), [(pl.from_pandas, pl.DataFrame), (pa.Table.from_pandas, pa.Table)])
def test_tables_come_back_in_their_own_type(make, kind):
    lab = LAB.assign(sex=(["f", "m", None, "m"] * 10), n=range(40)).reset_index(drop=True)
    lab.loc[:4, ["x", "y", "n", "sex"]] = None
    rna = RNA.reset_index(drop=True)
    views = {"rna": make(rna), "lab": make(lab)}
    model = JPVAE(**OPTIONS).fit(views)
    found, expected = model.impute(views), model.impute({"rna": rna, "lab": lab})
    for name, frame in expected.items():
        assert isinstance(found[name], kind)
        assert found[name].to_pandas().to_dict("list") == frame.to_dict("list")
    there = lab["x"].notna()
    assert found["lab"].to_pandas()["x"][there].tolist() == lab["x"][there].tolist()


def test_a_category_is_known_again_whatever_type_it_comes_in():
    grade = pd.DataFrame({"grade": ["1", "2", "3", "X"] * 10, "z": RNG.normal(size=40)})
    model = JPVAE(**OPTIONS | {"likelihood": {"a": {"grade": "categorical"}, "b": "gaussian"}}).fit(
        {"a": grade, "b": RNA.reset_index(drop=True)}
    )
    new = pd.DataFrame({"z": [0.5, 0.25], "grade": [3, 1]})
    for column in (pd.Series([3, 1]), pd.Series([3.0, 1.0]), pd.Series(["3", "1"]), pd.Series([3, 1], dtype="category")):
        filled = model.impute({"a": new.assign(grade=column)})["a"]
        assert [f"{float(v):g}" for v in filled["grade"]] == ["3", "1"]


def test_summaries_are_those_of_each_column_alone():
    values = np.where(RNG.random((50, 30)) < 0.2, np.nan, RNG.poisson(2.0, (50, 30)) / RNG.integers(1, 3, 30))
    values[:, 4] = np.nan
    for found, column in zip(summaries(values), values.T, strict=True):
        own = column[~np.isnan(column)].tolist()
        assert found.whole == (bool(own) and all(v == int(v) for v in own))
        if own:
            assert (found.low, found.high) == (min(own), max(own))
            assert found.mean == pytest.approx(sum(own) / len(own), rel=1e-12)
            assert found.var == pytest.approx(sum((v - found.mean) ** 2 for v in own) / len(own), rel=1e-12)
            assert found.others == sum(v not in (0, 1) for v in own) / len(own)


class Counted(str):
    """A column name that counts how often it is compared."""

    __slots__ = ()
    times = 0

    def __eq__(self, other):
        Counted.times += 1
        return str(self) == other

    def __hash__(self):
        return str.__hash__(self)


def test_names_of_columns_are_compared_a_number_of_times_that_grows_with_them_and_not_with_their_square():
    """57 s for 20,000 columns once. Each name may be looked up a few times; the square would be 2,000 times each."""
    names = [Counted(f"g{i}") for i in range(2_000)]
    wide = pd.DataFrame(RNG.normal(size=(20, len(names))), columns=pd.Index(names, dtype=object))
    views = {"a": RNA[:20].reset_index(drop=True), "b": wide}
    model = JPVAE(**OPTIONS | {"steps": 1, "entries": "error", "likelihood": "gaussian"}).fit(views)
    model.find_impossible(views | {"b": wide[wide.columns[::-1]]})
    assert Counted.times < 60 * len(names)
