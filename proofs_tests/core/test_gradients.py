"""Gradients of the KL by torch and JAX against 80-digit central differences of the dense Eq. 7.

With respect to everything that is learned: means, log-variances, skew parameters, logits or alpha; masked too; and
through s = 0, where a square root of s would have no derivative. The tolerance is at most a hundredth of the largest
derivative, so a gradient of zero fails.
"""

import functools

import jax
import numpy as np
import oracles
import pytest
import torch
from strategies import Model, Posterior, Structure

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
    return jc.kl_divergence(structure.prior(continuous | {"signs": signs}), leaves["means"], leaves["log_vars"], mask).sum()


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
    means, log_vars = Posterior(model.seed, 1.0, -1.0).rows(model.structure.dims, ROWS)
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


def check(framework, dtype, model, mask):
    """Every derivative within the error bound, which is small beside the largest. Returns the bound and the truth."""
    got, wanted = (
        gradient(framework, dtype, model.structure, leaves_of(model), model.parameters["signs"], mask),
        truth(model, mask),
    )
    tolerance = error(model, mask, float(np.finfo(dtype).eps))
    for x, want in zip(got, wanted, strict=True):
        assert x.shape == want.shape
        assert np.all(np.abs(x - want) <= tolerance)  # NaN fails
    assert tolerance < 1e-2 * max(np.abs(want).max(initial=0.0) for want in wanted)
    return tolerance, wanted


@pytest.mark.parametrize("pattern", ["all", "some"])
@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.kind)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_gradient_is_the_derivative_of_the_dense_kl(framework, dtype, structure, pattern):
    for seed in (7, 9):
        tolerance, wanted = check(framework, dtype, Model(structure, seed), MASKS[pattern][: len(structure.dims)])
        # Nor does a gradient that is zero in one leaf pass: each leaf that has a derivative at all has a large one.
        sizes = [np.abs(want).max(initial=0.0) for want in wanted]
        assert all(size > 10 * tolerance for size in sizes if size > 1e-20)  # (differences in 80 digits: 0 is 1e-50)


@pytest.mark.parametrize("structure", [STRUCTURES[0], STRUCTURES[2]], ids=lambda s: s.kind)
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_smooth_through_zero_correlation(framework, structure):
    model = Model(structure, 4, reach=0.0)
    assert not np.any(model.parameters.get("logits", model.parameters.get("alpha")))
    check(framework, "float64", model, (True, True))


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_strong_unequal_coupling_has_finite_gradients(framework):
    """float32: logits of 40, -40 and 36, two views that are nearly one; then of -40, 28 and -40, hardly coupled at all."""
    for seed, stiff in ((16, True), (3, False)):
        model = Model(STRUCTURES[3], seed, reach=40.0)
        assert (oracles.stiffness(model) > 1e15) is stiff
        check(framework, "float32", model, MASKS["all"])
