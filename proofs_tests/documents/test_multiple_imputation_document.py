"""docs/multiple-imputation.md shows what was measured, and the simulation's own parts are right."""

import json

import multiple_imputation as mi
import numpy as np
import pytest

from jpvae import pool

CASES = json.loads(mi.KEPT.read_text())["cases"]


def test_the_page_shows_what_was_measured():
    assert mi.PAGE.read_text() == mi.page()


def test_methods_with_a_known_answer_have_it():
    """The full data and the proper regression cover 95 % of the linear truth; with fixed parameters too little."""
    found = {case["method"]: case["all"] for case in CASES if case["truth"] == "linear" and case["replicates"] >= 300}
    for method in ("full data", "bayes"):
        assert found[method]["coverage"] == pytest.approx(0.95, abs=0.013)  # one standard error if all twelve go together
        assert found[method]["se_over_true"] == pytest.approx(1.0, abs=0.05)
    assert found["fixed"]["coverage"] < 0.93
    assert found["fixed"]["se_over_true"] < 0.95


def test_how_much_is_hidden():
    a, _ = mi.linear(100_000, np.random.default_rng(1))
    lost = mi.hidden(a, np.random.default_rng(2))
    assert lost.mean() == pytest.approx(mi.PART, abs=0.03)
    first = a[:, 0] + a[:, 1]
    assert first[lost].mean() > first[~lost].mean() + 0.5 * first.std()  # the larger ones


def test_estimates_and_variances_are_those_of_the_textbook():
    """On normal data the variances agree with the usual ones: s^2/n, least squares, 1/(n - 3)."""
    rng = np.random.default_rng(3)
    a, b = mi.linear(20_000, rng)
    found, variances = mi.estimates(a, b)
    assert found[:4] == pytest.approx(b.mean(axis=0))
    X = np.column_stack([np.ones(len(a)), a[:, :2]])
    slopes, rest, *_ = np.linalg.lstsq(X, b[:, 0], rcond=None)
    assert found[4:6] == pytest.approx(slopes[1:])
    usual = np.diag(np.linalg.inv(X.T @ X))[1:] * rest[0] / (len(a) - 3)
    # Means of 20,000 fourth powers of normal variables: relative deviations of at most sqrt(96/9/20,000) = 0.023; four of them.
    assert variances[4:6] == pytest.approx(usual, rel=0.1)
    assert np.tanh(found[8]) == pytest.approx(np.corrcoef(a[:, 0], b[:, 0])[0, 1])
    assert variances[8:] == pytest.approx(np.full(4, 1 / (len(a) - 3)), rel=0.1)


def test_a_replicate_pools_its_draws():
    parts = ("estimate", "error", "low", "high")
    estimate, error, low, high = (np.array(mi.replicates("bayes", "linear", [0])[0][part]) for part in parts)
    assert (low < estimate).all()
    assert (estimate < high).all()
    full, full_error = (np.array(mi.replicates("full data", "linear", [0])[0][part]) for part in parts[:2])
    assert (error[:4] > full_error[:4]).all()  # of means: rows are missing
    assert np.abs(estimate - full).max() < 1
    alike = pool(np.array([1.0, 1.0]), np.array([4.0, 4.0]))
    assert alike.std_error == 2.0  # which is how complete data go through the same lines
