"""A fitted model without hidden layers is one big Gaussian: its score, its draws and its imputations have closed forms.

x_i = W_i z_i + b_i + noise, so with the posterior q of a row, ELBO = log p(x) - KL(q(z) || p(z | x)).
"""

import numpy as np
import pytest
from synthetic import OPTIONS, linear, three_views

from jpvae import JPVAE
from jpvae.testing import dense

VIEWS = three_views(200, 11)[0][:2]


def gaussian():
    """The model's latent covariance, block-diagonal loadings, offsets and noise variances, in its own units."""
    fitted_model = linear()
    p, S = fitted_model.parameters_, dense.covariance(fitted_model.model_, fitted_model.parameters_)
    W = np.zeros((9, 4))
    W[:5, :2], W[5:, 2:] = p["decoder.0.0.weight"].T, p["decoder.1.0.weight"].T
    b = np.concatenate([p["decoder.0.0.bias"], p["decoder.1.0.bias"]])
    return S, W, b, np.exp(np.concatenate([p["likelihood.0.log_var"], p["likelihood.1.log_var"]]))


def units():
    columns = np.concatenate(three_views(300, 3)[0][:2], axis=1)
    return columns.mean(axis=0), columns.std(axis=0)


def log_normal(x, covariance):
    return -0.5 * (np.sum(x * np.linalg.solve(covariance, x.T).T, axis=1) + np.linalg.slogdet(2 * np.pi * covariance)[1])


def posteriors(x):
    p = linear().parameters_
    parts = [dense.encode(p, 0, x[:, :5]), dense.encode(p, 1, x[:, 5:])]
    return (np.concatenate(half, axis=1) for half in zip(*parts, strict=True))


@pytest.mark.parametrize("seen", [(True, True), (True, False), (False, True)])
def test_elbo_is_the_evidence_less_the_gap(seen):
    (S, W, b, var), (location, scale) = gaussian(), units()
    o, c = dense.coordinates(linear().model_, seen), np.repeat(seen, (5, 4))
    x = (np.concatenate(VIEWS, axis=1) - location) / scale
    mean, log_var = (part[:, o] for part in posteriors(x))
    S, W, residual, V = S[np.ix_(o, o)], W[np.ix_(c, o)], x[:, c] - b[c], np.diag(var[c])
    K = W @ S @ W.T + V
    towards = np.linalg.solve(K, W @ S).T
    evidence = log_normal(residual, K) - np.log(scale[c]).sum()
    gaps = [
        dense.kl(m, np.diag(np.exp(v)), towards @ r, S - towards @ W @ S)
        for m, v, r in zip(mean, log_var, residual, strict=True)
    ]
    # The ELBO averages 100 draws per row; the deviation of one draw's log-likelihood, from draws of our own:
    z = mean + np.exp(log_var / 2) * np.random.default_rng(0).standard_normal((400, *mean.shape))
    deviation = (-0.5 * ((residual - z @ W.T) ** 2 / var[c]).sum(axis=-1)).std(axis=0)
    error = np.sqrt((deviation**2).sum() / 100) / len(x)
    found = linear().elbo(VIEWS, np.broadcast_to(seen, (200, 2)), n_draws=100)
    assert found == pytest.approx((evidence - gaps).mean(), abs=5 * error)
    assert found < evidence.mean()
    assert error < 0.05 * np.mean(gaps)  # so that the gap itself is seen


def test_units_shift_the_elbo_and_the_score_by_their_logarithm():
    """Eight times the numbers: the same bits inside (8 is a power of two), and c log 8 nats less per row."""
    data = [v[:40] for v in VIEWS]
    options = OPTIONS | {"latent_dims": 2, "prior": "orthogonal", "hidden": (4,), "steps": 5}
    fine = JPVAE(**options).fit(data).score(data)
    coarse = JPVAE(**options).fit([8 * data[0], data[1]]).score([8 * data[0], data[1]])
    assert coarse == pytest.approx(fine - 5 * np.log(8.0), abs=1e-12)
    assert coarse != fine


def test_samples_have_the_model_s_mean_and_joint_covariance():
    (S, W, b, _), (location, scale), n = gaussian(), units(), 5000
    drawn = linear().sample(n, seed=4)
    assert [v.shape for v in drawn] == [(n, 5), (n, 4)]
    x = np.concatenate(drawn, axis=1)
    mean, covariance = b * scale + location, (W * scale[:, None]) @ S @ (W * scale[:, None]).T
    var = np.diag(covariance)
    assert np.all(np.abs(x.mean(axis=0) - mean) < 5 * np.sqrt(var / n))
    assert np.all(np.abs(np.cov(x.T) - covariance) < 5 * np.sqrt(2 * np.outer(var, var) / n))
    shared = np.abs(covariance) / np.sqrt(2 * np.outer(var, var) / n)
    assert shared[:5, 5:].max() > 20  # so that views drawn without each other would have been seen
    again, other = linear().sample(10, seed=4), linear().sample(10, seed=5)
    assert all(np.array_equal(a, d[:10]) for a, d in zip(again, drawn, strict=True))
    assert not np.array_equal(again[0], other[0])


@pytest.mark.parametrize("observation_noise", [False, True])
def test_imputations_have_the_predictive_mean_and_covariance(observation_noise):
    (S, W, b, var), (location, scale), n = gaussian(), units(), 4000
    x = (np.concatenate(VIEWS, axis=1)[:1] - location) / scale
    mean, log_var = posteriors(x)
    G = dense.gain(S, np.arange(2), np.arange(2, 4))
    spread = G @ np.diag(np.exp(log_var[0, :2])) @ G.T + S[2:, 2:] - G @ S[:2, 2:]
    A, a = W[5:, 2:] * scale[5:, None], scale[5:] * (W[5:, 2:] @ G @ mean[0, :2] + b[5:]) + location[5:]
    covariance = A @ spread @ A.T + observation_noise * np.diag(var[5:] * scale[5:] ** 2)
    drawn = linear().sample_imputations([VIEWS[0][:1], None], n_draws=n, observation_noise=observation_noise)[1][:, 0]
    v = np.diag(covariance)
    assert np.all(np.abs(drawn.mean(axis=0) - a) < 5 * np.sqrt(v / n))
    assert np.all(np.abs(np.cov(drawn.T) - covariance) < 5 * np.sqrt(2 * np.outer(v, v) / n))
