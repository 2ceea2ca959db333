"""Section 2.6: singular values bounded by 1, and their ratios, to full RELATIVE precision at both ends: s -> 0 and s -> +-1.

s,  s/(1-s),  -s/(1+s),  s^2/(1-s^2)     for s = sigmoid(t), s = tanh(t/2) = (1 - e^-t)/(1 + e^-t), s = a number
"""

import numpy as np
import oracles
import pytest

import jpvae_core as jc

LOGITS = np.float32([0.0, 1e-30, 1e-12, 1e-4, 0.3, 1.0, 5.0, 17.0, 30.0, 79.5]).astype(float)
NUMBERS = np.float32([0.0, 1e-18, 1e-6, 0.1, 0.5, 0.95, 1 - 1e-4, 1 - 1e-6]).astype(float)
MAPS = {
    "sigmoid": (jc.sigmoid_bound, oracles.sigmoid, LOGITS),
    "tanh": (jc.tanh_bound, lambda t: (1 - oracles.exp(-t)) / (1 + oracles.exp(-t)), LOGITS),
    "number": (lambda s: jc.number_bound(s, s), lambda s: s, NUMBERS),
}


def bounded(name, t):
    return tuple(MAPS[name][0](t))


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("name", list(MAPS))
def test_value_and_ratios_are_relatively_accurate(xp, name, sign):
    _, formula, points = MAPS[name]
    t = sign * points
    s = formula(oracles.exact(t))
    wanted = s, s / (1 - s), -s / (1 + s), s**2 / (1 - s**2)
    # exp and its kin move by |t| eps relatively when their argument is rounded once; s^2 doubles that. Then a few roundings,
    # and elementary functions good to 4 eps.
    relative = (2 * np.abs(t) + 16) * xp.eps
    # A result below the smallest normal number may be flushed to zero.
    tiny = float(np.finfo(xp.dtype).tiny)
    for got, want in zip(xp.call(bounded, name, t), wanted, strict=True):
        want = oracles.floats(want)
        assert np.all(np.abs(got - want) <= relative * np.abs(want) + tiny)


@pytest.mark.parametrize("alpha", [0.5, -0.75, 0.0, 0.999, -0.999, 1 - 1e-9])
def test_a_plain_number_is_as_good_as_double_precision(xp, alpha):
    """Its ratios are taken in float64 and rounded once: 1 - 1e-9, which float32 rounds to 1, has finite and right ones."""
    got = xp.numpy(tuple(jc.number_bound(alpha, xp.array(np.ones(3)))))
    s = oracles.exact(alpha)
    wanted = s, s / (1 - s), -s / (1 + s), s**2 / (1 - s**2)
    # In float64 two roundings each (x: five half ones, in xp), then one into xp: 2.5 eps at most.
    for x, want in zip(got, wanted, strict=True):
        assert np.all(np.abs(x - float(want)) <= 2.5 * xp.eps * abs(float(want)))


def test_a_prior_of_a_plain_number_next_to_one_has_a_finite_kl(xp):
    """alpha = 1 - 1e-9 and C = alpha I: two directions, each log(1 - alpha^2) + quad + trace in closed form."""
    alpha, rows = 1 - 1e-9, [np.asarray([[0.5, -0.25]]), np.asarray([[0.25, 1.0]])]
    prior = jc.JointPrior.orthogonal(xp.array(np.eye(2)), alpha)
    log_vars = [xp.array(np.zeros((1, 2)))] * 2
    got = float(xp.numpy(jc.kl_divergence(prior, [xp.array(x) for x in rows], log_vars))[0])
    a, (m, k) = oracles.mp.mpf(alpha), (oracles.exact(x[0]) for x in rows)
    quad = sum(m**2 + k**2 - 2 * a * m * k) / (1 - a**2)
    want = float((2 * oracles.mp.log(1 - a**2) + quad + 4 / (1 - a**2) - 4) / 2)
    assert abs(got - want) <= 40 * xp.eps * want  # test_error_bounds: 3n/2 + d + M/2 + 22 eps, and all terms have one sign
