"""Every coupling as loadings on one source, y_i = a_i u + r_i e_i: unit variances, its correlations, and the way back."""

import math

import numpy as np
import pytest
import torch
from strategies import STRUCTURES, Model

import jpvae_core as jc
from jpvae_core import vjp

EPS = 2.0**-52
every_coupling = pytest.mark.parametrize("structure", STRUCTURES[1:], ids=lambda s: s.kind)


@every_coupling
@pytest.mark.parametrize("reach", [1e-3, 3.0, 12.0])
def test_they_are_the_coupling(structure, reach):
    """a_i a_j is the correlation and a^2 + r^2 = 1; both from exp and roots of a few eps (docs/error-analysis.md)."""
    prior = structure.prior(Model(structure, 5, reach=reach).parameters)
    loadings = prior.coupling.loadings_of(np, np.zeros((1, 1)))
    for i, (a, r) in enumerate(loadings):
        assert a * a + r * r == pytest.approx(np.ones(structure.rank), abs=60 * EPS)
        assert np.all(r > 0)
        for j, (other, _) in enumerate(loadings[:i]):
            assert a * other == pytest.approx(prior.coupling.correlation(np, i, j), rel=60 * EPS)


def test_a_pair_is_smooth_and_signed_through_0():
    """At s = 0, where sqrt(s) would have no derivative: a_2' = sqrt(2) and all other slopes are 0."""
    alpha = torch.zeros((), dtype=torch.float64, requires_grad=True)
    prior = jc.JointPrior.orthogonal(torch.eye(2, dtype=torch.float64), alpha)
    (a_1, r_1), (a_2, r_2) = prior.coupling.loadings_of(torch, alpha)
    slopes = [torch.autograd.grad(t[0], alpha, retain_graph=True)[0] for t in (a_1, r_1, a_2, r_2)]
    assert slopes == pytest.approx([0.0, 0.0, 2**0.5, 0.0], abs=EPS)


@every_coupling
def test_their_cotangents_go_back_to_the_parameters(structure):
    """As torch differentiates them, through the bound for a pair."""
    rng, views = np.random.default_rng(0), len(structure.dims)
    raw = Model(structure, 7).parameters
    name = "alpha" if "alpha" in raw else "logits"
    frames = [jc.frame(p, n, structure.rank, s) for p, n, s in zip(raw["entries"], structure.dims, raw["signs"], strict=True)]
    leaf = torch.tensor(raw[name], requires_grad=True)
    bars = [tuple(rng.standard_normal((2, structure.rank))) for _ in range(views)]
    coupling = structure.prior({"frames": [torch.tensor(q) for q in frames], name: leaf}).coupling
    pairs = zip(coupling.loadings_of(torch, leaf), bars, strict=True)
    sum((x * torch.tensor(bar)).sum() for both in pairs for x, bar in zip(*both, strict=True)).backward()
    found = structure.prior({"frames": frames, name: raw[name]}).coupling.loadings_vjp(np, bars)
    if name == "alpha":
        found = vjp.number_bound(raw[name], jc.Bounded(*(t[..., 0] for t in found)))
    elif structure.kind != "canonical":
        found = getattr(vjp, structure.kind.removeprefix("svd-") + "_bound")(raw[name], found)
    assert found == pytest.approx(leaf.grad.numpy(), rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("views", [2, 40])
def test_loadings_at_the_limit_leave_every_sum_finite(views):
    """Forty views of loadings next to 1, whose e = a^2/(1 - a^2) is nearly the largest number; log|Sigma| of M views that agree
    is log(1 + M e) - M log(1 + e), and the mean of all others is told to 1/M."""
    prior = jc.JointPrior.canonical(None, np.full((views, 1), 710.0, np.float64))
    e = math.exp(709.78)
    want = math.log(views) + math.log(e) * (1 - views)
    assert float(prior.log_det()) == pytest.approx(want, rel=1e-4)
    sharp = jc.kl_divergence(prior, [np.full((1, 1), 0.5)] * views, [np.full((1, 1), -709.0)] * views)
    narrow = jc.JointPrior.canonical(None, np.full((views, 1), 90.0, np.float32))
    assert float(narrow.log_det()) == pytest.approx(math.log(views) + 88.72 * (1 - views), rel=1e-4)
    agreed, level = np.full((1, 1), 0.5, np.float32), np.full((1, 1), -88.0, np.float32)
    assert np.isfinite(sharp).all()
    assert np.isfinite(jc.kl_divergence(narrow, [agreed] * views, [level] * views)).all()
