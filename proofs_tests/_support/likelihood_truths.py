"""The likelihoods' values, slopes and means in 60 digits over their documented ranges, and how far floats may be from them.

An entry depends on its data x, on ``a`` (a logit, a mean, a log-rate m) and on the family's own parameter b. What floats
may miss follows from the derivatives of the truth: a's roundings, A eps of them (those of m = 30 tanh(o/30) + log s and of
log x; one of x - mean, relative), move log p by |d/da| A eps, and e^b is off by a few eps, which move it by |d/db| of them;
the slopes likewise, by second derivatives. To this come ``floors``, in eps: terms of that size that may cancel.
"""

import functools
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import mpmath as mp
import numpy as np

DIGITS = 120  # of which differences leave 60


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
