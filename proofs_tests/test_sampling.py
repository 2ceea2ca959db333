"""Draws are affine in their noise: z = E[z | observed] + L eps with L L^T the conditional covariance (paper Eq. 12).

Unit noise vectors give the columns of L, so the law is checked exactly and without Monte Carlo. All missing views are
checked together: they share the draw of the source. And z = mu + diag(sigma) eps, where section 2.1 prints sigma^2.
"""

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import KINDS, models, of_kind, patterns, posterior

import jpvae_core as jc

SEEDS = st.integers(0, 99)


def completed(structure, parameters, latents, mask, noise):
    return jc.complete(structure.prior(parameters), latents, mask, noise)


def sampled(structure, parameters, noise):
    return jc.sample(structure.prior(parameters), noise)


def reparameterized(_, mean, log_var, noise):
    return jc.reparameterize(mean, log_var, noise)


def unit(model, xp):
    """Coefficients of the latents and of the noise are at most 1, in frames off by 3 n^2 kappa eps."""
    return 16 * len(model.structure.dims) * max(model.structure.dims) ** 2 * oracles.frame_condition(model) * xp.eps


def noise_rows(structure):
    """A row of zeros, then the unit vectors."""
    size = sum(structure.dims) + (structure.rank if structure.kind == "canonical" else 0)
    return np.concatenate([np.zeros((1, size)), np.eye(size)])


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=SEEDS)
def test_completion_has_the_conditional_mean_and_covariance(xp, kind, data, seed):
    model = data.draw(models(of_kind(kind)))
    structure, parameters, noise = model.structure, model.framed(xp), noise_rows(model.structure)
    row, _ = posterior(structure.dims, 1, seed)
    for mask in patterns(len(structure.dims)):
        masked = zip(row, mask, strict=True)
        latents = [np.repeat(x if bit else np.full_like(x, np.nan), len(noise), axis=0) for x, bit in masked]
        drawn = xp.call(completed, structure, parameters, latents, mask, noise)
        for got, z, bit in zip(drawn, latents, mask, strict=True):
            if bit:
                np.testing.assert_array_equal(got, z)
        z, (origin, *moved) = np.concatenate(row, axis=-1)[0], np.concatenate(drawn, axis=-1)
        seen = oracles.coordinates(structure.dims, mask)
        hidden, gain, schur = oracles.conditional(oracles.model_covariance(model), seen)
        tolerance = unit(model, xp) * (1 + np.sum(np.abs(z[seen])))
        assert np.all(np.abs(origin[hidden] - oracles.floats(gain @ oracles.exact(z[seen]))) <= tolerance)
        # A column of L is a difference from the row of zeros, so it is off by 2 tolerance. |L| <= 1, and L L^T sums the
        # products of len(noise) columns.
        L = (np.asarray(moved) - origin).T[hidden]
        assert np.all(np.abs(L @ L.T - oracles.floats(schur)) <= 4 * len(noise) * tolerance)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_samples_have_the_prior_covariance(xp, kind, data):
    model = data.draw(models(of_kind(kind)))
    noise = noise_rows(model.structure)
    origin, *moved = np.concatenate(xp.call(sampled, model.structure, model.framed(xp), noise), axis=-1)
    assert np.all(origin == 0)
    L, want = np.asarray(moved).T, oracles.floats(oracles.model_covariance(model))
    assert np.all(np.abs(L @ L.T - want) <= 4 * len(noise) * unit(model, xp))


@given(seed=SEEDS)
def test_reparameterization_scales_by_sigma_not_its_square(xp, seed):
    (mean,), (log_var,) = posterior((4,), 3, seed)
    noise = posterior((4,), 3, seed + 1)[0][0]
    got = xp.call(reparameterized, None, mean, log_var, noise)
    sigma = oracles.sqrt(oracles.exp(oracles.exact(log_var)))
    want = oracles.floats(oracles.exact(mean) + sigma * oracles.exact(noise))
    spread = oracles.floats(sigma) * np.abs(noise)
    assert np.all(np.abs(got - want) <= 8 * xp.eps * (np.abs(mean) + spread))  # exp, two products, one sum
