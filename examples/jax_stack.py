"""The core under JAX: gradients and jit through the prior's parameters, and a stack of models by vmap."""

from typing import Any

import jax
import jax.numpy as jnp

import jpvae_core as jc

keys = jax.random.split(jax.random.key(0), 5)
models, rows, dims, d = 3, 6, (5, 4, 3), 2
means = [jax.random.normal(k, (rows, n)) for k, n in zip(keys[:3], dims, strict=True)]
log_vars = [0.1 * m for m in means]
mask = jnp.asarray([[1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=bool)


def divergence(parameters: Any) -> jax.Array:
    frames = [jc.frame(p, n, d) for p, n in zip(parameters["frames"], dims, strict=True)]
    prior = jc.JointPrior.canonical(frames, parameters["logits"])
    return jc.kl_divergence(prior, means, log_vars, mask).sum()


stack = {
    "frames": [0.3 * jax.random.normal(keys[3], (models, n * (n - 1) // 2)) for n in dims],
    "logits": jax.random.normal(keys[4], (models, len(dims), d)),
}
values, gradients = jax.jit(jax.vmap(jax.value_and_grad(divergence)))(stack)
print("KL of three models at once, six rows with six patterns of missing views:", values)
assert jnp.isfinite(gradients["logits"]).all()
