"""e^x - 1 - x is relatively accurate everywhere, also where expm1(x) - x has no digit left; so is the KL next to its zero."""

import error_bounds
import numpy as np
import oracles
import pytest
from strategies import float32

import jpvae_core as jc
from jpvae_core.remainder import SERIES, remainder, terms_of

SIZES = np.concatenate([np.geomspace(1e-15, 80, 300), np.linspace(0.3, 3, 200), [0.5, 1.0, 2.0**-30]])
POINTS = float32(np.concatenate([SIZES, -SIZES, [0.0]]))


def of(_, x):
    return remainder(jc.skew.__globals__["namespace"](x), x)


def relative(got, want, eps):
    """Errors in eps of the answer; 0 where both are 0."""
    return np.asarray(
        [float(abs(oracles.mp.mpf(g) - w) / (abs(w) * eps)) if w else float(g != 0) for g, w in zip(got, want, strict=True)]
    )


def test_it_is_relatively_accurate_everywhere(xp):
    want = [oracles.mp.expm1(x) - x for x in POINTS.tolist()]
    assert relative(xp.call(of, None, POINTS), want, xp.eps).max() < error_bounds.REMAINDER
    assert error_bounds.REMAINDER < 13


def test_its_constants_are_bernoullis():
    wanted = [float(2 * oracles.mp.bernoulli(2 * k) / oracles.mp.factorial(2 * k)) for k in range(1, len(SERIES) + 1)]
    assert list(SERIES) == wanted


@pytest.mark.parametrize("digits", [*range(4, 61, 4), 23, 52])
def test_its_terms_are_those_that_a_dtype_can_tell_from_none(digits):
    """At |x| = 1/2 the k-th, 2 B_2k/(2k)! x^(2k-1) by Bernoulli, is above a quarter of eps beside 1; three for float32."""
    wanted, half = [], oracles.mp.mpf(0.5)
    for k in range(1, len(SERIES) + 1):
        term = 2 * oracles.mp.bernoulli(2 * k) / oracles.mp.factorial(2 * k) * half ** (2 * k - 1)
        wanted += [float(term / half ** (2 * k - 1))] * (4 * abs(term) > oracles.mp.mpf(2) ** -digits)
    assert terms_of(2.0**-digits) == wanted[::-1]
    assert digits != 23 or len(wanted) == 3


@pytest.mark.parametrize("x", [0.0, -0.0, -1e4, 88.0, -np.inf, 1e-30])
def test_its_gradient_is_expm1(x):
    """By torch, where a branch not taken may not spoil it: within eps of e^x, and of expm1(x) itself next to 0."""
    import torch

    t = torch.tensor(x, dtype=torch.float32, requires_grad=True)
    of(None, t).backward()
    want = float(np.expm1(np.float64(np.float32(x))))
    assert abs(float(t.grad) - want) <= 20 * 2.0**-23 * abs(want)


def test_infinite_variances(xp):
    assert list(xp.call(of, None, np.asarray([-np.inf]))) == [np.inf]
    assert np.isnan(xp.call(of, None, np.asarray([np.nan]))).all()


@pytest.mark.parametrize("size", [1e-3, 1e-5, 1e-7, 1e-12])
def test_the_kl_next_to_its_zero(xp, size):
    """Independent views: half the sum of remainders and squares, all of one sign; n - 1 additions, and two of the halves."""
    rng = np.random.default_rng(0)
    means, log_vars = ([float32(size * rng.standard_normal((5, n))) for n in (3, 2)] for _ in range(2))

    def kl(_, means, log_vars):
        return jc.kl_divergence(jc.JointPrior.independent((3, 2)), means, log_vars)

    rows = [np.concatenate(x, axis=1) for x in (means, log_vars)]
    want = [
        sum(oracles.mp.expm1(v) - v + oracles.mp.mpf(m) ** 2 for m, v in zip(*row, strict=True)) / 2
        for row in zip(*map(np.ndarray.tolist, rows), strict=True)
    ]
    assert relative(xp.call(kl, None, means, log_vars), want, xp.eps).max() < error_bounds.REMAINDER + 5 / 2 + 1
