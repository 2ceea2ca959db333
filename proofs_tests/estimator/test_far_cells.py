"""Measurements far from the mean: encoders read them as if four standard deviations away; all else takes them as they are."""

import numpy as np
import pandas as pd
import pytest
from ended_runs import StopAt

from jpvae import JPVAE
from jpvae.errors import ConfigError, JPVAEWarning
from jpvae.model.model import Model

QUIET = {"hidden": (8,), "steps": 60, "progress": False, "missing": "nan"}


def tables(rows, seed):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((rows, 2))
    loadings = np.random.default_rng(9).standard_normal((2, 2, 3))
    first, second = (z @ W + 0.3 * rng.standard_normal((rows, 3)) for W in loadings)
    return [first, np.concatenate([second, (z[:, :1] > 0).astype(float)], axis=1)]


@pytest.fixture(scope="module")
def model():
    return JPVAE(2, likelihood="infer", backend="numpy", **QUIET).fit(tables(80, 0))


def with_first_at(model, deviations):
    """New rows, the first column of the first view that many standard deviations from the mean, the second view missing."""
    first, second = tables(6, 1)
    location, scale = model._fitted.scaling[0]
    first[:, 0] = location[0] + deviations * scale[0]
    return [first, np.full_like(second, np.nan)]


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_far_cell_is_read_as_one_at_the_limit(model, tmp_path, backend):
    model.save(tmp_path / "m.safetensors")
    one = JPVAE.load(tmp_path / "m.safetensors", backend=backend)
    limit = one._fitted.model.reads_within
    inside, at, beyond, far = (
        one.impute(with_first_at(one, d), method="plug-in")[1] for d in (0.9 * limit, limit * (1 + 1e-6), 1.5 * limit, 99.0)
    )
    assert not np.allclose(inside, at)
    np.testing.assert_array_equal(beyond, at)
    np.testing.assert_array_equal(far, at)
    low = one.impute(with_first_at(one, -99.0), method="plug-in")[1]
    assert not np.allclose(low, at)
    drawn = one.sample_imputations(with_first_at(one, 99.0), n_draws=3)
    assert all(np.isfinite(x).all() for x in drawn)
    np.testing.assert_array_equal(drawn[0][0, :, 0], with_first_at(one, 99.0)[0][:, 0])  # what was observed stays


def test_a_cell_that_is_hardly_a_measurement_is_named(model):
    """A hundred standard deviations: another unit, or a code for "missing". A fit of so few rows has none of its own."""
    near, far = with_first_at(model, 99.0), with_first_at(model, 1e30)
    model.impute(near)  # a warning would be an error
    far[0][4, 2] = -1e9
    said = (
        r"view 'view0' has 7 cells in 6 rows more than 100 standard .* \(first: row 0, column 0 is .*, 1e\+30 deviations away\)"
    )
    for ask in (model.impute, model.sample_imputations, model.transform):
        with pytest.warns(JPVAEWarning, match=said):
            ask(far)
    frames = [pd.DataFrame(x, index=list("uvwxyz")) for x in far]
    with pytest.warns(JPVAEWarning, match="first: row u, column 0 is") as caught:
        model.impute(frames)
    assert len(caught) == 1


def test_densities_are_those_of_the_cells_themselves(model):
    near, far = (with_first_at(model, d) for d in (5.0, 50.0))
    with pytest.warns(JPVAEWarning, match="weights have collapsed"):
        assert (model.score_samples(far) < model.score_samples(near) - 100.0).all()


def test_a_far_row_changes_no_other(model):
    rows = with_first_at(model, 0.5)
    alone = model.sample_imputations([x[1:] for x in rows], n_draws=2)[1]
    rows[0][0] = with_first_at(model, 99.0)[0][0, 0]
    np.testing.assert_array_equal(model.sample_imputations(rows, n_draws=2)[1][:, 1:], alone)


def test_training_reads_them_so_and_asks_for_them_as_they_are():
    """Rows of 1e3 standard deviations: the encoder's inputs end at the limit, the targets do not."""
    train = tables(80, 0)
    train[0][0, 0] = 1e5
    begun = JPVAE(2, likelihood="gaussian", backend="numpy", **QUIET).fit(train)
    fitted = begun._fitted
    assert abs((train[0][0, 0] - fitted.scaling[0][0][0]) / fitted.scaling[0][1][0]) > fitted.model.reads_within
    read = fitted.model.read(0, np.array([[9.0, -9.0, 1.0]], np.float32))
    assert read.tolist() == [[4.0, -4.0, 1.0]]
    assert read.dtype == np.float32


def test_zeros_and_ones_and_networks_of_one_s_own_are_left_alone():
    mixed = Model((2,) * 2, (1, 1), ((("gaussian", 1), ("bernoulli", 1)), "bernoulli"), hidden=(), reads_within=0.5)
    x = np.array([[3.0, 1.0]])
    assert mixed.read(0, x).tolist() == [[0.5, 1.0]]
    assert mixed.read(1, x) is x
    own = Model((2,) * 2, (1, 1), ("gaussian",) * 2, own_networks=("encoder.0",), reads_within=0.5)
    assert own.read(0, x) is x
    assert own.read(1, x).tolist() == [[0.5, 0.5]]
    assert Model((2,) * 2, (1, 1), ("gaussian",) * 2).read(0, x) is x


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan"), "4", True])
def test_odd_limits_are_refused(value):
    with pytest.raises(ConfigError, match="reads_within"):
        Model((2,) * 2, (1, 1), ("gaussian",) * 2, reads_within=value)


def test_a_training_that_began_without_a_limit_goes_on_without(tmp_path, monkeypatch):
    """As the files of earlier releases have it."""
    train = tables(80, 0)
    train[0][0, 0] = 1e3
    options = {"likelihood": "infer", "backend": "numpy", **QUIET}
    path = tmp_path / "m.safetensors"
    with monkeypatch.context() as before:
        before.setattr("jpvae.planning._FARTHEST_READ", None)
        whole = JPVAE(2, **options).fit(train)
        JPVAE(2, **options).fit(train, checkpoint=path, callbacks=[StopAt(25)])
    again, today = JPVAE(2, **options).fit(train, checkpoint=path), JPVAE(2, **options).fit(train)
    assert (again._fitted.model.reads_within, today._fitted.model.reads_within) == (None, 4.0)
    for name, x in whole.parameters_.items():
        np.testing.assert_array_equal(again.parameters_[name], x)
    assert not all(np.array_equal(x, today.parameters_[name]) for name, x in whole.parameters_.items())
