"""How probable each level of a category is: what observations drawn from the model show, and what ``impute`` decides by."""

import functools

import numpy as np
import pandas as pd
import pytest

from jpvae import JPVAE
from jpvae.errors import ConfigError

RNG, N, S = np.random.default_rng(4), 80, 500
U = RNG.standard_normal((N, 2))
INDEX = pd.Index([f"s{i}" for i in range(N)], name="subject")
CLINIC = pd.DataFrame(
    {
        "age": 50 + 10 * U[:, 0],
        "sex": np.where(U[:, 1] > 0, "f", "m"),
        "site": np.asarray([10, 20, 40])[np.digitize(U[:, 0], [-0.5, 0.5])],
    },
    index=INDEX,
)
SCAN = pd.DataFrame(U @ RNG.standard_normal((2, 4)) + 0.5 * RNG.standard_normal((N, 4)), columns=list("wxyz"), index=INDEX)
GAPS = CLINIC.assign(sex=CLINIC["sex"].where(np.arange(N) % 5 > 0, None))
LEVELS = ("sex=f", "sex=m", "site=10", "site=20", "site=40")
MASK = np.column_stack([np.arange(N) % 3 > 0, np.ones(N, bool)])
OPTIONS = {"entries": "marginalise", "hidden": (4,), "steps": 60, "latent_dims": 2, "backend": "numpy", "progress": False}
OPTIONS |= {"likelihood": {"clinic": {"site": "categorical"}, "scan": "gaussian"}, "prior": "canonical", "dtype": "float64"}


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch):
    """Blocks are padded to 512 rows; the few rows here would wait for the padding's draws."""
    monkeypatch.setattr("jpvae.inference.predictor.BLOCK", N)


@functools.cache
def model():
    return JPVAE(**OPTIONS).fit({"clinic": GAPS, "scan": SCAN}, MASK)


def views():
    return {"clinic": GAPS[:9], "scan": SCAN[:9]}, MASK[:9]


def observed():
    """Which categories of the nine rows are known: (9, 2)."""
    return MASK[:9, :1] & np.column_stack([GAPS["sex"].notna()[:9], np.ones(9, bool)])


def test_they_are_the_frequencies_of_draws():
    assert model().levels_ == {"clinic": LEVELS, "scan": ()}
    found = model().impute_probabilities(*views(), n_draws=S)
    assert [found[view].shape for view in ("clinic", "scan")] == [(9, 5), (9, 0)]
    p = found["clinic"]
    assert p.index.equals(INDEX[:9])
    assert tuple(p) == LEVELS
    drawn = model().sample_imputations(*views(), n_draws=S, seed=5)["clinic"]
    for level in LEVELS:
        column, value = level.split("=")
        frequency = np.mean([one[column].astype(str) == value for one in drawn], axis=0)
        # Both are means of S numbers of variance at most p (1 - p).
        assert np.all(np.abs(p[level] - frequency) <= 5 * np.sqrt(2 * p[level] * (1 - p[level]) / S))
    free = ~observed()
    assert ((p.to_numpy() > 0.01) & (p.to_numpy() < 0.99))[free.any(axis=1)].any()


@pytest.mark.parametrize("method", ["predictive", "plug-in"])
def test_imputations_are_the_most_probable_and_what_was_seen_is_certain(method):
    p, filled = (f(*views(), method=method)["clinic"] for f in (model().impute_probabilities, model().impute))
    for k, column in enumerate(("sex", "site")):
        part = p[[level for level in LEVELS if level.startswith(column)]]
        assert part.sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-12)
        assert (part.idxmax(axis=1) == column + "=" + filled[column].astype(str)).all()
        assert ((part == 1.0).any(axis=1) & (part == 0.0).any(axis=1)).tolist() == observed()[:, k].tolist()


def test_arrays_and_one_matrix():
    codes = np.column_stack([np.digitize(U[:, 0], [-0.5, 0.5]), U[:, 1]])
    options = OPTIONS | {"likelihood": [{0: "categorical", 1: "gaussian"}, "gaussian"], "entries": "error"}
    made = JPVAE(**options).fit([codes, SCAN.to_numpy()], MASK)
    p = made.impute_probabilities([None, SCAN.to_numpy()])
    assert made.levels_["view0"] == ("0=0", "0=1", "0=2")
    assert p[0].shape == (N, 3)
    assert (p[0].argmax(axis=1) == made.impute([None, SCAN.to_numpy()])[0][:, 0]).all()
    X, slices = np.column_stack([codes, SCAN]), {"a": [0, 1], "b": [2, 3, 4, 5]}
    wide = JPVAE(**options | {"likelihood": {"a": {0: "categorical"}, "b": "gaussian"}, "view_slices": slices})
    found = wide.fit(X).impute_probabilities(X)
    assert np.array_equal(found["a"], np.eye(3)[codes[:, 0].astype(int)])
    assert found["b"].shape == (N, 0)


def test_what_it_refuses():
    with pytest.raises(ConfigError, match="method is 'mean'; expected 'predictive' or 'plug-in'"):
        model().impute_probabilities(*views(), method="mean")
    with pytest.raises(ConfigError, match="n_draws is 0; expected at least 1"):
        model().impute_probabilities(*views(), n_draws=0)
