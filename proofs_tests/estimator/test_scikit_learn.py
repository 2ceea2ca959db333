"""JPVAE keeps scikit-learn's conventions: its own checks on a wide matrix, clone, pipelines, searches, random states, names."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.errors import ConfigError, NotFitted
from jpvae.training.schedules import Linear

VIEWS, _ = three_views(60, 51)
X = np.concatenate(VIEWS, axis=1)
TINY = OPTIONS | {"latent_dims": 1, "steps": 5, "hidden": (4,), "backend": "numpy", "dtype": "float32"}


def wide(**changes):
    return JPVAE(**TINY | {"view_slices": (5, 4, 3)} | changes)


POSITION = "score_samples weighs random draws, keyed by the row's position so that they do not depend on the rows after it"
NOT_OURS = {
    "check_fit_score_takes_y": "the second argument is called mask, and is y where one wide matrix is handed in; y= works too",
    "check_methods_sample_order_invariance": POSITION,
    "check_methods_subset_invariance": POSITION,
}


@parametrize_with_checks([wide(view_slices=2)], expected_failed_checks=lambda _: NOT_OURS)
def test_scikit_learn_s_own_checks(estimator, check):
    check(estimator)


def test_clone_keeps_the_options_and_drops_the_fit():
    options = {"latent_dims": (3, 2, 2), "prior": "canonical", "beta": Linear(0.5), "seed": 7, "alpha": 0.25}
    model = JPVAE(**options).set_params(hidden=(8,), backend="numpy", steps=3, likelihood="gaussian", progress=False)
    fresh = clone(model.fit(VIEWS))
    assert fresh.get_params() == model.get_params()
    assert {name: fresh.get_params()[name] for name in options} == options
    assert not hasattr(fresh, "parameters_")
    assert repr(fresh) == repr(model)
    assert "seed=7" in repr(fresh)
    with pytest.raises(ValueError, match="Invalid parameter 'latents' for estimator JPVAE"):
        model.set_params(latents=3)


def test_an_estimator_does_no_work_before_fit():
    """Options are kept as they are, however wrong; fit says so."""
    hidden, model = [8, 0], JPVAE(prior="flow", seed="x", latent_dims=None, view_slices=-1, missing=3)
    assert (model.prior, model.seed, model.view_slices) == ("flow", "x", -1)
    assert JPVAE(hidden=hidden).hidden is hidden


def test_not_fitted_is_theirs_and_ours():
    for error in (NotFittedError, NotFitted, ValueError, AttributeError):
        with pytest.raises(error, match=r"no parameters yet; call fit\(views\) first"):
            JPVAE().transform(VIEWS)
        with pytest.raises(error, match=r"no parameters yet"):
            JPVAE().get_feature_names_out()
    with pytest.raises(NotFittedError):
        check_is_fitted(wide())
    check_is_fitted(wide().fit(X))


def same(first, second):
    return all(np.array_equal(x, second.parameters_[name]) for name, x in first.parameters_.items())


def test_random_states():
    one = wide(seed=3).fit(X)
    assert one.seed_ == 3
    assert same(one, wide(seed=np.int64(3)).fit(X))
    free = [wide(seed=None).fit(X) for _ in range(2)]
    assert free[0].seed_ != free[1].seed_
    assert not same(*free)
    assert same(free[0], wide(seed=free[0].seed_).fit(X))  # the integer that was used gives the same bits again
    assert np.array_equal(
        free[0].sample_imputations(X, n_draws=1), wide(seed=free[0].seed_).fit(X).sample_imputations(X, n_draws=1)
    )
    for make in (np.random.default_rng, np.random.RandomState):
        first, second = wide(seed=make(0)).fit(X), wide(seed=make(0)).fit(X)
        assert same(first, second)
        drawn = make(5)
        seeds = [wide(seed=drawn).fit(X).seed_ for _ in range(2)]
        assert seeds[0] != seeds[1]  # drawn from, so the next fit is another one


def test_a_seed_that_is_drawn_is_written_down(tmp_path):
    model = wide(seed=np.random.default_rng(0)).fit(X)
    model.save(tmp_path / "m")
    loaded = JPVAE.load(tmp_path / "m")
    assert loaded.seed == loaded.seed_ == model.seed_
    assert np.array_equal(loaded.impute(X), model.impute(X))
    for seed in (None, np.random.default_rng(0)):
        with pytest.raises(ConfigError, match="expected an integer with checkpoint, so that the run can be resumed"):
            wide(seed=seed).fit(X, checkpoint=tmp_path / "c")


def test_a_fitted_estimator_can_be_pickled_and_copied():
    model = wide().fit(X)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):  # noqa: S301  (our own)
        assert np.array_equal(twin.transform(X), model.transform(X))


def test_in_a_pipeline():
    rng = np.random.default_rng(0)
    y = X[:, 0] + 0.1 * rng.standard_normal(60)
    steps = make_pipeline(MinMaxScaler(), wide(steps=100, latent_dims=2), Ridge(1e-3))
    latents = wide(steps=100, latent_dims=2).fit(MinMaxScaler().fit_transform(X)).transform(MinMaxScaler().fit_transform(X))
    expected = Ridge(1e-3).fit(latents, y)
    assert np.array_equal(steps.fit(X, y).predict(X), expected.predict(latents))
    assert steps.score(X, y) > 0.5  # two latents per view hold most of the two numbers behind y
    assert cross_val_score(steps, X, y, cv=3).shape == (3,)
    density = make_pipeline(MinMaxScaler(), wide())
    assert density.fit(X, y).score(X, y) == wide().fit(MinMaxScaler().fit_transform(X)).score(MinMaxScaler().fit_transform(X))


def test_searches_choose_what_fits_better():
    search = GridSearchCV(wide(learning_rate=2e-2), {"steps": [1, 60]}, cv=2).fit(X)
    assert search.best_params_ == {"steps": 60}
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    halves = [(np.arange(30), np.arange(30, 60)), (np.arange(30, 60), np.arange(30))]
    found = cross_validate(wide(), X, cv=halves)["test_score"]
    assert found.tolist() == [wide().fit(X[train]).score(X[test]) for train, test in halves]


def test_latents_have_names():
    frame = pd.DataFrame(X, index=np.arange(60) + 100, columns=[f"c{k}" for k in range(12)])
    columns = {"rna": list(frame.columns[:5]), "protein": slice(5, 9), "image": [9, 10, 11]}
    model = wide(latent_dims=(2, 1, 1), view_slices=columns).set_output(transform="pandas").fit(frame)
    latents = model.transform(frame)
    assert list(latents.columns) == ["rna_latent0", "rna_latent1", "protein_latent0", "image_latent0"]
    assert list(latents.columns) == model.get_feature_names_out().tolist()
    assert list(latents.index) == list(frame.index)
    assert np.array_equal(latents, model.set_output(transform="default").transform(frame))
    listed = JPVAE(**TINY | {"latent_dims": (2, 1, 1)}).set_output(transform="pandas")
    assert list(listed.fit_transform(VIEWS).columns) == ["view0_latent0", "view0_latent1", "view1_latent0", "view2_latent0"]


def test_fit_transform_uses_the_mask_in_both():
    mask = three_views(60, 51)[1]
    expected = JPVAE(**TINY).fit(VIEWS, mask).transform(VIEWS, mask)
    assert np.array_equal(JPVAE(**TINY).fit_transform(VIEWS, mask), expected)
    holes = [np.where(seen[:, None], v, np.nan) for v, seen in zip(VIEWS, mask.T, strict=True)]
    assert np.array_equal(JPVAE(**TINY).fit_transform(holes, missing="nan"), expected)


def test_y_is_ignored():
    y = np.arange(60)
    for model in (wide().fit(X, y), wide().fit(X, y=y)):
        assert same(model, wide().fit(X))
        assert model.score(X, y) == model.score(X, y=y) == model.score(X)
        assert np.array_equal(model.transform(X, y), model.transform(X))
