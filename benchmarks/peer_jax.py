"""PEER, not part of the project: the paper's model trained as a typical user of JAX and optax would write it.

Two 392-512-512-2x20 encoders, two 20-512-512-392 decoders, C = alpha * (I + A)(I - A)^-1, the orthogonal KL (Eq. 16), one
jit-compiled Adam step. It is what the engines' speed is measured against.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

LATENT, HIDDEN, PIXELS, ALPHA = 20, (512, 512), 392, 0.9
OPTIMISER = optax.adam(1e-3)


def dense_layers(key: Any, sizes: tuple[int, ...]) -> list[tuple[Any, Any]]:
    """LeCun-normal weights and zero biases."""
    keys = jax.random.split(key, len(sizes) - 1)
    make = jax.nn.initializers.lecun_normal()
    return [(make(k, (n, m)), jnp.zeros(m)) for k, n, m in zip(keys, sizes[:-1], sizes[1:], strict=True)]


def initial(seed: int) -> dict[str, Any]:
    """All parameters."""
    keys = jax.random.split(jax.random.key(seed), 5)
    encoder, decoder = (PIXELS, *HIDDEN, 2 * LATENT), (LATENT, *HIDDEN, PIXELS)
    return {
        "encoders": [dense_layers(k, encoder) for k in keys[:2]],
        "decoders": [dense_layers(k, decoder) for k in keys[2:4]],
        "skew": 0.01 * jax.random.uniform(keys[4], (LATENT * (LATENT - 1) // 2,)),
    }


def network(layers: list[tuple[Any, Any]], x: Any) -> Any:
    """ReLU between dense layers."""
    for W, b in layers[:-1]:
        x = jax.nn.relu(x @ W + b)
    W, b = layers[-1]
    return x @ W + b


def loss(p: dict[str, Any], views: tuple[Any, Any], key: Any) -> Any:
    """The negative ELBO per row (Eq. 5), beta = 1."""
    A = jnp.zeros((LATENT, LATENT)).at[jnp.triu_indices(LATENT, 1)].set(p["skew"])
    A, eye = A - A.T, jnp.eye(LATENT)
    C = ALPHA * jnp.linalg.solve(eye - A, eye + A)
    gamma, kl, reconstruction, means = 1.0 / (1.0 - ALPHA**2), 0.0, 0.0, []
    for x, encoder, decoder, k in zip(views, p["encoders"], p["decoders"], jax.random.split(key), strict=True):
        mean, log_var = jnp.split(network(encoder, x), 2, axis=-1)
        z = mean + jnp.exp(0.5 * log_var) * jax.random.normal(k, mean.shape)
        reconstruction += optax.sigmoid_binary_cross_entropy(network(decoder, z), x).sum(axis=-1)
        kl += 0.5 * (gamma * (mean**2 + jnp.exp(log_var)) - log_var - 1.0).sum(axis=-1)
        means.append(mean)
    kl -= 0.5 * (LATENT * jnp.log(gamma) + 2.0 * gamma * ((means[1] @ C) * means[0]).sum(axis=-1))
    return (reconstruction + kl).mean()


@functools.partial(jax.jit, donate_argnums=(0, 1))
def train_step(p: Any, state: Any, views: tuple[Any, Any], key: Any) -> tuple[Any, Any, Any]:
    """One Adam step."""
    value, gradient = jax.value_and_grad(loss)(p, views, key)
    updates, state = OPTIMISER.update(gradient, state)
    return optax.apply_updates(p, updates), state, value


class Peer:
    """Holds the training state: ``step(views)`` takes two NumPy arrays (B, 392) and returns the loss."""

    def __init__(self, seed: int = 0) -> None:
        self.parameters, self.key = initial(seed), jax.random.key(seed + 1)
        self.state = OPTIMISER.init(self.parameters)

    def step(self, views: tuple[np.ndarray, np.ndarray]) -> float:
        """One training step; waits for the result."""
        self.key, key = jax.random.split(self.key)
        self.parameters, self.state, value = train_step(self.parameters, self.state, views, key)
        return float(value)
