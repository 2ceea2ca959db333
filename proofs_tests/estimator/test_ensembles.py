"""An ensemble is its models, each as it would be by itself, and what it imputes is their mixture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ended_runs import KillAt, Killed
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from synthetic import three_views

from jpvae import JPVAE
from jpvae.errors import CheckpointError, ConfigError
from jpvae.inference import filling
from jpvae.option_values import member_seed
from jpvae.options import Options
from jpvae.planning import plan_of
from jpvae.training.batches import Batches

SHORT = {"latent_dims": 2, "hidden": (8,), "likelihood": "gaussian", "steps": 20, "backend": "numpy", "progress": False}
ROWS, MASK = three_views(90, seed=3)
MEMBERS = 3


@pytest.fixture(scope="module")
def ensemble():
    return JPVAE(**SHORT, ensemble=MEMBERS, bootstrap=True).fit(ROWS, MASK)


@pytest.fixture(scope="module")
def models():
    return [JPVAE(**SHORT, bootstrap=True, seed=member_seed(0, k)).fit(ROWS, MASK) for k in range(MEMBERS)]


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, x in wanted.items():
        np.testing.assert_array_equal(found[name], x)


def test_its_models_are_those_of_their_seeds(ensemble, models):
    found = [ensemble.parameters_, *ensemble._fitted.others]
    for one, model in zip(found, models, strict=True):
        same(one, model.parameters_)


def test_its_draws_are_shared_out_among_its_models(ensemble, models):
    drawn = ensemble.sample_imputations(ROWS, MASK, n_draws=7)
    shares = [model.sample_imputations(ROWS, MASK, n_draws=n) for model, n in zip(models, (3, 2, 2), strict=True)]
    for view, found in enumerate(drawn):
        np.testing.assert_array_equal(found, np.concatenate([share[view] for share in shares]))


def test_its_imputations_are_the_mean_and_the_spread_of_the_mixture(ensemble, models, monkeypatch):
    """A mixture's variance is the mean of the variances plus the variance of the means, here of three (divisor two), of which
    a tenth of the draws' own variance is no disagreement: each mean is of ten draws, that are no pairs here."""
    monkeypatch.setattr(filling, "_FEWEST_PAIRED", 1_000)
    mean, std = ensemble.impute(ROWS, MASK, n_draws=30, return_std=True)
    parts = [model.impute(ROWS, MASK, n_draws=10, return_std=True) for model in models]
    spreads = [model.impute(ROWS, MASK, n_draws=10, return_std="mean")[1] for model in models]
    for view in range(3):
        means, stds = (np.stack([part[k][view] for part in parts]) for k in range(2))
        holes = ~MASK[:, view]
        # float32 results; differences of members are as large as the values
        np.testing.assert_allclose(mean[view], means.mean(axis=0), rtol=1e-6, atol=1e-5)
        inside = stds**2 - np.stack([spread[view] for spread in spreads]) ** 2 / 10
        wanted = np.sqrt(inside.mean(axis=0) + means.var(axis=0, ddof=1))
        np.testing.assert_allclose(std[view][holes], wanted[holes], rtol=1e-4)
        np.testing.assert_array_equal(mean[view][~holes], np.asarray(ROWS[view])[~holes])


def test_its_mean_and_std_are_those_of_its_own_draws(ensemble):
    """Between 2,000 draws and their own moments: four standard errors, of which 400 numbers have a hundredth beyond."""
    n = 1999  # a multiple of no size of a group
    mean, std = ensemble.impute(ROWS, MASK, n_draws=n, return_std=True)
    draws = ensemble.sample_imputations(ROWS, MASK, n_draws=n)
    for view, drawn in enumerate(draws):
        holes = ~MASK[:, view]
        found = drawn[:, holes]
        # the mixture's variance has the means' with divisor two, the draws' with divisor three: at most 3/2 of it
        assert (np.abs(found.mean(axis=0) - mean[view][holes]) < 5 * std[view][holes] / np.sqrt(n)).mean() > 0.98
        ratio = found.std(axis=0) / std[view][holes]
        assert ratio.min() > np.sqrt(2 / 3) * 0.9
        assert ratio.max() < 1.1


def test_saved_and_loaded_it_imputes_the_same(ensemble, tmp_path):
    ensemble.save(tmp_path / "m.safetensors")
    loaded = JPVAE.load(tmp_path / "m.safetensors")
    assert (loaded.ensemble, loaded.bootstrap) == (MEMBERS, True)
    for found, wanted in zip(loaded.impute(ROWS, MASK), ensemble.impute(ROWS, MASK), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("change", ["dropped", "renamed", "short", "infinite"])
def test_a_forged_member_is_refused(ensemble, tmp_path, change):
    path = tmp_path / "m.safetensors"
    ensemble.save(path)
    tensors = load_file(path)
    with safe_open(path, "numpy") as file:
        header = file.metadata()
    name = "member.1.encoder.0.0.bias"
    if change == "dropped":
        tensors = {key: x for key, x in tensors.items() if not key.startswith("member.1.")}
    elif change == "renamed":
        tensors["member.7.encoder.0.0.bias"] = tensors.pop(name)
    else:
        tensors[name] = tensors[name][:-1] if change == "short" else tensors[name] * np.float32(np.inf)
    save_file(tensors, path, header)
    with pytest.raises(CheckpointError):
        JPVAE.load(path)


def test_killed_and_started_again_it_is_the_same(ensemble, tmp_path):
    path, options = tmp_path / "m.safetensors", SHORT | {"ensemble": MEMBERS, "bootstrap": True}
    with pytest.raises(Killed):
        JPVAE(**options).fit(ROWS, MASK, checkpoint=path, checkpoint_every=4, callbacks=[KillAt(9)])
    assert len(list(tmp_path.glob("m.safetensors.member-*"))) == MEMBERS - 1
    resumed = JPVAE(**options).fit(ROWS, MASK, checkpoint=path, checkpoint_every=4)
    for found in (resumed, JPVAE.load(path), JPVAE(**options).fit(ROWS, MASK, checkpoint=path)):  # the last has nothing to do
        same(found.parameters_, ensemble.parameters_)
        for one, other in zip(found._fitted.others, ensemble._fitted.others, strict=True):
            same(one, other)
    assert not list(tmp_path.glob("m.safetensors.member-*"))


@pytest.mark.parametrize("value", [0, -1, 2.5, "3", 1001])
def test_an_odd_number_of_models_is_refused(value):
    with pytest.raises(ConfigError, match="ensemble is"):
        JPVAE(**SHORT, ensemble=value).fit(ROWS, MASK)


def test_a_bootstrap_draws_rows_with_replacement_and_leaves_no_view_out():
    """Each pass over the rows has the same multiset, with multiplicities of n draws from n: 1 - 1/e of the rows are in it, of
    4,000 with a standard error of 0.005; and every view is in it, though only two rows have the third."""
    n = 4000
    observed = np.ones((n, 3), bool)
    observed[2:, 2] = False
    model = JPVAE(**SHORT).fit(ROWS, MASK)._fitted.model
    plan = plan_of(Options(**SHORT | {"calibration": 0.0, "batch_size": 100}), model, n, ("a", "b", "c"), 0)
    views = [np.zeros((n, c), np.float32) for c in model.features]
    shares = []
    for seed in range(20):
        batches = Batches(views, observed, model, replace(plan, bootstrap=True, seed=seed))
        first, second = (np.sort(np.concatenate([batches.rows(k * 40 + step) for step in range(40)])) for k in range(2))
        np.testing.assert_array_equal(first, second)
        assert observed[first].any(axis=0).all()
        shares.append(len(np.unique(first)) / n)
    assert np.mean(shares) == pytest.approx(1 - np.exp(-1), abs=4 * 0.005 / np.sqrt(20))
