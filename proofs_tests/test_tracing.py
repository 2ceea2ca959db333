"""One mathematics under every transformation: jit, vmap over rows and over a stack of models, torch.compile, batch axes.

Each must give what the plain call gives, model by model and row by row, on NumPy in float64.
"""

import jax
import numpy as np
import oracles
import pytest
import torch
from strategies import PAIRS, STRUCTURES, THREE_VIEWS, Model, posterior

import jpvae_core as jc

MODELS, ROWS = 3, 2
USED = (PAIRS[0], PAIRS[1], THREE_VIEWS)


def everything(structure, parameters, latents, log_vars, mask, noise):
    """Every function that a training or an imputing step calls, from the free parameters on."""
    prior = structure.prior(parameters)
    means, covariances = jc.condition(prior, latents, mask, log_vars=log_vars)
    return (
        jc.kl_divergence(latents, log_vars, prior, mask),
        *jc.complete(prior, latents, mask, noise),
        *means,  # by conditional_mean
        *(block for row in covariances for block in row),
        prior.covariance(),
        prior.log_det(),
    )


def inputs(structure):
    """Per model of a stack: parameters, latents, log_vars, mask by row, noise. Seeds differ, so do the numbers."""
    rng = np.random.default_rng(0)
    stack = []
    for seed in range(MODELS):
        latents, log_vars = posterior(structure.dims, ROWS, seed)
        size = sum(structure.dims) + (structure.rank if structure.kind == "canonical" else 0)
        mask = np.asarray([[True, False, True], [False, False, True]])[:, -len(structure.dims) :]
        noise = rng.standard_normal((ROWS, size)).astype(np.float32).astype(float)
        stack.append((Model(structure, seed, reach=2.0).parameters, list(latents), list(log_vars), mask, noise))
    return stack


def stacked(stack):
    """One tree with a leading axis of models."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *stack)


def tolerance(structure, eps, want):
    """Two evaluations of one formula differ by twice its error: oracles.kl_and_condition with inputs of a few units."""
    kappa = max(oracles.frame_condition(Model(structure, seed, reach=2.0)) for seed in range(MODELS))
    stiff = max(oracles.stiffness(Model(structure, seed, reach=2.0)) for seed in range(MODELS))
    return 2 * 16 * len(structure.dims) * max(structure.dims) ** 2 * kappa * stiff * eps * (1 + np.abs(want).max())


def agree(structure, got, eps):
    """Every output of the stack equals the plain call on its model."""
    for k, one in enumerate(inputs(structure)):
        for x, want in zip(got, everything(structure, *one), strict=True):
            x = np.asarray(x[k], dtype=float)
            assert x.shape == want.shape
            assert np.all(np.abs(x - want) <= tolerance(structure, eps, want))


@pytest.mark.parametrize("structure", USED[::2], ids=lambda s: s.kind)
def test_leading_axes_on_the_parameters_are_a_loop_over_models(xp, structure):
    agree(structure, xp.call(everything, structure, *stacked(inputs(structure))), xp.eps)


@pytest.mark.parametrize("structure", USED[1:2], ids=lambda s: s.kind)
def test_jax_vmap_over_models(structure):
    run = jax.jit(jax.vmap(lambda *one: everything(structure, *one)))
    agree(structure, run(*jax.tree.map(jax.numpy.asarray, stacked(inputs(structure)))), 2.0**-52)


@pytest.mark.parametrize("structure", USED, ids=lambda s: s.kind)
def test_torch_vmap_over_models(structure):
    run = torch.func.vmap(lambda *one: everything(structure, *one))
    agree(structure, run(*jax.tree.map(torch.tensor, stacked(inputs(structure)))), 2.0**-52)


@pytest.mark.parametrize("structure", USED, ids=lambda s: s.kind)
def test_torch_compile_without_a_graph_break(structure):
    torch._dynamo.reset()
    run = torch.compile(lambda *one: everything(structure, *one), fullgraph=True, backend="eager")
    outputs = [run(*jax.tree.map(torch.tensor, one)) for one in inputs(structure)]
    agree(structure, [torch.stack(x) for x in zip(*outputs, strict=True)], 2.0**-52)


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_vmap_over_rows(framework):
    """A row alone: (n_i,) in, () out; mapped over the rows it is the batch."""
    parameters, latents, log_vars, _, _ = inputs(THREE_VIEWS)[0]

    def one_row(mean, log_var, parameters):
        return jc.kl_divergence(mean, log_var, THREE_VIEWS.prior(parameters))

    vmap, array = (jax.vmap, jax.numpy.asarray) if framework == "jax" else (torch.func.vmap, torch.tensor)
    run = vmap(one_row, in_dims=(0, 0, None)) if framework == "torch" else jax.jit(vmap(one_row, in_axes=(0, 0, None)))
    got = np.asarray(run(*jax.tree.map(array, (latents, log_vars, parameters))))
    want = jc.kl_divergence(latents, log_vars, THREE_VIEWS.prior(parameters))
    assert np.all(np.abs(got - want) <= tolerance(THREE_VIEWS, 2.0**-52, want))


def test_jax_without_jit():
    """The other tests of JAX run under jit; this one dispatches operation by operation."""
    structure = STRUCTURES[-1]
    latents, log_vars = posterior(structure.dims, ROWS, 1)
    model = Model(structure, 1)
    arrays = jax.tree.map(jax.numpy.asarray, (list(latents), list(log_vars), model.parameters))
    got = np.asarray(jc.kl_divergence(*arrays[:2], structure.prior(arrays[2])))
    for row in range(ROWS):
        want, condition = oracles.kl_and_condition(model, latents[0][row], log_vars[0][row], (True,))
        assert abs(got[row] - want) <= condition * 2.0**-52
