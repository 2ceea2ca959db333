"""The Engine protocol: what a backend implements, and the one place where backends are found by name.

An engine knows dense layers, gradients and Adam. Everything else (the prior, likelihoods, imputation, batching, files)
is written once above it. Parameters live in the layout of model.py; batches and noise come in as NumPy arrays, so two
engines fed the same batches give the same losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from .errors import ConfigError, MissingDependency
from .model.batch import Array, Batch
from .model.model import Model

__all__ = ["ENGINES", "Array", "Batch", "Engine", "engine"]


class Engine(Protocol):
    """A backend, made by ``Engine(model, dtype, device)``."""

    xp: Any  # the array-API namespace of its arrays

    def __init__(self, model: Model, dtype: str, device: str) -> None: ...

    def asarray(self, x: np.ndarray) -> Array:
        """A native array of the engine's dtype (bool stays bool), without gradient."""

    def numpy(self, x: Array) -> np.ndarray:
        """A NumPy copy."""

    def start(self, parameters: Mapping[str, np.ndarray], optimizer: Mapping[str, np.ndarray] | None) -> Any:
        """A training state from parameters and, to resume, Adam's moments (``m.<name>``, ``v.<name>``)."""

    def parameters(self, state: Any) -> dict[str, Array]:
        """The state's parameters as native arrays without gradients."""

    def to_arrays(self, state: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Parameters and Adam's moments as NumPy arrays: what ``start`` takes."""

    def train_step(
        self,
        state: Any,
        batch: Batch,
        *,
        beta: float,
        learning_rate: float,
        coupling_rate: float,
        max_gradient_norm: float | None = None,
    ) -> dict[str, Any]:
        """One Adam step on the weighted negative ELBO, in place; prior.logits and prior.alpha move at ``coupling_rate`` times
        the learning rate. Reports, in nats per row and as they were before the step:

        "loss"; "reconstruction", -log p(x_i | z_i) under each view's own posterior, unweighted; "kl", of all observed views.

        max_gradient_norm G: the gradient g of all parameters, |g| its Euclidean norm, is taken as g min(1, G/|g|), and |g| is
        reported as "gradient_norm"; where |g| is not finite, no step is made. Only where the loss is not finite, "rows" is
        reported too: ``Batch.by_row`` of what every row gave.
        """

    def encode(self, p: Mapping[str, Array], view: int, x: Array) -> tuple[Array, Array]:
        """Posterior means and log-variances (..., B, n_i) of a view's rows."""

    def decode(self, p: Mapping[str, Array], view: int, z: Array) -> Array:
        """The likelihood's outputs (..., B, c_i)."""


ENGINES = {"torch": "jpvae_torch", "numpy": "jpvae_numpy"}


def engine(backend: str, model: Model, dtype: str = "float32", device: str = "cpu") -> Engine:
    """The engine of that name. Raises ConfigError for an unknown one or an unusable device, MissingDependency where its
    framework is absent."""
    if backend not in ENGINES:
        raise ConfigError(f"backend is {backend!r}; expected one of {sorted(ENGINES)}")
    if dtype not in ("float32", "float64"):
        raise ConfigError(f"dtype is {dtype!r}; expected 'float32' or 'float64'")
    try:
        module = import_module(ENGINES[backend])
    except ModuleNotFoundError as error:
        message = f"backend={backend!r} needs {error.name}: pip install 'jpvae[{backend}]', or take backend='numpy'"
        raise MissingDependency(message) from error
    try:
        made: Engine = module.Engine(model, dtype, device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device is {device!r}, which backend={backend!r} cannot use here: {error}") from error
    return made
