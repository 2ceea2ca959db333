"""`verify` proves what it prints: priors whose smallest eigenvalue is known in closed form, and spoiled ones."""

import json
import math
import re
from fractions import Fraction

import numpy as np
import pytest
from commands import invoke
from synthetic import fitted

import jpvae_core as jc
from jpvae.errors import ConfigError
from jpvae.inference.verification import certify


def rotation(n, seed, dtype="float64"):
    return jc.orthogonal(np.random.default_rng(seed).standard_normal(n * (n - 1) // 2).astype(dtype), n)


@pytest.mark.parametrize("alpha", [0.0, 0.5, -0.95, 1 - 1e-9])
def test_the_smallest_eigenvalue_of_a_pair_is_one_less_alpha(alpha):
    found = certify(jc.JointPrior.orthogonal(rotation(4, 0), alpha), "float64")
    assert found.positive_definite
    # |R| = 1 but for its defect, so the smallest eigenvalue is 1 - |alpha| but for as much
    assert found.at_least - found.orthogonality_defect <= 1 - abs(alpha) <= found.at_most + found.orthogonality_defect
    assert found.at_most - found.at_least < 1e-5 * (1 - abs(alpha)) + 1e-13
    assert 0 < found.orthogonality_defect < 1e-14


def test_independent_views_have_eigenvalue_one():
    found = certify(jc.JointPrior.independent([2, 3]), "float64")
    assert found.positive_definite
    assert found.at_least <= 1 <= found.at_most
    assert found.orthogonality_defect == 0


def determinant(matrix):
    """Exactly, by fractions."""
    m, sign = [[Fraction(float(x)) for x in row] for row in matrix], 1
    for k in range(len(m)):
        pivot = next((r for r in range(k, len(m)) if m[r][k]), None)
        if pivot is None:
            return Fraction(0)
        if pivot != k:
            m[k], m[pivot], sign = m[pivot], m[k], -sign
        for r in range(k + 1, len(m)):
            factor = m[r][k] / m[k][k]
            m[r] = [a - factor * b for a, b in zip(m[r], m[k], strict=True)]
    return sign * math.prod(m[k][k] for k in range(len(m)))


@pytest.mark.parametrize("excess", [-(2.0**-40), 2.0**-40])
def test_it_sees_which_side_of_singular_a_matrix_is_on(excess):
    """A pair of scalars has the exact determinant 1 - (q alpha)^2: a frame a hair too long makes it negative."""
    frame = np.array([[1.0 + excess]])
    prior = jc.JointPrior.orthogonal(frame, 1 - 2.0**-45)
    exact = determinant([[1.0, 0.0], [0.0, 1.0]]) - (Fraction(1.0 + excess) * (1 - Fraction(1, 2**45))) ** 2
    found = certify(prior, "float64")
    assert found.positive_definite is (exact > 0)
    assert (found.at_most < 0) is (exact < 0)


def test_float32_frames_at_large_logits_are_not_positive_definite_as_stored():
    """1 - s = 2e-9 at a logit of 20, less than the frames' own defect in float32: proved, with what to do."""
    prior = jc.JointPrior.svd(rotation(6, 1, "float32"), np.full(6, 20.0, "float32"), rotation(6, 2, "float32"))
    found = certify(prior, "float32")
    assert found.positive_definite is False
    assert "dtype='float64'" in str(found)
    assert found.orthogonality_defect > 1e-8
    wide = jc.JointPrior.svd(rotation(6, 1), np.full(6, 20.0), rotation(6, 2))
    assert certify(wide, "float64").positive_definite


def test_frames_that_are_no_rotations():
    """Not the coupling's fault, and the text does not claim it."""
    prior = jc.JointPrior.orthogonal(np.full((3, 3), 2.0), 0.5)
    found = certify(prior, "float64")
    assert found.positive_definite is False
    assert "frames are not orthogonal (off by" in str(found)
    assert "coupling is within" not in str(found)


def test_the_command(tmp_path, monkeypatch, capsys):
    path = tmp_path / "model.safetensors"
    fitted().save(path)
    code, out, _ = invoke(monkeypatch, capsys, "verify", path, "--json")
    found = json.loads(out)
    S = fitted().model_.joint_prior(fitted().parameters_).covariance()
    assert code == 0
    assert found["positive_definite"] is True
    assert found["at_least"] - 1e-12 <= np.linalg.eigvalsh(S)[0] <= found["at_most"] + 1e-12
    code, out, _ = invoke(monkeypatch, capsys, "verify", path)
    assert code == 0
    assert "is positive definite: proved." in " ".join(out.split())


def test_what_is_printed_is_proved_too():
    """R = I: the smallest eigenvalue is 1 - alpha exactly, as a fraction; nine nearest digits would leave it out."""
    rng = np.random.default_rng(0)
    for alpha in rng.uniform(0.1, 0.999, 40).astype(np.float32):
        prior = jc.JointPrior.orthogonal(np.eye(2, dtype=np.float32), float(alpha))
        text = str(certify(prior, "float32"))
        least, most = re.search(r"lies in \[(.*), (.*)\]", text).groups()
        assert Fraction(least) <= 1 - Fraction(float(alpha)) <= Fraction(most)


@pytest.mark.parametrize("alpha", [1 - 2.0**-52, 1 - 2.0**-45])
def test_a_sign_that_is_proved_bounds_the_eigenvalue(alpha):
    found = certify(jc.JointPrior.orthogonal(rotation(4, 0), alpha), "float64")
    assert found.positive_definite is None or (found.at_least >= 0 if found.positive_definite else found.at_most <= 0)


def test_what_is_not_finite_is_refused():
    frame = np.eye(2)
    frame[0, 1] = np.nan
    with pytest.raises(ConfigError, match="not finite"):
        certify(jc.JointPrior.orthogonal(frame, 0.5), "float64")
