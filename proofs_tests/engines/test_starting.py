"""Where training starts: a linear model fills views as the truth's own regression would, before any step."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from jpvae import JPVAE
from jpvae.model.likelihoods import Likelihood, likelihood
from jpvae.model.model import Model
from jpvae.model.posterior import posterior
from jpvae.training.batches import Batches
from jpvae.training.plan import Calibration, Plan
from jpvae.training.schedules import Constant, LearningRate
from jpvae.training.starting import _constant, at_factor_analysis, suits
from jpvae.views.units import Prepared

FEATURES, FACTORS = (6, 4, 5), 2
MODEL = Model(FEATURES, (FACTORS,) * 3, ("gaussian",) * 3, hidden=(), prior="canonical", alpha=0.9)


def linear_truth(rows=2_000, noise=0.5, seed=0):
    """Views of two shared factors, their (15, 15) covariance and what is observed: a third of the views is missing."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((sum(FEATURES), FACTORS))
    x = rng.standard_normal((rows, FACTORS)) @ W.T + noise * rng.standard_normal((rows, len(W))) + 3.0
    observed = rng.random((rows, 3)) < 0.67
    observed[~observed.any(axis=1), 0] = True
    return np.split(x, np.cumsum(FEATURES)[:-1], axis=1), W @ W.T + noise**2 * np.eye(len(W)), observed


def started(model, views, observed, seed=0):
    """The fresh parameters, without the prior's small random rotations, and where they are moved."""
    fresh = model.initial_parameters(seed)
    fresh |= {name: np.zeros_like(x) for name, x in fresh.items() if "frame" in name or "rotation" in name}
    return fresh, at_factor_analysis(fresh, model, [Prepared(x, x) for x in views], observed)


@pytest.mark.parametrize("hidden", [(), (8,)])
@pytest.mark.parametrize("alpha", [0.9, 0.9999])
@pytest.mark.parametrize("kind", ["fused", "factorised"])
def test_a_linear_model_starts_at_the_best_linear_filling(hidden, alpha, kind):
    """The target is the truth's own regression of one view on another, of which alpha < 1 keeps the part that two latents of
    correlation alpha share: cov(x_j, x_i) (cov(x_i) + (1/alpha - 1) W_i W_i')^-1."""
    views, covariance, observed = linear_truth()
    model = replace(MODEL, hidden=hidden, alpha=alpha, linear_skip=True, posterior=kind)
    _, p = started(model, views, observed)
    alpha = max(alpha, 0.99)
    at = np.split(np.arange(sum(FEATURES)), np.cumsum(FEATURES)[:-1])
    W_W = covariance - 0.25 * np.eye(len(covariance))
    for i in range(3):
        x = views[i][:200]
        name = "linear" if hidden else "0"
        out = x @ p[f"encoder.{i}.{name}.weight"] + p[f"encoder.{i}.{len(hidden)}.bias"]
        assert all(not p[f"{part}.{i}.1.weight"].any() for part in ("encoder", "decoder") if hidden)  # the networks add nothing
        blank = [np.zeros((len(x), FACTORS))] * 3
        means = [out[:, :FACTORS] if j == i else blank[j] for j in range(3)]
        log_vars = [model.log_variances(np, out[:, FACTORS:]) if j == i else blank[j] for j in range(3)]
        z = posterior(kind, np, model.joint_prior(p), means, log_vars, np.arange(3) == i).mean()
        alone = covariance[np.ix_(at[i], at[i])] + (1 / alpha - 1) * W_W[np.ix_(at[i], at[i])]
        for j in set(range(3)) - {i}:
            filled = z[j] @ p[f"decoder.{j}.{name}.weight"] + p[f"decoder.{j}.{len(hidden)}.bias"]
            exact = 3.0 + (x - 3.0) @ np.linalg.solve(alone, covariance[np.ix_(at[i], at[j])])
            # Loadings of some 880 rows that have both are wrong by about 1/sqrt(880) = 0.034 of a standard deviation (2 to 3).
            assert np.sqrt(np.mean((filled - exact) ** 2)) < 0.1
            assert np.sqrt(np.mean((exact - 3.0) ** 2)) > 0.5  # there is that much to fill


@pytest.mark.parametrize("alpha", [0.6, 0.95])
@pytest.mark.parametrize(("prior", "views"), [("canonical", 3), ("orthogonal", 3), ("svd", 2), ("orthogonal", 2)])
def test_linear_models_start_with_the_exact_posterior_whichever_views_are_observed(prior, views, alpha, monkeypatch):
    """Of a given factor analysis. The target is E[u_j | x_O], u_i = x_i - noise, by covariances, of which alpha < 1 lets a view
    have some of its own: cov(u_i) = W_i W_i'/alpha, cov(u_i, u_j) = W_i W_j'. A learned alpha starts at 0.99 or more."""
    rng = np.random.default_rng(0)
    at = np.split(np.arange(sum(FEATURES)), np.cumsum(FEATURES)[:-1])[:views]
    C, latents = at[-1][-1] + 1, 4
    W, noise, mean = rng.standard_normal((C, 3)), rng.uniform(0.5, 2.0, C), rng.standard_normal(C)
    x = np.hsplit(2.0 * rng.standard_normal((300, C)) + 1.0, [each[0] for each in at[1:]])
    sd, middle = (np.concatenate([getattr(each, of)(axis=0) for each in x]) for of in ("std", "mean"))
    given = SimpleNamespace(loadings_=W / sd[:, None], noise_=noise / sd**2, mean_=(mean - middle) / sd)
    monkeypatch.setattr("jpvae.training.starting._best", lambda *_: given)
    model = replace(MODEL, features=FEATURES[:views], latent_dims=(latents,) * views, likelihood_names=("gaussian",) * views)
    model = replace(model, prior=prior, alpha=alpha, posterior="fused")
    _, p = started(model, x, np.ones((300, views), dtype=bool))
    p |= {f"encoder.{i}.0.weight": _without_others(p[f"encoder.{i}.0.weight"], 3, latents) for i in range(views)}
    outs = [one @ p[f"encoder.{i}.0.weight"] + p[f"encoder.{i}.0.bias"] for i, one in enumerate(x)]
    means, log_vars = [out[:, :latents] for out in outs], [model.log_variances(np, out[:, latents:]) for out in outs]
    for i in range(views):
        means[i][:, 3:] = 0.0  # what is no factor
        p[f"decoder.{i}.0.weight"][3:] = 0.0
    signal = W @ W.T
    for each in at:
        signal[np.ix_(each, each)] /= max(alpha, 0.99) if prior in ("canonical", "svd") else alpha
    for seen in itertools.product([False, True], repeat=views):
        if any(seen):
            z = posterior("fused", np, model.joint_prior(p), means, log_vars, np.asarray(seen)).mean()
            known = np.concatenate([at[i] for i in np.flatnonzero(seen)])
            inverse = np.linalg.inv((signal + np.diag(noise))[np.ix_(known, known)])
            for j in range(views):
                found = z[j] @ p[f"decoder.{j}.0.weight"]
                exact = (np.concatenate(x, axis=1) - mean)[:, known] @ inverse @ signal[np.ix_(known, at[j])]
                # A decoder's slope is 1/(1 + b^2), b how many deviations its constant is from the mean: a tenth of a standard
                # error, 0.1/sqrt(300), and by the pull of one row to 0, the mean times the deviation over 300.
                assert found == pytest.approx(exact, rel=(0.1 / 300**0.5 + 3.0 / 300) ** 2, abs=1e-9)
                assert np.std(exact) > 0.2


def _without_others(weight, factors, latents):
    """An encoder that tells nothing of the latents beyond the factors but a constant variance."""
    weight = weight.copy()
    weight[:, factors:latents] = weight[:, latents + factors :] = 0.0
    return weight


def log_rate(m):
    """The output o whose rate e^{30 tanh(o/30)} is m."""
    return 30 * np.arctanh(np.log(m) / 30)


def test_the_noise_starts_at_what_the_factors_leave():
    views, _, observed = linear_truth(noise=0.5)
    _, p = started(MODEL, views, observed)
    for i in range(3):  # a variance from about 1,340 rows: standard error 0.25 sqrt(2/1340) = 0.0097; five of them
        assert np.exp(p[f"likelihood.{i}.log_var"]) == pytest.approx(0.25, abs=0.049)


@pytest.mark.parametrize(
    ("name", "draw", "best"),
    [
        ("poisson_unscaled", lambda rng: rng.poisson([50.0, 3.0, 0.5], (4_000, 3)).astype(float), log_rate),
        ("bernoulli", lambda rng: (rng.random((4_000, 3)) < [0.1, 0.5, 0.9]).astype(float), lambda m: np.log(m / (1 - m))),
        ("gaussian", lambda rng: rng.standard_normal((4_000, 3)), lambda m: m),
        ("categorical", lambda rng: np.eye(3)[rng.integers(3, size=4_000)], lambda m: np.log(m) - np.log(m).mean()),
    ],
)
def test_a_constant_output_is_the_one_of_the_largest_likelihood(name, draw, best):
    """Of one family each, the maximum has a closed form in the columns' means."""
    targets = draw(np.random.default_rng(1))
    if name.startswith("poisson"):
        targets = np.concatenate([targets, np.zeros((len(targets), 1))], axis=1)  # log s
    family = likelihood(name)
    found, score = _constant(family, np.zeros(3), targets, np.ones((4_000, 3), dtype=bool), family.parameters(3))
    shift = found.mean() if name == "categorical" else 0.0  # softmax does not see a constant
    # 4,000 rows of at least 0.09 of information each: a tenth of a standard error is 0.1/sqrt(360), and a pull of one row moves
    # 2.2 by 2.2/360.
    assert found - shift == pytest.approx(best(targets[:, :3].mean(axis=0)), abs=0.0053 + 0.0062)
    assert (np.abs(score.mean(axis=0)) <= 0.1 * score.std(axis=0) / 4_000**0.5 + 2.3 / 4_000).all()


def test_a_column_without_any_variation_starts_at_a_finite_output():
    targets = np.zeros((100, 2))
    targets[:, 1] = 1.0
    found, _ = _constant(likelihood("bernoulli"), np.zeros(2), targets, np.ones((100, 2), dtype=bool), {})
    assert np.isfinite(found).all()
    assert found[0] < -2
    assert found[1] > 2


def test_rows_that_are_held_out_for_the_noise_are_not_looked_at():
    views, _, observed = linear_truth(rows=60)
    plan = Plan(30, 8, Constant(), LearningRate(), weights=(1.0, 0.5), calibration=Calibration(20, 12))
    for bootstrap in (False, True):
        batches = Batches(views, observed, MODEL, replace(plan, bootstrap=bootstrap))
        first = batches.first_rows(2_000)
        assert not set(first) & set(batches.calibrating)
        assert len(first) == 48
        shown = [row for step in range(6) for row in batches.rows(step)]
        assert sorted(shown) == first.tolist()  # one pass, with the bootstrap's repetitions


WITHOUT = {
    "no linear maps": {"linear_skip": False},
    "views that are not coupled": {"prior": "independent"},
    "weak correlations": {"alpha": 0.3},
    "negative ones": {"prior": "orthogonal", "alpha": -0.9},
}


@pytest.mark.parametrize("changed", WITHOUT.values(), ids=WITHOUT)
def test_models_without_what_it_takes_start_at_random(changed):
    views, _, observed = linear_truth(rows=50)
    if changed.get("prior") == "orthogonal":
        views, observed = views[:2], observed[:, :2] | ~observed[:, :2].any(axis=1, keepdims=True)
    options = {"likelihood": "gaussian", "steps": 1, "dtype": "float64", "progress": False, "hidden": (4,), "latent_dims": 2}
    fits = [JPVAE(**options, **changed, init=init).fit(dict(zip("abc", views, strict=False)), observed) for init in _both()]
    assert not suits(fits[0].model_)
    assert all(np.array_equal(x, fits[1].parameters_[name]) for name, x in fits[0].parameters_.items())


class ForAutograd(Likelihood):
    """log p without its slopes, as the torch engine takes it."""

    name = "for_autograd"

    def log_prob(self, xp, outputs, x, own):
        return -xp.abs(x - outputs)

    def mean(self, xp, outputs, x=None):
        return outputs


@pytest.mark.parametrize("entries", ["error", "marginalise"])
def test_a_likelihood_without_slopes_starts_at_random(entries):
    views, _, observed = linear_truth(rows=50)
    options = {"likelihood": [ForAutograd(), "gaussian", "gaussian"], "steps": 1, "backend": "torch", "progress": False}
    fits = [JPVAE(**options, entries=entries, calibration=0.0, init=init).fit(views, observed) for init in _both()]
    assert not suits(fits[0].model_)
    assert all(np.array_equal(x, fits[1].parameters_[name]) for name, x in fits[0].parameters_.items())


def _both():
    return ("factor-analysis", "random")


def test_factors_are_as_many_as_the_prior_couples_directions():
    """Of rank 1 one latent of each view is coupled; what follows it has no factor, whatever the views share."""
    views, _, observed = linear_truth(rows=300)
    p = {}
    for rank in (1, None):
        fresh, p[rank] = started(replace(MODEL, rank=rank), views, observed)
        apart = 1 if rank else FACTORS
        for i in range(3):
            assert np.array_equal(p[rank][f"decoder.{i}.0.weight"][apart:], 0.1 * fresh[f"decoder.{i}.0.weight"][apart:])
    assert not np.allclose(p[1]["decoder.0.0.weight"], p[None]["decoder.0.0.weight"])


def test_a_table_of_few_rows_and_empty_columns_has_a_start():
    """Two rows are fewer than three a factor; one row has both views; columns are constant, and fewer than latents."""
    rng = np.random.default_rng(0)
    views = {"a": rng.standard_normal((2, 1)), "b": np.ones((2, 3))}
    observed = np.array([[True, True], [True, False]])
    model = JPVAE(likelihood="gaussian", steps=1, latent_dims=2, progress=False).fit(views, observed)
    assert all(np.isfinite(x).all() for x in model.parameters_.values())


@pytest.mark.parametrize(("rows", "as_if"), [(50, "factor-analysis"), (15, "random")])
def test_by_default_training_starts_there_where_rows_outnumber_columns(rows, as_if):
    views, _, observed = linear_truth(rows=rows)
    options = {"likelihood": "gaussian", "steps": 1, "progress": False, "calibration": 0.0}
    found = {init: JPVAE(**options, init=init).fit(views, observed).parameters_ for init in ("auto", *_both())}
    other = next(init for init in _both() if init != as_if)
    assert all(np.array_equal(x, found[as_if][name]) for name, x in found["auto"].items())
    assert not np.array_equal(found["auto"]["encoder.0.linear.weight"], found[other]["encoder.0.linear.weight"])
