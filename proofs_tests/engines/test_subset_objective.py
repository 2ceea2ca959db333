"""The loss: sum_k w_k ELBO_O per row, where q_O uses the encoders on O and the prior's conditional elsewhere.

For given noise it equals a dense NumPy evaluation (jpvae.testing.check_engine). Where encoders and decoders are affine, its
expectation is known: E[ELBO_O] = log p(x) - KL(q_O(z) || p(z | x)), for every O, also where views are truly missing.
"""

import itertools

import numpy as np
import pytest

from jpvae.engines import ENGINES, Batch, engine
from jpvae.model.model import Model
from jpvae.testing import dense
from jpvae.testing.engines import loss_and_gradients
from jpvae.testing.examples import MODELS, REAL, batches, parameters


@pytest.fixture(params=sorted(ENGINES))
def evaluate(request):
    """(model, parameters, batch) -> an engine's loss and gradients, in float64."""
    return lambda model, p, batch: loss_and_gradients(engine(request.param, model, "float64"), p, batch)


@pytest.mark.parametrize("model", [MODELS["svd"], MODELS["canonical"]], ids=["svd", "canonical"])
def test_values_of_missing_views_have_no_influence(evaluate, model):
    p, batch = parameters(model), batches(model, "holes").at(2)
    other = [np.where(seen[:, None], v, 0.9) for v, seen in zip(batch.views, batch.observed.T, strict=True)]
    (first, slopes), (second, slopes_2) = (evaluate(model, p, b) for b in (batch, Batch(**vars(batch) | {"views": other})))
    assert any((v != w).any() for v, w in zip(batch.views, other, strict=True))
    assert first == second
    assert all(np.array_equal(slopes[k], slopes_2[k]) for k in slopes)


def test_weights_are_normalised(evaluate):
    model = MODELS["svd"]
    p, one, ten = parameters(model), *(batches(model, weights=w).at(2) for w in ((1.0, 0.5, 0.5), (10, 5, 5)))
    assert one.weights.tolist() == ten.weights.tolist() == [0.5, 0.25, 0.25]
    elbo, first = batches(model, objective="elbo").at(2), batches(model, weights=(3, 0, 0)).at(2)
    # Adding two subsets of weight 0 adds zeros alone; the sums may be ordered differently: a few eps.
    assert evaluate(model, p, elbo)[0] == pytest.approx(evaluate(model, p, first)[0], rel=1e-14)


AFFINE = [
    Model((3, 2), (2, 3), (REAL, REAL), hidden=(), prior="svd", alpha=0.8),
    Model((3, 2), (2, 2), (REAL, REAL), hidden=(), prior="orthogonal", alpha=0.9),
    Model((3, 2, 4), (3, 2, 2), (REAL,) * 3, hidden=(), prior="canonical", alpha=0.8),
]
PARTS = [
    (m, seen, part)
    for m in AFFINE
    for seen in itertools.product([True, False], repeat=m.views)
    for part in itertools.product([True, False], repeat=m.views)
    if any(part) and all(s or not q for s, q in zip(seen, part, strict=True))
]


@pytest.mark.parametrize(("model", "seen", "part"), PARTS)
def test_expected_elbo_is_the_evidence_less_the_gap(evaluate, model, seen, part):
    p = parameters(model)
    rng = np.random.default_rng(8)
    x = [rng.standard_normal(c) for c in model.features]
    # ELBO_O is quadratic in the noise (D numbers): its mean over the 2 D points +-sqrt(D) e_k is its expectation, exactly.
    n, D = sum(model.latent_dims), sum(model.latent_dims) + model.noise_dim
    noise = np.sqrt(D) * np.concatenate([np.eye(D), -np.eye(D)])
    subsets = np.repeat(np.asarray([seen, part])[:, None], 2 * D, axis=1)
    views = tuple(np.tile(v * s, (2 * D, 1)) for v, s in zip(x, seen, strict=True))
    batch = Batch(views, subsets[0], subsets, np.asarray([0.0, 1.0]), noise[:, :n], noise[None, :, n:])
    found = -evaluate(model, p, batch)[0]

    S, o = dense.covariance(model, p), dense.coordinates(model, part)
    G = dense.gain(S, o, np.arange(n))  # all of z from z_O: the identity on O itself
    posteriors = [dense.encode(p, i, v) for i, v in enumerate(x)]
    mean, log_var = (np.concatenate(half)[o] for half in zip(*posteriors, strict=True))
    cov_q = G @ np.diag(np.exp(log_var)) @ G.T + S - G @ S[o]
    W, b, var, columns = [], [], [], []
    for i in np.flatnonzero(seen):
        W.append(np.zeros((n, model.features[i])))
        W[-1][dense.blocks(model)[i]] = p[f"decoder.{i}.0.weight"]
        b.append(p[f"decoder.{i}.0.bias"])
        var.append(np.exp(p[f"likelihood.{i}.log_var"]))
        columns.append(x[i])
    W, residual, V = np.concatenate(W, axis=1), np.concatenate(columns) - np.concatenate(b), np.diag(np.concatenate(var))
    K = W.T @ S @ W + V
    evidence = -0.5 * (residual @ np.linalg.solve(K, residual) + np.linalg.slogdet(2 * np.pi * K)[1])
    towards = dense.gain(np.block([[S, S @ W], [W.T @ S, K]]), np.arange(n, n + len(K)), np.arange(n))
    gap = dense.kl(G @ mean, cov_q, towards @ residual, S - towards @ W.T @ S)
    # The dense side inverts covariances of condition number below 1e4 each: 1e4 * 1e-16 * the largest term (1e3).
    assert found == pytest.approx(evidence - gap, rel=1e-9, abs=1e-9)
    assert gap > 0.01  # a bound that can be told from the evidence itself
