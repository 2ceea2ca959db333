"""A stack of models makes the steps that each of them would make alone."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from ended_runs import StopAt
from synthetic import three_views

from jpvae import JPVAE
from jpvae.ensembles import fit_together
from jpvae.errors import ConfigError, TrainingDiverged
from jpvae.testing.examples import MODELS, batches, parameters
from jpvae_torch.engine import Engine

STEP = {"beta": 0.7, "coupling_rate": 0.25, "weight_decay": 0.3}
# In float64 a gradient's roundings, some 1e-16 of it, are multiplied by 1/(|g| + 1e-8) at most in each of Adam's steps of 1e-2:
# fifty of them move two trainings apart by 5e-9 at worst.
TOLERANCE = 5e-9


def starts(model, count):
    rng = np.random.default_rng(0)
    return [{name: x + 0.05 * rng.standard_normal(x.shape) for name, x in parameters(model).items()} for _ in range(count)]


@pytest.mark.parametrize(
    ("name", "pattern", "steps", "limit"),
    [
        ("svd", ("complete", "elbo"), 50, None),
        ("orthogonal", ("holes", "subset"), 50, 1.0),
        ("every likelihood", ("holes", "subset"), 10, 1.0),
        ("missing cells", ("holes", "subset"), 10, None),
        ("fused, orthogonal", ("complete", "subset"), 10, 1.0),
        ("fused, canonical", ("holes", "subset"), 10, 1.0),
        ("fused in frames, canonical, linear paths", ("holes", "elbo"), 10, None),
    ],
)
def test_a_stack_equals_its_members_alone(name, pattern, steps, limit):
    made, data = Engine(MODELS[name], "float64"), batches(MODELS[name], *pattern)
    alone, side_by_side = ([made.start(p, None) for p in starts(MODELS[name], 3)] for _ in range(2))
    stack = made.stack(side_by_side)
    for t in range(steps):
        given = [data.at(3 * t + k) for k in range(3)]
        step = STEP | {"learning_rate": 0.01 / (1 + t), "max_gradient_norm": limit}
        reports = [made.train_step(state, batch, **step) for state, batch in zip(alone, given, strict=True)]
        for one, found in zip(reports, stack.step(given, **step), strict=True):
            assert found.keys() == one.keys()
            for key, value in one.items():
                assert found[key] == pytest.approx(value, rel=1e-8, abs=1e-8)  # as the parameters, times a slope of tens
    for one, other in zip(alone, side_by_side, strict=True):
        for found, wanted in zip(made.to_arrays(other), made.to_arrays(one), strict=True):
            assert found.keys() == wanted.keys()
            for key, x in wanted.items():
                np.testing.assert_allclose(found[key], x, rtol=0, atol=TOLERANCE * max(1.0, np.abs(x).max()))


def test_a_member_leaves_its_stack_and_goes_on_alone():
    made, data = Engine(MODELS["svd"], "float64"), batches(MODELS["svd"], "holes")
    first, second = (made.start(p, None) for p in starts(MODELS["svd"], 2))
    reference = made.start(starts(MODELS["svd"], 1)[0], None)
    stack = made.stack([first, second])
    step = STEP | {"learning_rate": 0.01}
    for t in range(6):
        made.train_step(reference, data.at(t), **step)
        if t < 3:
            stack.step([data.at(t), data.at(t + 9)], **step)
        else:
            made.train_step(first, data.at(t), **step)
    for found, wanted in zip(made.to_arrays(first), made.to_arrays(reference), strict=True):
        for key, x in wanted.items():
            np.testing.assert_allclose(found[key], x, rtol=0, atol=TOLERANCE)


OPTIONS = {"latent_dims": 2, "hidden": (8,), "likelihood": "gaussian", "steps": 12, "dtype": "float64", "progress": False}


@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_fitted_together_or_one_by_one_models_are_the_same(backend, monkeypatch):
    """One of them is stopped early: the others go on. The last one's weights decay faster in the second part."""
    monkeypatch.setattr("jpvae.planning._FOLDED_STEPS", 10)  # short, and with further models between the two parts all the same
    monkeypatch.setattr("jpvae.course.confirmed_share", lambda folds: 0.5 if folds[0].predictor.seed == 2 else 1.0)
    views, mask = three_views(24, seed=0)
    options = OPTIONS | {"steps": 16}
    one_by_one, together = ([JPVAE(**options, seed=seed, backend=backend) for seed in range(3)] for _ in range(2))
    heard = [(), [StopAt(5)], ()]
    for model, callbacks in zip(one_by_one, heard, strict=True):
        model.fit(views, mask, callbacks=callbacks)
    fit_together(together, views, mask, callbacks=heard)
    for found, wanted in zip(together, one_by_one, strict=True):
        assert found.n_iter_ == wanted.n_iter_
        for key, x in wanted.parameters_.items():
            np.testing.assert_allclose(found.parameters_[key], x, rtol=0, atol=TOLERANCE)
        assert [record["loss"] for record in found.history_] == pytest.approx([r["loss"] for r in wanted.history_], rel=1e-8)


@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_ensembles_of_tables_of_their_own_are_the_same_as_one_by_one(backend):
    tables = [three_views(rows, seed=rows) for rows in (60, 50)]  # their last batches differ in size
    options = OPTIONS | {"ensemble": 2, "bootstrap": True, "batch_size": 40, "backend": backend}
    one_by_one = [JPVAE(**options, seed=k).fit(*table) for k, table in enumerate(tables)]
    together = fit_together([JPVAE(**options, seed=k) for k in range(2)], *zip(*tables, strict=True), each=True)
    for found, wanted, (views, mask) in zip(together, one_by_one, tables, strict=True):
        draws = [model.sample_imputations(views, mask, n_draws=2) for model in (found, wanted)]  # of the two members
        for one, other in zip(*draws, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e3 * TOLERANCE)  # through networks of slopes of tens, twice
    assert not np.array_equal(*(model.parameters_["encoder.0.0.weight"] for model in together))
    with pytest.raises(ConfigError, match="views has 2 entries; expected one for each of the 1 models"):
        fit_together([JPVAE(**options)], *zip(*tables, strict=True), each=True)


def test_members_that_were_killed_at_different_steps_go_on_together(tmp_path):
    views, mask = three_views(60, seed=0)
    options = OPTIONS | {"backend": "torch"}
    whole = fit_together([JPVAE(**options, seed=seed) for seed in range(2)], views, mask)
    files = [tmp_path / f"{seed}.safetensors" for seed in range(2)]
    for seed, last in ((0, 4), (1, 7)):
        JPVAE(**options, seed=seed).fit(views, mask, checkpoint=files[seed], callbacks=[StopAt(last)])
    resumed = fit_together([JPVAE(**options, seed=seed) for seed in range(2)], views, mask, checkpoints=files)
    for found, wanted in zip(resumed, whole, strict=True):
        assert found.n_iter_ == 12
        for key, x in wanted.parameters_.items():
            np.testing.assert_allclose(found.parameters_[key], x, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "other"),
    [("hidden", (9,)), ("dtype", "float32"), ("cross_weight", 0.0), ("objective", "elbo"), ("backend", "numpy")],
)
def test_models_of_other_options_are_refused_and_stay_unfitted(name, other):
    views, mask = three_views(60, seed=0)
    models = [JPVAE(**OPTIONS), JPVAE(**OPTIONS | {name: other})]
    with pytest.raises(ConfigError, match=f"alike but for their seeds: {name} is"):
        fit_together(models, views, mask)
    assert not any(hasattr(model, "parameters_") for model in models)


@pytest.mark.parametrize("name", ["views", "mask", "checkpoints", "callbacks"])
def test_wrong_lengths_are_refused(name):
    views, mask = three_views(60, seed=0)
    given = {"views": [views] * 2, "mask": [mask] * 2, "checkpoints": [None] * 2, "callbacks": [()] * 2}
    with pytest.raises(ConfigError, match=f"{name} has 3 entries; expected one for each of the 2 models"):
        fit_together([JPVAE(**OPTIONS), JPVAE(**OPTIONS)], **given | {name: given[name][:1] * 3}, each=True)


def test_no_models_and_one_twice_are_refused():
    views, mask = three_views(60, seed=0)
    with pytest.raises(ConfigError, match="models is empty"):
        fit_together([], views, mask)
    with pytest.raises(ConfigError, match="one estimator twice"):
        fit_together([JPVAE(**OPTIONS)] * 2, views, mask)


def test_generators_are_taken_and_tables_are_trained_by_weights_of_their_own():
    """The weight of the cross terms is 1 for 60 rows and less for 200; a step counts them by table."""
    tables, options = [three_views(rows, seed=0) for rows in (60, 200)], OPTIONS | {"backend": "torch"}
    models = (
        JPVAE(**options | {"progress": "auto" if seed else False}, seed=seed) for seed in range(2)
    )  # for one of them, where asked
    together = fit_together(models, *((part for part in parts) for parts in zip(*tables, strict=True)), each=True)
    for seed, (found, table) in enumerate(zip(together, tables, strict=True)):
        for key, x in JPVAE(**options, seed=seed).fit(*table).parameters_.items():
            np.testing.assert_allclose(found.parameters_[key], x, rtol=0, atol=TOLERANCE)


def test_the_row_that_diverges_is_named_in_a_stack_too():
    made, data = Engine(MODELS["svd"], "float64"), batches(MODELS["svd"], "complete")
    good, bad = starts(MODELS["svd"], 2)
    bad["decoder.0.0.bias"] = bad["decoder.0.0.bias"] + np.inf
    stack = made.stack([made.start(good, None), made.start(bad, None)])
    reports = stack.step([data.at(0), data.at(0)], **STEP, learning_rate=0.0)
    alone = made.train_step(made.start(bad, None), data.at(0), **STEP, learning_rate=0.0)
    assert "rows" not in reports[0]
    for part, x in alone["rows"].items():
        np.testing.assert_array_equal(np.isfinite(reports[1]["rows"][part]), np.isfinite(x))


def test_one_that_diverges_ends_all_and_nothing_is_fitted():
    views, mask = three_views(60, seed=0)
    models = [JPVAE(**OPTIONS, seed=seed, learning_rate=1e200, max_gradient_norm=None, backend="torch") for seed in range(2)]
    with pytest.raises(TrainingDiverged):
        fit_together(models, views, mask)
    assert not any(hasattr(model, "parameters_") for model in models)


def test_of_further_models_that_are_done_no_stack_is_kept(monkeypatch):
    """Each fold's states, with their optimiser's arrays, go when its training has ended."""
    monkeypatch.setattr("jpvae.planning._FOLDED_STEPS", 10)
    alive, original = weakref.WeakSet(), Engine.stack
    found = []

    def noted(self, states):
        alive.add(made := original(self, states))
        gc.collect()
        found.append(len(alive))
        return made

    monkeypatch.setattr(Engine, "stack", noted)
    views, mask = three_views(24, seed=0)
    gc.freeze()  # what other tests have left is not looked through at every stack
    try:
        JPVAE(**OPTIONS | {"steps": 16}, ensemble=2, backend="torch").fit(views, mask)
    finally:
        gc.unfreeze()
    assert len(found) > 4  # the first part's, the further models', the second part's
    assert max(found) <= 2  # the one that is made, and at most the one before it
