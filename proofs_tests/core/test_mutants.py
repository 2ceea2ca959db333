"""The tests would notice: thirty-one slips that one could make in the core, each of which must fail a test.

``make mutants`` tries every slip of every line (mutants.py); these are the ones that a reader of the paper would fear.
"""

import json
import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[1] / "_support" / "mutants.py"
# File, the text as it stands there exactly once, what is put in its place, and what that would mean.
SAMPLE = (
    ("bounds.py", "0.5 * xp.expm1(t)", "0.5 * xp.exp(t)", "s/(1-s) = (e^t - 1)/2, without the -1"),
    ("bounds.py", "-s / (1.0 + s)", "s / (1.0 + s)", "the sign of -s/(1+s)"),
    ("bounds.py", "-1.0 / (2.0 + xp", "-1.0 / (1.0 + xp", "s for s/(1+s)"),
    ("cayley.py", "solve(xp, identity - A, identity + A)", "solve(xp, identity + A, identity - A)", "the inverse rotation"),
    (
        "conditioning.py",
        "coupling.regression(xp, j, k, bits)",
        "coupling.regression(xp, k, j, bits)",
        "i for j in Eq. 12",
    ),
    ("conditioning.py", "xp.exp(spread[k])", "xp.exp(0.5 * spread[k])", "a standard deviation for a variance"),
    ("conditioning.py", "S_hh - S_ho @ gain_t", "S_hh + S_ho @ gain_t", "Eq. 12: observing adds uncertainty"),
    (
        "conditioning.py",
        "eye_like(xp, like, prior.dims[i]) - frame @ xp.matrix_transpose(frame)",
        "eye_like(xp, like, prior.dims[i])",
        "the frame counted twice",
    ),
    ("frames.py", "of_kind(params, Q * flips[..., :, None])", "of_kind(params, Q)", "J ignored: rotations only"),
    ("remainder.py", "(1.0 + e) * xp.expm1(t) - t", "xp.expm1(t) - t", "the series' end not carried on beyond |x| = 1/2"),
    (
        "kl.py",
        "rest = mean - expand(xp, inside, frame)",
        "rest = expand(xp, inside, frame)",
        "the wrong complement",
    ),
    ("kl.py", "bits, (mu, log_var) = bits_of", "bits, (mu, _) = bits_of", "the mask ignored"),
    ("reference_kl.py", "log_det_D1 = -xp", "log_det_D1 = xp", "Eq. 9: log|D_1| = -log|I - C^T C|"),
    ("reference_kl.py", "= alpha, 1.0 / (1.0 - alpha * alpha)", "= alpha, 1.0 - alpha * alpha", "Eq. 16: 1/gamma for gamma"),
    ("reference_kl.py", "2.0 * gamma * a *", "2.0 * gamma * a * a *", "Eq. 16: alpha^2 for alpha"),
    (
        "reference_kl.py",
        "_form(xp, means[1], rotation, means[0])",
        "_form(xp, means[0], rotation, means[1])",
        "Eq. 16 as printed",
    ),
    ("moments.py", "self._scatter / (self.count - 1)", "self._scatter / self.count", "the biased covariance"),
    ("pair.py", "_, minus, plus, x = (", "_, plus, minus, x = (", "1/(1+s) for 1/(1-s)"),
    ("pair.py", "both * plus, both * x", "both * plus, x", "log|Sigma| of a view that is missing"),
    (
        "pair.py",
        "log_det = -0.5 * (self.rank // x.shape[-1]) * xp",
        "log_det = -0.5 * xp",
        "one direction's log|Sigma| for all n",
    ),
    ("pair.py", "spread = 1.0 / xp.sqrt(1.0 + x)", "spread = 1.0 / (1.0 + x)", "a variance for a standard deviation"),
    ("prior.py", "(None, rotation), Pair", "(rotation, None), Pair", "C^T for C"),
    ("rotated.py", "None, :]) @ xp.matrix_transpose(right)", "None, :]) @ right", "U s V for U s V^T"),
    ("sampling.py", "xp.exp(0.5 * log_var) * noise", "xp.exp(log_var) * noise", "section 2.1 as printed: sigma^2 for sigma"),
    ("sampling.py", "own[j] - expand(xp, e[j], prior.frames[j])", "own[j]", "the frame's noise counted twice"),
    ("skew.py", "signs[j, i] = 1.0, -1.0", "signs[j, i] = 1.0, 1.0", "a symmetric matrix"),
    (
        "_by_view.py",
        "return a[..., None, :, :] * m[..., :, None, :] - ",
        "return a[..., :, None, :] * m[..., :, None, :] - ",
        "i for j, Lagrange",
    ),
    (
        *("loadings.py", "log_det = -xp.log1p((1.0 / c) * over(xp, e, before, c + before + e))"),
        *("log_det = -xp.log1p((1.0 / c) * over(xp, e, before, c + before))", "the telescoped log|Sigma| one term off"),
    ),
    ("loadings.py", "own = rest_i * rest_i if i == j", "own = 1.0 - a_i * a_i if i == j", "1 - a^2 by subtraction"),
    ("loadings.py", "a = xp.exp(-0.5 * xp.log", "a = xp.exp(-1.0 * xp.log", "a^2 for a"),
    (
        *("loadings.py", "[a * u + rest * own for", "[a * mean + xp.sqrt(rest * rest + a * a / tau) * own for"),
        "every view its own source: each view's draws keep their law, their joint law is lost",
    ),
)

NOTICING = (  # the tests of which one fails for each: others may notice too, and would take long
    *("test_value_and_ratios", "test_a_prior_of_a_plain_number_next_to_one", "test_a_plain_number_is_the_same_alpha"),
    *("test_near_the_boundary_nothing_is_lost", "test_eq9_is_eq7", "test_eq16_is_eq7", "test_it_is_mean_plus_sigma_noise"),
    *(
        "test_without_coupling_it_is",
        "test_permuting_the_views",
        "test_one_observed_view",
        "test_every_pattern_is_the_dense_kl",
    ),
    *("test_rotation_in_80_digits", "test_every_pattern_is_the_schur_formula", "test_order_of_conditioning"),
    *("test_a_small_conditional_variance", "test_completion_has_the", "test_samples_have_the_prior", "test_leading_axes_on"),
    "test_batches_and_merges_give",
)

FILES = [  # that have them
    *("bounds", "cayley", "conditional_laws", "eq12_conditioning", "eq16_orthogonal_kl", "eq7_kl", "eq9_kl", "kl_laws"),
    *("missing_views", "moments", "reparameterization", "sampling", "theorem_2_2", "tracing"),
]


def test_every_slip_fails_a_test(tmp_path):
    """In a process of its own, which forks: this one may have threads."""
    rows, report = tmp_path / "rows.json", tmp_path / "report.json"
    rows.write_text(json.dumps([row[:3] for row in SAMPLE]))
    quick = f"numpy and float64 and ({' or '.join(NOTICING)})"
    command = [sys.executable, TOOL, report, "--of", "core", "--workers", "1", "--rows", rows, "-k", quick, "--tests", *FILES]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(report.read_text())["targets"]["core"]
    assert (found["dropped"], len(found["mutants"]), len(SAMPLE)) == ({}, 31, 31)
    unnoticed = [row for row, tried in zip(SAMPLE, found["mutants"], strict=True) if tried["verdict"] != "killed"]
    assert not unnoticed
