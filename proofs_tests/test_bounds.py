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


@pytest.mark.parametrize("alpha", [0.5, -0.75, 0.0])
def test_a_plain_number_becomes_an_array_of_the_same_kind(xp, alpha):
    got = xp.numpy(tuple(jc.number_bound(alpha, xp.array(np.ones(3)))))
    # Dyadic numbers: s and 1 - s are exact, each ratio is one correctly rounded quotient (of two exact products).
    wanted = alpha, alpha / (1 - alpha), -alpha / (1 + alpha), alpha**2 / (1 - alpha**2)
    for x, want in zip(got, wanted, strict=True):
        assert abs(x - want) <= xp.eps * abs(want)
