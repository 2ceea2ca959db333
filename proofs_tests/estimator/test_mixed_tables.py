"""Tables as people have them: kinds of columns side by side, DataFrames in and out, single cells missing, weights of views."""

import numpy as np
import pandas as pd
import pytest
from clinic import CELL, CLINIC, GAPS, LIKELIHOOD, MASK, READS, SCAN, SHORT, TWO, VIEWS, N, model
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.errors import ViewError
from jpvae.testing import dense
from jpvae.views.columns import Columns, Group


def test_both_engines_take_the_same_first_step():
    """float64. Gradients agree to rounding, and Adam's first step is the rate times their sign: g / (|g| + 1e-8)."""
    one, other = (JPVAE(**SHORT | {"steps": 1, "backend": backend}).fit(VIEWS, MASK) for backend in ("numpy", "torch"))
    assert one.history_[0]["loss"] == pytest.approx(other.history_[0]["loss"], rel=1e-12)
    assert all(np.abs(x - other.parameters_[k]).max(initial=0) <= 1e-7 for k, x in one.parameters_.items())


def test_families_by_column():
    assert model().inferred_ == {
        "clinic": [
            ("gaussian", "age, bmi"),
            ("categorical", "sex (f, m)"),
            ("bernoulli", "smoker"),
            ("categorical", "stage (I, II, III), site (10, 20, 40)"),
            ("categorical", "left, right"),
        ],
        "reads": [("negative_binomial", "v, w, x, y, z")],
        "scan": [("student_t", "0, 1, 2, 3")],
    }
    assert model().columns_ == {"clinic": tuple(CLINIC), "reads": tuple("vwxyz"), "scan": None}
    assert model().model_.features == (2 + 2 + 1 + 3 + 3 + 2, 5, 4)


def test_a_table_comes_back_as_it_was_with_its_holes_filled():
    filled = model().impute(VIEWS, MASK)
    clinic, reads, scan = filled.values()
    assert clinic.index.equals(CLINIC.index)
    assert list(clinic) == list(CLINIC)
    kinds = {"sex": GAPS["sex"].dtype, "stage": CLINIC["stage"].dtype, "bmi": np.float32, "site": np.int64}
    assert clinic.dtypes.to_dict() == dict.fromkeys(CLINIC, np.dtype(float)) | kinds
    assert reads.dtypes.tolist() == [np.dtype(float)] * 5
    pd.testing.assert_frame_equal(clinic[MASK[:, 0] & ~CELL], CLINIC[MASK[:, 0] & ~CELL], check_dtype=False)
    pd.testing.assert_frame_equal(reads[MASK[:, 1]], READS[MASK[:, 1]], check_dtype=False, check_exact=True)
    known = MASK[:, 2, None] & ~np.isnan(VIEWS["scan"])
    assert np.array_equal(scan[known], SCAN[known])
    assert not np.isnan(scan).any()
    assert not clinic.isna().any(axis=None)
    assert set(clinic["sex"]) == {"f", "m"}
    assert set(clinic["site"]) <= {10, 20, 40}
    sides = clinic.loc[~MASK[:, 0], ["left", "right"]]  # one-hot groups come back as probabilities
    assert sides.sum(axis=1).to_numpy() == pytest.approx(1.0)
    assert sides["left"].between(0, 1, inclusive="neither").all()
    assert (reads[~MASK[:, 1]] > 0).all(axis=None)
    whole = model().impute({"clinic": CLINIC, "reads": READS, "scan": SCAN})
    pd.testing.assert_frame_equal(whole["clinic"], CLINIC)  # nothing was missing: dtypes and all
    pd.testing.assert_frame_equal(whole["reads"], READS)


def test_the_most_probable_category_and_how_sure_it_is():
    """The level of the largest of the decoded probabilities, averaged over the draws that sample_imputations gives."""
    decoded, count = [], 63  # an odd number, which are no pairs
    filled, std = model().impute(VIEWS, MASK, return_std=True, n_draws=count)
    for draw in model().sample_imputations(VIEWS, MASK, n_draws=count, observation_noise=False)["clinic"]:
        assert set(draw["stage"]) <= {"I", "II", "III"}
        decoded.append(draw[["left", "right"]].to_numpy())
    missing = ~MASK[:, 0]
    assert np.mean(decoded, axis=0)[missing] == pytest.approx(filled["clinic"].loc[missing, ["left", "right"]].to_numpy())
    for category in ("sex", "stage", "site"):  # which have no standard deviation
        assert (std["clinic"].loc[~missing & ~(CELL & (category == "sex")), category] == 0).all()
        assert std["clinic"].loc[missing, category].isna().all()
    assert (std["clinic"].loc[missing, ["age", "smoker", "left"]] > 0).all(axis=None)


def test_a_category_s_levels_have_probabilities_by_name():
    groups = (
        Group("gaussian", (0, 3)),
        Group("categorical", (2,), levels=((0.0, 1.0),)),
        Group("categorical", (1,), levels=((10.0, 20.0, 40.0),)),
    )
    columns = Columns(groups, names=("age", "site", "sex", "bmi"), labels=((2, ("f", "m")),))
    mean = np.asarray([[61.0, 27.5, 0.75, 0.25, 0.1, 0.3, 0.6], [30.0, 22.0, 0.5, 0.5, 1.0, 0.0, 0.0]])
    assert columns.level_titles == ("site=10", "site=20", "site=40", "sex=f", "sex=m")
    assert columns.probabilities(mean).tolist() == [[0.1, 0.3, 0.6, 0.75, 0.25], [1.0, 0.0, 0.0, 0.5, 0.5]]
    assert columns.decode(mean).tolist() == [[61.0, 40.0, 0.0, 27.5], [30.0, 10.0, 0.0, 22.0]]
    none = np.nan
    std = np.asarray([[2.0, 3.0, *5 * [0.1]]])
    assert np.array_equal(columns.decode_std(std), [[2.0, none, none, 3.0]], equal_nan=True)
    plain = Columns.of_one_family("bernoulli", 2)
    assert plain.level_titles == ()
    assert plain.probabilities(mean[:, 2:4]).shape == (2, 0)


def test_draws_of_observations_are_observations():
    draws = model().sample_imputations(VIEWS, MASK, n_draws=5, observation_noise=True)
    for clinic, reads in zip(draws["clinic"], draws["reads"], strict=True):
        assert clinic.index.equals(READS.index)
        assert (clinic["left"] + clinic["right"] == 1).all()
        assert clinic["smoker"].isin([0, 1]).all()
        assert (reads == np.floor(reads)).all(axis=None)
        pd.testing.assert_frame_equal(reads[MASK[:, 1]], READS[MASK[:, 1]], check_dtype=False)
    assert draws["scan"].shape == (5, N, 4)
    assert len({tuple(clinic["sex"]) for clinic in draws["clinic"]}) > 1


def test_saved_and_loaded(tmp_path):
    model().save(tmp_path / "m.safetensors")
    again = JPVAE.load(tmp_path / "m.safetensors")
    assert (again.likelihood, again.entries, again.columns_) == (LIKELIHOOD, "marginalise", model().columns_)
    for view, table in again.impute(VIEWS, MASK, n_draws=3).items():
        expected = model().impute(VIEWS, MASK, n_draws=3)[view]
        assert table.equals(expected) if view != "scan" else np.array_equal(table, expected)
    assert again.score(VIEWS, MASK) == model().score(VIEWS, MASK)


def test_columns_go_by_name_and_an_absent_table_by_the_fit_s():
    turned = VIEWS | {"clinic": GAPS[GAPS.columns[::-1]]}
    expected = model().impute(VIEWS, MASK)["clinic"][CLINIC.columns[::-1]]  # in the order in which they came
    pd.testing.assert_frame_equal(model().impute(turned, MASK)["clinic"], expected)
    alone = model().impute({"reads": READS}, n_draws=2)
    assert list(alone["clinic"]) == list(CLINIC)
    assert alone["clinic"].index.equals(READS.index)
    assert isinstance(alone["scan"], np.ndarray)
    decoded = model().reconstruct(VIEWS, MASK)["clinic"]
    assert set(decoded["sex"]) <= {"f", "m"}
    assert decoded.index.equals(READS.index)


def test_what_the_fit_took_for_missing_is_no_option_any_more():
    """NaN cells are an error to a model that was fitted with entries="error", and no zeros, whatever the option is now."""
    scan, reads = np.where(np.isnan(VIEWS["scan"]), 0.0, VIEWS["scan"]), READS.to_numpy()
    whole = JPVAE(**SHORT | TWO | {"entries": "error", "steps": 1}).fit([scan, reads])
    scan[3, 1] = np.nan
    with pytest.raises(ViewError, match=r"view 'view0', row 3, column 1 is nan"):
        whole.set_params(entries="marginalise").score([scan, reads])


def test_an_outlier_of_student_s_table_spoils_nothing():
    """One cell of 1e12: the fit ends, and what is imputed from it and elsewhere stays within the range of the other cells."""
    scan, reads = SCAN.copy(), READS.to_numpy()
    scan[3, 1] = 1e12
    robust = JPVAE(**SHORT | TWO).fit([scan, reads])
    assert np.isfinite(robust.score([scan, reads], n_draws=4))
    assert np.isfinite(robust.impute([scan, None])[1]).all()
    largest = np.abs(SCAN).max(axis=0)
    assert (np.abs(robust.impute([None, reads])[0]) <= largest).all()


def test_cells_are_decoded_from_all_that_the_row_has():
    """Without hidden layers the decoded mean is linear in z: a cell is W m + b, m the posterior with a 0 and no bit there."""
    views = [v[:80].copy() for v in three_views(80, 2)[0]]
    views[1][5, 2], views[1][6, :2] = np.nan, np.nan
    linear = JPVAE(**OPTIONS | {"hidden": (), "steps": 60, "entries": "marginalise"}).fit(views)
    (filled, std), p = linear.impute(views, n_draws=4000, return_std="mean", proposals=None), linear.parameters_
    location, scale = linear.scaling_[1]
    kept = [np.asarray([x for x in column if x == x]) for column in views[1].T]
    assert location == pytest.approx([x.mean() for x in kept])
    given = np.concatenate([np.nan_to_num((views[1] - location) / scale), ~np.isnan(views[1])], axis=1)  # and which cells
    expected = dense.network(p, "decoder.1", dense.encode(p, 1, given)[0]) * scale + location
    gaps = np.isnan(views[1])
    assert np.array_equal(filled[1][~gaps], views[1][~gaps])
    assert (std[1][gaps] > 0).all()
    assert np.all(np.abs(filled[1] - expected)[gaps] <= 5 * std[1][gaps] / np.sqrt(4000))


def test_a_score_counts_the_cells_that_there_are():
    """In data units, as of the target's: halving a column's unit adds log 2 for each of its cells that was observed."""
    views = [v.copy() for v in three_views(40, 3)[0]]
    views[0][:10, 1] = np.nan
    halved = [views[0] * np.asarray([1, 0.5, 1, 1, 1]), *views[1:]]
    one, other = (JPVAE(**OPTIONS | {"steps": 3, "entries": "marginalise"}).fit(v) for v in (views, halved))
    assert other.score(halved) - one.score(views) == pytest.approx(30 / 40 * np.log(2.0), rel=1e-9)


def test_weights_of_views():
    views, mask = three_views(60, 1)
    plain, ones, first, named = (
        JPVAE(**OPTIONS | {"steps": 5, "view_weights": weights}).fit(dict(zip("abc", views, strict=True)), mask)
        for weights in (None, (1, 1, 1), (1, 0, 0), {"c": 0, "a": 1.0, "b": 0})
    )
    assert all(np.array_equal(x, ones.parameters_[k]) for k, x in plain.parameters_.items())
    assert all(np.array_equal(x, named.parameters_[k]) for k, x in first.parameters_.items())
    start = first.model_.initial_parameters(0)
    still = {k for k, x in first.parameters_.items() if np.array_equal(x, start[k])}
    assert {k for k in start if k.startswith(("decoder.1", "likelihood.2"))} <= still  # they have no weight, and learn nothing
    assert not {k for k in start if k.startswith("decoder.0")} & still


INFERRED = {
    "texts": (pd.DataFrame({"a": ["x", "y"] * 5, "b": np.arange(10.0)}), ["categorical", "gaussian"]),
    "zeros and ones": (np.eye(10)[:, :3], ["bernoulli"]),
    "whole numbers without a zero": (np.arange(1, 21).reshape(10, 2), ["gaussian"]),
    "a count beside a measurement": (np.stack([np.arange(10), np.arange(10) + 0.5], axis=1), ["gaussian"]),
    "negative": (np.arange(20).reshape(10, 2) - 5, ["gaussian"]),
    "fractions": (np.arange(10)[:, None] / 9, ["gaussian"]),
    "objects": (np.asarray([["x", 1.5], ["y", 2.0]] * 5, dtype=object), ["categorical", "gaussian"]),
    "pandas' own types": (pd.DataFrame({"a": pd.array([1, 2, 0, 1] * 3, "Int64"), "b": pd.array([True, False] * 6)}), None),
}


@pytest.mark.parametrize(("table", "families"), INFERRED.values(), ids=INFERRED.keys())
def test_inferred(table, families):
    options = {"latent_dims": 1, "prior": "independent", "likelihood": "infer", "hidden": (2,), "steps": 1}
    fitted = JPVAE(**OPTIONS | options).fit([table])
    found = [family for family, _ in fitted.inferred_["view0"]]
    assert found == (families or ["gaussian", "bernoulli"])


def test_what_was_inferred_is_printed(capsys):
    options = {"latent_dims": 1, "prior": "independent", "likelihood": "infer", "hidden": (2,), "steps": 1}
    JPVAE(**OPTIONS | options | {"progress": "auto"}).fit({"clinic": CLINIC[["sex", "bmi"]]})
    out, err = capsys.readouterr()
    assert out == ""
    assert "categorical" in err
    assert "sex (f, m)" in err
    JPVAE(**OPTIONS | options | {"progress": False}).fit({"clinic": CLINIC[["sex", "bmi"]]})
    assert capsys.readouterr().err == ""
