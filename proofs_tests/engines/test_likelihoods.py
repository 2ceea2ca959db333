"""Likelihoods: densities against SciPy, sums against autograd; totals of 1, means, units, draws. One row each.

Their digits: test_likelihood_digits.py.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import array_api_compat.numpy
import array_api_compat.torch
import numpy as np
import pytest
import scipy.stats
import torch

from jpvae.errors import ConfigError, ViewError
from jpvae.model import likelihoods
from jpvae.model.likelihoods import (
    LIKELIHOODS,
    Categorical,
    Gaussian,
    Marginal,
    Mixed,
    likelihood,
)

OWN = [-6.0, 0.0, 2.5]  # a log-variance, log-scale, log-dispersion


LOG_SIZE = 0.25  # of the row, where counts have a size factor


class Family(NamedTuple):
    """values x to try; its distribution in SciPy; sum or integral over x of a function. Digits: test_likelihood_digits.py."""

    values: list
    scipy: Callable
    total: Callable


def over_counts(function, _out, _own):
    return function(np.arange(20_000.0)).sum()


def over_reals(function, out, own):
    # x = out + s sinh(pi/2 sinh u), s one scale: the trapezoidal rule in u is exact to rounding (double exponential)
    u = np.arange(-4.0, 4.0, 1 / 32)
    inner = 0.5 * np.pi * np.sinh(u)
    weights = np.exp(own) * np.cosh(inner) * 0.5 * np.pi * np.cosh(u) / 32
    return (function(out + np.exp(own) * np.sinh(inner)) * weights).sum()


def rate(out):
    return np.exp(30 * np.tanh(out / 30) + LOG_SIZE)


def scipy_nb(out, own):
    r = np.exp(-own)
    return scipy.stats.nbinom(r, r / (r + rate(out)))


BINARY = Family([0.0, 1.0], lambda o, _: scipy.stats.bernoulli(scipy.special.expit(o)), lambda f, *_: f(np.arange(2.0)).sum())


COUNTS = [0.0, 1.0, 7.0, 3000.0]


POISSON = Family(COUNTS, lambda o, _: scipy.stats.poisson(rate(o)), over_counts)


NEGATIVE_BINOMIAL = Family(COUNTS, scipy_nb, over_counts)


TABLE = {
    "bernoulli": BINARY,
    "categorical": BINARY,  # two levels with logits (out, 0)
    "gaussian": Family([-3.0, 0.0, 150.0], lambda o, v: scipy.stats.norm(o, np.exp(0.5 * v)), over_reals),
    "student_t": Family([-3.0, 0.0, 150.0], lambda o, v: scipy.stats.t(4, o, np.exp(v)), over_reals),
    "poisson": POISSON,
    "poisson_unscaled": POISSON,
    "negative_binomial": NEGATIVE_BINOMIAL,
    "negative_binomial_unscaled": NEGATIVE_BINOMIAL,
}


EVERY = [name for name in TABLE if "unscaled" not in name]  # which differ in their size factors alone
DRAWN = [*EVERY, *(pytest.param(name, marks=pytest.mark.thorough) for name in TABLE if name not in EVERY)]  # by the mean alone


def outputs_of(name, out):
    """(R,) -> (R, c): what a decoder would give."""
    return np.stack([out, 0 * out], axis=-1) if name == "categorical" else out[:, None]


def target_of(name, x):
    """(R,) -> (R, w): the target of which column 0 is x."""
    if name == "categorical":
        return np.stack([x, 1 - x], axis=-1)
    return np.stack([x, np.full_like(x, LOG_SIZE)], axis=-1) if TABLE[name].values is COUNTS else x[:, None]


def own_of(name, value, dtype="float64", array=np.asarray):
    return {k: array(np.full_like(v, value, dtype)) for k, v in likelihood(name).parameters(1).items()}


def test_every_likelihood_stands_in_the_table():
    assert LIKELIHOODS.keys() == TABLE.keys()
    assert all(likelihood(name).name == name for name in TABLE)


SPECS = ["bernoulli", "gaussian", "student_t", "poisson", "negative_binomial", "categorical"]


MIXED = (("gaussian", 1), ("categorical", 4, 2), ("negative_binomial", 2), ("student_t", 1))


@pytest.mark.parametrize("cells", [False, True])
@pytest.mark.parametrize("spec", [*SPECS, (("categorical", 6, 3),), MIXED], ids=str)
def test_log_prob_vjp_sums_as_autograd_does(spec, cells):
    """Draws, rows and features; the cotangent has one number per row; a feature's own parameter serves all draws and rows."""
    rng, made, c = np.random.default_rng(0), likelihood(spec), 8 if spec is MIXED else 6
    made = Marginal(made) if cells else made
    outputs, bar = rng.standard_normal((2, 5, c)), rng.standard_normal((2, 5, 1))
    x = np.concatenate([rng.integers(0, 4, (5, c)), rng.standard_normal((5, made.extra(c)))], axis=1)
    if cells:
        x[:, -c:] = rng.random((5, c)) < 0.5
    parameters = {k: rng.standard_normal(v.shape) for k, v in made.parameters(c).items()}
    leaves = {k: torch.tensor(v, requires_grad=True) for k, v in ({"outputs": outputs} | parameters).items()}
    own_leaves = {k: v for k, v in leaves.items() if k != "outputs"}
    log_prob = made.log_prob(array_api_compat.torch, leaves["outputs"], torch.tensor(x), own_leaves)
    (torch.tensor(bar) * log_prob).sum().backward()
    outputs_bar, own_bar = made.log_prob_vjp(array_api_compat.numpy, outputs, x, parameters, bar)
    found = {"outputs": outputs_bar} | own_bar
    assert found.keys() == leaves.keys()
    for k, v in leaves.items():  # sums of at most 10 terms below 1e3, each a few roundings
        assert found[k].shape == tuple(v.shape)
        assert found[k] == pytest.approx(v.grad.numpy(), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("out", [-3.0, 0.0, 1.7])
@pytest.mark.parametrize("name", EVERY)
def test_densities_sum_to_one_have_the_stated_mean_and_are_scipy_s(name, out, own):
    xp, made, row = array_api_compat.numpy, likelihood(name), TABLE[name]

    def log_density(x):
        found = made.log_prob(xp, outputs_of(name, np.full(len(x), out)), target_of(name, x), own_of(name, own))
        return found.sum(axis=-1)

    # 4e4 terms of relative error 1e-15, added pairwise; log Gamma of 2e4 is 2e5, so counts' are of 1e-10 in the far tail.
    assert row.total(lambda x: np.exp(log_density(x)), out, own) == pytest.approx(1.0, abs=1e-11)
    mean = made.mean(xp, outputs_of(name, np.full(1, out)), target_of(name, np.zeros(1)))[0, 0]
    assert row.total(lambda x: x * np.exp(log_density(x)), out, own) == pytest.approx(mean, abs=1e-10 * (1 + abs(mean)))
    x = np.asarray(row.values[:2])
    theirs = row.scipy(out, own)
    expected = theirs.logpmf(x) if hasattr(theirs, "logpmf") and name not in ("gaussian", "student_t") else theirs.logpdf(x)
    assert log_density(x) == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("out", [-3.0, 0.0, 1.7])
@pytest.mark.parametrize("name", TABLE)
def test_the_variance_is_scipy_s(name, out, own):
    made = likelihood(name)
    mean = made.mean(array_api_compat.numpy, outputs_of(name, np.full(2, out)), target_of(name, np.zeros(2)))
    found = made.variance(mean, own_of(name, own))
    assert found.shape == mean.shape
    # p (1 - p), sums and products of what agrees to rounding
    assert found[0, 0] == pytest.approx(TABLE[name].scipy(out, own).var(), rel=1e-12)


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("out", [0.0, *(pytest.param(out, marks=pytest.mark.thorough) for out in (-3.0, 1.7))])
@pytest.mark.parametrize("name", DRAWN)
def test_the_variance_is_that_of_draws(name, out, own):
    made, count = likelihood(name), 20_000
    mean = made.mean(array_api_compat.numpy, outputs_of(name, np.full(count, out)), target_of(name, np.zeros(count)))
    found, theirs = made.variance(mean, own_of(name, own)), TABLE[name].scipy(out, own)
    draws = made.draw(mean, own_of(name, own), np.random.default_rng(0))[:, 0]
    kurtosis = 3.0 + float(theirs.stats("k"))
    if np.isfinite(kurtosis):  # a sample variance's relative deviation is sqrt((kurtosis - 1)/N): five of them
        assert draws.var() == pytest.approx(found[0, 0], rel=5 * np.sqrt(max(kurtosis - 1.0, 1e-3) / count) + 1 / count)


def test_variances_of_parts_and_of_cells():
    """Part by part, each with its own parameters; leaving cells out changes none."""
    mixed = likelihood((("gaussian", 2), ("categorical", 3, 3), ("negative_binomial_unscaled", 1)))
    own = {"0.log_var": np.log([4.0, 9.0]), "2.log_dispersion": np.log([0.5])}
    mean = np.asarray([[0.3, -1.0, 0.5, 0.25, 0.25, 6.0]])
    expected = [[4.0, 9.0, 0.25, 0.1875, 0.1875, 6.0 + 0.5 * 36.0]]
    assert mixed.variance(mean, own) == pytest.approx(np.asarray(expected), rel=1e-14)
    assert np.array_equal(Marginal(mixed).variance(mean, own), mixed.variance(mean, own))


@pytest.mark.parametrize("name", DRAWN)
def test_draws_have_the_distribution(name):
    """Kolmogorov: the largest gap between N draws' distribution function and SciPy's exceeds 1.95/sqrt(N) once in 1,000."""
    count, made, own, out = 20_000, likelihood(name), -1.0, 0.4
    mean = made.mean(array_api_compat.numpy, outputs_of(name, np.full(count, out)), target_of(name, np.zeros(count)))
    draws = made.draw(mean, own_of(name, own), np.random.default_rng(0))[:, 0]
    at, counts = np.unique(draws, return_counts=True)
    gap = np.abs(np.cumsum(counts) / count - TABLE[name].scipy(out, own).cdf(at)).max()
    assert gap < 1.95 / np.sqrt(count)


@pytest.mark.parametrize("name", TABLE)
def test_a_row_s_draw_does_not_depend_on_the_others(name):
    rows = np.asarray([[0.2, 0.8], [0.4, 0.6], [0.9, 0.1]])
    own = {k: np.full(2, -1.0) for k in likelihood(name).parameters(2)}
    other = rows.copy()
    other[0] = [0.7, 0.3] if name in ("bernoulli", "categorical") else [900.0, 1e6]
    one, two = (likelihood(name).draw(mean, own, np.random.default_rng(5)) for mean in (rows, other))
    assert np.array_equal(one[1:], two[1:])
    both = Mixed([(likelihood(name), 2), (Gaussian(), 1)])  # of parts and draws on an axis before the rows
    own = {f"0.{k}": v for k, v in own.items()} | {"1.log_var": np.zeros(1)}
    of_draws = [np.stack([np.concatenate([x, x[:, :1]], axis=1)] * 4) for x in (rows, other)]
    one, two = (both.draw(mean, own, np.random.default_rng(5)) for mean in of_draws)
    assert one.shape == (4, 3, 3)
    assert np.array_equal(one[:, 1:], two[:, 1:])


def test_categories_are_drawn_whole():
    p = Categorical(3).mean(array_api_compat.numpy, np.tile([2.0, 0.0, -1.0, 0.5, 0.5, 0.0], (20_000, 1)))
    draws = Categorical(3).draw(p, {}, np.random.default_rng(1)).reshape(-1, 2, 3)
    assert set(np.unique(draws)) == {0.0, 1.0}
    assert (draws.sum(axis=-1) == 1).all()
    bound = 5 * np.sqrt(0.25 / len(draws))
    assert draws.mean(axis=0) == pytest.approx(scipy.special.softmax([[2, 0, -1], [0.5, 0.5, 0]], axis=-1), abs=bound)


def test_the_likelihood_of_the_guide():
    """CONTRIBUTING.md's example is a likelihood: SciPy's density and draws, autograd's slopes."""
    guide = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    source = re.search(r"```python\n(class Laplace.*?)```", guide, re.DOTALL)[1]
    names = ("Likelihood", "observed_moments", "over_rows")
    scope = {"np": np, "math": math} | {name: getattr(likelihoods, name) for name in names}
    exec(compile(source, "CONTRIBUTING.md", "exec"), scope)
    made, rng = scope["Laplace"](), np.random.default_rng(0)
    out, x, own = rng.standard_normal((7, 2)), rng.standard_normal((7, 2)), {"log_scale": np.asarray([-1.0, 0.5])}
    scales = np.exp(own["log_scale"])
    found = made.log_prob(array_api_compat.numpy, out, x, own)
    assert found == pytest.approx(scipy.stats.laplace(out, scales).logpdf(x), rel=1e-12)
    leaves = [torch.tensor(v, requires_grad=True) for v in (out, own["log_scale"])]
    made.log_prob(array_api_compat.torch, leaves[0], torch.tensor(x), {"log_scale": leaves[1]}).sum().backward()
    bar, own_bar = made.log_prob_vjp(array_api_compat.numpy, out, x, own, np.ones((7, 1)))
    assert bar == pytest.approx(leaves[0].grad.numpy(), rel=1e-12)
    assert own_bar["log_scale"] == pytest.approx(leaves[1].grad.numpy(), rel=1e-12)
    draws = made.draw(np.zeros((20_000, 2)), own, rng)[:, 1]
    assert scipy.stats.kstest(draws, scipy.stats.laplace(0.0, scales[1]).cdf).statistic < 1.95 / np.sqrt(20_000)
    assert made.variance(np.zeros((3, 2)), own) == pytest.approx(
        np.tile(scipy.stats.laplace(0, scales).var(), (3, 1)), rel=1e-12
    )


CELLS = [
    ("bernoulli", 1.5, r"is 1\.5; a Bernoulli .* expects values in \[0, 1\]"),
    ("bernoulli", -0.25, r"is -0\.25; a Bernoulli"),
    ("bernoulli", 255.0, r"is 255; a Bernoulli"),
    ("poisson", -1.0, r"is -1; a count likelihood expects whole numbers of at least 0"),
    ("negative_binomial_unscaled", 2.5, r"is 2\.5; a count likelihood expects whole"),
    ("poisson", 2e12, r"is 2e\+12; a count likelihood expects whole numbers of at least 0, up to 1e12"),
]


@pytest.mark.parametrize(("name", "value", "message"), CELLS)
def test_a_value_that_a_family_cannot_have_is_named(name, value, message):
    values, made = np.ones((4, 3)), likelihood(name)
    values[2, 1], values[0, 0] = value, np.nan  # a cell left out is no value
    made.check(values, np.asarray([True, True, False, True]), "ink")  # a missing row may hold anything
    with pytest.raises(ViewError, match=rf"view 'ink', row 2, column 1 {message}"):
        made.check(values, np.ones(4, dtype=bool), "ink")
    with pytest.raises(ViewError, match=rf"view 'ink', row 12, column 'b' {message}"):
        made.check(values, np.ones(4, dtype=bool), "ink", range(10, 14), ["a", "b", "c"])
    Gaussian().check(values, np.ones(4, dtype=bool), "ink")


def test_a_part_s_value_is_found_and_explained_with_cells_left_out_or_not():
    """One check for all: of a mixed view with cells left out, the first bad cell by row, and what its own family expects."""
    mixed = likelihood((("gaussian", 1), ("poisson", 2), ("bernoulli", 1)))
    values = np.asarray([[0.5, 1.0, np.nan, 0.0], [-1.0, 3.0, 2.0, 7.0], [np.nan, -2.0, 1.0, 1.0]])
    for made in (mixed, Marginal(mixed)):
        with pytest.raises(ViewError, match=r"view 'ink', row 1, column 'd' is 7; a Bernoulli"):
            made.check(values, np.ones(3, dtype=bool), "ink", labels="abcd")
        with pytest.raises(ViewError, match=r"view 'ink', row 2, column 'b' is -2; a count likelihood"):
            made.check(values, np.asarray([True, False, True]), "ink", labels="abcd")


def test_one_hot_groups_add_up_to_one():
    values = np.asarray([[1.0, 0.0, 0.2, 0.8], [np.nan, np.nan, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0]])
    Categorical(2).check(values[:2], np.ones(2, dtype=bool), "ink")
    with pytest.raises(ViewError, match=r"view 'ink', row 2, column 2 is 1; a one-hot group expects"):
        Categorical(2).check(values, np.ones(3, dtype=bool), "ink")


@pytest.mark.parametrize("spec", ["flow", (("flow", 2),), (("gaussian", 0),), (("categorical", 4),), (("categorical", 4, 3),)])
def test_unknown_likelihood(spec):
    with pytest.raises(ConfigError, match=r"likelihood is 'flow'; expected one of \['bernoulli', 'cat|likelihood has the part"):
        likelihood(spec)
