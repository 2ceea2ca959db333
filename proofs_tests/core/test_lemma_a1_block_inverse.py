"""Lemma A.1 and Eq. 8: the block inverse of Sigma and its determinant, in closed form.

Lemma A.1 (Eq. 13, 14): the inverse of [[A, B], [C, D]] has the blocks (A - B D^-1 C)^-1, A^-1 B (C A^-1 B - D)^-1,
D^-1 C (B D^-1 C - A)^-1, (D - C A^-1 B)^-1. Applied to Sigma_C, with D_1 = (I - C^T C)^-1 and D_2 = (I - C C^T)^-1 (Eq. 8):

    Sigma^-1 = [[D_1, -D_1 C^T], [-D_2 C, D_2]],   |Sigma| = |I - C^T C| = |I - C C^T| = prod(1 - s^2)

For any number of views ``precision`` is the inverse all the same. Source: paper sections 2.5 and A.1.1.
"""

import calls
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import COUPLED, PAIR_KINDS, models


def inverse(A):
    return oracles.inverse_and_log_det(A)[0]


@given(seed=st.integers(0, 999), n1=st.integers(1, 4), n2=st.integers(1, 4))
def test_lemma_a1_for_any_blocks(seed, n1, n2):
    full = oracles.exact(np.random.default_rng(seed).standard_normal((n1 + n2,) * 2))
    A, B, C, D = full[:n1, :n1], full[:n1, n1:], full[n1:, :n1], full[n1:, n1:]
    first = [inverse(A - B @ inverse(D) @ C), inverse(A) @ B @ inverse(C @ inverse(A) @ B - D)]
    second = [inverse(D) @ C @ inverse(B @ inverse(D) @ C - A), inverse(D - C @ inverse(A) @ B)]
    # 80 digits, less the condition numbers of random blocks (below 1e10 each, three in a row).
    assert np.all(np.abs(np.block([first, second]) @ full - oracles.identity(n1 + n2)) < 1e-40)


@pytest.mark.parametrize("kind", COUPLED)
@given(data=st.data())
def test_precision_is_the_inverse_of_the_covariance(xp, kind, data):
    model = data.draw(models(xp, kind))
    S, P, log_det, _ = xp.call(calls.dense, model.structure, model.framed(xp))
    exact_P, exact_log_det = oracles.model_precision(model)
    # c is at most 1 in Sigma and Lambda = |Sigma^-1| in its inverse.
    unit = oracles.rounding(model, xp.eps)
    assert np.all(np.abs(S - oracles.floats(oracles.model_covariance(model))) <= unit)
    assert np.all(np.abs(P - oracles.floats(exact_P)) <= unit * oracles.stiffness(model))
    # Their product is then I to within |S| |dP| + |dS| |P|, summed over N = len(S) terms.
    assert np.all(np.abs(P @ S - np.eye(len(S))) <= 2 * len(S) * unit * oracles.stiffness(model))
    # log|Sigma| has terms of one sign, each relatively accurate (a logit's roundings do not grow in exp, log1p).
    views = len(model.structure.dims)
    assert abs(log_det - float(exact_log_det)) <= 16 * views * xp.eps * abs(float(exact_log_det))


@pytest.mark.parametrize("kind", PAIR_KINDS)
@given(data=st.data())
def test_eq8_blocks_and_determinants(xp, kind, data):
    model = data.draw(models(xp, kind, reach=(0.5, 3.0)))
    n1, n2 = model.structure.dims
    _, P, log_det, _ = xp.call(calls.dense, model.structure, model.framed(xp))
    S = oracles.model_covariance(model)
    C = S[n1:, :n1]
    D1, log_det_1 = oracles.inverse_and_log_det(oracles.identity(n1) - C.T @ C)
    D2, log_det_2 = oracles.inverse_and_log_det(oracles.identity(n2) - C @ C.T)
    blocks = oracles.floats(np.block([[D1, -D1 @ C.T], [-D2 @ C, D2]]))
    assert np.all(np.abs(P - blocks) <= oracles.rounding(model, xp.eps) * oracles.stiffness(model))
    singular = oracles.mp.svd_r(oracles.mp.matrix(C.tolist()), compute_uv=False)
    product = oracles.mp.log(oracles.mp.fprod(1 - s**2 for s in singular))
    for want in (oracles.inverse_and_log_det(S)[1], log_det_1, log_det_2, product):
        assert abs(log_det - float(want)) <= 16 * 2 * xp.eps * abs(float(want))
