"""The Engine protocol: what a backend implements, and the one place where backends are found by name.

An engine knows dense layers, gradients and Adam. Everything else (the prior, likelihoods, imputation, batching, files)
is written once above it. Parameters live in the layout of model.py; batches and noise come in as NumPy arrays, so two
engines fed the same batches give the same losses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np

from .errors import ConfigError, MissingDependency
from .model.model import Model

Array = Any


class Decoded(NamedTuple):
    """What one view's decoder is asked: first z of all rows, then rows of z^k where the view is seen but not in O_k.

    A view's log p(x_i | z_i) stands in every term with i in O_k: it is decoded once, with the weight of them all.
    """

    crossed: list[tuple[int, Any]]  # (k - 1, rows)
    weights: np.ndarray  # one per decoded row: dL / d log p is -weights / B

    def by_row(self, terms: np.ndarray, rows: int) -> np.ndarray:
        """The sum of what was decoded for each of the batch's rows: one term per decoded row -> (rows,)."""
        total, start = np.array(terms[:rows]), rows
        for _, which in self.crossed:
            count = len(total[which])
            total[which] += terms[start : start + count]
            start += count
        return total


@dataclass(frozen=True)
class Batch:
    """One training step's input. B rows, M views, K subsets of the observed views (the first: all observed)."""

    views: tuple[np.ndarray, ...]  # (B, c_i), what the encoders read: zeros where missing
    observed: np.ndarray  # (B, M) bool
    subsets: np.ndarray  # (K, B, M) bool, each row a non-empty part of `observed`
    weights: np.ndarray  # (K,), summing to 1
    posterior_noise: np.ndarray  # (B, sum n_i)
    completion_noise: np.ndarray  # (K - 1, B, noise_dim)
    targets: tuple[np.ndarray, ...] | None = None  # (B, w_i), what the likelihoods are of, where that is not ``views``
    view_weights: tuple[float, ...] | None = None  # (M,), each view's weight in the loss; None: 1

    def decoded(self, view: int) -> Decoded:
        """What the view's decoder is asked in this step."""
        crossed, weights = [], [self.weights @ self.subsets[:, :, view]]
        for k in range(1, len(self.subsets)):
            wanted = self.observed[:, view] & ~self.subsets[k, :, view]
            if wanted.any():
                crossed.append((k - 1, slice(None) if wanted.all() else np.flatnonzero(wanted)))
                weights.append(np.full(np.count_nonzero(wanted), self.weights[k]))
        joined = np.concatenate(weights)
        return Decoded(crossed, joined if self.view_weights is None else self.view_weights[view] * joined)

    def by_row(
        self, means: Sequence[np.ndarray], log_vars: Sequence[np.ndarray], kl: np.ndarray, log_probs: Sequence[np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The loss row by row, to find the one that is not finite.

        means, log_vars: (B, n_i) of each view; kl (K, B); log_probs: one number per decoded row of each view.
        -> "posterior" (B, M), the sum of mean^2 + var; "kl" (B,); "reconstruction" (B, M), -log p of all that was decoded.
        """
        rows = len(self.observed)
        with np.errstate(all="ignore"):
            sizes = [(m.astype(np.float64) ** 2 + np.exp(v)).sum(axis=-1) for m, v in zip(means, log_vars, strict=True)]
            fits = [-self.decoded(i).by_row(log_prob, rows) for i, log_prob in enumerate(log_probs)]
            return {"posterior": np.stack(sizes, axis=1), "kl": kl.sum(axis=0), "reconstruction": np.stack(fits, axis=1)}


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
