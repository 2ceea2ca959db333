"""Theorem 2.1: [[I, C^T], [C, I]] is positive definite if and only if sigma_1(C) < 1; its eigenvalues are 1 +- sigma_i(C).

For three views and more, pairwise sigma_1(C_ij) < 1 is not enough; the source model is positive definite all the same,
for every parameter value.
"""

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import KINDS, PAIRS, Model, Structure, dense, models, of_kind


@given(model=models(PAIRS, reach=(0.5, 3.0)))
def test_eigenvalues_are_one_plus_and_minus_the_correlations(xp, model):
    S, _, _, largest = xp.call(dense, model.structure, model.framed(xp))
    logits = model.parameters.get("logits")
    s = {"orthogonal": lambda: np.full(3, model.parameters["alpha"]), "svd-tanh": lambda: np.tanh(logits / 2)}.get(
        model.structure.kind, lambda: 1 / (1 + np.exp(-logits))
    )()
    want = np.sort(np.concatenate([1 + s, 1 - s, np.ones(sum(model.structure.dims) - 2 * len(s))]))
    # Weyl: an eigenvalue moves by at most |error in Sigma|_2. C = Q_2 diag(s) Q_1^T with |s| < 1 carries the errors of two
    # frames, 3 n^2 sqrt(n) kappa eps each (n = 4: a factor 2), and 2 n roundings: 16 n^2 kappa covers them.
    tolerance = 16 * max(model.structure.dims) ** 2 * oracles.frame_condition(model) * xp.eps
    assert np.all(np.abs(np.linalg.eigvalsh(S) - want) <= tolerance)
    assert abs(largest - np.abs(s).max()) <= 8 * xp.eps


@given(seed=st.integers(0, 999), n1=st.integers(1, 5), n2=st.integers(1, 5))
def test_both_directions_and_the_boundary(seed, n1, n2):
    """Any C, not of our making: scaled to sigma_1 = 1 it is singular, a hair below it is definite, above it is not."""
    C = np.random.default_rng(seed).standard_normal((n2, n1))
    C = oracles.exact(C) / oracles.mp.svd_r(oracles.mp.matrix(C.tolist()), compute_uv=False)[0]
    hair = oracles.mp.mpf(10) ** -40
    below, above = (oracles.exact(np.eye(n1 + n2)) for _ in range(2))
    for S, scale in ((below, 1 - hair), (above, 1 + hair)):
        S[n1:, :n1], S[:n1, n1:] = scale * C, scale * C.T
    assert oracles.is_positive_definite(below)
    assert not oracles.is_positive_definite(above)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), tilt=st.sampled_from([0.0, 1.0, 1e6]))
def test_every_parameter_value_is_positive_definite(kind, data, tilt):
    """|theta| <= 30, |A| up to 1e6: the exact Sigma has a Cholesky factor (alpha is clipped to 1 - 1e-6)."""
    drawn = data.draw(models(of_kind(kind), reach=(30.0,)))
    model = Model(drawn.structure, drawn.seed, drawn.reach, tilt)
    assert oracles.is_positive_definite(oracles.model_covariance(model))


@pytest.mark.parametrize("level", [-30.0, 0.0, 30.0])
@pytest.mark.parametrize("views", [1, 2, 6])
def test_the_computed_sigma_is_positive_definite_at_the_extremes(xp, views, level):
    """Loadings as equal as they come, 1 - a^2 down to 1e-13: the exact Cholesky factor of the float matrix exists."""
    structure = Structure("canonical", tuple(range(1, views + 1)), 1)
    gap = 1 / (1 + np.exp(level))
    model = Model(structure, views, level=level, tilt=0.0)
    ready = {"frames": [np.eye(n, 1) for n in structure.dims], "logits": model.parameters["logits"]}
    S, P, log_det, largest = xp.call(dense, structure, ready)
    # Frames of zero angle are unit vectors up to signs. Off the diagonal stands a fl(a^2); where that rounds to 1 (gap < eps)
    # Sigma cannot be told from a singular matrix, which is why nothing else in the package works from it.
    if gap > 4 * xp.eps or views == 1:
        assert oracles.is_positive_definite(oracles.exact(S))
        assert views == 1 or largest < 1
    assert 0 <= largest <= 1
    assert oracles.is_positive_definite(oracles.exact((P + P.T) / 2)) or gap * views < 64 * xp.eps
    want = float(oracles.model_precision(model)[1])
    assert abs(log_det - want) <= 16 * views * xp.eps * max(abs(want), 1e-300)  # one sign: relatively accurate


@given(seed=st.integers(0, 999), size=st.floats(1, 6))
def test_alpha_next_to_one_with_a_steep_cayley_angle(xp, seed, size):
    structure = PAIRS[0]
    model = Model(structure, seed, reach=30.0, tilt=10.0**size)
    S, _, _, _ = xp.call(dense, structure, model.framed(xp) | {"alpha": np.float32(1 - 1e-6).astype(float)})
    least = np.linalg.eigvalsh(S)[0]
    # 1 - alpha, less the defect of the rotation: 6 n^2 kappa eps.
    defect = 6 * 9 * oracles.frame_condition(model) * xp.eps
    assert abs(least - (1 - float(np.float32(1 - 1e-6)))) <= defect + 8 * xp.eps
    if xp.dtype == "float64":
        assert least > 0


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
