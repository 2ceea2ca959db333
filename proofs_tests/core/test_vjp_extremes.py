"""Gradients of the KL and of the conditional mean where the logits are as large as 80: finite, and not flushed to 0."""

import gradient_bounds
import mpmath as mp
import numpy as np
import oracles
import pytest
from strategies import float32

import jpvae_core as jc
from jpvae_core import vjp

# Logits of two views and their means: e runs to 1e35, and a product of two of e, 1/tau and the means leaves float32's range.
EXTREMES = (
    ((80.0, -3.0), (1e4, -1e4)),
    ((80.0, -7.6), (1.0, 0.5)),
    ((-7.6, 80.0), (1e6, 1e6)),
    ((80.0, -80.0), (1e6, -1e6)),
    ((-80.0, -80.0), (1e6, 1.0)),
    ((80.0, 40.0), (1e6, -1e6)),
    ((80.0, 80.0), (1e-3, -2e-3)),
)


def extreme(_, logits, means, log_vars, bar):
    """The KL's gradient, and the conditional mean's of view 2 given view 1 and of an unseen third view like it."""
    frame = 0.0 * means[0] + 1.0
    kl = vjp.kl_divergence(jc.JointPrior.canonical([frame] * 2, logits), means, log_vars, None, bar[:, 0])
    xp = jc.skew.__globals__["namespace"](logits)
    three = jc.JointPrior.canonical([frame] * 3, xp.concat([logits, logits[1:, :]], axis=0))
    mask = xp.asarray([True, True, False])
    mean = vjp.conditional_mean(three, [*means, means[1]], mask, [0.0 * bar, 0.0 * bar, bar])
    return [*kl[0], *kl[1], kl[2].coupling], [*mean[0][:2], mean[1].coupling]


@pytest.mark.parametrize(("logits", "means"), EXTREMES, ids=str)
def test_logits_of_eighty_neither_overflow_nor_vanish(xp, logits, means):
    """In float32 too, and on JAX, which flushes subnormal numbers: every entry within gradient_bounds' bound of the dense
    formula's derivative in 240 digits, and that below a hundredth of the entry, so that zeros would fail. Underflow of a
    float32, 1e-38, is multiplied by two means of 1e6 at most: 1e-25."""
    t, mu, log_var = float32(np.asarray(logits)), float32(np.asarray(means)), np.asarray((0.5, -1.0))
    rows = [x.reshape(1, 1) for x in mu], [x.reshape(1, 1) for x in log_var]
    got = xp.call(extreme, None, t.reshape(2, 1), *rows, np.ones((1, 1)))

    def kl(x):
        t, mu, log_var = np.split(x, 3)
        s = oracles.sqrt(np.prod(oracles.sigmoid(t)))
        return oracles.kl(np.asarray([[1, s], [s, 1]]), mu, log_var)

    def mean(x):
        (a1, a2, a3), m = oracles.sqrt(oracles.sigmoid(x[:3])), x[3:]
        s = a1 * a2
        return a3 * (a1 * (m[0] - s * m[1]) + a2 * (m[1] - s * m[0])) / (1 - s * s)

    with mp.workdps(240):
        of_kl = oracles.derivatives(kl, np.concatenate([t, mu, log_var]))
        of_mean = oracles.derivatives(mean, np.concatenate([t, t[1:], mu]))
    frame = np.ones((1, 1))
    bounds = gradient_bounds.Gradients("canonical", (1, 1), [frame] * 2, t.reshape(2, 1)).kl(*rows, np.ones((1, 2)), np.ones(1))
    three = gradient_bounds.Gradients("canonical", (1, 1, 1), [frame] * 3, np.append(t, t[1]).reshape(3, 1))
    zero, one = np.zeros((1, 1)), np.ones((1, 1))
    of_rows, _, of_logits = three.complete(
        [*rows[0], rows[0][1]], np.asarray([[1.0, 1.0, 0.0]]), np.zeros((1, 4)), [zero, zero, one]
    )
    limits = [*bounds[0], *bounds[1], *bounds[3]], [*of_rows[:2], *of_logits]
    for found, want, limit in zip(got, (of_kl[[2, 3, 4, 5, 0, 1]], of_mean[[3, 4, 0, 1, 2]]), limits, strict=True):
        x, limit = np.concatenate([y.ravel() for y in found]), np.concatenate([y.ravel() for y in limit]) * xp.eps
        fits = np.abs(want) < float(np.finfo(xp.dtype).max) / 4
        assert np.all(np.abs(x - want)[fits] <= (limit + 1e-25)[fits])
        assert np.all((limit < 1e-2 * np.abs(want))[fits & (np.abs(want) > 1e-20)])
