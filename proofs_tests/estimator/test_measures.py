"""The experiments' measures on a small binary model, against NumPy fed the same normals; and the inequalities between them."""

import collections
import functools
import hashlib

import numpy as np
import pytest
from synthetic import OPTIONS, binary_views

from jpvae import JPVAE
from jpvae.experiments.measures import latent_report, measure
from jpvae.testing import dense

VIEWS, DRAWS = binary_views(70, 5), 6
CHOICES = {
    "svd": {"prior": "svd", "latent_dims": (2, 3)},
    "orthogonal": {"prior": "orthogonal", "latent_dims": 2},
    "independent": {"prior": "independent", "latent_dims": (2, 3)},
}


@functools.cache
def trained(name):
    options = OPTIONS | {"likelihood": "bernoulli", "hidden": (4,), "steps": 60, "seed": 3} | CHOICES[name]
    return JPVAE(**options).fit(binary_views(80, 6))


class Normals:
    """Every row's own stream: key (seed, 0), counter (0, how often the row came before, hash of its bytes, stream 4)."""

    def __init__(self, views, seed):
        self.generators, before = [], collections.Counter()
        for r in range(len(views[0])):
            key = int.from_bytes(hashlib.blake2b(b"".join(v[r].tobytes() for v in views), digest_size=8).digest(), "little")
            counter = np.array([0, before[key], key, 4], np.uint64)
            self.generators.append(np.random.Generator(np.random.Philox(key=np.array([seed, 0], np.uint64), counter=counter)))
            before[key] += 1

    def normal(self, draws, size):
        return np.stack([rng.standard_normal((draws, size)) for rng in self.generators], axis=1)


def encoded(model, views):
    parts = [dense.encode(model.parameters_, i, v) for i, v in enumerate(views)]
    return (np.concatenate(half, axis=1) for half in zip(*parts, strict=True))


def loss(model, view, z, x):
    return -dense.log_prob(model.parameters_, view, z, x)


def log_mean_exp(values):
    return np.log(np.exp(values - values.max(axis=0)).mean(axis=0)) + values.max(axis=0)


def expected_measures(model):
    """Every measure from its definition, and the mean loss of single draws of each hidden view."""
    mean, log_var = encoded(model, VIEWS)
    S, at = dense.covariance(model.model_, model.parameters_), dense.blocks(model.model_)
    rng, size = Normals(VIEWS, 3), mean.shape[1]
    noise = rng.normal(1, 2 * size)[0, :, :size]
    samples = mean + np.exp(log_var / 2) * noise
    found = {k: [] for k in ("reconstruction", "plug_in", "plug_in_training", "predictive", "conditional_nll", "published")}
    single = []
    for j in range(2):
        o, h, x = at[1 - j], at[j], VIEWS[j]
        found["reconstruction"].append(loss(model, j, samples[:, h], x).sum(axis=1).mean())
        found["plug_in"].append(loss(model, j, mean[:, o] @ dense.gain(S, o, h).T, x).sum(axis=1).mean())
        for name, given, (m, C) in (
            ("plug_in_training", mean, model.moments_),
            ("published", samples, (samples.mean(axis=0), np.cov(samples.T))),
        ):
            z = m[h] + (given[:, o] - m[o]) @ dense.gain(C, o, h).T
            found[name].append(loss(model, j, z, x).sum(axis=1).mean())
        eps = rng.normal(DRAWS, 2 * size)
        z = mean + np.exp(log_var / 2) * eps[..., :size]
        G = dense.gain(S, o, h)
        drawn = z[..., o] @ G.T + eps[..., size:][..., h] @ dense.root(S[np.ix_(h, h)] - G @ S[np.ix_(o, h)])
        losses = np.stack([loss(model, j, one, x) for one in drawn])
        found["predictive"].append(-log_mean_exp(-losses).sum(axis=1).mean())
        found["conditional_nll"].append(-log_mean_exp(-losses.sum(axis=2)).mean())
        single.append(losses.sum(axis=2).mean())
    kl = [dense.kl(m, np.diag(np.exp(v)), np.zeros(size), S) for m, v in zip(mean, log_var, strict=True)]
    found["reconstruction_alone"] = found["reconstruction"]  # a product of posteriors: the other view changes nothing
    found["negative_elbo"] = sum(found["reconstruction"]) + np.mean(kl)  # the same posterior sample serves both
    found["published_imputation"] = found.pop("published")
    return found, single


@pytest.mark.parametrize("name", CHOICES)
def test_measures_by_their_definitions(name):
    model = trained(name)
    found, (expected, single) = measure(model, VIEWS, draws=DRAWS), expected_measures(model)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        # float64 sums of a few hundred terms of order 1; covariances of condition number below 1e4.
        assert found[key] == pytest.approx(value, rel=1e-9), key
    for j in range(2):
        # Jensen, per entry and for the whole view: the log of an average is at least the average log.
        assert found["predictive"][j] <= single[j]
        assert found["conditional_nll"][j] <= single[j]
    if name == "independent":  # nothing is known of a hidden view: one code for all rows, the prior's mean
        codes = [np.zeros((70, n)) for n in (2, 3)]
        blind = [loss(model, j, codes[j], VIEWS[j]).sum(axis=1).mean() for j in range(2)]
        assert found["plug_in"] == pytest.approx(blind, rel=1e-12)


@pytest.mark.parametrize("name", CHOICES)
def test_latent_report(name):
    model = trained(name)
    views = binary_views(700, 8)  # more than a block of rows
    mean, log_var = encoded(model, views)
    noise = Normals(views, 3).normal(1, 2 * mean.shape[1])[0, :, : mean.shape[1]]
    samples, n1 = mean + np.exp(log_var / 2) * noise, model.model_.latent_dims[0]
    report = latent_report(model, views)
    active = int((mean.var(axis=0, ddof=1) > 0.01).sum())
    assert report["active_units"] == active
    assert report["active_units_percent"] == pytest.approx(100 * active / mean.shape[1], rel=1e-15)
    norm = np.sqrt((np.corrcoef(samples.T)[:n1, n1:] ** 2).sum())
    assert report["cross_correlation_norm"] == pytest.approx(norm, rel=1e-10)


def test_an_inactive_unit_is_not_counted():
    model = JPVAE(**OPTIONS | {"likelihood": "bernoulli", "steps": 1, "latent_dims": 2, "hidden": ()}).fit(VIEWS)
    assert latent_report(model, VIEWS)["active_units"] == 4
    weight, bias = model.predictor().p["encoder.0.0.weight"], model.predictor().p["encoder.0.0.bias"]
    weight[:, 0] = 0.0  # the first posterior mean of view 1 is the same for every row
    bias[0] = 3.0
    assert latent_report(model, VIEWS)["active_units"] == 3
