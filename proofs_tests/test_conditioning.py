"""Eq. 12: z_h | z_o ~ N(m_h + S_ho S_oo^-1 (z_o - m_o), S_hh - S_ho S_oo^-1 S_oh), in closed form under the prior.

Every subset of the views, row by row; inputs that are uncertain, z_o ~ N(mu, diag sigma^2), add G diag(sigma^2) G^T with
G the linear map z_o -> (z_o, E[z_h | z_o]). Conditioning in two steps is conditioning at once.
"""

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import KINDS, THREE_VIEWS, Model, models, of_kind, patterns, posterior

import jpvae_core as jc

SEEDS = st.integers(0, 99)


def exactly(structure, parameters, latents, mask):
    return jc.condition(structure.prior(parameters), latents, mask)


def both(structure, parameters, latents, mask, log_vars):
    prior = structure.prior(parameters)
    return *jc.condition(prior, latents, mask), jc.condition(prior, latents, mask, log_vars=log_vars).covariances


def mean_alone(structure, parameters, latents, mask):
    return jc.conditional_mean(structure.prior(parameters), latents, mask)


def truth(model, mask, latents, log_vars=None):
    """Mean and covariance of ALL coordinates given the observed views, dense, from Sigma alone."""
    seen = oracles.coordinates(model.structure.dims, mask)
    hidden, gain, schur = oracles.conditional(oracles.model_covariance(model), seen)
    G = np.zeros((len(latents), len(seen)))
    G[seen, np.arange(len(seen))] = 1
    G[hidden] = oracles.floats(gain).reshape(len(hidden), len(seen))
    covariance = np.zeros((len(latents),) * 2) if log_vars is None else G @ np.diag(np.exp(log_vars[seen])) @ G.T
    covariance[np.ix_(hidden, hidden)] += oracles.floats(schur)
    return G @ latents[seen], covariance


def holes(arrays, masks):
    return tuple(np.where(masks[:, i : i + 1], x, np.nan) for i, x in enumerate(arrays))


def unit(model, xp):
    """Regression coefficients and residual variances are at most 1, in frames off by 3 n^2 kappa eps: per unit of input."""
    return 16 * len(model.structure.dims) * max(model.structure.dims) ** 2 * oracles.frame_condition(model) * xp.eps


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=SEEDS)
def test_every_pattern_is_the_schur_formula(xp, kind, data, seed):
    model = data.draw(models(of_kind(kind)[:1]))
    masks = patterns(len(model.structure.dims))
    latents, log_vars = posterior(model.structure.dims, len(masks), seed)
    rows = holes(latents, masks), masks, holes(log_vars, masks)
    means, covariances, propagated = xp.call(both, model.structure, model.framed(xp), *rows)
    for row, mask in enumerate(masks):
        z, v = (np.concatenate([x[row] for x in arrays]) for arrays in (latents, log_vars))
        mean, covariance = truth(model, mask, z)
        assert np.all(np.abs(np.concatenate([m[row] for m in means]) - mean) <= unit(model, xp) * np.sum(np.abs(z)))
        assert np.all(np.abs(np.block([[b[row] for b in line] for line in covariances]) - covariance) <= unit(model, xp))
        _, covariance = truth(model, mask, z, v)
        got = np.block([[b[row] for b in line] for line in propagated])
        assert np.all(np.abs(got - covariance) <= unit(model, xp) * (1 + np.sum(np.exp(v))))


@given(seed=SEEDS)
def test_one_pattern_for_all_rows(xp, seed):
    model = Model(THREE_VIEWS, seed)
    latents, _ = posterior(THREE_VIEWS.dims, 2, seed)
    mask = patterns(3)[1 + seed % 6]
    means, covariances = xp.call(exactly, THREE_VIEWS, model.framed(xp), latents, mask)
    for row in range(2):
        z = np.concatenate([x[row] for x in latents])
        mean, covariance = truth(model, mask, z)
        assert np.all(np.abs(np.concatenate([m[row] for m in means]) - mean) <= unit(model, xp) * np.sum(np.abs(z)))
    assert np.all(np.abs(np.block([[b[0] for b in line] for line in covariances]) - covariance) <= unit(model, xp))
    again = xp.call(mean_alone, THREE_VIEWS, model.framed(xp), latents, mask)
    for i, (x, z) in enumerate(zip(again, latents, strict=True)):
        if mask[i]:
            np.testing.assert_array_equal(x, z)  # an observed view passes through to the bit
        assert np.all(np.abs(x - means[i]) <= unit(model, xp) * np.sum(np.abs(np.concatenate(latents, axis=-1))))


def gaussian(observed, mean, cov, values):
    return jc.condition_gaussian(mean, cov, observed, values)


def random_gaussian(seed, size):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((size, size + 2))
    cov = (root @ root.T / size).astype(np.float32).astype(float)
    return *(rng.standard_normal(s).astype(np.float32).astype(float) for s in ((size,), (2, size))), (cov + cov.T) / 2


@given(seed=st.integers(0, 999), observed=st.sampled_from([(0,), (3, 1), (4, 0, 2), (0, 1, 2, 3)]))
def test_any_split_of_any_gaussian(xp, seed, observed):
    mean, z, cov = random_gaussian(seed, 5)
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


@given(seed=st.integers(0, 999))
def test_order_of_conditioning_is_irrelevant(xp, seed):
    """Given (3, 1), then (of what is left: 0, 2, 4) given 2 = given all three at once."""
    mean, z, cov = random_gaussian(seed, 5)
    z = z[:1]
    once_mean, once_cov = xp.call(gaussian, (3, 1, 2), mean, cov, z[:, (3, 1, 2)])
    half_mean, half_cov = xp.call(gaussian, (3, 1), mean, cov, z[:, (3, 1)])
    twice_mean, twice_cov = xp.call(gaussian, (1,), half_mean[0], half_cov, z[:, (2,)])
    # Two solves, each as above; the second one's input carries the first one's error times its own condition number.
    condition = np.linalg.cond(cov) ** 2 * np.linalg.norm(cov)
    assert np.all(np.abs(twice_cov - once_cov) <= 4 * 25 * condition * xp.eps)
    assert np.all(np.abs(twice_mean - once_mean) <= 4 * 25 * condition * (1 + np.abs(z).max() + np.abs(mean).max()) * xp.eps)
