"""score, score_samples, score_conditional: importance-weighted log-likelihoods, against Gaussians that can be written down.

A model without hidden layers is one big Gaussian (test_affine_model.py); its parameters here are set by hand, so that its
posteriors are exact, or wrong by a chosen amount.
"""

import functools
import itertools

import numpy as np
import pytest
from synthetic import fitted, three_views

from jpvae import JPVAE
from jpvae.errors import ConfigError, ViewError
from jpvae.inference.importance import Weights
from jpvae.model.likelihoods import likelihood
from jpvae.testing import dense
from jpvae.views.columns import Columns
from jpvae.views.units import Units

ROWS = 40
RNG = np.random.default_rng(5)
COLUMNS = (3, 4)
SCALES = [np.array([0.5, 2.0, 3.0]), np.array([1.0, 4.0, 0.25, 2.0])]
DATA = [RNG.standard_normal((ROWS, c)) * s + 1.0 for c, s in zip(COLUMNS, SCALES, strict=True)]
PATTERNS = np.asarray([[True, True], [True, False], [False, True]])
MASK = PATTERNS[np.arange(ROWS) % 3]


def affine(prior, widen=0.0):
    """Decoders of orthogonal columns with one noise variance per view, encoders of each view's own exact posterior; where
    ``widen`` is not 0, log-variances too large by that. -> the model, and its W, b and noise variances in its units."""
    options = {"latent_dims": 2, "likelihood": "gaussian", "hidden": (), "steps": 1, "dtype": "float64", "backend": "numpy"}
    model = JPVAE(prior=prior, alpha=0.6, progress=False, posterior="factorised", **options).fit(DATA)
    p, loadings, offsets, noise = model.parameters_, [], [], []
    rng = np.random.default_rng(1)
    for i, c in enumerate(COLUMNS):
        Q = np.linalg.qr(rng.standard_normal((c, 2)))[0]
        w, b, var = Q * np.array([1.2, 0.7]), 0.3 * rng.standard_normal(c), 0.5 + 0.25 * i
        precision = 1.0 + np.array([1.2, 0.7]) ** 2 / var  # of z given x_i, diagonal
        towards = w / var / precision
        p[f"decoder.{i}.0.weight"], p[f"decoder.{i}.0.bias"] = w.T.copy(), b
        p[f"encoder.{i}.0.weight"] = np.concatenate([towards, np.zeros((c, 2))], axis=1)
        p[f"encoder.{i}.0.bias"] = np.concatenate([-b @ towards, -np.log(precision) + widen])
        p[f"likelihood.{i}.log_var"] = np.full(c, np.log(var))
        loadings.append(w), offsets.append(b), noise.append(np.full(c, var))
    predictor = model.predictor()
    for name, x in p.items():
        predictor.p[name][...] = x
    W = np.zeros((7, 4))
    W[:3, :2], W[3:, 2:] = loadings
    return model, W, np.concatenate(offsets), np.concatenate(noise)


def log_normal(x, covariance):
    return -0.5 * (np.sum(x * np.linalg.solve(covariance, x.T).T, axis=1) + np.linalg.slogdet(2 * np.pi * covariance)[1])


def evidence(W, b, var, model, mask):
    """log p(x_O) of every row, in data units: N(b, W S W^T + diag var), marginalised and rescaled."""
    location, scale = (np.concatenate(part) for part in zip(*model.scaling_, strict=True))
    x = (np.concatenate(DATA, axis=1) - location) / scale - b
    K = W @ dense.covariance(model.model_, model.parameters_) @ W.T + np.diag(var)
    result = np.empty(ROWS)
    for r, seen in enumerate(np.repeat(mask, COLUMNS, axis=1)):
        result[r] = log_normal(x[None, r, seen], K[np.ix_(seen, seen)])[0] - np.log(scale[seen]).sum() if seen.any() else 0.0
    return result


@pytest.mark.parametrize("draws", [1, 7])
def test_with_the_exact_posterior_one_draw_is_exact(draws):
    """Then p(x|z) p(z) / q(z|x) is p(x) for every z. (Independent views: each encoder's posterior is that of the whole row.)"""
    model, W, b, var = affine("independent")
    found = model.score_samples(DATA, MASK, n_draws=draws)
    # float64, some twenty terms of size 10.
    assert found == pytest.approx(evidence(W, b, var, model, MASK), abs=1e-11)
    assert model.score(DATA, MASK, n_draws=draws) == pytest.approx(found.mean(), abs=1e-13)
    one = evidence(W, b, var, model, MASK & [True, False])
    conditional = model.score_conditional(DATA, MASK, target=1, n_draws=draws)
    assert np.array_equal(np.isnan(conditional), ~MASK[:, 1])
    assert conditional[MASK[:, 1]] == pytest.approx((evidence(W, b, var, model, MASK) - one)[MASK[:, 1]], abs=1e-11)
    assert model.elbo(DATA, MASK) != pytest.approx(found.mean(), abs=1e-3)  # the ELBO of one draw is another estimate


def weights_deviation(model, mask, count):
    """Standard deviation over draws of w/E[w], row by row, from weights computed here."""
    rng, p = np.random.default_rng(9), model.parameters_
    S, at = dense.covariance(model.model_, p), dense.blocks(model.model_)
    x = [(v - location) / scale for v, (location, scale) in zip(DATA, model.scaling_, strict=True)]
    deviation = np.empty(ROWS)
    for r, seen in enumerate(mask):
        o, log_w, z = dense.coordinates(model.model_, seen), np.zeros(count), np.zeros((count, 4))
        for i in np.flatnonzero(seen):
            mean, log_var = dense.encode(p, i, x[i][r])
            e = rng.standard_normal((count, 2))
            z[:, at[i]] = mean + np.exp(log_var / 2) * e
            log_w += 0.5 * (e**2 + log_var + np.log(2 * np.pi)).sum(axis=1)
            log_w += dense.log_prob(p, i, z[:, at[i]], x[i][r]).sum(axis=1)
        log_w += log_normal(z[:, o], S[np.ix_(o, o)])
        w = np.exp(log_w - log_w.max())
        deviation[r] = w.std() / w.mean()
    return deviation


def test_score_converges_to_the_exact_log_density():
    """Coupled views and posteriors of the wrong width: the log of K weights' mean is off by their deviation / sqrt K."""
    model, W, b, var = affine("orthogonal", widen=0.5)
    draws, wanted = 1000, evidence(W, b, var, model, MASK)
    deviation = weights_deviation(model, MASK, draws)
    found = model.score_samples(DATA, MASK, n_draws=draws)
    assert np.all(np.abs(found - wanted) < 5 * deviation / np.sqrt(draws))
    assert model.score(DATA, MASK, n_draws=draws) == pytest.approx(
        wanted.mean(), abs=5 * np.sqrt((deviation**2).sum() / draws) / ROWS
    )
    # One draw is another number, far outside.
    assert np.abs(model.score_samples(DATA, MASK, n_draws=1) - wanted).max() > 20 * deviation.max() / np.sqrt(draws)


@pytest.mark.parametrize("target", [0, "view1"])
def test_conditional_score_converges(target):
    model, W, b, var = affine("orthogonal", widen=0.5)
    j, draws = int(target == "view1"), 1000
    others = MASK & (np.arange(2) != j)
    wanted = evidence(W, b, var, model, MASK) - evidence(W, b, var, model, others)
    found, seen = model.score_conditional(DATA, MASK, target=target, n_draws=draws), MASK[:, j]
    assert np.isnan(found[~seen]).all()
    deviation = sum(weights_deviation(model, m, draws) for m in (MASK, others))
    assert np.all(np.abs(found - wanted)[seen] < 5 * deviation[seen] / np.sqrt(draws))
    alone = seen & ~others.any(axis=1)  # nothing is given: log p(x_j)
    assert found[alone] == pytest.approx(model.score_samples(DATA, MASK, n_draws=draws)[alone], abs=1e-12)
    tied = (seen & others.any(axis=1)).nonzero()[0]
    marginal = evidence(W, b, var, model, np.broadcast_to(np.arange(2) == j, MASK.shape))
    assert np.abs(wanted - marginal)[tied].max() > 0.1  # so that ignoring the other view would have been seen


def test_more_draws_are_a_tighter_bound():
    """E IW_1 <= E IW_4 <= E IW_64 <= log p(x) (Burda, Grosse and Salakhutdinov 2016, Theorem 1), on means over 40 rows."""
    model, W, b, var = affine("orthogonal", widen=1.0)
    found = {}
    for k in (1, 4, 64):
        runs = []
        for seed in range(20):
            model.predictor().seed = seed
            runs.append(model.score(DATA, MASK, n_draws=k))
        found[k] = np.mean(runs), np.std(runs) / np.sqrt(20)
    exact = evidence(W, b, var, model, MASK).mean()
    for (low, e), (high, f) in itertools.pairwise(found.values()):
        assert high - low > 3 * np.hypot(e, f)  # tighter, and visibly so
    assert exact > found[64][0] - 3 * found[64][1]
    elbos = []
    for seed in range(20):
        model.predictor().seed = seed
        elbos.append(model.elbo(DATA, MASK, n_draws=1))
    assert np.mean(elbos) == pytest.approx(found[1][0], abs=5 * np.hypot(np.std(elbos) / np.sqrt(20), found[1][1]))


def test_units_shift_conditional_scores_by_the_target_s_logarithm():
    data = [8 * DATA[0], DATA[1]]
    options = {
        "latent_dims": 2,
        "likelihood": "gaussian",
        "hidden": (4,),
        "steps": 5,
        "dtype": "float64",
        "progress": False,
        "posterior": "factorised",
    }
    fine, coarse = JPVAE(**options).fit(DATA), JPVAE(**options).fit(data)
    for target, columns in ((0, 3), (1, 0)):
        found = coarse.score_conditional(data, target=target, n_draws=3)
        wanted = fine.score_conditional(DATA, target=target, n_draws=3) - columns * np.log(8.0)
        assert found == pytest.approx(wanted, abs=1e-11)
    assert coarse.score(data, n_draws=3) == pytest.approx(fine.score(DATA, n_draws=3) - 3 * np.log(8.0), abs=1e-11)


def test_draws_in_groups_are_the_same_draws(monkeypatch):
    """What bounds the memory has no part in the result but for the last roundings of a sum of 10 weights."""
    views, mask = three_views(30, 1)
    whole = fitted().score_samples(views, mask, n_draws=10)
    assert type(fitted().predictor()).group(5) > 10
    seen = []
    monkeypatch.setattr("jpvae.inference.predictor.Predictor.group", staticmethod(lambda features: seen.append(features) or 3))
    assert fitted().score_samples(views, mask, n_draws=10) == pytest.approx(whole, rel=1e-13)
    assert seen == [5]


TARGETS = [3, -1, "rna", True, 0.5, None]


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_a_view(target):
    views, mask = three_views(20, 1)
    with pytest.raises(
        ViewError, match=r"target is .*; expected one of the views \['view0', 'view1', 'view2'\] or its position"
    ):
        fitted().score_conditional(views, mask, target=target)


@pytest.mark.parametrize("method", ["score", "score_samples", "elbo", "effective_draws", "score_conditional"])
def test_no_draws_no_score(method):
    more = {"target": 0} if method == "score_conditional" else {}
    with pytest.raises(ConfigError, match="n_draws is 0; expected at least 1"):
        getattr(fitted(), method)(three_views(20, 1)[0], n_draws=0, **more)


def test_the_error_of_scores():
    """Of joint and conditional ones: 95 % of rows within two of it, where it is known; none is given of weights of one draw."""
    model, W, b, var = affine("orthogonal", widen=0.5)
    others = MASK & (np.arange(2) != 0)
    both, given = (evidence(W, b, var, model, mask) for mask in (MASK, others))
    found = {
        "joint": (*model.score_samples(DATA, MASK, n_draws=500, return_error=True), both),
        "conditional": (*model.score_conditional(DATA, MASK, target=0, n_draws=500, return_error=True), both - given),
    }
    for name, (score, error, wanted) in found.items():
        seen = MASK[:, 0] if name == "conditional" else np.ones(len(MASK), dtype=bool)
        assert np.isnan(error[~seen]).all()
        # Of a normal error .954 are within two; four deviations of the share, and .03 for the bias of a logarithm.
        share = np.mean(np.abs(score - wanted)[seen] <= 2.0 * error[seen])
        assert share >= 0.954 - 0.03 - 4.0 * np.sqrt(0.954 * 0.046 / seen.sum()), name
    for call in (model.score_samples, functools.partial(model.score_conditional, target=0)):
        with pytest.raises(ConfigError, match="n_draws is 1; expected at least 2"):
            call(DATA, MASK, n_draws=1, return_error=True)


def test_an_error_is_infinite_where_the_weights_are_worth_less_than_two():
    """By hand: two draws of weights 1 and 9 are worth 100/82 of one, 1 and 1 are worth 2."""
    weights = Weights(2)
    weights.add(np.log(np.asarray([[1.0, 3.0], [9.0, 3.0]])))
    found = weights.evidence()
    assert found.effective_draws == pytest.approx([100 / 82, 2.0])
    assert found.error[0] == np.inf
    assert found.error[1] == pytest.approx(0.0, abs=1e-7)  # the root of eps


def test_whether_the_error_is_wanted_is_true_or_false():
    with pytest.raises(ConfigError, match="return_error is 'yes'"):
        fitted().score_samples(three_views(20, 1)[0], return_error="yes")


@pytest.mark.parametrize("scale", [(1.0, 1.0), (1.0, 2.0), (0.5, 2.0)])
def test_units_of_columns_of_which_some_have_scale_1(scale):
    """A density in the data's units is less by the logarithm of the scales of the cells that are there."""
    columns = Columns.of_one_family("gaussian", 2)
    units = Units("v", columns, likelihood("gaussian"), np.zeros(2), np.asarray(scale))
    values, observed = np.asarray([[0.3, -1.0], [0.1, 0.2]]), np.asarray([True, False])
    assert units.log_units(values, observed) == pytest.approx([np.log(scale).sum(), 0.0], abs=1e-15)
