"""model/objective.py, differentiated by torch and by JAX: the dense loss, with the gradients of the NumPy engine's chain rule.

(The NumPy engine calls none of it, and is itself held to complex steps through the dense loss: test_conformance.py.)
"""

import array_api_compat.torch
import jax
import numpy as np
import pytest
import torch

from jpvae.model.objective import negative_elbo
from jpvae.testing import dense
from jpvae.testing.engines import loss_and_gradients
from jpvae.testing.examples import MODELS, PATTERNS, batches, parameters
from jpvae_numpy import Engine

BETA, STEP = 0.7, 2


def layers(xp, p, part, x):
    """Dense layers with ReLU between them, once more, and the linear path."""
    depth = sum(name.startswith(f"{part}.") and name.endswith(".bias") for name in p)
    beside = x @ p[f"{part}.linear.weight"] if f"{part}.linear.weight" in p else 0.0
    for k in range(depth):
        x = x @ p[f"{part}.{k}.weight"] + p[f"{part}.{k}.bias"]
        x = xp.where(x > 0, x, xp.zeros_like(x)) if k < depth - 1 else x
    return x + beside


def evaluated(model, p, batch, asarray, xp, *, ragged):
    def encode(i, x):
        outputs, n = layers(xp, p, f"encoder.{i}", x), model.latent_dims[i]
        return outputs[..., :n], outputs[..., n:]

    inputs = batch.inputs(asarray, ragged=ragged)
    return negative_elbo(model, p, inputs, encode, lambda i, z: layers(xp, p, f"decoder.{i}", z), beta=BETA, xp=xp)


def by_torch(model, p, batch):
    leaves = {name: torch.tensor(x, requires_grad=True) for name, x in p.items()}
    found = evaluated(model, leaves, batch, torch.as_tensor, array_api_compat.torch, ragged=True)
    found.loss.backward()
    return found, {name: x.grad for name, x in leaves.items()}


def by_jax(model, p, batch):
    def loss(leaves):
        found = evaluated(model, leaves, batch, jax.numpy.asarray, jax.numpy, ragged=False)
        return found.loss, found

    gradients, found = jax.jit(jax.grad(loss, has_aux=True))({name: jax.numpy.asarray(x) for name, x in p.items()})
    return found, gradients


CASES = [(by_torch, name, pattern) for name in MODELS for pattern in PATTERNS]
COMPILED = ("fused, orthogonal", "missing cells")  # it takes seconds to compile one: the others thoroughly
CASES += [
    pytest.param(by_jax, name, pattern, marks=() if name in COMPILED and pattern[0] == "holes" else pytest.mark.thorough)
    for name in MODELS
    for pattern in (("holes", "subset"), ("complete", "elbo"))
]


@pytest.mark.parametrize(("differentiate", "name", "pattern"), CASES)
def test_value_and_gradients(differentiate, name, pattern):
    """Largest entries below 1e3, sums of fewer than 1e3 terms, frames solved with a condition below 10: within 1e-11."""
    model, p, batch = MODELS[name], parameters(MODELS[name]), batches(MODELS[name], *pattern).at(STEP)
    found, gradients = differentiate(model, p, batch)
    expected = dense.loss(model, p, batch, BETA)
    for part, value in expected.items():
        assert np.asarray(getattr(found, part).tolist()) == pytest.approx(value, rel=1e-11, abs=1e-11)
    _, slopes = loss_and_gradients(Engine(model, "float64"), p, batch, BETA)
    assert gradients.keys() == slopes.keys()
    for key, slope in slopes.items():
        assert np.asarray(gradients[key].tolist()) == pytest.approx(slope, rel=1e-11, abs=1e-11), key
