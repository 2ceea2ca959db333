"""A file that release 0.1.0 wrote (format version 2) loads, gives that release's numbers, and its training goes on.

The numbers are that release's own: sums of imputed columns, decoded from conditional means, and of the latents.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from synthetic import three_views

from jpvae import JPVAE
from jpvae.training.batches import Batches

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
    "posterior": "factorised",  # there was no other
    # What was the default then, or did not exist:
    "epochs": 30,
    "learning_rate": 2e-3,
    "coupling_rate": 0.1,
    "max_gradient_norm": None,
    "linear_skip": False,
    "weight_decay": 0.0,
    "calibration": 0.0,
    "cross_draws": 1,
    "cross_weight": 1.0,
    "level_weight": 1.0,
    "cell_dropout": 0.0,
}
FINGERPRINT = 4083069494  # of its data
SUMS = {
    "rna": [-16.98016762733225, -4.609333937780767, -2.2509435999667033, -2.956706194545278, -16.449810309320057],
    "protein": [29.592628538168018, 28.590510136655755, 51.50727223000762, 47.867424500270964],
    "clinic": [129.95365097114336, 136.84463660160847, 47.09868966876986],
}
LATENTS = [
    4.687922744166281,
    -6.325274310652523,
    7.319929221871837,
    -7.3904472598264634,
    0.03347457132447816,
    -4.325818032734501,
]


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_it_gives_the_numbers_of_then(backend):
    """In float64: sums of 40 numbers of some units, each of some hundred operations, agree to 1e-10."""
    model = JPVAE.load(FILE, backend=backend)
    filled = model.impute(DATA, MASK, method="plug-in")  # (draws have another noise since: each row its own)
    for name, sums in SUMS.items():
        np.testing.assert_allclose(filled[name].sum(axis=0), sums, rtol=0, atol=1e-10)
    assert model.transform(DATA, MASK).sum(axis=0) == pytest.approx(LATENTS, abs=1e-10)
    assert (model.history_[-1]["step"], model.history_[-1]["held_out"]) == (120, 37.78509495181916)
    assert model.report_.views.keys() == set(NAMES)


def test_its_training_goes_on(tmp_path, monkeypatch):
    """It is over: what a fit that resumes it has is what the file has. Processors multiply with other roundings, so that the
    data here need not be those of then to the last bit."""
    monkeypatch.setattr(Batches, "former_fingerprint", lambda _: FINGERPRINT)
    shutil.copy(FILE, tmp_path / "c")
    resumed = JPVAE(**OPTIONS).fit(DATA, MASK, checkpoint=tmp_path / "c")
    expected = JPVAE.load(FILE)
    assert all(np.array_equal(x, expected.parameters_[name]) for name, x in resumed.parameters_.items())
    assert resumed.history_ == expected.history_
