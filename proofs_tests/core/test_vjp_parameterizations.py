"""Vector-Jacobian products of the bounds, skew, cayley, orthogonal and reparameterize, against 50-digit differences."""

import enclosures
import numpy as np
import oracles
import pytest
from bound_problems import on_balls
from strategies import float32

import jpvae_core as jc
from jpvae_core import vjp


def field_slopes(kind, t, cotangent):
    bars = jc.Bounded(*cotangent)
    return {"sigmoid": vjp.sigmoid_bound, "tanh": vjp.tanh_bound, "number": vjp.number_bound}[kind](t, bars)


@pytest.mark.parametrize("kind", ["sigmoid", "tanh", "number"])
def test_slopes_of_the_bounds(kind):
    """Field by field, on balls: float64 rounds both sides once, and the differences are good to 1e-50."""
    points = {"number": (0.0, 0.5, -0.75, 0.95, 1 - 1e-6, 1e-6 - 1)}.get(kind, (0.0, 0.75, -3.0, 12.0, 40.0, -40.0))
    t = float32(np.asarray(points))

    def fields(x):
        s = {"sigmoid": oracles.sigmoid, "tanh": lambda y: (1 - oracles.exp(-y)) / (1 + oracles.exp(-y))}.get(
            kind, lambda y: y
        )(x)
        return s, s / (1 - s), -s / (1 + s), s * s / (1 - s * s)

    for k in range(4):
        got = on_balls(field_slopes, kind, t, [np.ones(t.shape) * (j == k) for j in range(4)])
        want = np.asarray([oracles.derivatives(lambda x, k=k: fields(x)[k], x) for x in t])
        assert np.all(enclosures.error(want, got) <= 2.0**-52 * np.abs(want) + 1e-40)


def test_slope_of_a_plain_number():
    got = vjp.number_bound(0.5, jc.Bounded(*(np.asarray(x) for x in (1.0, 2.0, 3.0, 4.0))))
    assert got == pytest.approx(1.0 + 2.0 / 0.25 - 3.0 / 2.25 + 4.0 / 0.5625, rel=4 * 2.0**-52)  # four roundings


def rotations(n, A, entries, bar):
    return vjp.cayley(jc.cayley(A), bar), vjp.skew(bar, n), vjp.orthogonal(entries, jc.orthogonal(entries, n), bar)


def test_skew_cayley_and_orthogonal():
    """On balls: float64 rounds both sides once. (Thin and signed frames are part of every prior above.)"""
    n, rng = 3, np.random.default_rng(0)
    entries, bar = float32(rng.uniform(-2, 2, 3)), float32(rng.integers(-9, 9, (3, 3)).astype(float))
    A_bar, params_bar, through = on_balls(rotations, n, oracles.floats(oracles.skew(entries, n)), entries, bar)
    assert np.array_equal(
        enclosures.floats(params_bar), oracles.derivatives(lambda x: (bar * oracles.skew(x, n)).sum(), entries)
    )
    want = oracles.derivatives(lambda x: (bar * oracles.cayley(oracles.skew(x, n))).sum(), entries)
    A_bar = enclosures.floats(A_bar)
    assert np.array_equal(A_bar, -A_bar.T)
    for got in (enclosures.floats(through), 2 * A_bar[np.triu_indices(n, 1)]):
        assert np.all(np.abs(got - want) <= 2.0**-51 * np.abs(want))


def test_reparameterize_sums_over_broadcast_draws(xp):
    """Two draws of one posterior: 8 roundings each (4 of them in exp), and one of the sum."""
    rng = np.random.default_rng(0)
    log_var, noise, bar = (float32(rng.standard_normal(shape)) for shape in ((3, 2), (2, 3, 2), (2, 3, 2)))
    mean_bar, log_var_bar = xp.numpy(vjp.reparameterize(*xp.array((log_var, noise, bar))))
    terms = noise * bar * np.exp(log_var / 2) / 2
    assert np.all(np.abs(mean_bar - bar.sum(0)) <= xp.eps * np.abs(bar).sum(0))
    assert np.all(np.abs(log_var_bar - terms.sum(0)) <= 9 * xp.eps * np.abs(terms).sum(0))
