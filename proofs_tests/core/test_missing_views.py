"""A missing view is integrated out of the prior: masked KL = KL against the observed views' sub-block of Sigma.

Row by row, for every subset; with one view observed it is the ordinary VAE's KL, with none it is 0. What a missing view
holds is ignored, NaN included, and gets gradient 0. Source: Eq. 7 on a marginal of the joint prior.
"""

import functools

import calls
import jax
import numpy as np
import oracles
import pytest
import strategies
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import KINDS, PAIRS, THREE_VIEWS, Model, holes, models, patterns, posterior, posteriors

import jpvae_core as jc

SEEDS = st.integers(0, 99)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), q=posteriors())
def test_every_pattern_is_the_dense_kl_of_its_sub_block(xp, kind, data, q):
    model = data.draw(models(xp, kind, reach=(0.5, 3.0, 12.0, 30.0)))
    masks = strategies.masks(len(model.structure.dims), q.seed)
    means, log_vars = q.rows(model.structure.dims, len(masks))
    want, condition = oracles.kl_rows(model, means, log_vars, masks)
    got = xp.call(calls.kl, model.structure, model.framed(xp), holes(means, masks), holes(log_vars, masks), masks)
    assert got[0] == 0  # no view observed, exactly
    assert np.all(np.abs(got - want) <= condition * xp.eps)


@given(seed=SEEDS, level=st.sampled_from([0.0, 15.0, 40.0, 80.0]))
def test_one_observed_view_is_an_ordinary_kl_however_strong_the_coupling(xp, seed, level):
    model = Model(THREE_VIEWS, seed, level=level)
    masks = patterns(3)  # rows 1, 2 and 4 show one view
    means, log_vars = posterior(THREE_VIEWS.dims, 8, seed)
    got = xp.call(calls.kl, THREE_VIEWS, model.framed(xp), means, log_vars, masks)
    for i in range(3):
        m, v = oracles.exact(means[i][2**i]), oracles.exact(log_vars[i][2**i])
        want = float(sum(m**2 + oracles.exp(v) - 1 - v) / 2)
        # Orthonormal frames leave m^2 as it was, to the frame's error (oracles.kl_and_condition with Lambda = 1).
        condition = 16 * 16 * oracles.frame_condition(model) * float(sum(m**2 + oracles.exp(v) + abs(v) + 1)) / 2
        assert abs(got[2**i] - want) <= condition * xp.eps


@given(seed=SEEDS)
def test_one_pattern_for_all_rows(xp, seed):
    model = Model(THREE_VIEWS, seed)
    means, log_vars = posterior(THREE_VIEWS.dims, 2, seed)
    for mask in patterns(3):
        want, condition = oracles.kl_rows(model, means, log_vars, [mask, mask])
        for number in (bool, int):  # True or 1
            got = xp.call(calls.kl, THREE_VIEWS, model.framed(xp), means, log_vars, mask.astype(number))
            assert np.all(np.abs(got - want) <= condition * xp.eps)


@pytest.mark.parametrize("structure", [PAIRS[1], THREE_VIEWS], ids=lambda s: s.kind)
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_nan_in_a_missing_view_has_gradient_zero(framework, structure):
    model, masks = Model(structure, 3), patterns(len(structure.dims))
    means, log_vars = posterior(structure.dims, len(masks), 1)
    with_holes = gradient(framework, model, (holes(means, masks), holes(log_vars, masks)), masks)
    for x, y in zip(with_holes, gradient(framework, model, (means, log_vars), masks), strict=True):
        assert np.all(np.isfinite(x))
        np.testing.assert_array_equal(x, y)  # what is missing changes nothing, to the bit
    for i in range(len(structure.dims)):
        for x in (with_holes[i], with_holes[len(structure.dims) + i]):
            assert np.all(x[~masks[:, i]] == 0)
            assert np.all(x[masks[:, i]] != 0)


def total(structure, leaves, frames, masks):
    """sum(KL) of leaves = means, log_vars, logits."""
    views = len(frames)
    prior = structure.prior({"frames": frames, "logits": leaves[-1]})
    return jc.kl_divergence(prior, leaves[:views], leaves[views:-1], masks).sum()


@functools.cache
def jax_gradient(structure):
    return jax.jit(jax.grad(functools.partial(total, structure)))


def gradient(framework, model, rows, masks):
    """d sum(KL) / d(means, log_vars, logits), as one flat list."""
    frames = [oracles.floats(q) for q in oracles.frames(model.structure, model.parameters)]
    leaves = [*rows[0], *rows[1], model.parameters["logits"]]
    if framework == "jax":
        return [np.asarray(x) for x in jax_gradient(model.structure)(leaves, frames, masks)]
    leaves = [torch.tensor(x, requires_grad=True) for x in leaves]
    total(model.structure, leaves, [torch.tensor(q) for q in frames], torch.tensor(masks)).backward()
    return [x.grad.numpy() for x in leaves]
