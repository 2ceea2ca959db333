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
from pathlib import Path

import jax
import numpy as np
import pytest
from synthetic import OPTIONS, three_views

import jpvae.engines
import jpvae_jax
from jpvae import JPVAE
from jpvae.errors import ConfigError
from jpvae.testing import check_engine

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


def test_float64_needs_jax_told_so():
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(ConfigError, match="jax_enable_x64"):
            JPVAE(**OPTIONS, backend=jpvae_jax.Engine).fit(VIEWS, MASK)
    finally:
        jax.config.update("jax_enable_x64", True)
