"""The likelihoods' own parameters, learned on rows that the networks have not seen.

Oracles: a model that is one Gaussian (exact.py), whose noise variances are numbers set by hand; and coverage of new rows.
"""

import numpy as np
import pytest
from exact import COLUMNS, exact

from jpvae import JPVAE
from jpvae.errors import ConfigError
from jpvae.inference.calibration import DRAWS, LEVEL, SHIFTS, WIDER, calibrated
from jpvae.inference.predictor import Predictor
from jpvae.training.callbacks import Callback, StopTraining

ROWS = 400


def believing(change):
    """The exact model's predictor with log-variances changed by view, and rows of it in the model's units."""
    one = exact()
    own = one.model.predictor()
    p = {name: own.engine.numpy(x) for name, x in own.p.items()}
    for i, by in enumerate(change):
        p[f"likelihood.{i}.log_var"] = p[f"likelihood.{i}.log_var"] + by
    native = {name: own.engine.asarray(x) for name, x in p.items()}
    units = one.model._fitted.units
    there = np.ones(ROWS, dtype=bool)
    views = [u.prepare(x, there, "float64", range(ROWS)) for u, x in zip(units, one.sample(ROWS, 5), strict=True)]
    return one, Predictor(own.engine, own.model, native, own.seed), views


def expected(one):
    """The true log-variances by name, in the model's units, and the least that their estimates may be wrong by."""
    truth, error, start = {}, {}, 0
    for i, (c, units) in enumerate(zip(COLUMNS, one.model._fitted.units, strict=True)):
        at = slice(start, start + c)
        seen = np.arange(len(COLUMNS)) != i
        _, K = one.conditional(one.sample(2, 0), seen)
        truth[f"likelihood.{i}.log_var"] = np.log(one.noise[at] / units.scale**2)
        # The variance of a hidden value, K, is estimated from ROWS squares; the noise is only a part of it.
        error[f"likelihood.{i}.log_var"] = np.sqrt(2.0 / ROWS) * np.diag(K) / one.noise[at]
        start += c
    return truth, error


@pytest.mark.parametrize("by", [0.0, -3.0, 1.0])
def test_variances_that_are_wrong_become_those_of_the_truth(by):
    one, predictor, views = believing([by, by - 0.5, 0.0])
    found = calibrated(predictor, views, np.ones((ROWS, 3), dtype=bool))
    truth, error = expected(one)
    assert found.keys() == truth.keys()
    # Half a step of either grid, and of the second one what its count of cells misses: the share of cells inside moves by
    # d coverage / d log-variance = z phi(z) = 0.11 at z = 1.96, and is known to sqrt(LEVEL (1 - LEVEL)/cells).
    for name, log_var in truth.items():
        cells = ROWS * len(log_var)
        counted = np.sqrt(LEVEL * (1 - LEVEL) / cells) / 0.11 * np.exp(error[name].max())
        grids = 0.5 * (SHIFTS[1] - SHIFTS[0]) + 0.5 * (WIDER[1] - WIDER[0])
        assert np.all(np.abs(found[name] - log_var) < grids + 5 * (error[name] + counted))
        if by == -3.0 and name == "likelihood.0.log_var":
            assert np.all(found[name] - (log_var + by) > 2.0)  # so that the bound above is no matter of course


def test_rows_with_one_view_show_nothing():
    _, predictor, views = believing([0.0, 0.0, 0.0])
    alone = np.eye(3, dtype=bool)[np.arange(ROWS) % 3]
    assert calibrated(predictor, views, alone) == {}


def wide(rows, seed):
    """Two tables of 60 columns each, of three common numbers, noise as large as what they share."""
    rng = np.random.default_rng(seed)
    loadings = np.random.default_rng(99).standard_normal((3, 120)) / np.sqrt(3)
    x = rng.standard_normal((rows, 3)) @ loadings + rng.standard_normal((rows, 120))
    return {"rna": x[:, :60], "protein": x[:, 60:]}


def coverage(model, tables):
    """The share of the second table's values inside the central 95 % of their draws, given the first."""
    drawn = model.sample_imputations({"rna": tables["rna"]}, n_draws=DRAWS)["protein"]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0, method="weibull")
    return np.mean((low <= tables["protein"]) & (tables["protein"] <= high))


def test_intervals_cover_where_columns_outnumber_rows():
    """60 rows of 120 columns: the fit knows its rows by heart."""
    train, new = wide(60, 0), wide(64, 1)
    options = {"likelihood": "gaussian", "latent_dims": 6, "hidden": (16,), "steps": 300, "backend": "numpy", "progress": False}
    without = coverage(JPVAE(**options, calibration=0).fit(train), new)
    found = coverage(JPVAE(**options).fit(train), new)
    # Held out: 12 rows of 60 cells, whose residuals vary together; the share inside is known to about 0.02.
    assert without < 0.9 < found < 0.99


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path):
    """Before the parameters are set, at that very step, and after."""
    options = {"likelihood": "gaussian", "latent_dims": 2, "hidden": (8,), "steps": 30, "backend": "numpy", "progress": False}
    train = wide(60, 0)
    whole = JPVAE(**options).fit(train)

    class Stop(Callback):
        def __init__(self, after):
            self.after = after

        def on_step(self, done, report):
            if done == self.after:
                raise StopTraining

    for after in (7, 20, 26):
        path = tmp_path / f"{after}.safetensors"
        stopped = JPVAE(**options).fit(train, checkpoint=path, callbacks=[Stop(after)])
        assert stopped.n_iter_ == after
        again = JPVAE(**options).fit(train, checkpoint=path)
        for name, x in whole.parameters_.items():
            np.testing.assert_array_equal(again.parameters_[name], x)


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), True, "some"])
def test_odd_fractions_are_refused(value):
    with pytest.raises(ConfigError, match="calibration"):
        JPVAE(calibration=value).fit(wide(30, 0))
