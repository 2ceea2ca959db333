"""Eq. 12: z_h | z_o ~ N(m_h + S_ho S_oo^-1 (z_o - m_o), S_hh - S_ho S_oo^-1 S_oh), in closed form under the prior.

Every subset of the views, row by row; inputs that are uncertain, z_o ~ N(mu, diag sigma^2), add G diag(sigma^2) G^T with
G the linear map z_o -> (z_o, E[z_h | z_o]). ``condition_gaussian`` is Eq. 12 for any Gaussian. Source: paper section 2.7.
(Laws of the conditional distribution: test_conditional_laws.py.)
"""

import functools

import calls
import numpy as np
import oracles
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from strategies import KINDS, THREE_VIEWS, Model, holes, models, patterns, posterior

import jpvae_core as jc

SEEDS = st.integers(0, 99)


@functools.cache
def gain_and_rest(model, mask):
    """G from the observed to ALL coordinates, and the conditional covariance (0 where observed), dense, from Sigma alone."""
    size, seen = sum(model.structure.dims), oracles.coordinates(model.structure.dims, mask)
    hidden, gain, schur = oracles.conditional(oracles.model_covariance(model), seen)
    G, rest = np.zeros((size, len(seen))), np.zeros((size, size))
    G[seen, np.arange(len(seen))] = 1
    G[hidden] = oracles.floats(gain).reshape(len(hidden), len(seen))
    rest[np.ix_(hidden, hidden)] = oracles.floats(schur)
    return seen, G, rest


def truth(model, mask, latents, log_vars):
    """Mean of ALL coordinates given the observed views; their covariance, inputs known or uncertain."""
    seen, G, rest = gain_and_rest(model, tuple(mask.tolist()))
    return G @ latents[seen], rest, rest + G @ np.diag(np.exp(log_vars[seen])) @ G.T


def at_row(blocks, row):
    return np.block([[b[row] for b in line] for line in blocks])


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=SEEDS)
def test_every_pattern_is_the_schur_formula(xp, kind, data, seed):
    """Regression coefficients and residual variances are at most 1: errors are ``rounding`` per unit of input."""
    model = data.draw(models(xp, kind))
    masks, unit = strategies.masks(len(model.structure.dims), seed), oracles.rounding(model, xp.eps)
    latents, log_vars = posterior(model.structure.dims, len(masks), seed)
    rows = holes(latents, masks), masks, holes(log_vars, masks)
    means, known, uncertain = xp.call(calls.condition, model.structure, model.framed(xp), *rows)
    for row, mask in enumerate(masks):
        z, v = (np.concatenate([x[row] for x in arrays]) for arrays in (latents, log_vars))
        mean, rest, propagated = truth(model, mask, z, v)
        assert np.all(np.abs(np.concatenate([m[row] for m in means]) - mean) <= unit * np.sum(np.abs(z)))
        assert np.all(np.abs(at_row(known, row) - rest) <= unit)
        assert np.all(np.abs(at_row(uncertain, row) - propagated) <= unit * (1 + np.sum(np.exp(v))))


def known_and_mean(structure, parameters, latents, mask):
    prior = structure.prior(parameters)
    return *jc.condition(prior, latents, mask), jc.conditional_mean(prior, latents, mask)


@given(seed=SEEDS)
def test_one_pattern_for_all_rows(xp, seed):
    model = Model(THREE_VIEWS, seed)
    latents, log_vars = posterior(THREE_VIEWS.dims, 2, seed)
    mask, unit = patterns(3)[1 + seed % 6], oracles.rounding(model, xp.eps)
    means, known, again = xp.call(known_and_mean, THREE_VIEWS, model.framed(xp), latents, mask)
    for row in range(2):
        z, v = (np.concatenate([x[row] for x in arrays]) for arrays in (latents, log_vars))
        mean, rest, _ = truth(model, mask, z, v)
        for got in (means, again):
            assert np.all(np.abs(np.concatenate([m[row] for m in got]) - mean) <= unit * np.sum(np.abs(z)))
        assert np.all(np.abs(at_row(known, 0) - rest) <= unit)
    for x, z, bit in zip(again, latents, mask, strict=True):
        if bit:
            np.testing.assert_array_equal(x, z)  # an observed view passes through to the bit


def gaussian(observed, mean, cov, values):
    return jc.condition_gaussian(mean, cov, observed, values)


@given(seed=st.integers(0, 999), observed=st.sampled_from([(0,), (3, 1), (4, 0, 2), (0, 1, 2, 3)]))
def test_any_split_of_any_gaussian(xp, seed, observed):
    mean, z, cov = strategies.gaussian(seed, 5)
    hidden, gain, schur = oracles.conditional(oracles.exact(cov), np.asarray(observed))
    want = oracles.floats(oracles.exact(mean[hidden]) + oracles.exact(z[:, observed] - mean[list(observed)]) @ gain.T)
    got_mean, got_cov = xp.call(gaussian, observed, mean, cov, z[:, observed])
    # solve is backward stable (3 N^2 eps |S_oo|): the gain is off by that times cond(S_oo) |gain|, and is then multiplied
    # by the centred values or by S_oh.
    S_oo = cov[np.ix_(observed, observed)]
    error = 4 * 25 * np.linalg.cond(S_oo) * np.linalg.norm(oracles.floats(gain)) * xp.eps
    assert np.all(
        np.abs(got_mean - want) <= error * (1 + np.linalg.norm(z) + np.linalg.norm(mean)) + 8 * xp.eps * np.abs(mean).max()
    )
    assert np.all(np.abs(got_cov - oracles.floats(schur)) <= error * np.linalg.norm(cov) + 8 * xp.eps * np.abs(cov).max())
