"""Eq. 9: the KL for two views from D_1 = (I - C^T C)^-1 and D_2 = (I - C C^T)^-1, as the paper prints it.

KL = 1/2 [mu_1^T D_1 mu_1 - log|Sigma_1| - n_1 + tr(D_1 Sigma_1)] + 1/2 [the same for view 2]
   - 1/2 [log|D_1| + mu_1^T D_1 C^T mu_2 + mu_2^T D_2 C mu_1]                                     (paper section 2.5)
"""

import calls
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import PAIR_KINDS, models, posterior


@pytest.mark.parametrize("kind", PAIR_KINDS)
@given(data=st.data(), seed=st.integers(0, 99))
def test_eq9_is_eq7(xp, kind, data, seed):
    model = data.draw(models(xp, kind, reach=(0.5, 2.0)))
    means, log_vars = posterior(model.structure.dims, 2, seed)
    want, condition = oracles.kl_rows(model, means, log_vars)
    got = xp.call(calls.references, model.structure, model.framed(xp), means, log_vars)["eq9"]
    assert np.all(np.abs(got - want) <= oracles.inversion(model) * condition * xp.eps)


@pytest.mark.parametrize("kind", PAIR_KINDS)
@given(data=st.data(), seed=st.integers(0, 99))
def test_its_steps_in_80_digits(kind, data, seed):
    """tr(Sigma^-1 Sigma_q) = tr(D_1 Sigma_1) + tr(D_2 Sigma_2), and the printed sum, term by term, is Eq. 7."""
    model = data.draw(models(None, kind))
    n1, _ = model.structure.dims
    means, log_vars = (tuple(oracles.exact(x[0]) for x in half) for half in posterior(model.structure.dims, 1, seed))
    S = oracles.model_covariance(model)
    C = S[n1:, :n1]
    D1, minus_log_det_D1 = oracles.inverse_and_log_det(oracles.identity(n1) - C.T @ C)
    D2, _ = oracles.inverse_and_log_det(oracles.identity(len(C)) - C @ C.T)
    P, _ = oracles.model_precision(model)
    variances = tuple(oracles.exp(x) for x in log_vars)
    traces = [np.diagonal(D) @ v for D, v in ((D1, variances[0]), (D2, variances[1]))]
    assert abs(np.diagonal(P) @ np.concatenate(variances) - sum(traces)) <= 1e-50 * sum(traces)
    total = minus_log_det_D1 - means[0] @ D1 @ C.T @ means[1] - means[1] @ D2 @ C @ means[0]
    for mu, log_var, D, trace in zip(means, log_vars, (D1, D2), traces, strict=True):
        total += mu @ D @ mu - sum(log_var) - len(mu) + trace
    want = oracles.kl(S, np.concatenate(means), np.concatenate(log_vars))
    assert abs(total / 2 - want) <= 1e-50 * (1 + want)
