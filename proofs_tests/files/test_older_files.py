"""A file that release 0.1.0 wrote (format version 2) loads, gives that release's numbers, and its training goes on.

The numbers were computed by that release when it wrote the file: sums of imputed columns, and of the rows' log-likelihoods.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from synthetic import three_views

from jpvae import JPVAE

FILE = Path(__file__).parent / "written_by_0.1.0.safetensors"
NAMES = ("rna", "protein", "clinic")
VIEWS, MASK = three_views(40, 2)
DATA = dict(zip(NAMES, VIEWS, strict=True))
OPTIONS = {
    "latent_dims": 2,
    "prior": "canonical",
    "likelihood": ("gaussian", "student_t", "gaussian"),
    "hidden": (3,),
    "backend": "numpy",
    "dtype": "float64",
    "steps": 120,
    "batch_size": 8,
    "early_stopping": True,
    "progress": False,
}
SUMS = {
    "rna": [-14.693058911062506, -3.4445714306837085, -0.8467676952686396, 0.9995057138792878, -10.09338073264098],
    "protein": [30.861073090101215, 19.235193001512, 37.798119614517084, 56.559341006987594],
    "clinic": [128.3422636970401, 123.90490968914143, 30.416145109147745],
}
LIKELIHOOD = -1018.7749190896141


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_it_gives_the_numbers_of_then(backend):
    """In float64: sums of 40 numbers of some units, each of some hundred operations, agree to 1e-10."""
    model = JPVAE.load(FILE, backend=backend)
    filled = model.impute(DATA, MASK, n_draws=8)
    for name, sums in SUMS.items():
        np.testing.assert_allclose(filled[name].sum(axis=0), sums, rtol=0, atol=1e-10)
    assert model.score_samples(DATA, MASK, n_draws=8).sum() == pytest.approx(LIKELIHOOD, abs=1e-9)
    assert (model.history_[-1]["step"], model.history_[-1]["held_out"]) == (120, 37.78509495181916)
    assert model.report_.views.keys() == set(NAMES)


def test_its_training_goes_on(tmp_path):
    """It is over: what a fit that resumes it has is what the file has."""
    shutil.copy(FILE, tmp_path / "c")
    resumed = JPVAE(**OPTIONS).fit(DATA, MASK, checkpoint=tmp_path / "c")
    expected = JPVAE.load(FILE)
    assert all(np.array_equal(x, expected.parameters_[name]) for name, x in resumed.parameters_.items())
    assert resumed.history_ == expected.history_
