"""The JAX engine: one compiled function is a training step, the gradient by ``jax.value_and_grad`` of the objective."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jpvae.errors import ConfigError
from jpvae.model.batch import Batch, Inputs
from jpvae.model.model import Model
from jpvae.model.objective import Objective, negative_elbo

from .adam import BETA_1, BETA_2, Arrays, moved, norm, squares

Decoded = tuple[tuple[tuple[int, ...], ...], ...]  # own and crossed: of each view, the k of all that it decodes


@dataclass
class State:
    """A training in progress: parameters and Adam's moments by name."""

    parameters: Arrays
    m: Arrays
    v: Arrays
    steps: int


class Engine:
    """The JAX engine; the methods are those of ``jpvae.engines.Engine``. A step is compiled once for every shape of batch.

    Parameters
    ----------
    model : Model
    dtype : {"float32", "float64"}
        "float64" needs ``jax.config.update("jax_enable_x64", True)`` first.
    device : str
        A platform of JAX, as "cpu" or "gpu".

    Raises
    ------
    ConfigError
        If float64 is not enabled.
    RuntimeError
        If there is no such device. (``jpvae.engines.engine`` makes a ConfigError of it.)

    Examples
    --------
    >>> import numpy as np
    >>> from jpvae.model.model import Model
    >>> from jpvae_jax import Engine
    >>> model = Model((3, 2), (2, 2), ("gaussian", "gaussian"), hidden=(4,))
    >>> made = Engine(model)
    >>> state = made.start(model.initial_parameters(0))
    >>> mean, log_var = made.encode(made.parameters(state), 0, made.asarray(np.zeros((5, 3))))
    >>> mean.shape
    (5, 2)
    """

    xp = jnp

    def __init__(self, model: Model, dtype: str = "float32", device: str = "cpu") -> None:
        if dtype == "float64" and not jax.config.jax_enable_x64:  # type: ignore[attr-defined]  # JAX's stubs lack it
            raise ConfigError('dtype is float64; call jax.config.update("jax_enable_x64", True) first, or take float32')
        self.model, self.dtype, self.device = model, dtype, jax.devices(device)[0]
        self._arguments = model, dtype, device
        self._gradient = jax.jit(self._objective, static_argnames=("decoded", "limited"))
        self._move = jax.jit(self._adam_step, donate_argnums=(0, 1, 2))
        self._norm = jax.jit(norm)
        self._network = jax.jit(_network)

    def __reduce__(self) -> tuple[type[Engine], tuple[Model, str, str]]:
        return Engine, self._arguments  # compiled functions can be neither copied nor pickled

    def asarray(self, x: np.ndarray) -> jax.Array:
        """Bool stays bool, all else takes the engine's dtype."""
        made: jax.Array = jax.device_put(self._host(x), self.device)
        return made

    def _host(self, x: np.ndarray) -> np.ndarray:
        """The same in NumPy: a compiled function takes it to its device in less time."""
        return x if x.dtype == np.bool_ else np.asarray(x, self.dtype)

    def numpy(self, x: jax.Array) -> np.ndarray:
        """A NumPy copy."""
        return np.array(x)

    def network_parameters(self, seed: int) -> dict[str, np.ndarray]:
        """There are none: all networks are dense layers."""
        return {}

    def start(self, parameters: Mapping[str, np.ndarray], optimizer: Mapping[str, np.ndarray] | None = None) -> State:
        """The parameters as JAX's own copies, which the steps write over; Adam's moments where training goes on."""
        kept = {name: jnp.copy(self.asarray(x)) for name, x in parameters.items()}
        if optimizer:
            m, v = ({name: jnp.copy(self.asarray(optimizer[f"{moment}.{name}"])) for name in kept} for moment in "mv")
            return State(kept, m, v, int(optimizer["step"]))
        m, v = ({name: jnp.zeros_like(x) for name, x in kept.items()} for _ in "mv")
        return State(kept, m, v, 0)

    def parameters(self, state: State) -> Arrays:
        """Copies of the parameters: the next step writes over the state's own."""
        return {name: jnp.copy(x) for name, x in state.parameters.items()}

    def to_arrays(self, state: State) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Parameters, and Adam's step count and moments."""
        moments = {f"m.{name}": self.numpy(x) for name, x in state.m.items()}
        moments |= {f"v.{name}": self.numpy(x) for name, x in state.v.items()}
        moments["step"] = np.asarray(state.steps, np.float32)
        return {name: self.numpy(x) for name, x in state.parameters.items()}, moments

    def encode(self, p: Mapping[str, jax.Array], view: int, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Posterior means and log-variances."""
        outputs, n = self._network(*self._layers(p, f"encoder.{view}"), x), self.model.latent_dims[view]
        return outputs[..., :n], outputs[..., n:]

    def decode(self, p: Mapping[str, jax.Array], view: int, z: jax.Array) -> jax.Array:
        """The likelihood's outputs."""
        outputs: jax.Array = self._network(*self._layers(p, f"decoder.{view}"), z)
        return outputs

    def _layers(self, p: Mapping[str, jax.Array], part: str) -> tuple[list[tuple[jax.Array, jax.Array]], jax.Array | None]:
        depth = self.model.depth(int(part.partition(".")[2]))
        return [(p[f"{part}.{k}.weight"], p[f"{part}.{k}.bias"]) for k in range(depth)], p.get(f"{part}.linear.weight")

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
        inputs = batch.inputs(self._host, ragged=False)
        decoded = tuple(tuple(tuple(k for k, _ in each) for each in rows) for rows in (inputs.own, inputs.crossed))
        limited, share, length = max_gradient_norm is not None, 1.0, 0.0
        gradient, found, total = self._gradient(
            state.parameters,
            inputs._replace(own=(), crossed=()),
            self._host(np.asarray(beta)),
            decoded=decoded,
            limited=limited,
        )
        if max_gradient_norm is not None:
            length = self._length(gradient, float(total))
            share = min(1.0, max_gradient_norm / length) if length > 0.0 else 1.0
        if math.isfinite(length):
            state.steps += 1
            corrections = 1.0 - BETA_1**state.steps, 1.0 - BETA_2**state.steps
            rates = learning_rate, learning_rate * coupling_rate, learning_rate * weight_decay
            arrays, settings = (state.parameters, state.m, state.v), self._host(np.asarray([*rates, *corrections, share]))
            state.parameters, state.m, state.v = self._move(*arrays, gradient, settings)
        loss, kl, reconstruction = jax.device_get((found.loss, found.kl, found.reconstruction))
        report: dict[str, Any] = {"loss": float(loss), "kl": float(kl), "reconstruction": reconstruction.tolist()}
        if limited:
            report["gradient_norm"] = length
        if not math.isfinite(report["loss"]):
            report["rows"] = found.by_row(batch, self.numpy, ragged=False)
        return report

    def _length(self, gradient: Arrays, total: float) -> float:
        """|g|, of the sum of its squares where that is inside the dtype's range."""
        limits = np.finfo(self.dtype)
        inside = float(limits.tiny) ** 0.5 < total < float(limits.max)
        return math.sqrt(total) if inside else float(self._norm(gradient))

    def _objective(
        self, p: Arrays, batch: Inputs[jax.Array], beta: jax.Array, *, decoded: Decoded, limited: bool
    ) -> tuple[Arrays, Objective[jax.Array], jax.Array | None]:
        """The gradient, the objective, and where the gradient is limited |g|^2."""
        whole: Any = slice(None)
        own, crossed = (tuple([(k, whole) for k in each] for each in rows) for rows in decoded)
        batch = batch._replace(own=own, crossed=crossed)

        def loss(p: Arrays) -> tuple[jax.Array, Objective[jax.Array]]:
            found = negative_elbo(
                self.model, p, batch, lambda i, x: self.encode(p, i, x), lambda i, z: self.decode(p, i, z), beta=beta, xp=jnp
            )
            return found.loss, found

        gradient, found = jax.grad(loss, has_aux=True)(p)
        return gradient, found, squares(gradient) if limited else None

    def _adam_step(
        self, p: Arrays, m: Arrays, v: Arrays, gradient: Arrays, settings: jax.Array
    ) -> tuple[Arrays, Arrays, Arrays]:
        """All arrays after the step, in the memory of those before it."""
        rate, slow_rate, decayed, *corrections, share = settings
        new_p, new_m, new_v = {}, {}, {}
        for name, x in p.items():
            each = slow_rate if name in self.model.coupling_parameters else rate
            move, new_m[name], new_v[name] = moved(share * gradient[name], m[name], v[name], jnp.stack(corrections), each)
            decay = self.model.decay(name, x.ndim)
            new_p[name] = ((1.0 - decay * decayed) * x if decay else x) - move
        return new_p, new_m, new_v


def _network(layers: list[tuple[jax.Array, jax.Array]], path: jax.Array | None, x: jax.Array) -> jax.Array:
    """Dense layers with ReLU between them, and the linear path beside them."""
    beside = 0.0 if path is None else x @ path
    for k, (weight, bias) in enumerate(layers):
        x = x @ weight + bias
        x = jax.nn.relu(x) if k < len(layers) - 1 else x
    return x + beside
