"""Any number of views on one shared source u:  z_i = Q_i diag(a_i) u + (I - Q_i diag(a_i^2) Q_i^T)^(1/2) e_i.

Then Cov(z_i) = I and C_ij = Q_i diag(a_i a_j) Q_j^T, and Sigma is positive definite for EVERY parameter value. For three
views and more, pairwise sigma_1(C_ij) < 1 (Theorem 2.1's condition) would not be enough. The paper's two variants are
special cases. Source: a factor model; the paper has two views only. (Law 1, that every parameter value of every constructor
gives a positive definite Sigma, is here for the constructors of two views too.)
"""

import dataclasses

import balls
import calls
import elimination_bounds
import jax
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import COUPLED, PAIRS, THREE_VIEWS, Model, Structure, models, posterior, structures

import jpvae_core as jc

SEEDS = st.integers(0, 99)


def has_positive_pivots(S):
    """Elimination without exchanges on balls: its pivots, the squares of Cholesky's diagonal, are positive, with proof."""
    rest = S.data
    while len(rest):
        if not rest[0, 0] > 0:  # for balls: unless every point is positive
            return False
        rest = rest[1:, 1:] - np.outer(rest[1:, 0], rest[0, 1:]) / rest[0, 0]
    return True


@pytest.mark.parametrize("kind", COUPLED)
@given(data=st.data(), seed=SEEDS, tilt=st.sampled_from([1e6, 1.0, 0.0]), reach=st.sampled_from([30.0, 3.0]))
def test_every_parameter_value_is_positive_definite(kind, data, seed, tilt, reach):
    """|theta| <= 30, |A| up to 1e6, one to six views: the package's own formulas, run on balls from the free parameters on."""
    model = Model(data.draw(structures(kind)), seed, reach, tilt)
    assert has_positive_pivots(model.structure.prior(jax.tree.map(balls.Balls, model.parameters)).covariance())


def covariance_error(model, eps):
    """At most |S^ - Sigma|_2 of the computed covariance.

    |dC_ij|_F <= q_i + q_j + q_i q_j, for frames off by q_i and couplings of norm at most 1; and an entry of Q_i diag(c) Q_j^T,
    at most 1, has d/2 + 1 eps for its sum and at most 12 eps for c. The norm is at most the largest row sum of the blocks'.
    """
    dims, frames = model.structure.dims, oracles.frames(model.structure, model.parameters)
    skews = [oracles.floats(oracles.skew(oracles.exact(p), n)) for p, n in zip(model.parameters["entries"], dims, strict=True)]
    q = [elimination_bounds.frame(A, oracles.floats(Q)) * eps for A, Q in zip(skews, frames, strict=True)]
    blocks = [
        [a + b + a * b + np.sqrt(n * m) * (model.structure.rank + 14) * eps for a, n in zip(q, dims, strict=True)]
        for b, m in zip(q, dims, strict=True)
    ]
    return max(np.sum(blocks, axis=1) - np.diagonal(blocks))


@pytest.mark.parametrize("kind", COUPLED)
@given(data=st.data(), tilt=st.sampled_from([1.0, 1e6, 1e3]))
def test_the_computed_sigma_is_positive_definite_where_floats_can_hold_it(xp, kind, data, tilt):
    """That is where its exact least eigenvalue is larger than the error: for everyday parameters, everywhere."""
    model = dataclasses.replace(data.draw(models(xp, kind, reach=(0.5, 3.0))), tilt=tilt)
    S, _, _, _ = xp.call(calls.dense, model.structure, model.framed(xp))
    exact, error = 1 / oracles.stiffness(model), covariance_error(model, xp.eps)
    assert abs(np.linalg.eigvalsh(S)[0] - exact) <= error
    assert exact > error or (xp.dtype == "float32" and tilt > 1.0)


@given(data=st.data())
def test_least_eigenvalue_is_at_least_one_less_the_largest_squared_loading(xp, data):
    """Sigma = (a positive semi-definite low-rank part) + diag(I - Q_i diag(a_i^2) Q_i^T); Lemma A.2 adds their eigenvalues."""
    model = data.draw(models(xp, "canonical"))
    S, _, _, _ = xp.call(calls.dense, model.structure, model.framed(xp))
    rest = 1 / (1 + np.exp(model.parameters["logits"].max()))
    # Weyl once more: an eigenvalue moves by at most |dSigma|_2 <= N max|dSigma|.
    assert np.linalg.eigvalsh(S)[0] >= rest - len(S) * oracles.rounding(model, xp.eps)


@pytest.mark.parametrize("level", [-30.0, 0.0, 30.0])
@pytest.mark.parametrize("views", [1, 2, 6])
def test_the_computed_sigma_is_positive_definite_at_the_extremes(xp, views, level):
    """Loadings as equal as they come, 1 - a^2 down to 1e-13: the exact Cholesky factor of the float matrix exists."""
    structure = Structure("canonical", tuple(range(1, views + 1)), 1)
    gap = 1 / (1 + np.exp(level))
    model = Model(structure, views, level=level, tilt=0.0)
    ready = {"frames": [np.eye(n, 1) for n in structure.dims], "logits": model.parameters["logits"]}
    S, P, log_det, largest = xp.call(calls.dense, structure, ready)
    # Frames of zero angle are unit vectors up to signs. Off the diagonal stands a fl(a^2); where that rounds to 1 (gap < eps)
    # Sigma cannot be told from a singular matrix, which is why nothing else in the package works from it.
    if gap > 4 * xp.eps or views == 1:
        assert oracles.is_positive_definite(oracles.exact(S))
        assert views == 1 or largest < 1
    assert 0 <= largest <= 1
    assert oracles.is_positive_definite(oracles.exact((P + P.T) / 2)) or gap * views < 64 * xp.eps
    want = float(oracles.model_precision(model)[1])
    assert abs(log_det - want) <= 16 * views * xp.eps * max(abs(want), 1e-300)  # one sign: relatively accurate


def test_pairwise_correlations_below_one_are_not_enough():
    """Scalar views with correlations (a, a, -a): the determinant (1 + a)^2 (1 - 2a) is 0 at a = 1/2."""

    def three(a):
        return oracles.exact([[1, a, a], [a, 1, -a], [a, -a, 1]])

    assert oracles.is_positive_definite(three(0.499))
    assert not oracles.is_positive_definite(three(0.501))
    v = oracles.exact([1, -1, -1])
    assert np.all(three(0.5) @ v == 0)
    for corner in (three(0.5)[:2, :2], three(0.5)[1:, 1:], three(0.5)[::2, ::2]):  # each pair alone is fine
        assert oracles.is_positive_definite(corner)


@given(data=st.data(), seed=SEEDS)
def test_two_views_of_equal_loadings_are_the_svd_prior(xp, data, seed):
    model = data.draw(models(xp, "svd-sigmoid"))
    means, log_vars = posterior(model.structure.dims, 2, seed)
    want, condition = oracles.kl_rows(model, means, log_vars)
    structure = dataclasses.replace(model.structure, kind="canonical")
    twice = model.framed(xp) | {"logits": np.stack([model.parameters["logits"]] * 2)}
    got = xp.call(calls.kl, structure, twice, means, log_vars)
    assert np.all(np.abs(got - want) <= condition * xp.eps)
    S, P, log_det, _ = xp.call(calls.dense, structure, twice)
    unit = oracles.rounding(model, xp.eps)
    assert np.all(np.abs(S - oracles.floats(oracles.model_covariance(model))) <= unit)
    precision, exact_log_det = oracles.model_precision(model)
    assert np.all(np.abs(P - oracles.floats(precision)) <= unit * oracles.stiffness(model))
    assert abs(log_det - float(exact_log_det)) <= 16 * 2 * xp.eps * abs(float(exact_log_det))


@given(seed=SEEDS, alpha=st.sampled_from([0.05, 0.5, 0.95]))
def test_all_loadings_equal_are_the_orthogonal_prior(xp, seed, alpha):
    """a^2 = alpha: C = Q_2 diag(alpha) Q_1^T = alpha R with R = Q_2 Q_1^T. One number for all the logits."""
    structure, theta = PAIRS[0], float(np.log(alpha / (1 - alpha)))
    frames = xp.array(Model(structure, seed).framed(xp)["frames"])
    C = xp.numpy(jc.JointPrior.canonical(frames, theta).cross_covariance(1, 0))
    Q1, Q2 = xp.numpy(frames)
    # theta is rounded once, sigmoid' <= 1/4: |theta| eps / 4; n products and sums of numbers at most 1.
    assert np.all(np.abs(C - alpha * Q2 @ Q1.T) <= (8 + abs(theta) + 2 * structure.rank) * xp.eps)


@given(seed=SEEDS)
def test_dropping_a_view_is_its_sub_block(xp, seed):
    """The marginal of a subset of views is the prior of their frames and loadings."""
    model = Model(THREE_VIEWS, seed)
    framed, at = model.framed(xp), oracles.coordinates(THREE_VIEWS.dims, (True, False, True))
    structure = dataclasses.replace(THREE_VIEWS, dims=THREE_VIEWS.dims[::2])
    kept = {"frames": framed["frames"][::2], "logits": framed["logits"][::2]}
    S, P, _, _ = xp.call(calls.dense, structure, kept)
    exact_P, _, largest = oracles.marginal_precision(model, (True, False, True))
    unit = oracles.rounding(model, xp.eps)
    assert np.all(np.abs(S - oracles.floats(oracles.model_covariance(model)[np.ix_(at, at)])) <= unit)
    assert np.all(np.abs(P - oracles.floats(exact_P)) <= unit * largest)


@pytest.mark.parametrize("structure", [*PAIRS, THREE_VIEWS], ids=lambda structure: structure.kind)
def test_a_prior_names_every_array_that_it_holds(structure):
    """``arrays``, which are checked at every door, and ``named_arrays``, in the words of an error: a frame of another dtype is
    among them."""
    model = Model(structure, 1)
    prior = structure.prior(model.parameters)
    assert [id(x) for x in prior.named_arrays.values()] == [id(x) for x in prior.arrays]
    held = {id(x) for x in prior.arrays}
    assert {id(q) for q in prior.frames if q is not None} < held  # and the coupling's
