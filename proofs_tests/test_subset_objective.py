"""The loss: sum_k w_k ELBO_O per row, where q_O uses the encoders on O and the prior's conditional elsewhere.

It must equal a dense NumPy evaluation for given noise; and where encoders and decoders are affine, its expectation is known:
E[ELBO_O] = log p(x) - KL(q_O(z) || p(z | x)), for every O, also where views are truly missing.
"""

import itertools

import dense
import numpy as np
import pytest

from jpvae.engine import Batch, engine
from jpvae.model import Model
from jpvae.schedules import Constant, LearningRate
from jpvae.training import Batches, Plan

BINARY, REAL = "bernoulli", "gaussian"
MODELS = {
    "independent": Model((4, 3), (2, 3), (BINARY, REAL), hidden=(5,), prior="independent"),
    "orthogonal": Model((4, 3), (3, 3), (BINARY, REAL), hidden=(5, 4), prior="orthogonal", alpha=0.8),
    "orthogonal, negative": Model((4, 3), (2, 2), (REAL, REAL), hidden=(5,), prior="orthogonal", alpha=-0.6),
    "orthogonal, learned": Model((4, 3), (3, 3), (BINARY, REAL), hidden=(5,), prior="orthogonal", learn_alpha=True),
    "svd": Model((4, 3), (2, 4), (BINARY, REAL), hidden=(5,), prior="svd", alpha=0.7),
    "svd, tanh, rank 1": Model((4, 3), (3, 2), (BINARY, REAL), hidden=(5,), prior="svd", bound="tanh", rank=1),
    "canonical": Model((4, 3, 5), (3, 2, 4), (BINARY, REAL, BINARY), hidden=(5,), prior="canonical", alpha=0.7),
    "orthogonal, three views": Model((4, 3, 2), (2, 2, 2), (REAL, BINARY, REAL), hidden=(4,), alpha=0.9),
}
CASES = [
    pytest.param(model, hole, o, id=f"{k}-{hole}-{o}")
    for k, model in MODELS.items()
    for hole, o in (("complete", "elbo"), ("complete", "subset"), ("holes", "elbo"), ("holes", "subset"))
]


def made(model, holes="complete", objective="subset", rows=7, weights=None):
    """Parameters away from their start, and a batch."""
    rng = np.random.default_rng(5)
    p = {k: np.asarray(v + 0.3 * rng.standard_normal(v.shape)) for k, v in model.initial_parameters(1).items()}
    M = model.views
    observed = np.ones((rows, M), dtype=bool)
    if holes == "holes":
        patterns = [bits for bits in itertools.product([True, False], repeat=M) if any(bits)]
        observed = np.asarray([patterns[r % len(patterns)] for r in range(rows)])
    binary = [name == BINARY for name in model.likelihood_names]
    views = [rng.standard_normal((rows, c)) for c in model.features]
    views = [np.where(seen[:, None], v > 0 if b else v, 0.0) for v, b, seen in zip(views, binary, observed.T, strict=True)]
    weights = weights or ((0.5, 0.2, 0.3) if M == 2 else (0.6, 0.4))
    plan = Plan(9, rows, Constant(), LearningRate(), objective, weights)
    return p, Batches(views, observed, model, plan).at(2)


def dense_loss(model, p, batch, beta):
    """The module's formula, row by row, subset by subset."""
    S, at, total = dense.covariance(model, p), dense.blocks(model), 0.0
    posteriors = [dense.encode(p, i, x) for i, x in enumerate(batch.views)]
    mean, log_var = (np.concatenate(part, axis=-1) for part in zip(*posteriors, strict=True))
    z = mean + np.exp(log_var / 2) * batch.posterior_noise
    for k, w in enumerate(batch.weights):
        for r, inside in enumerate(batch.subsets[k]):
            o = dense.coordinates(model, inside)
            total += w * beta * dense.kl(mean[r, o], np.diag(np.exp(log_var[r, o])), np.zeros(len(o)), S[np.ix_(o, o)])
            row = z[r] if k == 0 else dense.complete(model, p, z[r], inside, batch.completion_noise[k - 1, r])
            for j in np.flatnonzero(batch.observed[r]):
                total -= w * dense.log_prob(p, j, row[at[j]], batch.views[j][r]).sum()
    return total / len(batch.observed)


def torch_loss(model, p, batch, beta=1.0):
    """The engine's loss and gradients, float64."""
    torch_engine = engine("torch", model, "float64")
    state = torch_engine.start(p, None)
    loss, _ = torch_engine.loss(state.parameters, batch, beta)
    loss.backward()
    gradients = {k: np.zeros(v.shape) if v.grad is None else v.grad.numpy() for k, v in state.parameters.items()}
    return float(loss.detach()), gradients


@pytest.mark.parametrize(("model", "holes", "objective"), CASES)
def test_equals_the_dense_evaluation(model, holes, objective):
    p, batch = made(model, holes, objective)
    # Fewer than 1e3 terms below 1e3 each, and a prior of condition number below 1e3: 1e3 * 1e3 * 1e-16, and ten to spare.
    assert torch_loss(model, p, batch, 0.7)[0] == pytest.approx(dense_loss(model, p, batch, 0.7), rel=1e-9)


@pytest.mark.parametrize(("model", "holes", "objective"), [c for c in CASES if "holes-subset" in c.id])
def test_gradient_equals_differences_of_the_dense_evaluation(model, holes, objective):
    p, batch = made(model, holes, objective, rows=4 if model.views == 2 else 7)
    gradients, step, rng = torch_loss(model, p, batch)[1], 1e-5, np.random.default_rng(0)
    assert gradients.keys() == p.keys()
    for name, values in p.items():
        at = tuple(int(rng.integers(n)) for n in values.shape)
        ends = []
        for sign in (1, -1):
            moved = values.copy()
            moved[at] += sign * step
            ends.append(dense_loss(model, p | {name: moved}, batch, 1.0))
        # Rounding: 2 * 1e-13 / 1e-5; truncation: step^2 times a third derivative of up to 1e2.
        assert gradients[name][at] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=3e-8), name


@pytest.mark.parametrize("model", [MODELS["svd"], MODELS["canonical"]], ids=["svd", "canonical"])
def test_values_of_missing_views_have_no_influence(model):
    p, batch = made(model, "holes")
    other = [np.where(seen[:, None], v, 0.9) for v, seen in zip(batch.views, batch.observed.T, strict=True)]
    (first, slopes), (second, slopes_2) = (torch_loss(model, p, b) for b in (batch, Batch(**vars(batch) | {"views": other})))
    assert any((v != w).any() for v, w in zip(batch.views, other, strict=True))
    assert first == second
    assert all(np.array_equal(slopes[k], slopes_2[k]) for k in slopes)


def test_weights_are_normalised():
    (p, one), (_, ten) = (made(MODELS["svd"], weights=w) for w in ((1.0, 0.5, 0.5), (10, 5, 5)))
    assert one.weights.tolist() == ten.weights.tolist() == [0.5, 0.25, 0.25]
    _, elbo = made(MODELS["svd"], objective="elbo")
    _, first = made(MODELS["svd"], weights=(3, 0, 0))
    # Adding two subsets of weight 0 adds zeros alone; the sums may be ordered differently: a few eps.
    assert torch_loss(MODELS["svd"], p, elbo)[0] == pytest.approx(torch_loss(MODELS["svd"], p, first)[0], rel=1e-14)


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
def test_expected_elbo_is_the_evidence_less_the_gap(model, seen, part):
    p, _ = made(model)
    rng = np.random.default_rng(8)
    x = [rng.standard_normal(c) for c in model.features]
    # ELBO_O is quadratic in the noise (D numbers): its mean over the 2 D points +-sqrt(D) e_k is its expectation, exactly.
    n, D = sum(model.latent_dims), sum(model.latent_dims) + model.noise_dim
    noise = np.sqrt(D) * np.concatenate([np.eye(D), -np.eye(D)])
    subsets = np.repeat(np.asarray([seen, part])[:, None], 2 * D, axis=1)
    views = tuple(np.tile(v * s, (2 * D, 1)) for v, s in zip(x, seen, strict=True))
    batch = Batch(views, subsets[0], subsets, np.asarray([0.0, 1.0]), noise[:, :n], noise[None, :, n:])
    found = -torch_loss(model, p, batch)[0]

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
