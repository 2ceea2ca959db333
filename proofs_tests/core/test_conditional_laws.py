"""Laws of conditional Gaussians, held by ``condition``, ``conditional_mean`` and ``condition_gaussian`` (Eq. 12).

Tower law: E[E[z | z_O] | z_O'] = E[z | z_O'] for O' in O, and its variance, Cov(z | O') = Cov(z | O) + G Cov(z_O | O') G^T; the
order of conditioning is irrelevant; the conditional covariance is the inverse of the precision's block (Schur complement);
and it is least-squares regression on samples. Source: Anderson, An Introduction to Multivariate Statistical Analysis, ch. 2.
"""

import calls
import mpmath
import numpy as np
import oracles
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from strategies import STRUCTURES, Model, models, posterior

import jpvae_core as jc

SEEDS = st.integers(0, 999)


def nested(views, seed, rows):
    """Random pairs of subsets O' in O, row by row."""
    state = np.random.default_rng(seed).integers(0, 3, (rows, views))
    return state == 0, state <= 1


@given(data=st.data(), seed=st.integers(0, 99))
def test_tower_law(xp, data, seed):
    model, rows = data.draw(models(xp, "canonical")), 8
    structure, framed, unit = model.structure, model.framed(xp), oracles.rounding(model, xp.eps)
    small, large = nested(len(structure.dims), seed, rows)
    latents, log_vars = posterior(structure.dims, rows, seed)
    means, known, _ = xp.call(calls.condition, structure, framed, latents, small, log_vars)
    again, given_large, _ = xp.call(calls.condition, structure, framed, means, large, log_vars)
    size = sum(np.sum(np.abs(z), axis=-1, keepdims=True) for z in latents)
    # The first means are at most N size; each call adds ``unit`` per unit of what goes in.
    for direct, twice in zip(means, again, strict=True):
        assert np.all(np.abs(direct - twice) <= unit * (1 + sum(structure.dims)) * size)
    for row in range(rows):
        blocks = [np.block([[b[row] for b in line] for line in part]) for part in (known, given_large)]
        seen = oracles.coordinates(structure.dims, large[row])
        hidden, gain, _ = oracles.conditional(oracles.model_covariance(model), seen)
        G = np.eye(len(blocks[0]))[:, seen]
        G[hidden] = oracles.floats(gain).reshape(len(hidden), len(seen))
        # Entries of G are at most 1, so its products with an error ``unit`` sum to N^2 unit.
        error = (2 + len(seen) ** 2) * unit
        assert np.all(np.abs(blocks[0] - blocks[1] - G @ blocks[0][np.ix_(seen, seen)] @ G.T) <= error)


@given(data=st.data(), seed=st.integers(0, 99))
def test_conditional_covariance_is_the_inverse_of_the_precision_block(xp, data, seed):
    """(Sigma^-1)_hh (S_hh - S_ho S_oo^-1 S_oh) = I, both from the package, by separate formulas."""
    model = data.draw(models(xp, "canonical"))
    structure, framed = model.structure, model.framed(xp)
    _, P, _, _ = xp.call(calls.dense, structure, framed)
    masks, _ = nested(len(structure.dims), seed, 8)
    latents, log_vars = posterior(structure.dims, 8, seed)
    _, known, _ = xp.call(calls.condition, structure, framed, latents, masks, log_vars)
    for row in range(8):
        at = oracles.coordinates(structure.dims, ~masks[row])
        schur = np.block([[b[row] for b in line] for line in known])[np.ix_(at, at)]
        # As in test_lemma_a1_block_inverse: |S| |dP| + |dS| |P| over N terms.
        error = 2 * len(P) * oracles.rounding(model, xp.eps) * oracles.stiffness(model)
        assert np.all(np.abs(P[np.ix_(at, at)] @ schur - np.eye(len(at))) <= error)


def gaussian(observed, mean, cov, values):
    return jc.condition_gaussian(mean, cov, observed, values)


@given(seed=SEEDS)
def test_order_of_conditioning_is_irrelevant(xp, seed):
    """Given (3, 1), then (of what is left: 0, 2, 4) given 2 = given all three at once."""
    mean, z, cov = strategies.gaussian(seed, 5)
    z = z[:1]
    once_mean, once_cov = xp.call(gaussian, (3, 1, 2), mean, cov, z[:, (3, 1, 2)])
    half_mean, half_cov = xp.call(gaussian, (3, 1), mean, cov, z[:, (3, 1)])
    twice_mean, twice_cov = xp.call(gaussian, (1,), half_mean[0], half_cov, z[:, (2,)])
    # Two solves, each as in test_eq12_conditioning; the second one's input carries the first one's error times its own
    # condition number.
    condition = np.linalg.cond(cov) ** 2 * np.linalg.norm(cov)
    assert np.all(np.abs(twice_cov - once_cov) <= 4 * 25 * condition * xp.eps)
    assert np.all(np.abs(twice_mean - once_mean) <= 4 * 25 * condition * (1 + np.abs(z).max() + np.abs(mean).max()) * xp.eps)


@pytest.mark.parametrize("structure", STRUCTURES[1:], ids=lambda s: s.kind)
def test_it_is_least_squares_regression_on_samples(structure):
    """4,000 draws of a fixed seed from the prior; the last view regressed on the others, as a statistician would do it.

    Given the regressors X, a coefficient is exactly N(its true value, r (X^T X)^-1) with r the residual variance; a residual
    covariance has the standard error sqrt((r_i r_j + r_ij^2) / df). With fewer than 40 numbers at 5 standard errors a false
    alarm comes once in 40,000 seeds (40 * 5.7e-7, two-sided). Errors of 0.2 in a coefficient would be seen.
    """
    draws, prior = 4_000, structure.prior(Model(structure, 6).parameters)
    z = jc.sample(prior, np.random.default_rng(1).standard_normal((draws, structure.noise_dim)))
    X, Y = np.concatenate(z[:-1], axis=-1), z[-1]
    found = np.linalg.lstsq(X, Y, rcond=None)[0]
    mask = np.asarray([True] * (len(z) - 1) + [False])
    # The conditional means of unit vectors are the regression coefficients.
    rows = [np.eye(X.shape[1])[:, at] for at in oracles.blocks(structure.dims[:-1])]
    means, blocks = jc.condition(prior, [*rows, np.zeros((X.shape[1], Y.shape[1]))], mask)
    want, rest, df = means[-1], blocks[-1][-1][0], draws - X.shape[1]
    standard_error = np.sqrt(np.outer(np.diagonal(np.linalg.inv(X.T @ X)), np.diagonal(rest)))
    assert want.size + rest.size < 40
    assert np.all(np.abs(found - want) <= 5 * standard_error)
    assert np.all(5 * standard_error < 0.2)
    assert np.abs(want).max() > 0.2
    residual = (Y - X @ found).T @ (Y - X @ found) / df
    spread = np.sqrt((np.outer(np.diagonal(rest), np.diagonal(rest)) + rest**2) / df)
    assert np.all(np.abs(residual - rest) <= 5 * spread)


@pytest.mark.parametrize("size", [2.0, 8.0, 14.0])
def test_a_small_conditional_variance_keeps_its_digits(xp, size):
    """Var(z_2 | z_1) = a_2^2 (1 - a_1^2) + (1 - a_2^2) at strong coupling, where 1 - a^2 by subtraction has few digits left.

    The documented error of a coefficient is some 75 eps of itself; frames are the identity, which adds nothing. All logits are
    exact in float32.
    """
    logits = np.asarray([[size, size + 1.0, size - 0.5], [size + 0.5, size, size + 2.0]])
    prior = jc.JointPrior.canonical(xp.array([np.eye(3)] * 2), xp.array(logits))
    latents, mask = xp.array([np.zeros((1, 3))] * 2), xp.array(np.asarray([[True, False]]))
    found = np.diag(xp.numpy(jc.condition(prior, latents, mask).covariances[1][1])[0])
    with mpmath.workdps(40):
        for k, pair in enumerate(logits.T):
            first, second = (1 / (1 + mpmath.exp(mpmath.mpf(float(t)))) for t in pair)  # 1 - a^2
            exact = (1 - second) * first + second
            assert abs(found[k] - exact) <= 75 * xp.eps * exact
