"""Every option and every argument of the public methods, with forty values that nobody means: each is accepted, or refused by
an error of jpvae.errors, or by a TypeError that names the argument. Nothing else comes out."""

import inspect

import numpy as np
import pytest

from jpvae import JPVAE
from jpvae.errors import JPVAEError


class Odd:
    """An object of no use."""


NUMBERS = [0, 1, -1, 3, 2.5, -0.5, 0.0, float("nan"), float("inf"), -float("inf"), 1e308, 10**30, 10**400, 1j]
TEXTS = ["", "x", "gaussian", "64", b"ab", "\0", "a" * 300]
SEVERAL = [(), (1,), (1, 2, 3), [], [None], ["a", "b"], {}, {"a": 1}, (True, False), range(3), slice(0, 2)]
OBJECTS = [None, True, False, Odd(), Odd, len, np.ones(2), np.ones((2, 2)), np.float32(2), np.int8(3)]
VALUES = [*NUMBERS, *TEXTS, *SEVERAL, *OBJECTS]

RNG = np.random.default_rng(0)
VIEWS = [RNG.standard_normal((12, 3)), RNG.standard_normal((12, 2))]
BASE = {"latent_dims": 1, "likelihood": "gaussian", "hidden": (3,), "steps": 2, "prior": "canonical", "backend": "numpy"}
OPTIONS = [name for name in inspect.signature(JPVAE.__init__).parameters if name != "self"]
METHODS = {
    "fit": {"views": VIEWS},
    **{key: {"views": [VIEWS[0], None], "n_draws": 2} for key in ("impute", "sample_imputations", "score", "score_samples")},
    **{key: {"views": [VIEWS[0], None]} for key in ("reconstruct", "elbo", "find_impossible")},
    "score_conditional": {"views": VIEWS, "target": 0, "n_draws": 2},
    "sample": {"n": 2},
    "save": {},
    "load": {"path": "model"},
}
ARGUMENTS = [
    (method, name)
    for method in METHODS
    for name in inspect.signature(getattr(JPVAE, method)).parameters
    if name not in ("self", "y", "on_log")  # (what a function of the caller's own raises is the caller's)
]


def tried(name, value, call):
    """What came out, where it is neither a result nor a clean refusal."""
    try:
        call()
    except JPVAEError:
        return []
    except TypeError as error:
        return [] if name in str(error) else [f"{name}={value!r}: {error!r}"]
    except Exception as error:  # noqa: BLE001  (that there is none is what is tested)
        return [f"{name}={value!r}: {error!r}"]
    return []


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    """Some of the values are names of files that can be written."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OPTIONS)
def test_options(name):
    found = []
    for value in VALUES:
        options = BASE | {"progress": False, name: value}
        options |= {"early_stopping": True} if name in ("validation_fraction", "patience") else {}
        options |= {"steps": None} if name == "epochs" else {}
        if not (name == "steps" and value is None):  # 30 passes over the rows
            found += tried(name, value, lambda options=options: JPVAE(**options).fit(VIEWS))
    assert found == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("method", "name"), ARGUMENTS)
def test_arguments(method, name):
    model = JPVAE(**BASE, progress=False).fit(VIEWS)
    model.save("model")
    found = []
    for value in VALUES:
        if name in ("n", "n_draws") and isinstance(value, int) and value > 1000 and method != "sample_imputations":
            continue  # these would be drawn, one by one
        given = METHODS[method] | {name: value}
        target = JPVAE(**BASE, progress=False) if method == "fit" else model
        found += tried(name, value, lambda target=target, given=given: getattr(target, method)(**given))
    assert found == []
