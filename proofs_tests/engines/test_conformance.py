"""Every engine and every array library passes the suites of jpvae.testing; broken ones are caught, by name."""

import inspect
import itertools
import subprocess
import sys
import types

import array_api_strict
import jax
import numpy as np
import pytest
import torch
from broken_engines import BROKEN_ENGINES

import jpvae_core as jc
import jpvae_core._xp
import jpvae_torch
from jpvae.engines import ENGINES
from jpvae.testing import check_engine, check_engines_agree, check_library
from jpvae.testing.examples import MODELS

# Compiling takes JAX seconds per prior: a few of two views and of three stand for all.
LIBRARIES = {
    "numpy": lambda: check_library(np.asarray),
    "torch": lambda: check_library(torch.asarray),
    "strict": lambda: check_library(array_api_strict.asarray),
    "jax, float64": lambda: compiled("float64", ["sigmoid, weak"]),
    "jax, float64, canonical": lambda: compiled("float64", ["canonical"]),  # half a minute of compiling
    "jax, float32": lambda: compiled("float32", ["orthogonal", "tanh, strong", "source, strong"]),
}


def compiled(dtype, priors):
    return check_library(jax.numpy.asarray, jit=jax.jit, dtypes=[dtype], priors=priors)


@pytest.mark.parametrize("name", [pytest.param(x, marks=[pytest.mark.thorough] * ("canonical" in x)) for x in LIBRARIES])
def test_the_core_works_on(name):
    lines = LIBRARIES[name]().lines
    assert all(line.compared > 0 and line.share < 1 for line in lines.values())
    if "jax" not in name:
        functions = {name for name in jc.__all__ if inspect.isfunction(getattr(jc, name))}
        without = {"register_jax", "inverse_frame", "subsets"}  # values must be read, or there are none; tests of their own
        assert functions - without | {"Moments"} <= lines.keys()  # no other public function is left out


# Of torch, whose gradients test_objective.py compares for every model, a model of each kind; the others thoroughly.
KINDS = ["every likelihood", "missing cells", "orthogonal, learned", "svd", "fused, canonical"]
CHECKED = [("numpy", list(MODELS)), ("torch", KINDS)]
CHECKED += [pytest.param("torch", [name for name in MODELS if name not in KINDS], marks=pytest.mark.thorough)]


@pytest.mark.parametrize(("name", "models"), CHECKED)
def test_is_an_engine(name, models):
    assert "gradient" in check_engine(name, models=models).lines


def test_no_engine_is_left_out():
    assert {param[0] for param in CHECKED[:2]} == set(ENGINES)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(sorted(ENGINES), 2)))
def test_engines_agree(first, second):
    names = ["orthogonal, learned", "svd", "canonical", "orthogonal, three views", "every likelihood", "missing cells"]
    check_engines_agree(first, second, steps=40, models=names)


def identity(x):
    return x


def silent_log(x):
    with np.errstate(divide="ignore"):
        return np.log(x)


def overwriting_where(condition, x, y):
    if x.shape == np.broadcast_shapes(np.shape(condition), x.shape):
        x[~np.broadcast_to(condition, x.shape)] = 0.0
    return np.where(condition, x, y)


def off_by(count, function):
    return lambda x: function(x) * np.asarray(1 + count * np.finfo(x.dtype).eps, dtype=x.dtype)


def solve_without_exchanges(A, B):
    """Gauss-Jordan elimination that takes every pivot as it comes."""
    rows = np.concatenate([A, B], axis=-1)
    for k in range(A.shape[-1]):
        rows[..., k, :] /= rows[..., k, k, None].copy()
        others = np.arange(A.shape[-1]) != k
        rows[..., others, :] -= rows[..., others, k, None] * rows[..., k, None, :]
    return rows[..., A.shape[-1] :]


# What is replaced in a library that is NumPy otherwise, and what the message must name.
OFF = r"is .*; expected .*: error .*, bound .* \(elementary functions, float32\)"
BROKEN_LIBRARIES = {
    "no pole": ("log1p", silent_log, f"log1p {OFF}"),
    "no transpose": ("matrix_transpose", identity, r"inverse_cayley is .*\(matrices, float32\)"),
    "maximum": ("logaddexp", np.maximum, f"logaddexp {OFF}"),
    "overwriting": ("where", overwriting_where, r"the input 'z' was changed by a function"),
    "promoting": ("expm1", lambda x: np.expm1(x.astype(np.float64)), r"expm1 gave float64 for float32"),
    "half": ("exp", lambda x: np.exp(x.astype(np.float16)).astype(x.dtype), r"exp is inf; .*float32"),
    "single": ("tanh", lambda x: np.tanh(x.astype(np.float32)).astype(x.dtype), r"tanh is .*float64"),
    "naive expm1": ("expm1", lambda x: np.exp(x) - 1, f"expm1 {OFF}"),
    "naive log1p": ("log1p", lambda x: np.log(1 + x), f"log1p {OFF}"),
    "naive logaddexp": ("logaddexp", lambda x, y: np.log(np.exp(x) + np.exp(y)), f"logaddexp {OFF}"),
    "naive tanh": ("tanh", lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)), f"tanh {OFF}"),
    "saturated exp": ("exp", lambda x: np.exp(np.minimum(x, 20)), f"exp {OFF}"),
    "exp": ("exp", off_by(6, np.exp), f"exp {OFF}"),
    "sqrt": ("sqrt", off_by(20, np.sqrt), f"sqrt {OFF}"),
    "solve": ("linalg.solve", solve_without_exchanges, f"solve {OFF}"),
    "solve of skew": (
        "linalg.solve",
        lambda A, B: solve_without_exchanges(A, B) if A.shape[-1] == 4 else np.linalg.solve(A, B),
        f"frame {OFF}",
    ),
}


class Instead:
    """A module, some of whose functions are others."""

    def __init__(self, module, **others):
        self.module, self.others = module, others

    def __getattr__(self, name):
        return self.others[name] if name in self.others else getattr(self.module, name)


@pytest.mark.parametrize("name", BROKEN_LIBRARIES)
def test_a_broken_library_is_caught(monkeypatch, name):
    where, function, message = BROKEN_LIBRARIES[name]
    inner, _, last = where.rpartition(".")
    others = {inner: Instead(getattr(np, inner), **{last: function})} if inner else {last: function}
    monkeypatch.setattr(jpvae_core._xp, "np", Instead(np, **others))  # what the core takes for NumPy
    with np.errstate(all="ignore"), pytest.raises(AssertionError, match=f"check_library: {message}"):
        check_library(np.asarray)


def test_a_library_without_float64_or_without_a_function_is_told(monkeypatch):
    with pytest.raises(AssertionError, match=r"asarray gave float32 for float64"):
        check_library(lambda x: np.asarray(x, dtype=np.float32 if x.dtype.kind == "f" else None), priors=[])
    less = types.SimpleNamespace(**{name: x for name, x in vars(np).items() if name != "logaddexp"})
    monkeypatch.setattr(jpvae_core._xp, "np", less)
    with pytest.raises(AttributeError, match="logaddexp") as caught:
        check_library(np.asarray)
    assert caught.value.__notes__ == ["check_library (elementary functions, float32)"]


@pytest.mark.parametrize("broken", BROKEN_ENGINES, ids=lambda engine: engine.__name__)
def test_a_broken_engine_is_caught(broken):
    """By the model that its message names: the models before it (test_is_an_engine goes through all) take seconds."""
    message = BROKEN_ENGINES[broken]
    models = [name for name in MODELS if f"model '{name}'" in message]
    with pytest.raises(AssertionError, match=f"check_engine.'{broken.__name__}'.: {message}"):
        check_engine(broken, models=models or list(MODELS))


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
