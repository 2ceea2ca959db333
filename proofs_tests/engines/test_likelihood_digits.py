"""Every family's value, slopes and mean against 60 digits over its documented range (likelihood_truths.py): each library,
both dtypes, and autograd.
"""

import array_api_compat
import jax
import mpmath as mp
import numpy as np
import pytest
import torch
from libraries import Backend, Library
from likelihood_truths import DIGITS, FAMILIES, LOG_SIZES, Entries, entries

from jpvae.model.likelihoods import likelihood
from jpvae.model.likelihoods.gamma import log1p_rest, log_factorial_rest, stirling_error_rise, stirling_error_rise_slope

ROUNDINGS = {False: 6, True: 16}  # of each kind, in eps; on XLA, whose elementary functions are off by up to 4 (elementary.py)


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
# A size enters by the rate alone, as Poisson's tests hold; the other family of counts, seconds of digits, has it thoroughly.
CASES = [(name, log_s) for name in FAMILIES for log_s in (LOG_SIZES if FAMILIES[name].counts else (0.0,))]
LONG = ("negative_binomial", LOG_SIZES[1])
CASES = [pytest.param(*case, marks=[pytest.mark.thorough] * (case == LONG)) for case in CASES]


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
