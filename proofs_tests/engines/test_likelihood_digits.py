"""Every family's value, slopes and mean against 60 digits over its documented range: each library, both dtypes, and autograd.

An entry depends on its data x, on ``a`` (a logit, a mean, a log-rate m) and on the family's own parameter b. What floats
may miss follows from the derivatives of the truth: a's roundings, A eps of them (those of m = 30 tanh(o/30) + log s and of
log x; one of x - mean, relative), move log p by |d/da| A eps, and e^b is off by a few eps, which move it by |d/db| of them;
the slopes likewise, by second derivatives. To this come ``floors``, in eps: terms of that size that may cancel.
"""

import functools
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import array_api_compat
import jax
import mpmath as mp
import numpy as np
import pytest
import torch
from libraries import Backend, Library

from jpvae.model.likelihoods import likelihood
from jpvae.model.likelihoods.gamma import log1p_rest, log_factorial_rest, stirling_error_rise, stirling_error_rise_slope

DIGITS = 120  # of which differences leave 60
ROUNDINGS = {False: 6, True: 16}  # of each kind, in eps; on XLA, whose elementary functions are off by up to 4 (elementary.py)


class Truth(NamedTuple):
    """log p and its derivatives in a and b, of one entry."""

    log_p: mp.mpf
    a: mp.mpf
    b: mp.mpf
    aa: mp.mpf
    ab: mp.mpf
    bb: mp.mpf


class Family(NamedTuple):
    """Its truth at (x, a, b); whether a is a log-rate; grids of x, out and b (float32 numbers); floors of log p, d/da, d/db."""

    truth: Callable[..., Truth]
    counts: bool
    grid: tuple[list[float], list[float], list[float]]
    floors: Callable[..., tuple[float, float, float]]


def bernoulli(x, a, _b):
    p, rest = 1 / (1 + mp.exp(-a)), 1 / (1 + mp.exp(a))
    slope = x * rest - (1 - x) * p
    return Truth(x * mp.log(p) + (1 - x) * mp.log(rest), slope, 0, -p * rest, 0, 0)


def gaussian(x, a, b):
    r, per_var = x - a, mp.exp(-b)
    square = r * r * per_var
    return Truth(-(square + b + mp.log(2 * mp.pi)) / 2, r * per_var, (square - 1) / 2, -per_var, -r * per_var, -square / 2)


def student_t(x, a, b):
    s = mp.exp(b)
    r = (x - a) / s
    below = 4 + r * r
    constant = mp.loggamma(2.5) - mp.loggamma(2) - mp.log(4 * mp.pi) / 2
    pull = 5 * r / below
    bent = 5 * (4 - r * r) / below**2  # of pull, in r
    value = constant - b - 2.5 * mp.log1p(r * r / 4)
    return Truth(value, pull / s, pull * r - 1, -bent / s**2, -(bent * r + pull) / s, -(bent * r + pull) * r)


def poisson(x, a, _b):
    mu = mp.exp(a)
    return Truth(x * a - mu - mp.loggamma(x + 1), x - mu, 0, -mu, 0, 0)


def negative_binomial(x, a, b):
    mu, r = mp.exp(a), mp.exp(-b)
    M = r + mu
    value = mp.loggamma(x + r) - mp.loggamma(r) - mp.loggamma(x + 1) + r * mp.log(r / M) + x * mp.log(mu / M)
    in_r = mp.digamma(x + r) - mp.digamma(r) + mp.log(r / M) + 1 - (x + r) / M
    in_rr = mp.polygamma(1, x + r) - mp.polygamma(1, r) + 1 / r - 1 / M - (mu - x) / M**2
    aa, ab = -mu * r * (r + x) / M**2, -r * (x - mu) * mu / M**2
    return Truth(value, r * (x - mu) / M, -r * in_r, aa, ab, r * in_r + r * r * in_rr)


def no_floors(_x, _a, _b):
    return 0.0, 0.0, 0.0


def real_floors(_x, _a, b):  # b, a constant, and in the slopes a number less 1
    return 2.0 + abs(b), 0.0, 1.0


def count_floors(x, _a, b):
    # Of log p: delta and the like, up to 8; none for x = 0. Of d/db: delta', which beyond r = 8 is phi/12 r^-1 and below it
    # a sum of terms up to 8, times r, beside two of 1/2; and what float32 calls 0, r times: below 1e-37.
    r = np.exp(-b)
    return 8.0 * (x > 0), 0.0, (x > 0) * (1.0 / r if r >= 8.0 else 2.0 + 20.0 * r)


LOGITS = [-80.0, -37.5, -20.5, -13.0, -3.0, -(2.0**-30), 0.0, 0.6875, 12.0, 17.0, 36.875, 80.0]
MEANS = [-3.0, -(2.0**-20), 0.0, 0.6875, 37.5]
REALS = [-3.0, 0.0, 0.6875, 0.75, 150.0, -(2.0**40)]  # 2^40 is 1.1e12
WHOLE = [0.0, 1.0, 2.0, 7.0, 100.0, 3000.0, 1e6, 2.0**30, 2.0**40]
LOG_RATES = [-100.0, -45.0, -20.0, -7.0, -1.0, -(2.0**-20), 0.0, 0.6875, 4.0, 8.015625, 14.0, 20.75, 27.0, 45.0, 100.0]
SPREADS = [-30.0, -12.0, -1.0, 0.0, 2.5, 30.0]
DISPERSIONS = [-30.0, -12.0, -6.0, -2.125, -2.0, -1.0, 0.0, 2.5, 10.0]
LOG_SIZES = (0.0, 8.25)
FAMILIES = {
    "bernoulli": Family(bernoulli, False, ([0.0, 1.0, 0.25], LOGITS, [0.0]), no_floors),
    "gaussian": Family(gaussian, False, (REALS, MEANS, SPREADS), real_floors),
    "student_t": Family(student_t, False, (REALS, MEANS, SPREADS), real_floors),
    "poisson": Family(poisson, True, (WHOLE, LOG_RATES, [0.0]), count_floors),
    "negative_binomial": Family(negative_binomial, True, (WHOLE, LOG_RATES, DISPERSIONS), count_floors),
}


class Entries(NamedTuple):
    """Of P entries: x, out, b (P,), the row's log s; log p, d/dout and d/db with their bounds in eps, six (P,); the mean."""

    x: np.ndarray
    out: np.ndarray
    b: np.ndarray
    log_s: float
    truth: np.ndarray
    bounds: np.ndarray
    mean: np.ndarray
    mean_bound: np.ndarray


def points(family: Family) -> list[tuple[float, float, float]]:
    """The grid, and for counts the outputs whose rate is near x, a few of its deviations away."""
    xs, outs, bs = family.grid
    made = list(product(xs, outs, bs))
    if family.counts:
        near = [(x, 30 * np.arctanh(np.log(x) / 30) + d / np.sqrt(x)) for x in xs[1:] for d in (-3.0, 0.0, 0.1, 1.5)]
        made += [(x, float(np.float32(out)), b) for (x, out), b in product(near, bs)]
    return made


@functools.cache
def entries(name: str, log_s: float) -> Entries:
    """The grid's truth, in 60 digits; phi mu stays below e^40, the documented range."""
    family, rows = FAMILIES[name], []
    with mp.workdps(DIGITS):
        for x, out, b in points(family):
            if family.counts and 30 * np.tanh(out / 30) + log_s + b > 40:
                continue
            x_, out_, b_ = mp.mpf(x), mp.mpf(out), mp.mpf(b)
            a, slope = out_, mp.mpf(1)
            if family.counts:
                a, slope = 30 * mp.tanh(out_ / 30) + log_s, 1 - mp.tanh(out_ / 30) ** 2
            true = family.truth(x_, a, b_)
            A = abs(a) + abs(log_s) + mp.log1p(x_) + 2 if family.counts else abs(x_ - a) if name != "bernoulli" else 0
            floors = family.floors(x, float(a), b)
            bounds = (
                abs(true.log_p) + A * abs(true.a) + abs(true.b) + floors[0],
                (abs(true.a) + A * abs(true.aa) + abs(true.ab) + floors[1]) * slope,
                abs(true.b) + A * abs(true.ab) + abs(true.bb) + floors[2],
            )
            if name == "bernoulli":  # x (1 - p) - (1 - x) p, where neither is 0
                bounds = (bounds[0], x_ / (1 + mp.exp(a)) + (1 - x_) / (1 + mp.exp(-a)), bounds[2])
            mean = {"bernoulli": lambda a: 1 / (1 + mp.exp(-a))}.get(name, mp.exp if family.counts else lambda a: a)(a)
            of_mean = A if family.counts else int(name == "bernoulli")
            rows.append((x, out, b, true.log_p, true.a * slope, true.b, *bounds, mean, mean * of_mean))
    made = np.asarray(rows, dtype=np.float64).T
    return Entries(*made[:3], log_s, made[3:6], made[6:9], made[9], made[10])


def arguments(backend: Backend, name: str, at: Entries) -> tuple:
    """One row of P columns: outputs, target and the own parameters."""
    target = np.append(at.x, at.log_s) if FAMILIES[name].counts else at.x
    own = dict.fromkeys(likelihood(name).parameters(1), at.b)
    return backend.array(at.out[None]), backend.array(target[None]), {k: backend.array(v) for k, v in own.items()}


def agrees(backend: Backend, found, at: Entries, which: int, more: float | np.ndarray = 0.0) -> None:
    error = np.abs(found - at.truth[which])
    # What is below the smallest normal number may be flushed to 0, and then be multiplied by r; and the series of delta', which
    # ends with its eighth term, times r, is off by less than 8 * 17 * 0.18 / 8^18.
    allowed = (
        ROUNDINGS[backend.library is Library.JAX] * backend.eps * at.bounds[which]
        + 4 * np.finfo(backend.dtype).tiny * np.exp(-np.minimum(at.b, 0.0))
        + 1.4e-15 * (which == 2)
    )
    allowed = allowed + more
    worst = int(np.argmax(error - allowed))
    said = f"x={at.x[worst]} out={at.out[worst]} b={at.b[worst]}: {found[worst]} for {at.truth[which][worst]}"
    assert np.all(error <= allowed), said


LIBRARIES = [Backend(library, dtype) for library in Library for dtype in ("float32", "float64")]
CASES = [(name, log_s) for name in FAMILIES for log_s in (LOG_SIZES if FAMILIES[name].counts else (0.0,))]


@pytest.mark.parametrize("backend", LIBRARIES, ids=lambda b: f"{b.library.name}-{b.dtype}")
@pytest.mark.parametrize(("name", "log_s"), CASES)
def test_value_slopes_and_mean(name, log_s, backend):
    at, made = entries(name, log_s), likelihood(name)
    outputs, target, own = arguments(backend, name, at)
    xp = array_api_compat.array_namespace(outputs)
    agrees(backend, backend.numpy(made.log_prob(xp, outputs, target, own))[0], at, 0)
    bar, own_bar = made.log_prob_vjp(xp, outputs, target, own, xp.ones_like(outputs))
    agrees(backend, backend.numpy(bar)[0], at, 1)
    for value in own_bar.values():
        agrees(backend, backend.numpy(value), at, 2)
    mean = backend.numpy(made.mean(xp, outputs, target))[0]
    assert np.all(np.abs(mean - at.mean) <= 4 * backend.eps * at.mean_bound)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", [Library.TORCH, Library.JAX])
@pytest.mark.parametrize("name", FAMILIES)
def test_slopes_of_autograd(name, library, dtype):
    """log_prob is written so that what its slopes lose, autograd's lose not either."""
    at, made, backend = entries(name, 0.0), likelihood(name), Backend(library, dtype)
    outputs, target, own = arguments(backend, name, at)
    xp = array_api_compat.array_namespace(outputs)
    if library is Library.TORCH:
        leaves = [outputs.requires_grad_(), *(v.requires_grad_() for v in own.values())]
        slopes = torch.autograd.grad(made.log_prob(xp, outputs, target, own).sum(), leaves)
    else:
        of_out, of_own = jax.grad(lambda o, w: made.log_prob(xp, o, target, w).sum(), argnums=(0, 1))(outputs, own)
        slopes = [of_out, *of_own.values()]
    # autograd's slope of tanh(o/30) is 1 - tanh^2, with an error of eps or two, not of the slope's
    of_tanh = 2 * backend.eps * np.abs(at.truth[1]) * np.cosh(at.out / 30) ** 2 if FAMILIES[name].counts else 0.0
    for which, slope in enumerate(slopes, 1):
        agrees(backend, backend.numpy(slope).reshape(-1), at, which, of_tanh if which == 1 else 0.0)


GROUPS = [  # logits of one group: far apart, equal, nearly certain
    [0.0, 0.0, 0.0],
    [2.5, 2.5, -1.0],
    [17.0, 0.0, -3.0],
    [-40.0, 30.0, 29.0],
    [0.6875, -0.25, 1.125],
    [100.0, -100.0, 0.0],
    [-(2.0**-30), 0.0, 2.0**-30],
]


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("backend", LIBRARIES, ids=lambda b: f"{b.library.name}-{b.dtype}")
def test_categorical(backend, level):
    """log p, its slopes and the probabilities are right relatively; l_j - l_t is rounded, which moves e^(l_j - l_t) as much."""
    with mp.workdps(DIGITS):
        p = [[mp.exp(mp.mpf(v)) / mp.fsum(mp.exp(mp.mpf(u)) for u in group) for v in group] for group in GROUPS]
        complement = [[mp.fsum(row) - v if v < 0.5 else mp.fsum(u for u in row if u is not v) for v in row] for row in p]
        log_p = np.asarray([mp.log(row[level]) for row in p], dtype=np.float64)
        slopes = np.asarray(
            [
                [c if j == level else -v for j, (v, c) in enumerate(zip(*row, strict=True))]
                for row in zip(p, complement, strict=True)
            ],
            dtype=np.float64,
        )
        means = np.asarray(p, dtype=np.float64)
    made, x = likelihood("categorical"), np.tile(np.eye(3)[level], (len(GROUPS), 1))
    outputs, target = backend.array(np.asarray(GROUPS)), backend.array(x)
    xp = array_api_compat.array_namespace(outputs)
    allowed = backend.eps * (8.0 + np.ptp(GROUPS, axis=1))
    tiny = np.finfo(backend.dtype).tiny
    found = backend.numpy(made.log_prob(xp, outputs, target, {}))
    assert np.all(np.abs(found.sum(axis=1) - log_p) <= allowed * np.abs(log_p) + tiny)
    gradients = [made.log_prob_vjp(xp, outputs, target, {}, xp.ones_like(outputs))[0]]
    if backend.library is Library.TORCH:
        leaf = outputs.clone().requires_grad_()
        gradients.append(torch.autograd.grad(made.log_prob(xp, leaf, target, {}).sum(), leaf)[0])
    if backend.library is Library.JAX:
        gradients.append(jax.grad(lambda o: made.log_prob(xp, o, target, {}).sum())(outputs))
    for gradient in gradients:
        assert np.all(np.abs(backend.numpy(gradient) - slopes) <= allowed[:, None] * np.abs(slopes) + tiny)
    mean = backend.numpy(made.mean(xp, outputs))
    assert np.all(np.abs(mean - means) <= allowed[:, None] * means + tiny)


@pytest.mark.parametrize(("x", "a", "b"), [(0.0, 0.5, -1.0), (7.0, 1.5, 0.25), (3000.0, 8.0, -6.0)])
@pytest.mark.parametrize("name", ["gaussian", "student_t", "negative_binomial", "bernoulli", "poisson"])
def test_the_truth_s_derivatives_are_those_of_its_value(name, x, a, b):
    x = float(x > 0) if name == "bernoulli" else x
    with mp.workdps(DIGITS):
        truth = FAMILIES[name].truth
        orders = [(1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
        expected = [mp.diff(lambda a, b: truth(mp.mpf(x), a, b).log_p, (mp.mpf(a), mp.mpf(b)), order) for order in orders]
        for found, value in zip(truth(mp.mpf(x), mp.mpf(a), mp.mpf(b))[1:], expected, strict=True):
            assert abs(found - value) <= mp.mpf(10) ** -15 * (1 + abs(value))


@pytest.mark.parametrize("backend", LIBRARIES, ids=lambda b: f"{b.library.name}-{b.dtype}")
def test_stirling_s_error_and_the_rest_of_log1p(backend):
    z, v = [2.0**-20, 0.25, 1.0, 7.5, 8.0, 100.0, 2.0**30], [-0.75, -0.25, -(2.0**-12), 0.0, 2.0**-12, 0.25, 9.0]
    n = [0.0, 1.0, 9.0, 2.0**20]
    with mp.workdps(DIGITS):
        delta = {t: mp.loggamma(t) - (t - 0.5) * mp.log(t) + t - mp.log(2 * mp.pi) / 2 for t in {a + k for a in z for k in n}}
        slope = {t: mp.digamma(t) - mp.log(t) + 0.5 / t for t in delta}
        rises = [[delta[a + k] - delta[a] for k in n] for a in z]
        slopes = [[slope[a + k] - slope[a] for k in n] for a in z]
        factorial = [mp.loggamma(mp.mpf(t) + 1) - t * mp.log(t) + t for t in z[2:]]
        logs = [mp.log1p(t) for t in v]
        truth = [
            np.asarray(t, dtype=np.float64) for t in (rises, slopes, factorial, [g - t for g, t in zip(logs, v, strict=True)])
        ]
    Z, N, V = (backend.array(np.asarray(t)) for t in (z, n, v))
    xp = array_api_compat.array_namespace(Z)
    found = [f(xp, xp.reshape(Z, (-1, 1)), xp.reshape(N, (1, -1))) for f in (stirling_error_rise, stirling_error_rise_slope)]
    found += [log_factorial_rest(xp, Z[2:]), log1p_rest(xp, V, backend.array(np.asarray(logs, dtype=np.float64)))]
    # Below 8: 8, log(1 + 8/z) and log of a product of seven; in the slope 1/z at most. Beyond: S(z), which falls, and its ninth
    # term. z + n is rounded, which moves delta by less than eps/12 of a unit. A given log(1 + v) is off by half of an eps.
    z = np.asarray(z)
    low = (z < 8)[:, None]
    sums = [np.where(low, 24 + np.log1p(8 / z)[:, None], 1 / z[:, None]), np.where(low, 8 + 2 / z[:, None], 1 / z[:, None])]
    sums += [16 + np.abs(np.log(z[2:])), np.where(np.abs(v) > 0.25, 4.0, 0.0)]
    for value, true, size in zip(found, truth, sums, strict=True):
        assert np.all(np.abs(backend.numpy(value) - true) <= backend.eps * (size + 8 * np.abs(true)) + 2e-16)
    assert np.all(backend.numpy(found[0])[:, 0] == 0)
    assert np.all(backend.numpy(found[1])[:, 0] == 0)


@pytest.mark.parametrize("log_phi", [-6.0, -2.125, -2.0, -1.0, 0.0, 2.5])
def test_where_a_slope_is_rounding_alone_it_is_as_small_as_promised(log_phi):
    """p(1) = mu (1 + t)^-(1 + r), t = phi mu: d/d(log phi) log p(1) = r log(1 + t) - (1 + r) t/(1 + t), about -t.
    (2 + 20 r) eps, or eps/r where r >= 8, is what the terms' roundings come to (count_floors)."""
    m, r, eps = np.float32([-40.0, -30.0, -20.0]), np.exp(-log_phi), np.finfo(np.float32).eps
    own = {"log_dispersion": np.float32([log_phi])}
    family = likelihood("negative_binomial").distribution
    found = family.slopes(np, np.ones((1, 3), np.float32), m[None, :], own)[1]["log_dispersion"].astype(np.float64)
    t = np.exp(log_phi + m.astype(np.float64))
    truth = r * np.log1p(t) - (1.0 + r) * t / (1.0 + t)
    bound = eps / r if r >= 8.0 else (2.0 + 20.0 * r) * eps
    assert np.all(np.abs(found - truth) <= bound + 16 * eps * np.abs(truth))
    assert np.all(np.abs(found) < 4e-6)
    assert np.abs(truth).max() < 4e-8  # what is found is rounding
