"""Adam (Kingma and Ba 2015) with decoupled weight decay, on dicts of arrays.

m += (1 - b1) (g - m)        v = b2 v + (1 - b2) g^2        p (1 - rate decay) - rate m^ / (sqrt(v^) + eps)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

Arrays = dict[str, jax.Array]
BETA_1, BETA_2, EPS = 0.9, 0.999, 1e-8


def squares(gradient: Arrays) -> jax.Array:
    """|g|^2 of all arrays together."""
    return jnp.asarray(sum(jnp.sum(g * g) for g in gradient.values()))


def norm(gradient: Arrays) -> jax.Array:
    """|g|; the largest entry is taken out first, so that no square overflows."""
    largest = jnp.stack([jnp.abs(g).max(initial=0.0) for g in gradient.values()]).max()
    unit = jnp.where(largest > 0, largest, 1.0)
    return unit * jnp.sqrt(squares({name: g / unit for name, g in gradient.items()}))


def moved(g: jax.Array, m: jax.Array, v: jax.Array, corrections: jax.Array, rate: jax.Array) -> tuple[jax.Array, ...]:
    """Adam's move, to be subtracted, and the moments after it. corrections: 1 - b1^t and 1 - b2^t."""
    m = m + (1.0 - BETA_1) * (g - m)
    v = BETA_2 * v + (1.0 - BETA_2) * g * g
    return rate * (m / corrections[0]) / (jnp.sqrt(v / corrections[1]) + EPS), m, v
