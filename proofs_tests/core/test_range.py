"""Every parameter value: right up to the largest logit whose exponential is finite; a logit beyond stands for that limit.

The frames are identities, so each direction is an M x M covariance of its own, inverted in 80 digits.
"""

import error_bounds
import numpy as np
import oracles
import pytest
import torch
from libraries import Backend, Library
from strategies import float32

import jpvae_core as jc
from jpvae_core import vjp
from jpvae_core.bounds import LIMIT

mp, D = oracles.mp, 2
# Where exp(t) is still finite, and 2 exp(t) and tau are not: 88.03 to 88.72, 709.09 to 709.78.
STRONG = {"float32": (80.0, 88.1, 88.5, 88.7), "float64": (80.0, 700.0, 709.2, 709.7)}


def prior(kind, logits):
    xp = jc.skew.__globals__["namespace"](logits)
    one = xp.eye(D, dtype=logits.dtype)
    if kind == "canonical":
        return jc.JointPrior.canonical([one] * logits.shape[0], logits)
    return jc.JointPrior.svd(one, logits, one, bound=kind)


def functions(kind, logits, means, log_vars, mask):
    p = prior(kind, logits)
    return jc.kl_divergence(p, means, log_vars), jc.kl_divergence(p, means, log_vars, mask), p.log_det()


def exact(kind, logits, means, log_vars, mask):
    """KLs and log|Sigma| by elimination, one direction after the other: diag(1 - a^2) + a a^T or [[1, s], [s, 1]]."""
    mp.mp.dps = 700  # 1 - s is 1e-309
    try:
        views = len(means)
        kls, log_det = [mp.mpf(0)] * len(mask), mp.mpf(0)
        for k in range(D):
            t = oracles.exact(np.atleast_2d(logits)[:, k])
            if kind == "canonical":
                a = oracles.sqrt(oracles.sigmoid(t))
                S = np.outer(a, a)
            else:
                s = oracles.sigmoid(t[0]) if kind == "sigmoid" else mp.tanh(t[0] / 2)
                S = oracles.exact(np.full((2, 2), 0.0)) + s
            S[np.diag_indices(views)] = mp.mpf(1)
            log_det += oracles.inverse_and_log_det(S)[1]
            for row, on in enumerate(mask):
                o = np.flatnonzero(on)
                P, part = oracles.inverse_and_log_det(S[np.ix_(o, o)])
                m, v = (oracles.exact([x[i][row, k] for i in o]) for x in (means, log_vars))
                kls[row] += (part + m @ P @ m + sum(np.diag(P) * oracles.exp(v)) - sum(v) - len(o)) / 2
        return kls, log_det
    finally:
        mp.mp.dps = 80


def problems(dtype):
    """kind, logits (their values those of the dtype)."""
    for t in STRONG[dtype]:
        for kind in ("sigmoid", "tanh"):
            yield kind, [t, -t] if kind == "tanh" else [t, t - 0.5]
        yield "canonical", [[t, t], [t, -3.0]]
        yield "canonical", [[t, 0.0], [0.0, t], [t, t]]
        yield "canonical", [[t, t]] * 5
        yield "canonical", [[t, -t]]
        yield "canonical", [[-t, 1.0], [t, 2.0]]


def rows(views):
    rng = np.random.default_rng(views)
    means, log_vars = ([float32(s * rng.standard_normal((3, D))) for _ in range(views)] for s in (0.1, 1.0))
    mask = np.ones((3, views), dtype=bool)
    mask[1, 0] = mask[2, -1] = False
    return means, [x - 3.0 for x in log_vars], mask


def test_results_are_right_up_to_the_largest_logit(xp):
    for kind, logits in problems(xp.dtype):
        logits = np.asarray(logits, dtype=xp.dtype).astype(float)
        means, log_vars, mask = rows(len(logits) if kind == "canonical" else 2)
        with np.errstate(all="raise", under="ignore"):
            got = xp.call(functions, kind, logits, means, log_vars, mask)
        full, log_det = exact(kind, logits, means, log_vars, np.ones_like(mask))
        masked, _ = exact(kind, logits, means, log_vars, mask)
        # error_bounds' constants, where a's own error is F (1 + g/2), g = |t|; the KL's terms have one sign but log|Sigma| and
        # a_j m_i - a_i m_j, which at this strength are nothing beside, and at most twice, the rest.
        c = 1.5 * D + D + 4 * error_bounds.F + 3 * len(means) + 8 + 2 * error_bounds.F * (1 + np.abs(logits).max() / 2)
        for values, wanted in zip(got, (full, masked, [log_det]), strict=True):
            for value, want in zip(np.ravel(values), wanted, strict=True):
                size = abs(want) + abs(log_det) + 2 * D * len(means)
                if abs(want) < 0.98 * np.finfo(xp.dtype).max:
                    assert np.isfinite(value), (kind, logits)
                    assert abs(mp.mpf(float(value)) - want) <= 4 * c * xp.eps * size, (kind, logits, value, float(want))


@pytest.mark.parametrize("kind", ["sigmoid", "tanh", "canonical"])
@pytest.mark.parametrize("beyond", [90.0, 1e4, 3e38, np.inf])
def test_beyond_the_limit_a_logit_stands_for_the_limit(xp, kind, beyond):
    beyond = beyond if xp.dtype == "float32" or beyond > 1e3 else 710.0
    limit, (means, log_vars, mask) = LIMIT[xp.dtype], rows(2)

    def run(t):
        logits = np.asarray([t, 1.0] if kind != "canonical" else [[t, 1.0], [0.5, -t]])
        return xp.call(functions, kind, logits, means, log_vars, mask)

    for t in (1.0, -1.0):
        for x, y in zip(run(t * beyond), run(t * limit), strict=True):
            assert np.isfinite(x).all()
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_logit_of_89_beside_one_of_0(dtype):
    """Unequal loadings couple weakly, however large one of them: its view is the source itself, a = 1, and tau = h.

    KL of a standard normal posterior, per direction: x_1 = e_0 = 1, x_2 = e_0 e_1/tau = 1 of |Sigma| = 1/2, so (2 - log 2)/2.
    """
    one, zero = np.eye(1, dtype=dtype), [np.zeros((1, 1), dtype=dtype)] * 2
    got = jc.kl_divergence(jc.JointPrior.canonical([one, one], np.asarray([[89.0], [0.0]], dtype=dtype)), zero, zero)
    assert abs(float(got[0]) - (2 - np.log(2)) / 2) < 10 * np.finfo(dtype).eps


@pytest.mark.parametrize("kind", ["sigmoid", "tanh", "canonical"])
@pytest.mark.parametrize("t", [88.5, 89.0, -88.5, 1e3])
def test_closed_form_gradients_agree_with_autograd_there(kind, t):
    """In float32: means, log-variances and logits; beyond the limit the logit's is 0."""
    means, log_vars, _ = rows(2)
    shape = torch.tensor([t, 1.0]) if kind != "canonical" else torch.tensor([[t, 1.0], [0.5, 2.0]])
    mu, lv = ([torch.tensor(x, dtype=torch.float32, requires_grad=True) for x in group] for group in (means, log_vars))
    logits = shape.requires_grad_()
    p = prior(kind, logits)
    cotangent = torch.full((3,), 2.0**-100)  # gradients of 1e38 times it are finite in the sums
    jc.kl_divergence(p, mu, lv).backward(cotangent)
    with torch.no_grad():
        mu_bar, lv_bar, bar = vjp.kl_divergence(p, mu, lv, None, cotangent)
        back = bar.coupling if kind == "canonical" else getattr(vjp, f"{kind}_bound")(logits, bar.coupling)
    for got, want in zip([*mu_bar, *lv_bar, back], [*(x.grad for x in (*mu, *lv)), logits.grad], strict=True):
        assert torch.isfinite(got).all()
        assert torch.allclose(got, want, rtol=1e-3, atol=1e-5 * float(want.abs().max()))
    if abs(t) > LIMIT["float32"]:
        assert float(torch.ravel(back)[0]) == float(torch.ravel(logits.grad)[0]) == 0.0


def alone(coordinates, parameter, means, log_vars):
    """The fused KL with view 1 observed alone: its encoder's own."""
    one, pair = jc.skew.__globals__["namespace"](parameter).eye(D, dtype=parameter.dtype), parameter.ndim == 1
    p = jc.JointPrior.svd(one, parameter, one) if pair else jc.JointPrior.orthogonal(one, parameter)
    return jc.fuse(p, means, log_vars, [True, False], coordinates).kl()


@pytest.mark.parametrize("parameter", [np.asarray(0.9), np.asarray([-3.0, 20.0])], ids=["orthogonal", "sigmoid"])
@pytest.mark.parametrize("coordinates", ["frame", "latent"])
@pytest.mark.parametrize("library", [Library.NUMPY, Library.TORCH], ids=lambda library: library.name.lower())
def test_evidence_as_sharp_as_can_be(library, dtype, coordinates, parameter):
    """1/sigma^2 passes the largest number and sigma^2 the smallest; the KL of one view's N(mu, sigma^2) is then of their size.

    Its terms have one sign each; those of log sigma^2/N cost some 2F eps of themselves.
    """
    xp, sharpness = Backend(library, dtype), [-87.0, -88.5, -89.0, -104.0, -700.0, -709.7, -709.9, -1e4, -np.inf]
    means, log_vars = ([np.tile(x, (2, 1)).T, np.zeros((len(sharpness), D))] for x in ([0.5] * len(sharpness), sharpness))
    with np.errstate(all="ignore"):
        got = xp.call(alone, coordinates, parameter, means, log_vars)
    want = [float(D * (mp.expm1(x) - x + mp.mpf("0.25")) / 2) for x in sharpness[:-1]] + [np.inf]
    assert got == pytest.approx(want, rel=2 * error_bounds.F * xp.eps)
