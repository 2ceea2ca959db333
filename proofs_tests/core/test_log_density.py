"""log N(z_O; 0, Sigma_OO) of every subset of views, in the canonical form, against the dense Gaussian in 80 digits.

Source: the prior of Eq. 6; a missing view is integrated out of it.
"""

import calls
import numpy as np
import oracles
import pytest
import strategies
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import KINDS, PAIRS, THREE_VIEWS, Model, holes, models, patterns, posterior, posteriors

import jpvae_core as jc


def dense(model, latents, mask):
    """The value of a row, and how many eps it may be off: oracles.kl_and_condition without variances, and n log(2 pi)."""
    P, log_det, largest = oracles.marginal_precision(model, tuple(map(bool, mask)))
    z = latents[oracles.coordinates(model.structure.dims, mask)]
    size = largest * (z @ z) + abs(float(log_det)) + len(z) * np.log(2 * np.pi)
    factor = 8 * max(model.structure.dims) ** 2 * oracles.frame_condition(model) + 4 * len(mask) + 16
    return float(oracles.log_normal(P, log_det, oracles.exact(z))), factor * size / 2


def dense_rows(model, latents, masks):
    rows = zip(np.concatenate(latents, axis=-1), masks, strict=True)
    return np.asarray([dense(model, z, mask) for z, mask in rows]).T


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), q=posteriors())
def test_every_pattern_is_the_dense_gaussian_of_its_sub_block(xp, kind, data, q):
    model = data.draw(models(xp, kind, reach=(0.5, 3.0, 12.0, 30.0)))
    masks = strategies.masks(len(model.structure.dims), q.seed)
    latents, _ = q.rows(model.structure.dims, len(masks))
    want, condition = dense_rows(model, latents, masks)
    got = xp.call(calls.log_density, model.structure, model.framed(xp), holes(latents, masks), masks)
    assert got[0] == 0  # no view observed, exactly
    assert np.all(np.abs(got - want) <= condition * xp.eps)


@given(seed=st.integers(0, 99))
def test_no_mask_one_pattern_and_a_single_row(xp, seed):
    model = Model(THREE_VIEWS, seed)
    latents, _ = posterior(THREE_VIEWS.dims, 2, seed)
    for mask in (None, *patterns(3)):
        want, condition = dense_rows(model, latents, [[True] * 3 if mask is None else mask] * 2)
        got = xp.call(calls.log_density, THREE_VIEWS, model.framed(xp), latents, mask)
        assert np.all(np.abs(got - want) <= condition * xp.eps)
        one = xp.call(calls.log_density, THREE_VIEWS, model.framed(xp), [z[1] for z in latents], mask)
        assert one.shape == ()
        assert abs(one - want[1]) <= condition[1] * xp.eps


@pytest.mark.parametrize("structure", [PAIRS[1], THREE_VIEWS], ids=lambda s: s.kind)
def test_nan_in_a_missing_view_has_gradient_zero(structure):
    """And where a view is seen, the gradient is that of the dense Gaussian, -Sigma_OO^-1 z_O."""
    model, masks = Model(structure, 3), patterns(len(structure.dims))
    latents, _ = posterior(structure.dims, len(masks), 1)
    parameters = {"frames": [oracles.floats(q) for q in oracles.frames(structure, model.parameters)]}
    prior = structure.prior(
        {"frames": [torch.tensor(q) for q in parameters["frames"]], "logits": torch.tensor(model.parameters["logits"])}
    )
    leaves = [torch.tensor(z, requires_grad=True) for z in holes(latents, masks)]
    jc.log_density(prior, leaves, torch.tensor(masks)).sum().backward()
    found = np.concatenate([z.grad.numpy() for z in leaves], axis=1)
    for row, mask in enumerate(masks):
        o = oracles.coordinates(structure.dims, mask)
        P, _, largest = oracles.marginal_precision(model, tuple(mask.tolist()))
        z, want = np.concatenate([x[row] for x in latents]), np.zeros(found.shape[1])
        want[o] = -oracles.floats(P @ oracles.exact(z[o])) if len(o) else 0.0
        assert np.all(found[row, np.setdiff1d(np.arange(len(z)), o)] == 0)
        # The frames' error and n roundings in each of two products with them: oracles.kl_and_condition's factor.
        room = 64 * oracles.frame_condition(model) * largest * (1 + np.abs(z).sum()) * 2.0**-52
        assert np.all(np.abs(found[row] - want) <= room)


def test_a_single_row_needs_no_row_axis():
    prior = jc.JointPrior.svd(np.eye(3, 2), np.asarray([0.5, -1.0]), np.eye(2))
    rows = [np.random.default_rng(n).standard_normal((4, n)) for n in (2, 3)]
    every, one = jc.log_density(prior, rows), jc.log_density(prior, [z[1] for z in rows])
    assert np.shape(one) == ()
    assert one == every[1]  # the same operations, whatever the number of rows: elementwise, and frames of zeros and ones
