"""The array libraries that every law runs on, in float32 and float64."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import array_api_strict
import jax
import numpy as np
import torch


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
