"""Every engine and every array library passes the suites of jpvae.testing; broken ones are caught, by name."""

import doctest
import inspect
import itertools
import subprocess
import sys

import array_api_compat.numpy
import array_api_strict
import jax
import numpy as np
import pytest
import torch

import jpvae_core as jc
import jpvae_torch
from jpvae.engine import ENGINES
from jpvae.testing import check_engine, check_engines_agree, check_library, library, report

# Compiling takes JAX seconds per prior: one of two views and one of three stand for all.
LIBRARIES = {
    "numpy": lambda: check_library(np.asarray),
    "torch": lambda: check_library(torch.asarray),
    "strict": lambda: check_library(array_api_strict.asarray),
    "jax": lambda: check_library(jax.numpy.asarray, jit=jax.jit, dtypes=["float64"], priors=["svd, tanh", "canonical"]),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_core_works_on(name):
    lines = LIBRARIES[name]().lines
    assert all(line.compared > 0 and line.share < 1 for line in lines.values())
    if name != "jax":
        functions = {name for name in jc.__all__ if inspect.isfunction(getattr(jc, name))}
        assert functions | {"Moments"} <= lines.keys()  # no public function is left out


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_is_an_engine(name):
    assert "gradient" in check_engine(name).lines


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(sorted(ENGINES), 2)))
def test_engines_agree(first, second):
    check_engines_agree(first, second, models=["orthogonal, learned", "svd", "canonical", "orthogonal, three views"])


def identity(x):
    return x


def silent_log(x):
    with np.errstate(divide="ignore"):
        return np.log(x)


def overwriting_where(condition, x, y):
    if x.shape == np.broadcast_shapes(np.shape(condition), x.shape):
        x[~np.broadcast_to(condition, x.shape)] = 0.0
    return np.where(condition, x, y)


# What is replaced in a library that is NumPy otherwise, and what the message must name.
BROKEN_LIBRARIES = {
    "log1p": (silent_log, r"kl_divergence is .*; expected .*: error .*, bound .* \(prior 'orthogonal', float32\)"),
    "matrix_transpose": (identity, r"inverse_cayley is .*\(matrices, float32\)"),
    "logaddexp": (np.maximum, r"sigmoid_bound is .*\(matrices, float32\)"),
    "where": (overwriting_where, r"the input 'z' was changed by a function"),
    "expm1": (lambda x: np.expm1(x.astype(np.float64)), r"tanh_bound gave float64 for float32"),
    "exp": (lambda x: np.exp(x.astype(np.float16)).astype(x.dtype), r"sigmoid_bound is .*float32"),
    "tanh": (lambda x: np.tanh(x.astype(np.float32)).astype(x.dtype), r"tanh_bound is .*float64"),
}


@pytest.mark.parametrize("name", BROKEN_LIBRARIES)
def test_a_broken_library_is_caught(monkeypatch, name):
    function, message = BROKEN_LIBRARIES[name]
    monkeypatch.setattr(array_api_compat.numpy, name, function)
    with pytest.raises(AssertionError, match=message):
        check_library(np.asarray)


def test_a_library_without_float64_or_without_a_function_is_told(monkeypatch):
    with pytest.raises(AssertionError, match=r"asarray gave float32 for float64"):
        check_library(lambda x: np.asarray(x, dtype=np.float32 if x.dtype.kind == "f" else None), priors=[])
    monkeypatch.delattr(array_api_compat.numpy, "logaddexp")
    with pytest.raises(AttributeError, match="logaddexp") as caught:
        check_library(np.asarray)
    assert caught.value.__notes__ == ["check_library (matrices, float32)"]


class HalfKL(jpvae_torch.Engine):
    def train_step(self, state, batch, *, beta, **rates):
        return super().train_step(state, batch, beta=beta / 2, **rates)


class KLOfAllViews(jpvae_torch.Engine):
    """Reports another KL than that of the observed views."""

    def train_step(self, state, batch, **options):
        found = super().train_step(state, batch, **options)
        return found | {"kl": found["kl"] + 1e-6}


class NoMask(jpvae_torch.Engine):
    def train_step(self, state, batch, **options):
        seen = np.ones_like(batch.observed)
        subsets = np.where(np.arange(len(batch.subsets))[:, None, None] == 0, True, batch.subsets)
        return super().train_step(state, type(batch)(**vars(batch) | {"observed": seen, "subsets": subsets}), **options)


class NoBiasCorrection(jpvae_torch.Engine):
    def train_step(self, state, batch, *, learning_rate, **options):
        t = 1 + max([0, *(int(entry["step"]) for entry in state.adam.state.values())])
        rate = learning_rate * (1 - 0.9**t) / np.sqrt(1 - 0.999**t)
        return super().train_step(state, batch, learning_rate=rate, **options)


class OneRate(jpvae_torch.Engine):
    def train_step(self, state, batch, *, coupling_rate, **options):
        return super().train_step(state, batch, coupling_rate=1.0, **options)


class FrozenRotation(jpvae_torch.Engine):
    """Its loss is right; a detached parameter has no gradient."""

    def loss(self, p, batch, beta):
        return super().loss(p | {k: 0.5 * (x + x.detach()) for k, x in p.items() if "rotation" in k}, batch, beta)


class DropsAMoment(jpvae_torch.Engine):
    def to_arrays(self, state):
        p, moments = super().to_arrays(state)
        return p, {name: x for name, x in moments.items() if name != "v.decoder.1.0.bias"}


class ForgetsMoments(jpvae_torch.Engine):
    def start(self, parameters, optimizer=None):
        return super().start(parameters, {k: x if k == "step" else 0 * x for k, x in (optimizer or {}).items()})


class ChangesTheBatch(jpvae_torch.Engine):
    def train_step(self, state, batch, **options):
        found = super().train_step(state, batch, **options)
        batch.posterior_noise[:] *= 2
        return found


class TrainsWhatItGave(jpvae_torch.Engine):
    def to_arrays(self, state):
        return {name: p.detach().numpy() for name, p in state.parameters.items()}, super().to_arrays(state)[1]


class Undetermined(jpvae_torch.Engine):
    steps = 0

    def train_step(self, state, batch, *, learning_rate, **options):
        self.steps += 1
        return super().train_step(state, batch, learning_rate=learning_rate * (1 + self.steps * 2.0**-52), **options)


class OtherEncoder(jpvae_torch.Engine):
    """What it predicts with is not what it trains."""

    def decode(self, p, view, z):
        out = super().decode(p, view, z)
        return out if out.requires_grad else torch.relu(out)


class HalfPrecision(jpvae_torch.Engine):
    def asarray(self, x):
        return super().asarray(x).half().to(self.dtype) if x.dtype.kind == "f" else super().asarray(x)


BROKEN_ENGINES = {
    HalfKL: r"loss is .*; expected .*: error .*, bound .* \(model 'independent', complete, elbo, float64\)",
    KLOfAllViews: r"kl is .*model 'independent'",
    NoMask: r"loss is .*model 'independent', holes, elbo, float64",
    NoBiasCorrection: r"Adam's step is .*model 'independent', complete, elbo, float64",
    OneRate: r"Adam's step is .*model 'orthogonal, learned'",
    FrozenRotation: r"gradient is .*model 'orthogonal', complete, elbo, float64",
    DropsAMoment: r"to_arrays differs from step, m.<name> and v.<name> in \['v.decoder.1.0.bias'\]",
    ForgetsMoments: r"start from to_arrays has other numbers: m\.",
    ChangesTheBatch: r"train_step changed its batch: posterior_noise",
    TrainsWhatItGave: r"to_arrays shares memory with the state: encoder",
    Undetermined: r"a resumed run has other numbers",
    OtherEncoder: r"decode is .*model 'independent', holes, elbo, float64",
    HalfPrecision: r"start has other numbers: encoder",
}


@pytest.mark.parametrize("broken", BROKEN_ENGINES, ids=lambda engine: engine.__name__)
def test_a_broken_engine_is_caught(broken):
    with pytest.raises(AssertionError, match=f"check_engine.'{broken.__name__}'.: {BROKEN_ENGINES[broken]}"):
        check_engine(broken)


def test_engines_that_disagree_are_caught():
    class Faster(jpvae_torch.Engine):
        def train_step(self, state, batch, *, learning_rate, **options):
            return super().train_step(state, batch, learning_rate=learning_rate * (1 + 1e-6), **options)

    with pytest.raises(AssertionError, match=r"loss of 9 steps is .* \(model 'independent', torch and Faster\)"):
        check_engines_agree("torch", Faster, steps=9)


def test_importing_the_suites_imports_no_framework():
    code = "import sys, jpvae.testing; print(*sorted({'torch', 'jax', 'pytest', 'safetensors', 'typer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("module", [report, library])  # check_engine's example is test_is_an_engine
def test_the_examples_run(module):
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0
