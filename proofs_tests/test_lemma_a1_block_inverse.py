"""Lemma A.1 and Eq. 8: the block inverse of Sigma and its determinant, in closed form.

With D_1 = (I - C^T C)^-1 and D_2 = (I - C C^T)^-1:  Sigma^-1 = [[D_1, -D_1 C^T], [-D_2 C, D_2]] and
|Sigma| = |I - C^T C| = |I - C C^T| = prod(1 - s^2). For any number of views ``precision`` is the inverse all the same.
"""

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import KINDS, PAIRS, dense, models, of_kind


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "independent"])
@given(data=st.data())
def test_precision_is_the_inverse_of_the_covariance(xp, kind, data):
    model = data.draw(models(of_kind(kind)))
    S, P, log_det, _ = xp.call(dense, model.structure, model.framed(xp))
    exact_P, exact_log_det = oracles.model_precision(model)
    # Entries Q_i diag(c) Q_j^T: two frames' errors (3 n^2 kappa eps each) and n roundings, times the largest |c|: at most
    # 1 in Sigma and Lambda = |Sigma^-1| in its inverse; M enters through tau.
    views, n = len(model.structure.dims), max(model.structure.dims)
    unit = 16 * views * n**2 * oracles.frame_condition(model) * xp.eps
    assert np.all(np.abs(S - oracles.floats(oracles.model_covariance(model))) <= unit)
    assert np.all(np.abs(P - oracles.floats(exact_P)) <= unit * oracles.stiffness(model))
    # Their product is then I to within |S| |dP| + |dS| |P|, summed over N = len(S) terms.
    assert np.all(np.abs(P @ S - np.eye(len(S))) <= 2 * len(S) * unit * oracles.stiffness(model))
    # log|Sigma| has terms of one sign, each relatively accurate (a logit's roundings do not grow in exp, log1p).
    assert abs(log_det - float(exact_log_det)) <= 16 * views * xp.eps * abs(float(exact_log_det))


@given(model=models(PAIRS, reach=(0.5, 3.0)))
def test_eq8_blocks_and_determinants(xp, model):
    n1, n2 = model.structure.dims
    _, P, log_det, _ = xp.call(dense, model.structure, model.framed(xp))
    C = oracles.model_covariance(model)[n1:, :n1]
    D1, log_det_1 = oracles.inverse_and_log_det(oracles.identity(n1) - C.T @ C)
    D2, log_det_2 = oracles.inverse_and_log_det(oracles.identity(n2) - C @ C.T)
    blocks = oracles.floats(np.block([[D1, -D1 @ C.T], [-D2 @ C, D2]]))
    unit = 16 * 2 * max(n1, n2) ** 2 * oracles.frame_condition(model) * xp.eps  # as above
    assert np.all(np.abs(P - blocks) <= unit * oracles.stiffness(model))
    singular = oracles.mp.svd_r(oracles.mp.matrix(C.tolist()), compute_uv=False)
    product = oracles.mp.log(oracles.mp.fprod(1 - s**2 for s in singular))
    for want in (log_det_1, log_det_2, product):
        assert abs(log_det - float(want)) <= 16 * 2 * xp.eps * abs(float(want))
