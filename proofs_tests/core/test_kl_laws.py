"""Laws of the KL divergence: what must hold whatever the parameters are.

KL >= 0, and 0 if and only if q is the prior, which a diagonal q can only be where C = 0; C = 0 gives the sum of ordinary
KLs; permuting the views permutes nothing but the arguments; rotating a view's latents together with its frame leaves the
full-covariance KL (Eq. 7) as it was, and the diagonal one where that view's variances are equal.
"""

import dataclasses

import calls
import error_bounds
import numpy as np
import oracles
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from strategies import COUPLED, KINDS, PAIRS, STRUCTURES, THREE_VIEWS, Model, models, posterior

SEEDS = st.integers(0, 99)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_least_kl_is_the_price_of_a_diagonal_posterior(xp, kind, data):
    """At mu = 0, sigma^2 = 1/diag(Sigma^-1), 2 KL = log|Sigma| + sum log (Sigma^-1)_ii >= 0 (Hadamard), and 0 for C = 0."""
    model = data.draw(models(xp, kind, reach=(0.05, 1.0, 12.0)))
    dims = model.structure.dims
    P, log_det = oracles.model_precision(model)
    log_var = strategies.float32([-float(oracles.mp.log(p)) for p in np.diagonal(P)])
    log_vars = tuple(np.stack([log_var[at]] * 2) for at in oracles.blocks(dims))
    means = tuple(np.zeros_like(x) for x in log_vars)
    want, condition = oracles.kl_rows(model, means, log_vars)
    got = xp.call(calls.kl, model.structure, model.framed(xp), means, log_vars)
    assert np.all(np.abs(got - want) <= condition * xp.eps)
    # float32's log_var is 2^-24 |log_var| from the minimum, where the slope is 0: a second-order change.
    best = float(log_det + sum(oracles.mp.log(p) for p in np.diagonal(P))) / 2
    assert abs(want[0] - best) <= np.sum((2.0**-24 * log_var) ** 2) + 1e-18
    assert (best == 0) if kind == "independent" or len(dims) == 1 else (best > 0)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), tiny=st.sampled_from([1e-4, 0.0, 1e-7, 1e-2]), seed=SEEDS)
def test_what_is_returned_is_not_negative(xp, kind, data, tiny, seed):
    """Next to its zero, where rounding is largest beside it: nearly q = N(0, I), coupled weakly. The KL returned is at least
    minus its own error bound; without coupling, exactly >= 0: squares, and expm1(t) >= t for every float t."""
    model = data.draw(models(xp, kind, reach=(1e-4, 0.0)))
    if kind in ("svd-sigmoid", "canonical"):  # s = sigmoid(-20) = 2e-9
        model = dataclasses.replace(model, level=-20.0)
    structure, framed = model.structure, model.framed(xp)
    means, log_vars = (tuple(strategies.float32(tiny * x) for x in rows) for rows in posterior(structure.dims, 8, seed))
    got = xp.call(calls.kl, structure, framed, means, log_vars)
    if kind == "independent":
        assert np.all(got >= 0)
        return
    frames = [None, framed["frames"][1]] if kind == "orthogonal" else framed["frames"]
    bounds = error_bounds.Bounds(kind, structure.dims, frames, framed.get("alpha", framed.get("logits")))
    assert np.all(got >= -bounds.kl(means, log_vars, np.ones((8, len(structure.dims)))) * xp.eps)


@given(data=st.data(), view=st.integers(0, 5), tiny=st.sampled_from([1e-6, 0.1, 3.0]))
def test_zero_if_and_only_if_the_posterior_is_the_prior(xp, data, view, tiny):
    """C = 0: exactly 0 at q = N(0, I); a single mean moved by t costs t^2/2, a single log-variance (e^t - 1 - t)/2."""
    structure = data.draw(models(xp, "independent")).structure
    view %= len(structure.dims)
    zeros = [np.zeros((2, n)) for n in structure.dims]
    moved = [x.copy() for x in zeros]
    moved[view][1, 0] = strategies.float32(tiny)
    t = oracles.exact(moved[view][1, 0])
    for means, log_vars, price in ((moved, zeros, t**2 / 2), (zeros, moved, (oracles.exp(t) - 1 - t) / 2)):
        got = xp.call(calls.kl, structure, {}, means, log_vars)
        assert got[0] == 0
        # A square is relatively accurate; expm1(t) - t is off by eps t, which may hide a price below eps t.
        assert abs(got[1] - float(price)) <= 2 * xp.eps * float(t + price)
        assert means is zeros or got[1] > 0


@given(seed=SEEDS)
def test_without_coupling_it_is_the_sum_of_ordinary_kls(xp, seed):
    for structure, zero in ((STRUCTURES[3], {"logits": np.zeros(1)}), (PAIRS[0], {"alpha": np.zeros(())})):
        (m1, m2), (l1, l2) = means, log_vars = posterior(structure.dims, 2, seed)
        rows = zip((m1, m2), (l1, l2), strict=True)
        terms = [oracles.exact(m) ** 2 + oracles.exp(oracles.exact(v)) - 1 - oracles.exact(v) for m, v in rows]
        want = oracles.floats(sum(x.sum(axis=-1) for x in terms) / 2)
        model = Model(structure, seed)
        got = xp.call(calls.kl, structure, model.framed(xp) | zero, means, log_vars)
        # As in oracles.kl_and_condition, with Lambda = 1 and the same frames.
        size = sum(np.sum(m**2 + np.exp(v) + np.abs(v) + 1, axis=-1) for m, v in ((m1, l1), (m2, l2)))
        assert np.all(np.abs(got - want) <= 16 * 2 * 9 * oracles.frame_condition(model) * size / 2 * xp.eps)


@given(seed=SEEDS)
def test_permuting_the_views_changes_nothing(xp, seed):
    model, order = Model(THREE_VIEWS, seed), (2, 0, 1)
    means, log_vars = posterior(THREE_VIEWS.dims, 2, seed)
    want, condition = oracles.kl_rows(model, means, log_vars)
    permuted = {name: [values[i] for i in order] for name, values in model.framed(xp).items()}
    permuted["logits"] = np.stack(permuted["logits"])
    structure = dataclasses.replace(THREE_VIEWS, dims=tuple(THREE_VIEWS.dims[i] for i in order))
    got = xp.call(calls.kl, structure, permuted, [means[i] for i in order], [log_vars[i] for i in order])
    assert np.all(np.abs(got - want) <= condition * xp.eps)


@pytest.mark.parametrize("kind", COUPLED)
@given(data=st.data(), seed=SEEDS)
def test_rotating_latents_and_frame_together_changes_nothing(xp, kind, data, seed):
    """z_i -> R_i z_i, Q_i -> R_i Q_i. Full covariance: KL(N(R mu, R S_q R^T) || N(0, Sigma')) with the package's Sigma' is
    the diagonal KL before the rotation. Equal variances stay diagonal: there the canonical form itself is unchanged."""
    model = data.draw(models(xp, kind, reach=(0.5, 2.0)))
    dims = model.structure.dims
    means, log_vars = posterior(dims, 2, seed)
    equal = tuple(np.broadcast_to(x[:, :1], x.shape) for x in log_vars)
    rng = np.random.default_rng(seed)
    R = [np.linalg.qr(rng.standard_normal((n, n)))[0] for n in dims]
    # C = alpha Q_2 has no frame of view 1: rotating that view turns Q_2 to Q_2 R_1^T.
    framed = model.framed(xp)
    turned = [r @ np.asarray(q) for r, q in zip(R, framed["frames"], strict=True)]
    if kind == "orthogonal":
        turned[1] = turned[1] @ R[0].T
    rotated = framed | {"frames": turned}
    S = xp.call(calls.dense, model.structure, rotated)[0]
    big = np.zeros((sum(dims),) * 2)
    for at, r in zip(oracles.blocks(dims), R, strict=True):
        big[at, at] = r
    want, condition = oracles.kl_rows(model, means, log_vars)
    # The frames turned in float64 and rounded to xp's dtype: as many roundings again, so twice the errors of Eq. 7 by
    # inversion (this NumPy evaluation starts from a Sigma with errors of xp.eps).
    tolerance = 2 * oracles.inversion(model) * condition * xp.eps
    for row in range(2):
        mu = big @ np.concatenate([m[row] for m in means])
        S_q = big @ np.diag(np.exp(np.concatenate([v[row] for v in log_vars]))) @ big.T
        log_dets = np.linalg.slogdet(S)[1] - np.linalg.slogdet(S_q)[1]
        full = (log_dets - len(S) + mu @ np.linalg.solve(S, mu) + np.trace(np.linalg.solve(S, S_q))) / 2
        assert abs(full - want[row]) <= tolerance[row]
    want, condition = oracles.kl_rows(model, means, equal)
    got = xp.call(calls.kl, model.structure, rotated, [m @ r.T for m, r in zip(means, R, strict=True)], equal)
    assert np.all(np.abs(got - want) <= 2 * condition * xp.eps)
