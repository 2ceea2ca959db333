"""The JAX engine is an engine, found through its entry point, and trains, saves and imputes as the others do.

Compiling takes it seconds per model and batch: one model stands for all here, thoroughly two. ``python -c "import jax;
jax.config.update('jax_enable_x64', True); from jpvae.testing import check_engine; import jpvae_jax;
print(check_engine(jpvae_jax.Engine))"`` checks it whole, in some minutes.
"""

import copy
import importlib.metadata
import pickle
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from synthetic import OPTIONS, three_views

import jpvae.engines
import jpvae_jax
from jpvae import JPVAE
from jpvae.errors import ConfigError
from jpvae.model.model import Model
from jpvae.testing import check_engine
from jpvae.training.batches import Batches
from jpvae.training.plan import Plan
from jpvae.training.schedules import Constant, LearningRate

VIEWS, MASK = three_views(80, 2)


@pytest.mark.thorough  # a minute of compiling each; below, a training is the NumPy engine's to 1e-9
@pytest.mark.parametrize("model", ["orthogonal, learned", "missing cells"])
def test_is_an_engine(model):
    assert "gradient" in check_engine(jpvae_jax.Engine, models=[model]).lines


def test_by_its_entry_point_it_does_what_the_numpy_engine_does(tmp_path, monkeypatch):
    """Training, files, imputation: the same numbers, to 1e-9 as test_numpy_engine.py derives."""
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["entry-points"]
    [(name, value)] = declared[jpvae.engines.GROUP].items()
    points = [importlib.metadata.EntryPoint(name, value, jpvae.engines.GROUP)]
    monkeypatch.setattr(jpvae.engines, "entry_points", lambda group: points if group == jpvae.engines.GROUP else [])
    options = OPTIONS | {"steps": 30}
    model = JPVAE(**options, backend="jax").fit(VIEWS, MASK)
    model.save(tmp_path / "m")
    expected = JPVAE(**options, backend="numpy").fit(VIEWS, MASK).impute(VIEWS, MASK, n_draws=3)
    same = [model, JPVAE.load(tmp_path / "m"), JPVAE.load(tmp_path / "m", backend="numpy"), copy.deepcopy(model)]
    same.append(pickle.loads(pickle.dumps(model)))  # noqa: S301
    for each in same:
        for one, other in zip(each.impute(VIEWS, MASK, n_draws=3), expected, strict=True):
            assert np.abs(one - other).max() <= 1e-9 * np.abs(other).max()
    with pytest.raises(
        ConfigError, match=r"backend is 'jaxx'; expected one of \['jax', 'numpy', 'torch'\], or an Engine class"
    ):
        JPVAE(**options, backend="jaxx").fit(VIEWS, MASK)


class Mine(jpvae_jax.Engine):
    """An engine of the user's own."""


def test_a_class_in_place_of_a_name_and_a_file_of_one_that_is_not_here(tmp_path, monkeypatch):
    model = JPVAE(**OPTIONS | {"steps": 2, "backend": Mine}).fit(VIEWS, MASK)
    model.save(tmp_path / "m")
    loaded = JPVAE.load(tmp_path / "m")
    assert loaded.backend == f"{__name__}:Mine"
    assert isinstance(loaded.predictor().engine, Mine)
    monkeypatch.delitem(sys.modules, __name__)  # a program that has not imported it
    with pytest.raises(
        ConfigError, match=rf"backend is '{__name__}:Mine', which is unavailable: import {__name__}, or load\(path, back"
    ):
        JPVAE.load(tmp_path / "m")
    assert len(JPVAE.load(tmp_path / "m", backend="numpy").impute(VIEWS, MASK, n_draws=1)) == 3


def test_a_step_writes_over_the_state_alone_and_only_where_the_gradient_s_norm_is_finite():
    """Targets of 1e100 give gradients near 1e200, whose squares alone are beyond float64; those of 1e200, a norm of inf."""
    rng, model = np.random.default_rng(0), Model((2, 3), (2, 2), ("gaussian", "gaussian"), hidden=(4,), prior="orthogonal")
    views, plan = [rng.standard_normal((6, c)) for c in model.features], Plan(1, 6, Constant(), LearningRate(), "elbo")
    batch = Batches(views, np.ones((6, 2), bool), model, plan).at(0)
    made, given = jpvae_jax.Engine(model, "float64"), model.initial_parameters(0)
    state, norms = made.start(given, None), []
    for factor in (1.0, 1e100, 1e200):
        before, held, old = made.to_arrays(state), made.parameters(state), state.parameters
        scaled = replace(batch, targets=tuple(factor * x for x in batch.views))
        report = made.train_step(state, scaled, beta=1.0, learning_rate=0.1, coupling_rate=1.0, max_gradient_norm=1.0)
        norms.append(report["gradient_norm"])
        taken = bool(np.isfinite(norms[-1]))
        assert all(x.is_deleted() == taken for x in old.values())  # the memory is the new parameters'
        assert all(np.array_equal(made.numpy(x), before[0][name]) for name, x in held.items())
        for one, other in zip(before, made.to_arrays(state), strict=True):
            assert taken or all(np.array_equal(one[name], x) for name, x in other.items())
    assert norms[0] < 1e10
    assert 1e160 < norms[1] < np.inf
    assert norms[2] == np.inf or np.isnan(norms[2])
    assert state.steps == 2
    assert all(np.array_equal(x, model.initial_parameters(0)[name]) for name, x in given.items())


def test_float64_needs_jax_told_so():
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(ConfigError, match="jax_enable_x64"):
            JPVAE(**OPTIONS, backend=jpvae_jax.Engine).fit(VIEWS, MASK)
    finally:
        jax.config.update("jax_enable_x64", True)
