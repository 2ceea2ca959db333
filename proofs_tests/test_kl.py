"""The KL of a diagonal Gaussian from the joint prior: every form is Eq. 7, and the canonical one keeps its digits.

    2 KL = log|Sigma| - sum log sigma^2 - N + mu^T Sigma^-1 mu + tr(Sigma^-1 Sigma_q)                     (paper Eq. 7)

equals Eq. 9 and Eq. 16 (corrected: the cross term is mu_2^T C mu_1), is never negative, and for C = 0 is the sum of
ordinary KLs. As 1 - s -> 0 the canonical form loses nothing; Eq. 9, which subtracts, does.
"""

import dataclasses

import numpy as np
import oracles
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from strategies import KINDS, PAIRS, THREE_VIEWS, Model, Structure, models, of_kind, posterior

import jpvae_core as jc

SEEDS = st.integers(0, 99)


def canonical(structure, parameters, means, log_vars):
    return jc.kl_divergence(means, log_vars, structure.prior(parameters))


def references(structure, parameters, means, log_vars):
    prior = structure.prior(parameters)
    forms = [jc.kl_dense(means, log_vars, prior.covariance()), jc.kl_eq9(means, log_vars, prior.cross_covariance(1, 0))]
    if structure.kind == "orthogonal":
        forms.append(jc.kl_eq16(means, log_vars, parameters["frames"][1], parameters["alpha"]))
    return forms


def truth(model, means, log_vars):
    """The exact KLs of the rows and the error in units of eps that the canonical form may make."""
    everything = (True,) * len(means)
    rows = zip(np.concatenate(means, axis=-1), np.concatenate(log_vars, axis=-1), strict=True)
    return np.asarray([oracles.kl_and_condition(model, mean, log_var, everything) for mean, log_var in rows]).T


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=SEEDS)
def test_canonical_form_is_the_dense_kl_in_80_digits(xp, kind, data, seed):
    model = data.draw(models(of_kind(kind), reach=(0.5, 3.0, 12.0, 30.0)))
    means, log_vars = posterior(model.structure.dims, 2, seed)
    want, condition = truth(model, means, log_vars)
    assert np.all(want >= 0)
    got = xp.call(canonical, model.structure, model.framed(xp), means, log_vars)
    assert np.all(np.abs(got - want) <= condition * xp.eps)


@given(model=models(PAIRS, reach=(0.5, 2.0)), seed=SEEDS)
def test_dense_and_eq9_and_eq16_are_the_same_number(xp, model, seed):
    means, log_vars = posterior(model.structure.dims, 2, seed)
    want, condition = truth(model, means, log_vars)
    # They invert: an error eps in Sigma or in I - C^T C becomes |Sigma^-1|^2 eps in the inverse, one factor more; the
    # elimination runs over sum n_i <= 2 max n_i coordinates, whose square is another factor 4.
    tolerance = 4 * condition * oracles.stiffness(model) * xp.eps
    for got in xp.call(references, model.structure, model.framed(xp), means, log_vars):
        assert np.all(np.abs(got - want) <= tolerance)


def test_eq16_as_printed_is_another_number():
    model = Model(PAIRS[0], 5)
    means, log_vars = posterior((3, 3), 2, 0)
    got = canonical(model.structure, model.parameters, means, log_vars)
    R, alpha = oracles.floats(oracles.frames(model.structure, model.parameters)[1]), float(model.parameters["alpha"])
    moved = alpha / (1 - alpha**2) * np.einsum("bi,ij,bj->b", means[1], R - R.T, means[0])
    printed = jc.kl_eq16(means, log_vars, R, alpha) + moved  # -2 gamma mu_1^T C mu_2 / 2 in place of -2 gamma mu_2^T C mu_1 / 2
    want, condition = truth(model, means, log_vars)
    assert np.all(np.abs(got - want) <= condition * 2**-52)
    assert np.all(np.abs(printed - want) > 1e-2 * np.abs(want))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_least_kl_is_the_price_of_a_diagonal_posterior(xp, kind, data):
    """At mu = 0, sigma^2 = 1/diag(Sigma^-1), 2 KL = log|Sigma| + sum log (Sigma^-1)_ii >= 0 (Hadamard), and 0 for C = 0."""
    model = data.draw(models(of_kind(kind), reach=(0.05, 1.0, 12.0)))
    dims = model.structure.dims
    P, log_det = oracles.model_precision(model)
    log_var = strategies.float32([-float(oracles.mp.log(p)) for p in np.diagonal(P)])
    log_vars = tuple(np.stack([log_var[at]] * 2) for at in oracles.blocks(dims))
    means = tuple(np.zeros_like(x) for x in log_vars)
    want, condition = truth(model, means, log_vars)
    got = xp.call(canonical, model.structure, model.framed(xp), means, log_vars)
    assert np.all(np.abs(got - want) <= condition * xp.eps)
    # float32's log_var is 2^-24 |log_var| from the minimum, where the slope is 0: a second-order change.
    best = float(log_det + sum(oracles.mp.log(p) for p in np.diagonal(P))) / 2
    assert abs(want[0] - best) <= np.sum((2.0**-24 * log_var) ** 2) + 1e-18
    assert (best == 0) if kind == "independent" or len(dims) == 1 else (best > 0)


@given(seed=SEEDS)
def test_without_coupling_it_is_the_sum_of_ordinary_kls(xp, seed):
    (m1, m2), (l1, l2) = means, log_vars = posterior((3, 3), 2, seed)
    terms = [oracles.exact(m) ** 2 + oracles.exp(oracles.exact(v)) - 1 - oracles.exact(v) for m, v in ((m1, l1), (m2, l2))]
    want = oracles.floats(sum(terms).sum(axis=-1) / 2)
    for structure, zero in ((Structure("svd-tanh", (3, 3), 3), {"logits": np.zeros(3)}), (PAIRS[0], {"alpha": np.zeros(())})):
        model = Model(structure, seed)
        got = xp.call(canonical, structure, model.framed(xp) | zero, means, log_vars)
        # As in oracles.kl_and_condition, with Lambda = 1 and the same frames.
        size = sum(np.sum(m**2 + np.exp(v) + np.abs(v) + 1, axis=-1) for m, v in ((m1, l1), (m2, l2)))
        assert np.all(np.abs(got - want) <= 16 * 2 * 9 * oracles.frame_condition(model) * size / 2 * xp.eps)


@given(seed=SEEDS)
def test_permuting_the_views_changes_nothing(xp, seed):
    model, order = Model(THREE_VIEWS, seed), (2, 0, 1)
    means, log_vars = posterior(THREE_VIEWS.dims, 2, seed)
    want, condition = truth(model, means, log_vars)
    permuted = {name: [values[i] for i in order] for name, values in model.framed(xp).items()}
    permuted["logits"] = np.stack(permuted["logits"])
    structure = dataclasses.replace(THREE_VIEWS, dims=tuple(THREE_VIEWS.dims[i] for i in order))
    got = xp.call(canonical, structure, permuted, [means[i] for i in order], [log_vars[i] for i in order])
    assert np.all(np.abs(got - want) <= condition * xp.eps)


@given(model=models(of_kind("svd-sigmoid")), seed=SEEDS)
def test_two_views_of_equal_loadings_are_the_svd_prior(xp, model, seed):
    means, log_vars = posterior(model.structure.dims, 2, seed)
    want, condition = truth(model, means, log_vars)
    twice = model.framed(xp) | {"logits": np.stack([model.parameters["logits"]] * 2)}
    got = xp.call(canonical, dataclasses.replace(model.structure, kind="canonical"), twice, means, log_vars)
    assert np.all(np.abs(got - want) <= condition * xp.eps)


@pytest.mark.parametrize(
    "structure", [Structure("svd-sigmoid", (4, 4), 4), Structure("canonical", (4, 4), 4)], ids=lambda s: s.kind
)
@pytest.mark.parametrize("gap", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
def test_near_the_boundary_nothing_is_lost(xp, structure, gap):
    """s = 1 - gap in every direction. The relative error stays at a bounded number of eps; Eq. 9's grows as 1/gap."""
    model = Model(structure, 1, level=np.log((1 - gap) / gap))
    means, log_vars = posterior((4, 4), 2, 7)
    want, condition = truth(model, means, log_vars)
    got = xp.call(canonical, structure, model.framed(xp), means, log_vars)
    assert np.all(np.abs(got - want) <= condition * xp.eps)
    assert np.all(condition * xp.eps <= 1e4 * xp.eps * want)  # the bound itself is relative: no gap in it
    if gap == 1e-6 and xp.dtype == "float32":
        eq9 = xp.call(references, structure, model.framed(xp), means, log_vars)[1]
        assert not np.any(np.abs(eq9 - want) <= 1e-3 * want)  # (NaN counts as lost)
        assert np.all(np.abs(got - want) <= 1e-5 * want)
