"""Input that broadcasting, casting or indexing would accept and answer wrongly is refused at the door, by name."""

import copy
import json

import numpy as np
import pytest
import torch

import jpvae_core as jc
from jpvae import JPVAE
from jpvae.errors import CheckpointError, ConfigError, ViewError
from jpvae.experiments import hvdmnist
from jpvae.files import checkpoints

PRIOR = jc.JointPrior.orthogonal(np.eye(2), 0.5)
FOUR, THREE, ONE = ([np.zeros((rows, 2))] * 2 for rows in (4, 3, 1))
FIRST = np.asarray([True, False])
RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(40, 5)), RNG.normal(size=(40, 3))
OPTIONS = {"latent_dims": 2, "likelihood": "gaussian", "hidden": (8,), "steps": 5}

CORE = {
    "rows of log_vars": (lambda: jc.kl_divergence(FOUR, THREE, PRIOR), jc.ShapeError, r"log_vars\[0\] has shape \(3, 2\)"),
    "one row of log_vars": (lambda: jc.kl_divergence(FOUR, ONE, PRIOR), jc.ShapeError, r"expected the same leading axes"),
    "eq9": (lambda: jc.kl_eq9(FOUR, ONE, 0.5 * np.eye(2)), jc.ShapeError, r"log_vars\[0\] has shape \(1, 2\)"),
    "eq16": (lambda: jc.kl_eq16(FOUR, ONE, np.eye(2), 0.5), jc.ShapeError, r"log_vars\[0\] has shape \(1, 2\)"),
    "dense": (lambda: jc.kl_dense(FOUR, ONE, np.eye(4)), jc.ShapeError, r"log_vars\[0\] has shape \(1, 2\)"),
    "condition": (lambda: jc.condition(PRIOR, FOUR, FIRST, log_vars=THREE), jc.ShapeError, r"log_vars\[0\] has shape \(3, 2\)"),
    "condition, library": (
        lambda: jc.condition(PRIOR, FOUR, FIRST, log_vars=[torch.zeros(4, 2, dtype=torch.float64)] * 2),
        jc.LibraryError,
        r"expected arrays of one array library",
    ),
    "noise": (lambda: jc.complete(PRIOR, FOUR, FIRST, np.zeros((1, 4))), jc.ShapeError, r"noise has shape \(1, 4\)"),
    "index": (
        lambda: jc.condition_gaussian(np.zeros(2), np.eye(2), [True, False], np.ones((1, 2))),
        jc.ShapeError,
        r"observed_index is \[True, False\]; expected integers, not a mask",
    ),
    "signs": (lambda: jc.orthogonal(np.zeros(3), 3, signs=[2.0, 0.0, 1.0]), ValueError, r"signs is .*; expected \+1 and -1"),
    "alpha": (lambda: jc.JointPrior.orthogonal(np.eye(2), np.float32(1.5)), jc.NotAContraction, r"alpha is 1\.5; expected -1"),
    "moments": (
        lambda: jc.Moments().update([[1.0, 2.0]]),
        jc.LibraryError,
        r"expected arrays of one array library, found .*list",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), CORE.values(), ids=CORE.keys())
def test_the_core_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_leading_axes_broadcast_together():
    frames = [np.stack([np.eye(2)] * 3), np.eye(2)[None], np.eye(2)[None]]
    logits = RNG.normal(size=(3, 2))
    S = jc.JointPrior.canonical(frames, logits).covariance()
    assert S.shape == (3, 6, 6)
    assert np.array_equal(S[1], jc.JointPrior.canonical([np.eye(2)] * 3, logits).covariance())


VIEWS = {
    "overflowing scale": (lambda: JPVAE(**OPTIONS).fit([A * 1e200, B]), r"view 'view0'"),
    "beyond float32": (lambda: fitted().impute([A * 1e40, None]), r"view 'view0', row 0, column 0 is .*, beyond float32"),
    "masked array": (lambda: fitted().impute([np.ma.masked_array(A, mask=A > 1), B]), r"view 'view0' is a masked array"),
    "complex": (lambda: fitted().impute([A + 1j, B]), r"view 'view0' has dtype complex128; expected real numbers"),
    "dates": (lambda: fitted().impute([A.astype("datetime64[s]"), B]), r"view 'view0' has dtype datetime64"),
    "keys": (lambda: JPVAE(**OPTIONS).fit({0: A, 1: B}), r"views has the keys \[0, 1\]; expected names"),
}


def fitted(**changes):
    return JPVAE(**OPTIONS | changes).fit([A, B])


@pytest.mark.parametrize(("call", "message"), VIEWS.values(), ids=VIEWS.keys())
def test_the_estimator_refuses(call, message):
    with pytest.raises(ViewError, match=message):
        call()


def test_numpy_numbers_are_options(tmp_path):
    plain = fitted(learning_rate=0.5, alpha=0.75, latent_dims=2, seed=3)
    model = fitted(learning_rate=np.float32(0.5), alpha=np.float32(0.75), latent_dims=np.int64(2), seed=np.int64(3))
    model.save(tmp_path / "m")
    loaded = JPVAE.load(tmp_path / "m")
    assert all(np.array_equal(x, loaded.parameters_[name]) for name, x in plain.parameters_.items())


def test_a_fitted_model_can_be_copied():
    model = fitted()
    twin = copy.deepcopy(model)
    assert all(np.array_equal(x, y) for x, y in zip(model.impute([A, None]), twin.impute([A, None]), strict=True))


DAMAGE = {
    "no adam": lambda file: [file.pop(name) for name in list(file) if name.startswith("adam.")],
    "no step": lambda file: file.pop("adam.step"),
    "a shape": lambda file: file.update({"parameters.prior.rotation": np.zeros(7)}),
    "negative step": lambda file: file["header"].update(step=-3),
    "late step": lambda file: file["header"].update(step=99),
    "no history": lambda file: file["header"].pop("history"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_training_does_not_go_on_from_a_damaged_checkpoint(tmp_path, damage):
    path = tmp_path / "c"
    JPVAE(**OPTIONS).fit([A, B], checkpoint=path)
    tensors, header = checkpoints.load(path)
    file = tensors | {"header": header}
    damage(file)
    checkpoints.save(path, {name: x for name, x in file.items() if name != "header"}, file["header"])
    with pytest.raises(CheckpointError, match="is damaged; delete the file to start anew"):
        JPVAE(**OPTIONS).fit([A, B], checkpoint=path)


def test_a_result_needs_no_git(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert hvdmnist._provenance("numpy")["commit"] is None


def test_a_damaged_configuration_is_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({})[:1])
    with pytest.raises(ConfigError, match=r"config\.json' is damaged"):
        hvdmnist.run("zero", "ours", tmp_path, steps=1)
