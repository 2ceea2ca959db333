"""Likelihoods: densities against arbitrary precision, sums and integrals of 1, means, units, draws. One row per likelihood."""

import statistics

import array_api_compat.numpy
import array_api_compat.torch
import mpmath as mp
import numpy as np
import pytest
import torch

from jpvae.errors import ConfigError, ViewError
from jpvae.likelihoods import LIKELIHOODS, Bernoulli, Gaussian, likelihood

OUTPUTS = [-200.0, -37.5, -20.5, -3.0, -1e-9, 0.0, 0.7, 12.0, 20.5, 36.9, 200.0]
LOG_VARS = [-6.0, 0.0, 2.5]


def bernoulli_log_prob(x, logit, _log_var):
    return x * mp.mpf(logit) - mp.log1p(mp.exp(mp.mpf(logit)))


def gaussian_log_prob(x, mean, log_var):
    var = mp.exp(mp.mpf(log_var))
    return -((mp.mpf(x) - mp.mpf(mean)) ** 2) / (2 * var) - mp.log(2 * mp.pi * var) / 2


def sum_over_bits(density):
    return density(0.0) + density(1.0)


def integral(density):
    # The trapezoidal rule with step h on a Gaussian of deviation s is off by 2 exp(-2 (pi s / h)^2): s >= e^-3, h = s / 4.
    grid = np.arange(-240.0, 240.0, np.exp(-3.0) / 4)
    return density(grid).sum() * (grid[1] - grid[0])


# values x to try, the exact log p, the exact mean given an output, and the total of a density over all x
TABLE = {
    "bernoulli": ([0.0, 1.0, 0.25], bernoulli_log_prob, lambda out: 1 / (1 + mp.exp(-mp.mpf(out))), sum_over_bits),
    "gaussian": ([-3.0, 0.0, 150.0], gaussian_log_prob, mp.mpf, integral),
}
LIBRARIES = {"numpy": (array_api_compat.numpy, np.asarray), "torch": (array_api_compat.torch, torch.as_tensor)}


def own(name, log_var, array=np.asarray):
    return {k: array(np.full_like(v, log_var)) for k, v in LIKELIHOODS[name]().parameters(1).items()}


def test_every_likelihood_stands_in_the_table():
    assert LIKELIHOODS.keys() == TABLE.keys()
    assert all(likelihood(name).name == name for name in TABLE)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", TABLE)
def test_log_prob_and_mean_in_arbitrary_precision(name, library, dtype):
    (xp, array), (values, exact, exact_mean, _) = LIBRARIES[library], TABLE[name]
    out, eps = np.asarray(OUTPUTS, dtype), float(np.finfo(dtype).eps)
    for log_var in LOG_VARS:
        for x in values:
            parameters = own(name, np.asarray(log_var, dtype), lambda v: array(v.astype(dtype)))
            found = likelihood(name).log_prob(xp, array(out[:, None]), array(np.full((len(out), 1), x, dtype)), parameters)
            truth = [exact(x, float(o), log_var) for o in out]
            # Bernoulli: x l and the softplus, each rounded, |l| <= 200. Gaussian: the residual's rounding, squared, and
            # exp(-log var), whose argument is exact; the three terms. Sums of at most 8 roundings of parts of this size:
            size = [abs(float(t)) + abs(float(o)) + abs(log_var) + 2 for t, o in zip(truth, out, strict=True)]
            error = np.abs(np.asarray(found, dtype="float64")[:, 0] - np.asarray(truth, dtype="float64"))
            assert np.all(error <= 8 * eps * np.asarray(size)), (x, log_var)
    mean = np.asarray(likelihood(name).mean(xp, array(out)), dtype="float64")
    # tanh, a sum with 1 and two halvings: 2 eps of a probability; the Gaussian mean is the output itself.
    assert mean == pytest.approx([float(exact_mean(float(o))) for o in out], abs=2 * eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", TABLE)
def test_log_prob_vjp_in_arbitrary_precision(name, library, dtype):
    """A row of one output per feature: every feature's own parameter meets one output."""
    (xp, array), (values, exact, _, _) = LIBRARIES[library], TABLE[name]
    out, eps, weight = np.asarray([OUTPUTS], dtype), float(np.finfo(dtype).eps), 0.75
    bar = array(np.full((1, 1), weight, dtype))
    for log_var in LOG_VARS:
        start = likelihood(name).parameters(len(OUTPUTS)).items()
        parameters = {k: array(np.full_like(v, log_var, dtype)) for k, v in start}
        for x in values:
            found = likelihood(name).log_prob_vjp(xp, array(out), array(np.full_like(out, x)), parameters, bar)
            for k, o in enumerate(map(float, out[0])):
                with mp.workdps(40):  # differences in 40 digits
                    slope = float(weight * mp.diff(lambda o, x=x, v=log_var: exact(x, o, v), o))
                    own_slope = float(weight * mp.diff(lambda v, x=x, o=o: exact(x, o, v), log_var))
                # Bernoulli: x and the mean, at most 1 each, the mean within 2 eps. Gaussian: r, exp and two products: relative.
                assert abs(float(found[0][0, k]) - slope) <= 4 * eps * (weight + abs(slope)), (x, o, log_var)
                for own_bar in found[1].values():  # half of r^2/var - 1: five roundings of the first, one of the difference
                    assert abs(float(own_bar[k]) - own_slope) <= 6 * eps * (weight + abs(own_slope)), (x, o, log_var)


@pytest.mark.parametrize("name", TABLE)
def test_log_prob_vjp_sums_as_autograd_does(name):
    """Draws, rows and features; the cotangent has one number per row; a feature's own parameter serves all draws and rows."""
    rng, made = np.random.default_rng(0), likelihood(name)
    outputs, x, bar = rng.standard_normal((2, 5, 3)), rng.random((5, 3)), rng.standard_normal((2, 5, 1))
    parameters = {k: rng.standard_normal(v.shape) for k, v in made.parameters(3).items()}
    leaves = {k: torch.tensor(v, requires_grad=True) for k, v in ({"outputs": outputs} | parameters).items()}
    own_leaves = {k: v for k, v in leaves.items() if k != "outputs"}
    log_prob = made.log_prob(array_api_compat.torch, leaves["outputs"], torch.tensor(x), own_leaves)
    (torch.tensor(bar) * log_prob).sum().backward()
    outputs_bar, own_bar = made.log_prob_vjp(array_api_compat.numpy, outputs, x, parameters, bar)
    found = {"outputs": outputs_bar} | own_bar
    assert found.keys() == leaves.keys()
    for k, v in leaves.items():  # sums of at most 10 terms below 1e2, each a few roundings
        assert found[k].shape == tuple(v.shape)
        assert found[k] == pytest.approx(v.grad.numpy(), rel=1e-13, abs=1e-12)


@pytest.mark.parametrize("log_var", LOG_VARS)
@pytest.mark.parametrize("out", [-3.0, 0.0, 1.7])
@pytest.mark.parametrize("name", TABLE)
def test_densities_sum_to_one_and_have_the_stated_mean(name, out, log_var):
    xp, made, total = array_api_compat.numpy, likelihood(name), TABLE[name][3]

    def density(x):
        return np.exp(made.log_prob(xp, np.asarray([out]), np.reshape(x, (-1, 1)), own(name, log_var)))[:, 0]

    # 4e4 terms of relative error 1e-15, added pairwise.
    assert total(density) == pytest.approx(1.0, abs=1e-12)
    assert total(lambda x: x * density(x)) == pytest.approx(made.mean(xp, np.asarray([out]))[0], abs=1e-11)


@pytest.mark.parametrize("name", TABLE)
def test_draws_have_the_density_s_mean_and_variance(name):
    mean, count = np.full((20_000, 1), 0.3), 20_000
    draws = likelihood(name).draw(mean, own(name, -1.0), np.random.default_rng(0))
    var = {"bernoulli": 0.3 * 0.7, "gaussian": np.exp(-1.0)}[name]
    assert draws.mean() == pytest.approx(0.3, abs=5 * np.sqrt(var / count))
    # The sample variance's own deviation is at most var sqrt((kurtosis - 1) / count), kurtosis 3 or less for both.
    assert draws.var() == pytest.approx(var, abs=5 * var * np.sqrt(2 / count))
    assert name != "bernoulli" or set(draws.ravel()) == {0.0, 1.0}


def test_gaussian_units_are_those_of_the_observed_rows():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((40, 3)) * [1e-4, 1.0, 1e6] + [0.0, -5.0, 1e7]
    observed = rng.random(40) < 0.6
    location, scale = Gaussian().scaling(values, observed)
    kept = values[observed].T.tolist()
    # Two passes over 40 numbers, means up to 100 deviations from 0: 40 * 100 eps.
    assert location == pytest.approx([statistics.fmean(c) for c in kept], rel=1e-14, abs=1e-18)
    assert scale == pytest.approx([statistics.pstdev(c) for c in kept], rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, -1e9 / 7])
@pytest.mark.parametrize("rows", [1, 3, 7, 1000])
def test_a_constant_column_keeps_scale_one(value, rows):
    """Its computed deviation may be a rounding error instead of 0: dividing by that would make noise of the next row."""
    _, scale = Gaussian().scaling(np.full((rows, 1), value), np.ones(rows, dtype=bool))
    assert scale.tolist() == [1.0]


def test_bernoulli_has_no_units():
    location, scale = Bernoulli().scaling(np.full((4, 2), 0.3), np.ones(4, dtype=bool))
    assert (location.tolist(), scale.tolist()) == ([0.0, 0.0], [1.0, 1.0])


@pytest.mark.parametrize(("value", "shown"), [(1.5, "1.5"), (-0.25, "-0.25"), (255.0, "255")])
def test_bernoulli_names_the_cell(value, shown):
    values = np.full((4, 3), 0.5)
    values[2, 1] = value
    Bernoulli().check(values, np.asarray([True, True, False, True]), "ink")  # a missing row may hold anything
    with pytest.raises(ViewError, match=rf"view 'ink', row 2, column 1 is {shown}; a Bernoulli .* expects values in \[0, 1\]"):
        Bernoulli().check(values, np.ones(4, dtype=bool), "ink")
    Gaussian().check(values, np.ones(4, dtype=bool), "ink")


def test_unknown_likelihood():
    with pytest.raises(ConfigError, match=r"likelihood is 'poisson'; expected one of \['bernoulli', 'gaussian'\]"):
        likelihood("poisson")
