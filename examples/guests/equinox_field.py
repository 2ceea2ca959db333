"""Equinox: a joint prior as a field of an ``eqx.Module``, under ``eqx.filter_jit``, ``eqx.filter_grad`` and ``eqx.partition``.

Two halves of digits, each as its three first principal components with unit variances. The prior that maximises their joint
density is known: its singular values are the canonical correlations. The number: how far the learned ones are from them.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import jpvae_core as jc

n, halves = 3, np.hsplit(load_digits().data, 2)
scores = [PCA(n, whiten=True).fit_transform(half) for half in halves]
scores = [jnp.asarray(z / z.std(0), dtype=jnp.float32) for z in scores]


class Halves(eqx.Module):
    prior: jc.JointPrior
    name: str  # no array: the filters pass it by

    def __call__(self, z):
        return -jc.log_density(self.prior, z).mean()


class Raw(eqx.Module):
    """What an optimiser may move freely: the skew entries of two rotations, and the logits of the singular values."""

    skew: jax.Array
    logits: jax.Array

    def halves(self):
        V, U = (jc.orthogonal(entries, n) for entries in self.skew)
        return Halves(jc.JointPrior.svd(U, self.logits, V, bound="tanh"), "digits")


@eqx.filter_jit
def step(raw, state):
    gradients = eqx.filter_grad(lambda raw: raw.halves()(scores))(raw)
    updates, state = adam.update(gradients, state)
    return eqx.apply_updates(raw, updates), state


raw, adam = Raw(0.1 * jax.random.normal(jax.random.key(0), (2, n * (n - 1) // 2)), jnp.ones(n)), optax.adam(0.02)
state = adam.init(eqx.filter(raw, eqx.is_inexact_array))
for _ in range(1000):
    raw, state = step(raw, state)

found = eqx.filter_jit(Raw.halves)(raw)  # a module with a prior goes out of a compiled function, and into the next
arrays, rest = eqx.partition(found, eqx.is_array)
assert eqx.combine(arrays, rest).prior == found.prior
slope = eqx.filter_jit(eqx.filter_grad(Halves.__call__))(found, scores)  # the gradient is a module of the same fields
assert jax.tree.structure(slope.prior) == jax.tree.structure(found.prior)  # type: ignore[operator]  # JAX's stubs lack it

exact = np.linalg.svd(np.asarray(scores[1]).T @ np.asarray(scores[0]) / len(halves[0]), compute_uv=False)
learned = np.sort(np.abs(np.tanh(np.asarray(raw.logits) / 2)))[::-1]
error = float(np.abs(learned - exact).max())
print(f"canonical correlations {exact.round(3)}, learned {learned.round(3)}: largest error {error:.1e}")
assert error < 1e-3
