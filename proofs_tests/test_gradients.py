"""Gradients of the KL by torch and JAX against 80-digit central differences of the dense Eq. 7.

With respect to everything that is learned: means, log-variances, skew parameters, logits or alpha; masked too; and
through s = 0, where a square root of s would have no derivative.
"""

import functools

import jax
import numpy as np
import oracles
import pytest
import torch
from strategies import Model, Structure, posterior

import jpvae_core as jc

STRUCTURES = (
    Structure("orthogonal", (2, 2), 2),
    Structure("svd-sigmoid", (2, 3), 2),
    Structure("svd-tanh", (3, 2), 1),
    Structure("canonical", (1, 3, 2), 1),
)
ROWS, MASKS = 1, {"all": (True, True, True), "some": (True, False, True), "pair": (False, True, True)}


def total(structure, leaves, signs, mask):
    """sum(KL) from a dict of leaves: means, log_vars and entries per view, logits or alpha."""
    continuous = {name: leaves[name] for name in ("entries", "alpha", "logits") if name in leaves}
    return jc.kl_divergence(leaves["means"], leaves["log_vars"], structure.prior(continuous | {"signs": signs}), mask).sum()


@functools.cache
def jax_gradient(structure):
    return jax.jit(jax.grad(functools.partial(total, structure)))


def gradient(framework, dtype, structure, leaves, signs, mask):
    """The gradient by automatic differentiation, in the order of jax.tree.leaves, float64."""
    flat, tree = jax.tree.flatten(leaves)
    if framework == "jax":
        arrays = jax.tree.unflatten(tree, [jax.numpy.asarray(x, dtype=dtype) for x in flat])
        return [np.asarray(x, dtype=float) for x in jax.tree.leaves(jax_gradient(structure)(arrays, signs, np.asarray(mask)))]
    flat = [torch.tensor(x, dtype=getattr(torch, dtype), requires_grad=True) for x in flat]
    total(structure, jax.tree.unflatten(tree, flat), signs, torch.tensor(mask)).backward()
    # C = alpha R has no frame for the first view: torch leaves that gradient None where JAX and the truth have 0.
    return [np.zeros(x.shape) if x.grad is None else x.grad.double().numpy() for x in flat]


def leaves_of(model):
    means, log_vars = posterior(model.structure.dims, ROWS, model.seed)
    rest = {name: x for name, x in model.parameters.items() if name != "signs"}
    return {"means": list(means), "log_vars": list(log_vars)} | rest


@functools.cache
def truth(model, mask):
    """Central differences of the dense KL, leaf by leaf."""
    leaves, keep = leaves_of(model), oracles.coordinates(model.structure.dims, mask)
    flat, tree = jax.tree.flatten(leaves)

    def exact_kl(k, x):
        now = jax.tree.unflatten(tree, [x if i == k else oracles.exact(y) for i, y in enumerate(flat)])
        S = oracles.covariance(model.structure, now | {"signs": model.parameters["signs"]})
        mean, log_var = (np.concatenate([y[0] for y in now[name]])[keep] for name in ("means", "log_vars"))
        return oracles.kl(S[np.ix_(keep, keep)], mean, log_var)

    return [oracles.derivatives(functools.partial(exact_kl, k), x) for k, x in enumerate(flat)]


def error(model, mask, eps):
    """How far rounding may move a derivative of the KL.

    Each is a sum of products of the factors of the KL: its weights (at most Lambda = |Sigma^-1|) and the inputs, where
    differentiating e^t or a coordinate Q^T mu gives terms no larger than the KL's own, and (I - A)^-1, of norm at most 1,
    with kappa once more from its adjoint solve. So: the KL's own error, times 4 for the sums in the chain rule, times kappa.
    alpha is its own parameter: s/(1-s) has derivative 1/(1-s)^2, one factor Lambda more than in a logit.
    """
    leaves = leaves_of(model)
    rows = (np.concatenate([x[0] for x in leaves[name]]) for name in ("means", "log_vars"))
    extra = oracles.stiffness(model) if model.structure.kind == "orthogonal" else 1
    return 4 * oracles.kl_and_condition(model, *rows, mask)[1] * oracles.frame_condition(model) * extra * eps


@pytest.mark.parametrize("pattern", ["all", "some"])
@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.kind)
@pytest.mark.parametrize(("framework", "dtype"), [("torch", "float32"), ("torch", "float64"), ("jax", "float64")])
def test_gradient_is_the_derivative_of_the_dense_kl(framework, dtype, structure, pattern):
    mask = MASKS[pattern][: len(structure.dims)]
    for seed in (1, 2):
        model = Model(structure, seed)
        got = gradient(framework, dtype, structure, leaves_of(model), model.parameters["signs"], mask)
        for x, want in zip(got, truth(model, mask), strict=True):
            assert x.shape == want.shape
            assert np.all(np.abs(x - want) <= error(model, mask, float(np.finfo(dtype).eps)))


@pytest.mark.parametrize("structure", [STRUCTURES[0], STRUCTURES[2]], ids=lambda s: s.kind)
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_smooth_through_zero_correlation(framework, structure):
    model, mask = Model(structure, 4, level=0.0), (True, True)
    if structure.kind == "orthogonal":
        model = Model(structure, 4, reach=0.0)
    assert not np.any(model.parameters.get("logits", model.parameters.get("alpha")))
    got = gradient(framework, "float64", structure, leaves_of(model), model.parameters["signs"], mask)
    for x, want in zip(got, truth(model, mask), strict=True):
        assert np.all(np.abs(x - want) <= error(model, mask, 2.0**-52))  # NaN fails


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_strong_unequal_coupling_has_finite_gradients(framework):
    """Logits of 40 and -40 in float32: the loadings are 1 and 1e-9, and no derivative is NaN, infinite or wrong."""
    structure = STRUCTURES[3]
    model = Model(structure, 3, reach=40.0)
    got = gradient(framework, "float32", structure, leaves_of(model), model.parameters["signs"], MASKS["all"])
    for x, want in zip(got, truth(model, MASKS["all"]), strict=True):
        assert np.all(np.abs(x - want) <= error(model, MASKS["all"], 2.0**-23))
