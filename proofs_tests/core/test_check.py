"""``prior.check()`` reads values: a matrix that is not orthogonal, an alpha outside (-1, 1) and a NaN are refused by name."""

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import COUPLED, float32, models

import jpvae_core as jc

ENTRIES = np.asarray([0.5, -1.0, 2.0])


def defects(structure, parameters):
    return structure.prior(parameters).orthogonality_defect()


@pytest.mark.parametrize("kind", COUPLED)
@given(data=st.data())
def test_the_packages_own_frames_pass(xp, kind, data):
    model = data.draw(models(xp, kind))
    parameters = model.framed(xp)
    prior = model.structure.prior(xp.array(parameters))
    assert prior.check() is prior
    Q = [oracles.exact(q) for q in (parameters["frames"][1:] if kind == "orthogonal" else parameters["frames"])]
    want = max(float(np.max(np.abs(q.T @ q - oracles.identity(q.shape[1])))) for q in Q)
    got = float(xp.call(defects, model.structure, parameters))
    assert abs(got - want) <= (max(model.structure.dims) + 1) * xp.eps  # inner products of n terms, each of size at most 1


def test_a_skew_matrix_is_no_rotation(xp):
    A = jc.skew(xp.array(ENTRIES), 3)
    want = np.abs(
        oracles.floats(oracles.skew(oracles.exact(ENTRIES), 3).T @ oracles.skew(oracles.exact(ENTRIES), 3)) - np.eye(3)
    ).max()
    prior = jc.JointPrior.orthogonal(A, 0.95)
    assert float(prior.orthogonality_defect()) == want == 4.0
    with pytest.raises(
        jc.NotOrthogonal, match=r"largest entry of \|Q\^T Q - I\| is 4; expected at most .*jc\.skew alone gives no"
    ):
        prior.check()
    with pytest.raises(jc.NotOrthogonal):
        jc.JointPrior.orthogonal(A, 0.95, validate=True)
    logits = xp.array(np.zeros(3))
    with pytest.raises(jc.NotOrthogonal):
        jc.JointPrior.svd(A, logits, jc.cayley(A), validate=True)
    with pytest.raises(jc.NotOrthogonal):
        jc.JointPrior.canonical([jc.cayley(A), A], xp.array(np.zeros((2, 3))), validate=True)


def test_the_tolerance(xp):
    Q = (1 + 2.0**-7) * np.eye(2)
    prior = jc.JointPrior.orthogonal(xp.array(Q), 0.5)
    with pytest.raises(jc.NotOrthogonal, match=r"is 0\.016"):
        prior.check()
    assert prior.check(tolerance=0.0157) is prior  # 2^-6 + 2^-14 = 0.01569
    with pytest.raises(jc.NotOrthogonal):
        prior.check(tolerance=0.0156)


@pytest.mark.parametrize("alpha", [1.0, -1.0, 1.5, -7.0, np.nan])
def test_an_alpha_outside_the_open_interval(xp, alpha):
    """As an array it passes the constructor, which reads no values."""
    with np.errstate(all="ignore"):
        prior = jc.JointPrior.orthogonal(xp.array(np.eye(2)), xp.array(np.asarray(alpha)))
    with pytest.raises(jc.NotAContraction, match=r"log\|Sigma\| is .*; expected a finite number\. Check alpha"):
        prior.check()


def test_a_logit_that_is_not_a_number(xp):
    one, logits = xp.array(np.eye(2)), xp.array(np.asarray([np.nan, 0.0]))
    with pytest.raises(jc.NotAContraction), np.errstate(all="ignore"):
        jc.JointPrior.svd(one, logits, one, validate=True)
    with pytest.raises(jc.NotAContraction), np.errstate(all="ignore"):
        jc.JointPrior.canonical([one, one], xp.array(np.asarray([[0.0, 1.0], [np.nan, 0.0]])), validate=True)


def test_independent_views_and_validated_constructors(xp):
    assert float(jc.JointPrior.independent((2, 3)).check().orthogonality_defect()) == 0.0
    Q = jc.orthogonal(xp.array(float32(ENTRIES)), 3)
    for prior in (
        jc.JointPrior.orthogonal(Q, 0.9, validate=True),
        jc.JointPrior.svd(Q, xp.array(np.zeros(3)), Q, "tanh", validate=True),
        jc.JointPrior.canonical([Q, Q], 89.0, validate=True),
    ):
        assert len(prior.dims) == 2


def test_a_stack_of_models_has_a_defect_each(xp):
    Q = np.stack([np.eye(2), 2 * np.eye(2)])
    prior = jc.JointPrior.orthogonal(xp.array(Q), 0.5)
    np.testing.assert_array_equal(xp.numpy(prior.orthogonality_defect()), [0.0, 3.0])
    grid = jc.JointPrior.orthogonal(xp.array(np.stack([Q, Q[::-1], Q])), 0.5)
    np.testing.assert_array_equal(xp.numpy(grid.orthogonality_defect()), [[0.0, 3.0], [3.0, 0.0], [0.0, 3.0]])
    with pytest.raises(jc.NotOrthogonal):
        prior.check()


def test_under_a_strong_coupling_the_defect_is_what_is_wrong():
    """What the check is for: Sigma of a skew "rotation" is indefinite although max_singular_value reads 0.95."""
    prior = jc.JointPrior.orthogonal(jc.skew(np.asarray([1.0, 1.0, 1.0]), 3), 0.95)
    assert float(prior.max_singular_value()) == 0.95
    assert np.linalg.eigvalsh(prior.covariance())[0] < -0.6
