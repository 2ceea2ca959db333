"""Theorem 2.1: Sigma_C = [[I, C^T], [C, I]] is positive semi-definite if and only if all singular values of C are at most 1.

With strict inequality it is positive definite. Proof's core (Eq. 10): the eigenvalues of I - C^T C are 1 - sigma_k(C)^2; those
of Sigma_C are 1 +- sigma_k(C), and 1 for the rest. Source: paper section 2.6. (Every parameter value of the package's priors:
test_canonical_prior.py.)
"""

import calls
import elimination_bounds
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import PAIR_KINDS, PAIRS, Model, models

SEEDS, SHAPES = st.integers(0, 999), st.sampled_from([(3, 5), (4, 2), (3, 3), (1, 4), (2, 1), (1, 1)])
EXACT = 1e-60  # 80 digits, less 20 for the condition numbers of matrices this small


def joint(C):
    n2, n1 = C.shape
    S = oracles.identity(n1 + n2)
    S[n1:, :n1], S[:n1, n1:] = C, C.T
    return S


def singular_values(C):
    return sorted(oracles.mp.svd_r(oracles.mp.matrix(C.tolist()), compute_uv=False))


def eigenvalues(S):
    return sorted(oracles.mp.eigsy(oracles.mp.matrix(S.tolist()), eigvals_only=True))


@given(seed=SEEDS, shape=SHAPES)
def test_both_directions_and_the_boundary(seed, shape):
    """Any C, not of our making: scaled to sigma_1 = 1 it is semi-definite and singular, a hair below it is definite, above
    it is not semi-definite."""
    C = oracles.exact(np.random.default_rng(seed).standard_normal(shape))
    C = C / singular_values(C)[-1]
    hair = oracles.mp.mpf(10) ** -40
    assert oracles.is_positive_definite(joint((1 - hair) * C))
    assert not oracles.is_positive_definite(joint((1 + hair) * C))
    assert eigenvalues(joint((1 + hair) * C))[0] < -hair / 2
    assert abs(eigenvalues(joint(C))[0]) < EXACT


@given(seed=SEEDS, shape=SHAPES)
def test_eigenvalues_of_any_c(seed, shape):
    """1 +- sigma_k for Sigma_C; 1 - sigma_{n_1+1-k}^2 for I - C^T C in decreasing order (the end of Eq. 10)."""
    C = oracles.exact(np.random.default_rng(seed).standard_normal(shape))
    (n2, n1), sigma = shape, singular_values(C)
    rest = [oracles.mp.mpf(1)] * (n1 + n2 - 2 * len(sigma))
    want = sorted([1 + s for s in sigma] + [1 - s for s in sigma] + rest)
    assert all(abs(x - y) < EXACT for x, y in zip(eigenvalues(joint(C)), want, strict=True))
    # C has n_1 singular values where the paper counts them: min(n_1, n_2), and zeros.
    padded = sorted([1 - s**2 for s in sigma] + [oracles.mp.mpf(1)] * (n1 - len(sigma)))
    got = eigenvalues(oracles.identity(n1) - C.T @ C)
    assert all(abs(x - y) < EXACT for x, y in zip(got, padded, strict=True))


@pytest.mark.parametrize("kind", PAIR_KINDS)
@given(data=st.data())
def test_eigenvalues_are_one_plus_and_minus_the_correlations(xp, kind, data):
    model = data.draw(models(xp, kind, reach=(0.5, 3.0)))
    structure = model.structure
    S, _, _, largest = xp.call(calls.dense, structure, model.framed(xp))
    logits = model.parameters.get("logits")
    s = {"orthogonal": lambda: np.full(structure.rank, model.parameters["alpha"]), "svd-tanh": lambda: np.tanh(logits / 2)}.get(
        kind, lambda: 1 / (1 + np.exp(-logits))
    )()
    want = np.sort(np.concatenate([1 + s, 1 - s, np.ones(sum(structure.dims) - 2 * len(s))]))
    # Weyl: an eigenvalue moves by at most |error in Sigma|_2. C = Q_2 diag(s) Q_1^T with |s| < 1 carries the errors of two
    # frames, 3 n^2 sqrt(n) kappa eps each (n = 4: a factor 2), and 2 n roundings: 16 n^2 kappa covers them.
    tolerance = 16 * max(structure.dims) ** 2 * oracles.frame_condition(model) * xp.eps
    assert np.all(np.abs(np.linalg.eigvalsh(S) - want) <= tolerance)
    assert abs(largest - np.abs(s).max()) <= 8 * xp.eps


@given(seed=SEEDS, size=st.sampled_from([6, 3, 4, 1]))
def test_alpha_next_to_one_with_a_steep_cayley_angle(xp, seed, size):
    """|A| up to 1e6; in float32 up to 1e3, since elimination of 3 rows is off by up to u |A| (test_cayley.py)."""
    alpha = float(np.float32(1 - 1e-6))
    model = Model(PAIRS[0], seed, tilt=10.0 ** (size if xp.dtype == "float64" else min(size, 3)))
    S, _, _, _ = xp.call(calls.dense, PAIRS[0], model.framed(xp) | {"alpha": np.asarray(alpha)})
    A = oracles.floats(oracles.skew(oracles.exact(model.parameters["entries"][1]), 3))
    defect = elimination_bounds.frame(A, np.linalg.solve(np.eye(3) - A, np.eye(3) + A)) * xp.eps
    assert defect < 0.05  # where no rotation at all would give 1
    least = np.linalg.eigvalsh(S)[0]
    # Weyl: |dSigma|_2 = alpha |dQ|_2, and one rounding in each entry of alpha Q.
    assert abs(least - (1 - alpha)) <= defect + 2 * xp.eps
    if xp.dtype == "float64":
        assert least > 0
