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

from .adam import BETA_1, BETA_2, Arrays, moved, norm

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
        self._step = jax.jit(self._whole_step, static_argnames="decoded")
        self._network = jax.jit(_network)

    def __reduce__(self) -> tuple[type[Engine], tuple[Model, str, str]]:
        return Engine, self._arguments  # compiled functions can be neither copied nor pickled

    def asarray(self, x: np.ndarray) -> jax.Array:
        """Bool stays bool, all else takes the engine's dtype."""
        made: jax.Array = jax.device_put(np.asarray(x, np.bool_ if x.dtype == np.bool_ else self.dtype), self.device)
        return made

    def numpy(self, x: jax.Array) -> np.ndarray:
        """A NumPy copy."""
        return np.array(x)

    def network_parameters(self, seed: int) -> dict[str, np.ndarray]:
        """There are none: all networks are dense layers."""
        return {}

    def start(self, parameters: Mapping[str, np.ndarray], optimizer: Mapping[str, np.ndarray] | None = None) -> State:
        """The parameters as JAX's, which nothing changes in place; Adam's moments where training goes on."""
        kept = {name: self.asarray(x) for name, x in parameters.items()}
        if optimizer:
            m, v = ({name: self.asarray(optimizer[f"{moment}.{name}"]) for name in kept} for moment in "mv")
            return State(kept, m, v, int(optimizer["step"]))
        zeros = {name: jnp.zeros_like(x) for name, x in kept.items()}
        return State(kept, zeros, dict(zeros), 0)

    def parameters(self, state: State) -> Arrays:
        """The parameters."""
        return dict(state.parameters)

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
        inputs = batch.inputs(self.asarray, ragged=False)
        decoded = tuple(tuple(tuple(k for k, _ in each) for each in rows) for rows in (inputs.own, inputs.crossed))
        t, limited = state.steps + 1, max_gradient_norm is not None
        most = math.inf if max_gradient_norm is None else max_gradient_norm
        corrections = 1.0 - BETA_1**t, 1.0 - BETA_2**t
        numbers = [beta, learning_rate, learning_rate * coupling_rate, learning_rate * weight_decay, most, *corrections]
        arrays = state.parameters, state.m, state.v
        settings = self.asarray(np.asarray(numbers))
        found, length, *after = self._step(*arrays, inputs._replace(own=(), crossed=()), settings, decoded=decoded)
        if not limited or math.isfinite(length):
            (state.parameters, state.m, state.v), state.steps = after, t
        report: dict[str, Any] = {
            "loss": float(found.loss),
            "kl": float(found.kl),
            "reconstruction": found.reconstruction.tolist(),
        }
        if limited:
            report["gradient_norm"] = float(length)
        if not math.isfinite(report["loss"]):
            report["rows"] = found.by_row(batch, self.numpy, ragged=False)
        return report

    def _whole_step(
        self, p: Arrays, m: Arrays, v: Arrays, batch: Inputs[jax.Array], settings: jax.Array, *, decoded: Decoded
    ) -> tuple[Objective[jax.Array], jax.Array, Arrays, Arrays, Arrays]:
        """The objective, |g|, and all arrays after the step."""
        beta, rate, slow_rate, decayed, most, *corrections = settings
        whole: Any = slice(None)
        own, crossed = (tuple([(k, whole) for k in each] for each in rows) for rows in decoded)
        batch = batch._replace(own=own, crossed=crossed)

        def loss(p: Arrays) -> tuple[jax.Array, Objective[jax.Array]]:
            found = negative_elbo(
                self.model, p, batch, lambda i, x: self.encode(p, i, x), lambda i, z: self.decode(p, i, z), beta=beta, xp=jnp
            )
            return found.loss, found

        gradient, found = jax.grad(loss, has_aux=True)(p)
        length = norm(gradient)
        share = jnp.where(length > most, most / length, 1.0)
        new_p, new_m, new_v = {}, {}, {}
        for name, x in p.items():
            each = slow_rate if name in self.model.coupling_parameters else rate
            move, new_m[name], new_v[name] = moved(share * gradient[name], m[name], v[name], jnp.stack(corrections), each)
            decay = self.model.decay(name, x.ndim)
            new_p[name] = ((1.0 - decay * decayed) * x if decay else x) - move
        return found, length, new_p, new_m, new_v


def _network(layers: list[tuple[jax.Array, jax.Array]], path: jax.Array | None, x: jax.Array) -> jax.Array:
    """Dense layers with ReLU between them, and the linear path beside them."""
    beside = 0.0 if path is None else x @ path
    for k, (weight, bias) in enumerate(layers):
        x = x @ weight + bias
        x = jax.nn.relu(x) if k < len(layers) - 1 else x
    return x + beside
