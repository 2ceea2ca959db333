"""Values that a fitted model cannot take: an error that names them, or under impossible="missing" what an empty cell gives."""

import functools
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from commands import invoke
from synthetic import OPTIONS

from jpvae import JPVAE
from jpvae.errors import ConfigError, JPVAEWarning, ViewError
from jpvae.views.units import check_imputed

RNG, N = np.random.default_rng(0), 40
U = RNG.standard_normal(N)
INDEX = pd.Index([f"s{i}" for i in range(N)], name="subject")
CLINIC = pd.DataFrame(
    {
        "smoker": (U > 0).astype(int),
        "age": np.round(50 + 10 * U, 1),
        "site": np.where(U > 0.3, "north", "south"),
        "grade": np.digitize(U, [-0.5, 0.5]) + 1,
        "visits": RNG.poisson(np.exp(U)),
    },
    index=INDEX,
)
SCAN = pd.DataFrame(U[:, None] + 0.3 * RNG.standard_normal((N, 3)), columns=list("abc"), index=INDEX)
LIKELIHOOD = {"clinic": {"grade": "categorical", "visits": "poisson_unscaled"}, "scan": "gaussian"}
BAD = {"smoker": 2, "site": "west", "grade": 4, "visits": -1}


@functools.cache
def fitted(entries):
    options = {
        "likelihood": LIKELIHOOD,
        "entries": entries,
        "steps": 20,
        "backend": "numpy",
        "missing": "nan",
        "latent_dims": 2,
    }
    return JPVAE(**OPTIONS | options).fit({"clinic": CLINIC, "scan": SCAN})


def spoilt(column, rows=(3, 17)):
    views = {"clinic": CLINIC.copy(), "scan": SCAN}
    if column == "site":
        views["clinic"] = views["clinic"].astype({"site": object})
    views["clinic"].iloc[list(rows), CLINIC.columns.get_loc(column)] = BAD[column]
    return views


def emptied(column, entries, rows=(3, 17)):
    clinic = CLINIC.astype({name: object if name == "site" else float for name in CLINIC})
    clinic.iloc[list(rows), CLINIC.columns.get_loc(column) if entries == "marginalise" else slice(None)] = np.nan
    return {"clinic": clinic, "scan": SCAN}


def spared(filled, column, entries, own, rows=(3, 17)):
    """With what the rows have beside the impossible cell, where the whole view had to be left out."""
    if entries == "error":
        clinic = filled["clinic"].copy()
        for name in [name for name in CLINIC if name != column]:
            values = own[name].iloc[list(rows)] if isinstance(own, pd.DataFrame) else own
            clinic.iloc[list(rows), CLINIC.columns.get_loc(name)] = values
        filled = {**filled, "clinic": clinic}
    return filled


@pytest.mark.parametrize("column", BAD)
@pytest.mark.parametrize("entries", ["error", "marginalise"])
def test_missing_is_what_an_empty_cell_or_view_gives(entries, column):
    model = fitted(entries).set_params(impossible="error")
    with pytest.raises(ViewError, match=rf"view 'clinic', row s3, column '{column}' is .*impossible=\"missing\""):
        model.impute(spoilt(column))
    model.set_params(impossible="missing")
    what = "cells" if entries == "marginalise" else "rows"
    with pytest.warns(
        JPVAEWarning, match=rf"'clinic' has 2 cells in 2 rows .*row s3, column '{column}'.* these {what} are"
    ) as caught:
        found, std = model.impute(spoilt(column), return_std=True)
    assert len(caught) == 1
    expected, expected_std = (
        spared(part, column, entries, own)
        for part, own in zip(model.impute(emptied(column, entries), return_std=True), (CLINIC, 0.0), strict=True)
    )
    for view in ("clinic", "scan"):
        pd.testing.assert_frame_equal(found[view], expected[view], check_dtype=False)
        pd.testing.assert_frame_equal(std[view], expected_std[view])
    with pytest.warns(JPVAEWarning, match="2 cells in 2 rows"):
        drawn = model.sample_imputations(spoilt(column), n_draws=2)
    for one, other in zip(
        drawn["clinic"], model.sample_imputations(emptied(column, entries), n_draws=2)["clinic"], strict=True
    ):
        other = spared({"clinic": other}, column, entries, CLINIC)["clinic"]
        pd.testing.assert_frame_equal(one, other, check_dtype=False)
    with pytest.warns(JPVAEWarning, match="2 cells in 2 rows"):
        scores = model.score_samples(spoilt(column))
    assert np.array_equal(scores, model.score_samples(emptied(column, entries)))
    with warnings.catch_warnings():  # what fit allowed is left alone, without a word
        warnings.simplefilter("error")
        pd.testing.assert_frame_equal(model.impute({"clinic": CLINIC, "scan": SCAN})["clinic"], CLINIC)


def test_which_rows_they_are_in():
    views = spoilt("grade", rows=(5,))
    views["clinic"].loc["s9", "smoker"] = -1
    expected = np.zeros((N, 2), dtype=bool)
    expected[[5, 9], 0] = True
    assert np.array_equal(fitted("error").find_impossible(views), expected)
    mask = np.ones((N, 2), dtype=bool)
    mask[9, 0] = False  # what is in a missing row does not matter
    expected[9, 0] = False
    assert np.array_equal(fitted("error").find_impossible(views, mask), expected)


def test_arrays_are_left_as_they_were_and_may_be_written_over():
    views = [RNG.random((600, 2)).round(), RNG.standard_normal((600, 2))]
    options = {"likelihood": ["bernoulli", "gaussian"], "latent_dims": 2, "steps": 5, "backend": "numpy"}
    model = JPVAE(**OPTIONS | options, entries="marginalise", impossible="missing").fit(views)
    later = [views[0].copy(), views[1]]
    later[0][555, 1] = 3.0
    before = later[0].copy()
    with pytest.warns(JPVAEWarning, match="row 555, column 1 is 3"):
        filled = model.impute(later)[0]
    assert np.array_equal(later[0], before)
    assert 0.0 < filled[555, 1] < 1.0
    filled[555, 1] = 3.0
    assert np.array_equal(filled, before)
    out = [later[0].copy(), later[1].copy()]
    with pytest.warns(JPVAEWarning, match="row 555"):
        model.impute(later, out=out)
    assert 0.0 < out[0][555, 1] < 1.0


def test_only_what_is_named_here_is_an_option():
    with pytest.raises(ConfigError, match="impossible is 'drop'; expected 'error' or 'missing'"):
        fitted("error").set_params(impossible="drop").impute({"scan": SCAN})
    fitted("error").set_params(impossible="error")


def test_the_command_imputes_and_flags_them(tmp_path, monkeypatch, capsys):
    model, table = tmp_path / "m.safetensors", tmp_path / "clinic.csv"
    fitted("marginalise").save(model)
    spoilt("smoker")["clinic"].to_csv(table)
    words = ["impute", model, "--view", f"clinic={table}", "--out", tmp_path / "filled"]
    code, _, err = invoke(monkeypatch, capsys, *words)
    assert code != 0
    assert "impossible" in err
    assert not (tmp_path / "filled").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JPVAEWarning)
        assert invoke(monkeypatch, capsys, *words, "--impossible", "missing")[0] == 0
    filled = pd.read_csv(tmp_path / "filled" / "clinic.csv", index_col="subject")
    assert filled.index[filled["imputed"]].tolist() == ["s3", "s17"]
    assert filled.loc[["s3", "s17"], "smoker"].between(0, 1).all()


class Table:
    """A view of four rows, as ``check_imputed`` sees it: the numbers that its encoder reads, then bits."""

    def __init__(self, inputs, columns):
        names = SimpleNamespace(names=("rna", "protein"), titles=lambda rows: [f"subject {row}" for row in rows])
        title = SimpleNamespace(sources=range(columns), title=lambda j: f"{'abc'[j]}")
        self.data, self.inputs, self.units = names, inputs, SimpleNamespace(location=np.zeros(columns), columns=title)

    def __getitem__(self, rows):
        return SimpleNamespace(inputs=self.inputs[rows])


PLACES = [((0, 1, 2), np.inf), ((1, 1, 0), np.nan), ((1, 1, 2), -np.inf)]  # draw, row, column


@pytest.mark.parametrize(("at", "value"), PLACES)
def test_a_number_that_is_not_finite_names_the_row_and_what_is_farthest_in_it(at, value):
    """Two draws of two rows, the data's third and fourth; the last one's second gene is 8e3 times its scale below its mean."""
    rna, protein = np.zeros((4, 6)), np.zeros((4, 2))
    rna[:, 3:], rna[3], protein[3] = 1e6, [5.0, -8e3, 1.0, 1e6, 1e6, 1e6], [7.0, 2.0]
    rna[2, 0], values = 9e9, np.zeros((2, 2, 3))
    views = [Table(rna, 3), Table(protein, 2)]
    check_imputed(views, 1, np.array([2, 3]), values)
    values[at] = value
    with pytest.raises(
        ViewError, match=r"'protein', row subject 3 cannot be imputed.* view 'rna', column 'b' of .* 8e\+03 times"
    ):
        check_imputed(views, 1, np.array([2, 3]), values)
