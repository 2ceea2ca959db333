"""Every law runs on every array library in float32 and float64: the fixture ``xp`` is one such pair.

A library that cannot be imported fails the run: nothing here skips. Hypothesis is derandomised; for fifty times as many
examples, new ones every time: ``pytest proofs_tests --hypothesis-profile=thorough``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import array_api_strict
import jax
import numpy as np
import pytest
import torch
from hypothesis import settings

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_disable_most_optimizations", True)  # compiling takes nearly all of JAX's time here
torch.set_num_threads(1)

EXAMPLES = 3
settings.register_profile("default", max_examples=EXAMPLES, derandomize=True, deadline=None)
settings.register_profile("thorough", max_examples=50 * EXAMPLES, derandomize=False, print_blob=True, deadline=None)
settings.load_profile("default")


class Library(Enum):
    """The libraries that the core promises; array-api-strict stands for any other that follows the standard."""

    NUMPY = np
    TORCH = torch
    JAX = jax.numpy
    STRICT = array_api_strict


@functools.cache
def _jitted(function: Callable[..., Any], static: Any) -> Callable[..., Any]:
    return jax.jit(functools.partial(function, static))


@dataclass(frozen=True)
class Backend:
    """One array library in one dtype, with conversions from and to NumPy that map over lists, tuples and dicts."""

    library: Library
    dtype: str

    @property
    def eps(self) -> float:
        """Twice the unit roundoff."""
        return float(np.finfo(self.dtype).eps)

    def array(self, x: Any) -> Any:
        """Floats become arrays of this library and dtype; booleans and integers keep their type; None stays None."""
        if isinstance(x, dict):
            return {key: self.array(value) for key, value in x.items()}
        if isinstance(x, list | tuple):
            return type(x)(self.array(value) for value in x)
        if x is None:
            return None
        x = np.asarray(x)
        x = np.array(x, dtype=self.dtype) if x.dtype.kind == "f" else x
        return x if self.library is Library.NUMPY else self.library.value.asarray(x)

    def numpy(self, x: Any) -> Any:
        """Arrays of this library, of this dtype (asserted), to float64 NumPy."""
        if isinstance(x, dict):
            return {key: self.numpy(value) for key, value in x.items()}
        if isinstance(x, list | tuple):
            return tuple(self.numpy(value) for value in x)
        assert str(x.dtype).rpartition(".")[2] == self.dtype
        return np.array(x.detach().numpy() if self.library is Library.TORCH else x, dtype=np.float64)

    def call(self, function: Callable[..., Any], static: Any, *args: Any) -> Any:
        """function(static, *arrays) on this library, NumPy in and out; under jax.jit on JAX, eagerly elsewhere.

        The jitted function is kept per (function, static), both hashable, so that few shapes mean few compilations.
        """
        run = _jitted(function, static) if self.library is Library.JAX else functools.partial(function, static)
        return self.numpy(run(*self.array(args)))


@pytest.fixture(scope="session", params=list(Library), ids=lambda library: library.name.lower())
def library(request: pytest.FixtureRequest) -> Library:
    """An array library."""
    return request.param


@pytest.fixture(scope="session", params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> str:
    """A dtype that the core accepts."""
    return request.param


@pytest.fixture(scope="session")
def xp(library: Library, dtype: str) -> Backend:
    """One library in one dtype."""
    return Backend(library, dtype)


@pytest.fixture
def no_training(monkeypatch):
    """A fit that gets as far as its first step fails the test."""

    def train(*_, **__):
        raise AssertionError("training began")

    monkeypatch.setattr("jpvae.fitting.train", train)
