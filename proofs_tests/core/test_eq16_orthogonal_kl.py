"""Eq. 16: the KL where C = alpha R with R orthogonal; then D_1 = D_2 = gamma I with gamma = 1/(1 - alpha^2).

    KL = 1/2 sum_i [gamma |mu_i|^2 - log|Sigma_i| - n + gamma tr Sigma_i] - 1/2 [n log gamma + 2 gamma mu_2^T C mu_1]

Source: paper section A.2, with the cross term corrected (see test_errata.py).
"""

import calls
import numpy as np
import oracles
from hypothesis import given
from hypothesis import strategies as st
from strategies import models, posterior


@given(data=st.data(), seed=st.integers(0, 99))
def test_eq16_is_eq7(xp, data, seed):
    model = data.draw(models(xp, "orthogonal", reach=(0.5, 2.0)))
    means, log_vars = posterior(model.structure.dims, 2, seed)
    want, condition = oracles.kl_rows(model, means, log_vars)
    got = xp.call(calls.references, model.structure, model.framed(xp), means, log_vars)["eq16"]
    assert np.all(np.abs(got - want) <= oracles.inversion(model) * condition * xp.eps)


@given(data=st.data())
def test_both_inverses_are_gamma_times_the_identity(xp, data):
    model = data.draw(models(xp, "orthogonal", reach=(0.5, 3.0)))
    n, alpha = model.structure.rank, float(model.parameters["alpha"])
    gamma = 1 / (1 - alpha**2)
    _, P, log_det, _ = xp.call(calls.dense, model.structure, model.framed(xp))
    for D in (P[:n, :n], P[n:, n:]):
        assert np.all(np.abs(D - gamma * np.eye(n)) <= oracles.rounding(model, xp.eps) * oracles.stiffness(model))
    # One sign and log1p: relatively accurate, 16 roundings; NumPy's own 1 - alpha^2 is off by gamma 2^-52 relatively.
    assert abs(log_det + n * np.log(gamma)) <= 16 * xp.eps * n * np.log(gamma) + n * gamma * 2.0**-51
