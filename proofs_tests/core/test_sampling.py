"""Draws are affine in their noise: z = E[z | observed] + L eps with L L^T the conditional covariance (paper Eq. 12).

Unit noise vectors give the columns of L, so the law is checked exactly and without Monte Carlo. All missing views are
checked together: they share the draw of the source.
"""

import calls
import numpy as np
import oracles
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from strategies import KINDS, models, posterior

SEEDS = st.integers(0, 99)


def noise_rows(structure):
    """A row of zeros, then the unit vectors."""
    return np.concatenate([np.zeros((1, structure.noise_dim)), np.eye(structure.noise_dim)])


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=SEEDS)
def test_completion_has_the_conditional_mean_and_covariance(xp, kind, data, seed):
    model = data.draw(models(xp, kind))
    structure, parameters, noise = model.structure, model.framed(xp), noise_rows(model.structure)
    row, _ = posterior(structure.dims, 1, seed)
    for mask in strategies.masks(len(structure.dims), seed):
        masked = zip(row, mask, strict=True)
        latents = [np.repeat(x if bit else np.full_like(x, np.nan), len(noise), axis=0) for x, bit in masked]
        drawn = xp.call(calls.complete, structure, parameters, latents, mask, noise)
        for got, z, bit in zip(drawn, latents, mask, strict=True):
            if bit:
                np.testing.assert_array_equal(got, z)
        z, (origin, *moved) = np.concatenate(row, axis=-1)[0], np.concatenate(drawn, axis=-1)
        seen = oracles.coordinates(structure.dims, mask)
        hidden, gain, schur = oracles.conditional(oracles.model_covariance(model), seen)
        tolerance = oracles.rounding(model, xp.eps) * (1 + np.sum(np.abs(z[seen])))
        assert np.all(np.abs(origin[hidden] - oracles.floats(gain @ oracles.exact(z[seen]))) <= tolerance)
        # A column of L is a difference from the row of zeros, so it is off by 2 tolerance. |L| <= 1, and L L^T sums the
        # products of len(noise) columns.
        L = (np.asarray(moved) - origin).T[hidden]
        assert np.all(np.abs(L @ L.T - oracles.floats(schur)) <= 4 * len(noise) * tolerance)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_samples_have_the_prior_covariance(xp, kind, data):
    model = data.draw(models(xp, kind))
    noise = noise_rows(model.structure)
    origin, *moved = np.concatenate(xp.call(calls.sample, model.structure, model.framed(xp), noise), axis=-1)
    assert np.all(origin == 0)
    L, want = np.asarray(moved).T, oracles.floats(oracles.model_covariance(model))
    assert np.all(np.abs(L @ L.T - want) <= 4 * len(noise) * oracles.rounding(model, xp.eps))
