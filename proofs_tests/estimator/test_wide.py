"""One wide matrix and ``view_slices``: bit for bit what the list of its views gives; DataFrames by name, in any order."""

import numpy as np
import pandas as pd
import pytest
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.errors import CheckpointError, ConfigError, ViewError
from jpvae.files import checkpoints

VIEWS, MASK = three_views(60, 21)  # 5, 4 and 3 columns
WIDTHS = (5, 4, 3)
X = np.concatenate(VIEWS, axis=1)
HOLES = np.where(np.repeat(MASK, WIDTHS, axis=1), X, np.nan)
SHORT = OPTIONS | {"steps": 4, "hidden": (4,), "backend": "numpy"}
NAMES = [f"{view}_{k}" for view, c in zip(("rna", "protein", "image"), WIDTHS, strict=True) for k in range(c)]
BY_NAME = {view: [name for name in NAMES if name.startswith(view)] for view in ("rna", "protein", "image")}
FRAME = pd.DataFrame(HOLES, columns=NAMES, index=[f"subject {k}" for k in range(60)])


def wide(view_slices=WIDTHS, **changes):
    return JPVAE(**SHORT | {"missing": "nan", "view_slices": view_slices} | changes)


def narrow(**changes):
    return JPVAE(**SHORT | changes).fit(VIEWS, MASK)


FORMS = {
    "widths": WIDTHS,
    "array of widths": np.asarray(WIDTHS),
    "slices": (slice(0, 5), slice(5, 9), slice(9, None)),
    "positions": (range(5), [5, 6, 7, 8], np.asarray([9, 10, 11])),
    "dict": {"view0": range(5), "view1": slice(5, 9), "view2": [9, 10, 11]},
}


@pytest.mark.parametrize("view_slices", FORMS.values(), ids=FORMS.keys())
def test_every_form_is_the_list_of_views(view_slices):
    model, expected = wide(view_slices).fit(HOLES), narrow()
    assert model.view_names_ == expected.view_names_
    for name, x in expected.parameters_.items():
        assert np.array_equal(x, model.parameters_[name])
    assert np.array_equal(model.transform(HOLES), expected.transform(VIEWS, MASK))
    filled, std = model.impute(HOLES, n_draws=3, return_std=True)
    for found, wanted in zip((filled, std), expected.impute(VIEWS, MASK, n_draws=3, return_std=True), strict=True):
        assert np.array_equal(found, np.concatenate(wanted, axis=1))
    assert np.array_equal(model.reconstruct(HOLES), np.concatenate(expected.reconstruct(VIEWS, MASK), axis=1))
    draws = expected.sample_imputations(VIEWS, MASK, n_draws=2)
    assert np.array_equal(model.sample_imputations(HOLES, n_draws=2), np.concatenate(draws, axis=2))
    assert model.score(HOLES, n_draws=2) == expected.score(VIEWS, MASK, n_draws=2)
    assert model.elbo(HOLES) == expected.elbo(VIEWS, MASK)
    found = model.score_conditional(HOLES, target="view1", n_draws=2)
    assert np.array_equal(found, expected.score_conditional(VIEWS, MASK, target=1, n_draws=2), equal_nan=True)


@pytest.mark.parametrize(("parts", "widths"), [(1, [12]), (2, [6, 6]), (5, [3, 3, 2, 2, 2]), (12, [1] * 12)])
def test_a_number_is_that_many_contiguous_parts(parts, widths):
    model = wide(parts, prior="independent", latent_dims=1, missing="error").fit(X)
    assert [list(at) for at in model.view_columns_.values()] == [
        list(range(end - c, end)) for c, end in zip(widths, np.cumsum(widths), strict=True)
    ]


def test_a_data_frame_keeps_its_index_and_its_columns_in_any_order():
    model, expected = wide(BY_NAME).fit(FRAME), narrow()
    assert list(model.feature_names_in_) == NAMES
    frames = [pd.DataFrame(v, index=FRAME.index) for v in VIEWS]  # whose index names the rows, and their noise
    filled = np.concatenate(expected.impute(frames, MASK, n_draws=3), axis=1)
    found = model.impute(FRAME, n_draws=3)
    pd.testing.assert_frame_equal(found, pd.DataFrame(filled, index=FRAME.index, columns=NAMES), check_exact=True)
    order = np.random.default_rng(0).permutation(12)
    mixed = FRAME[[NAMES[k] for k in order]]
    pd.testing.assert_frame_equal(model.impute(mixed, n_draws=3), found[mixed.columns], check_exact=True)
    assert np.array_equal(model.transform(mixed), expected.transform(VIEWS, MASK))
    assert np.array_equal(
        model.sample_imputations(mixed, n_draws=1)[0],
        wide(BY_NAME).fit(FRAME).sample_imputations(FRAME, n_draws=1)[0][mixed.columns],
    )
    # Fitted on the mixed order the views are the same: names say whose a column is.
    again = wide(BY_NAME).fit(mixed)
    assert {view: [mixed.columns[k] for k in at] for view, at in again.view_columns_.items()} == BY_NAME
    assert np.array_equal(again.transform(FRAME), expected.transform(VIEWS, MASK))


def test_views_by_name_still_go_into_a_wide_model():
    model, expected = wide(BY_NAME).fit(FRAME), narrow()
    views = dict(zip(BY_NAME, VIEWS, strict=True))
    found = model.impute({"rna": VIEWS[0]}, n_draws=2)
    assert all(map(np.array_equal, found.values(), expected.impute([VIEWS[0], None, None], n_draws=2)))
    assert np.array_equal(model.transform(views, MASK), expected.transform(VIEWS, MASK))


def test_missing_is_an_option_and_a_call_overrides_it():
    holes = [np.where(seen[:, None], v, np.nan) for v, seen in zip(VIEWS, MASK.T, strict=True)]
    model = JPVAE(**SHORT | {"missing": "nan"}).fit(holes)
    assert all(np.array_equal(x, model.parameters_[name]) for name, x in narrow().parameters_.items())
    assert np.array_equal(model.transform(holes), narrow().transform(VIEWS, MASK))
    with pytest.raises(ViewError, match="is nan; expected a finite number"):
        model.transform(holes, missing="error")
    with pytest.raises(ViewError, match="is nan; expected a finite number"):
        wide(missing="error").fit(HOLES)
    with pytest.raises(ViewError, match="missing is 'zero'; expected 'error'"):
        wide(missing="zero").fit(HOLES)


def test_a_checkpoint_keeps_the_columns(tmp_path):
    model = wide(BY_NAME).fit(FRAME, checkpoint=tmp_path / "c")
    loaded = JPVAE.load(tmp_path / "c")
    pd.testing.assert_frame_equal(loaded.impute(FRAME, n_draws=2), model.impute(FRAME, n_draws=2), check_exact=True)
    assert loaded.view_columns_ == model.view_columns_
    with pytest.raises(ValueError, match="feature names"):
        loaded.transform(FRAME.rename(columns={"rna_0": "other"}))
    wide(BY_NAME).fit(FRAME, checkpoint=tmp_path / "c")  # the same training: nothing left to do
    wide(FORMS["slices"]).fit(HOLES).save(tmp_path / "slices")
    assert np.array_equal(JPVAE.load(tmp_path / "slices").transform(HOLES), model.transform(FRAME))


DAMAGE = {
    "no names": lambda header: header.pop("feature_names"),
    "few names": lambda header: header["feature_names"].pop(),
    "no columns": lambda header: header["options"].update(view_slices=[5, 4, 3]),
    "a column twice": lambda header: header["options"]["view_slices"]["rna"].append(11),
    "a text": lambda header: header["options"]["view_slices"].update(rna=3),
    "seed": lambda header: header["options"].update(seed="x"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_header_is_told(tmp_path, damage):
    wide(BY_NAME).fit(FRAME).save(tmp_path / "m")
    tensors, header = checkpoints.load(tmp_path / "m")
    damage(header)
    checkpoints.save(tmp_path / "m", tensors, header)
    with pytest.raises(CheckpointError, match="damaged"):
        JPVAE.load(tmp_path / "m")


def test_a_refit_on_views_forgets_the_columns():
    model = wide(BY_NAME).fit(FRAME).set_params(view_slices=None, missing="error")
    model.fit(VIEWS, MASK)
    assert not any(hasattr(model, name) for name in ("view_columns_", "feature_names_in_", "n_features_in_"))
    assert np.array_equal(model.transform(VIEWS, MASK), narrow().transform(VIEWS, MASK))


BAD_SLICES = {
    "too many": (13, ViewError, r"X has n_features = 12; expected at least one column for each of view_slices=13 views"),
    "short": ((5, 4), ViewError, r"view_slices puts column 9 \('x9'\) of X, which has 12 columns, into 0 views"),
    "long": ((5, 4, 4), ViewError, r"view_slices\['view2'\] names the column 12; expected names or positions of X's 12"),
    "twice": (
        (slice(0, 6), slice(5, 12)),
        ViewError,
        r"puts column 5 \('x5'\) of X, .* into 2 views; expected each column in one",
    ),
    "unknown": ({"a": ["rna"]}, ViewError, r"view_slices\['a'\] names the column 'rna'"),
    "negative": (((0, -1),), ViewError, r"view_slices\['view0'\] names the column -1"),
    "empty view": ((12, 0), ViewError, r"expected at least one column in every view"),
    "nothing": ((), ConfigError, r"view_slices is \(\); expected a number of views, widths, slices, or a dict"),
    "true": (True, ConfigError, r"view_slices is True; expected a number of views"),
    "text": ("rna", ConfigError, r"view_slices is 'rna'; expected a number of views"),
    "a name": ({"a": "rna"}, ConfigError, r"view_slices has the part 'rna'; expected a slice, or a sequence"),
}


@pytest.mark.parametrize(("view_slices", "error", "message"), BAD_SLICES.values(), ids=BAD_SLICES.keys())
def test_slices_that_are_no_partition(view_slices, error, message):
    with pytest.raises(error, match=message):
        wide(view_slices).fit(HOLES)


def test_bad_matrices():
    model = wide().fit(HOLES)
    with pytest.raises(ViewError, match=r"second argument has shape \(60, 3\) and is boolean like a mask"):
        wide().fit(X, MASK)
    with pytest.raises(ViewError, match=r"second argument has shape \(60, 3\) and is boolean like a mask"):
        model.transform(X, MASK)
    with pytest.raises(ViewError, match=r"view_slices is set and X is a dict; expected one \(N, C\) matrix"):
        wide().fit(dict(zip("abc", VIEWS, strict=True)))
    with pytest.raises(ValueError, match="X has 11 features, but JPVAE is expecting 12"):
        model.transform(X[:, 1:])
    with pytest.raises(ConfigError, match="out is given with one wide matrix; expected None"):
        model.impute(HOLES, out=np.empty_like(X))
    with pytest.raises(ViewError, match="leaves row 3 with no view"):
        model.transform(np.where(np.arange(60)[:, None] == 3, np.nan, HOLES))
    with pytest.raises(ViewError, match=r"view 'view1', row 10, column 2 is inf"):
        model.transform(np.where((np.arange(60)[:, None] == 10) & (np.arange(12) == 7), np.inf, X))
