"""The NumPy engine: what training, imputation and the files above it need, on the CPU (loss.py has the mathematics)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from jpvae.model.batch import Batch
from jpvae.model.model import Model

from .adam import clip
from .layers import forward, halves, layers_of
from .loss import differentiate
from .state import State
from .threads import products_limited, products_threads, quiet

Arrays = dict[str, np.ndarray]
_LARGE = 250_000  # weights: with fewer, handing over the pieces of a step takes longer than it saves
_ROWS = 512  # of a product in a prediction
_KEPT = 24 << 20  # bytes


class Engine:
    """The NumPy engine; the methods are those of ``jpvae.engines.Engine``.

    While it computes (``limited``), NumPy's products share the threads that the engine's own leave, as far as they are worth
    it: they wait in loops that keep the cores busy.

    Parameters
    ----------
    model : Model
    dtype : {"float32", "float64"}
    device : {"cpu"}
    threads : int, or None
        How many work at a step. None: one per view, as far as NumPy's products have as many, where the model is large enough,
        else one.

    Raises
    ------
    RuntimeError
        For another device. (``jpvae.engines.engine`` makes a ConfigError of it.)

    Examples
    --------
    >>> import numpy as np
    >>> from jpvae.model.model import Model
    >>> from jpvae_numpy import Engine
    >>> model = Model((3, 2), (2, 2), ("gaussian", "gaussian"), hidden=(4,))
    >>> made = Engine(model, threads=1)
    >>> state = made.start(model.initial_parameters(0))
    >>> with made.limited(rows=5):
    ...     mean, log_var = made.encode(made.parameters(state), 0, made.asarray(np.zeros((5, 3))))
    >>> mean.shape
    (5, 2)
    """

    xp = np

    def __init__(self, model: Model, dtype: str = "float32", device: str = "cpu", *, threads: int | None = None) -> None:
        if device != "cpu":
            raise RuntimeError("NumPy computes on the CPU; expected device='cpu'")
        self.model, self.dtype = model, dtype
        self._given, self.threads = threads, _threads(model) if threads is None else threads
        # Mapped and given back at once, it touches no memory; from then on glibc's malloc keeps up to twice as much to itself
        # (mallopt(3), M_MMAP_THRESHOLD), where it fetched every page of a step's temporary arrays anew: a tenth of the step.
        np.empty(_KEPT, np.uint8)

    def limited(self, rows: int) -> AbstractContextManager[None]:
        """Compute with as many threads in each product as so many rows are worth; then NumPy has again what it had.

        Parameters
        ----------
        rows : int

        Returns
        -------
        context manager
        """
        total = min(self.model.threads(rows), products_threads()) if self._given is None else self._given
        return products_limited(max(1, total // self.threads))

    def asarray(self, x: np.ndarray) -> np.ndarray:
        """Bool stays bool, all else takes the engine's dtype."""
        return x if x.dtype == np.bool_ else np.asarray(x, self.dtype)

    def numpy(self, x: np.ndarray) -> np.ndarray:
        """A copy."""
        return np.array(x)

    def network_parameters(self, seed: int) -> Arrays:
        """There are none: all networks are dense layers."""
        return {}

    def start(self, parameters: Mapping[str, np.ndarray], optimizer: Mapping[str, np.ndarray] | None = None) -> State:
        """Copies of the parameters, ready to train; Adam's moments where training goes on."""
        state = State(self.model, parameters, self.dtype, self.threads)
        if optimizer:
            state.adam.steps = int(optimizer["step"])
            for name in parameters:
                state.adam.m.named[name][...] = optimizer[f"m.{name}"]
                state.adam.v.named[name][...] = optimizer[f"v.{name}"]
        return state

    def parameters(self, state: State) -> Arrays:
        """The parameters (they share memory with the state's)."""
        return dict(state.parameters.named)

    def to_arrays(self, state: State) -> tuple[Arrays, Arrays]:
        """Parameters, and Adam's step count and moments."""
        adam = state.adam
        moments = {f"m.{name}": x.copy() for name, x in adam.m.named.items()}
        moments |= {f"v.{name}": x.copy() for name, x in adam.v.named.items()}
        moments["step"] = np.asarray(adam.steps, np.float32)
        return {name: x.copy() for name, x in state.parameters.named.items()}, moments

    def encode(self, p: Mapping[str, np.ndarray], view: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posterior means and log-variances."""
        return halves(_network(p, f"encoder.{view}", x))

    def decode(self, p: Mapping[str, np.ndarray], view: int, z: np.ndarray) -> np.ndarray:
        """The likelihood's outputs."""
        return _network(p, f"decoder.{view}", z)

    def train_step(
        self,
        state: State,
        batch: Batch,
        *,
        beta: float,
        learning_rate: float,
        coupling_rate: float = 1.0,
        weight_decay: float = 0.0,
        max_gradient_norm: float | None = None,
    ) -> dict[str, Any]:
        """One Adam step; the report is of the parameters before it."""
        with quiet():
            report = differentiate(state, batch, beta)
            if max_gradient_norm is not None:
                report["gradient_norm"] = norm = clip(state.gradients.whole, max_gradient_norm)
                if not math.isfinite(norm):
                    return report
            state.adam.step(learning_rate, learning_rate * coupling_rate, weight_decay)
        return report


def _network(p: Mapping[str, np.ndarray], part: str, x: np.ndarray) -> np.ndarray:
    """A part's outputs (..., n_L) for x (..., n_0), so many rows at a time that the layers between stay in the cache."""
    weights, biases = layers_of(p, part)
    rows = x.reshape(-1, x.shape[-1])
    outputs = np.empty((len(rows), len(biases[-1])), rows.dtype)
    for start in range(0, len(rows), _ROWS):
        at = slice(start, start + _ROWS)
        forward(weights, biases, rows[at], [None] * (len(biases) - 1) + [outputs[at]])
    return outputs.reshape(*x.shape[:-1], outputs.shape[1])


def _threads(model: Model) -> int:
    """One per view where that pays, and where the products have as many to give."""
    return 1 if model.weights < _LARGE else min(products_threads(), model.views)
