"""docs/accuracy.md is true: its tables are the committed lines, its claims hold in them, and small cells come out the same.

The claims' numbers are read from the page's own sentences; the script's exact value is checked against the one of oracles.py.
"""

import re
from types import SimpleNamespace

import accuracy
import accuracy_page
import numpy as np
import oracles
import pytest

HARD = ("skew entries × 100", "tight posterior")


def claim(pattern):
    """The one number in the page's text where a pattern has its group."""
    (found,) = re.findall(pattern, " ".join(accuracy_page.PAGE.read_text().split()))
    return float(found)


def test_the_page_shows_the_committed_lines():
    assert accuracy_page.PAGE.read_text() == accuracy_page.page()


def test_the_claims_about_the_package_hold_in_the_committed_lines():
    _, lines = accuracy_page.read_table()
    ours = {key: line for key, line in lines.items() if key[3] == accuracy.OURS}
    assert {key[0] for key in ours} == set(accuracy.CASES)
    assert all(line[kind] == "0" for line in ours.values() for kind in accuracy.FAILURES)
    in_eps = {key: float(line["worst"]) / np.finfo(line["dtype"]).eps for key, line in ours.items() if key[0] not in HARD}
    most = claim(r"At most (\d+) eps off")
    assert most - 1 < max(in_eps.values()) <= most  # neither too good nor too modest
    middle = max(float(r["median"]) / np.finfo(r["dtype"]).eps for r in ours.values() if r["case"] == accuracy.MAIN)
    assert middle < claim(r"median of the first case is below (\d+) eps")


def test_the_claims_about_the_others_hold_in_the_committed_lines():
    _, lines = accuracy_page.read_table()
    for dtype, gaps in accuracy.GAPS.items():
        least = claim(rf"in {dtype} at least (\d+(?:\.\d+)?) %") / 100
        others = [r for k, r in lines.items() if k[:3] == (accuracy.MAIN, dtype, f"{gaps[-1]:.0e}") and k[4] != "exact"]
        assert all(float(r["median"]) >= least for r in others if r["method"] != accuracy.OURS), dtype
        failed = {kind for r in others for kind in accuracy.FAILURES if r[kind] != "0"}
        assert failed == ({"nan", "exception"} if dtype == "float32" else set())


def test_a_tight_posterior_is_as_good_as_its_rounded_inputs():
    """Within the page's factor of ten, the median and the worst."""
    _, lines = accuracy_page.read_table()
    for dtype, gaps in accuracy.GAPS.items():
        at = ("tight posterior", dtype, f"{gaps[-1]:.0e}")
        moved = lines[*at, accuracy.MOVED, "exact"]
        for library in accuracy.LIBRARIES:
            assert all(float(lines[*at, accuracy.OURS, library][k]) <= 10 * float(moved[k]) for k in ("median", "worst"))


@pytest.mark.parametrize("kind", ["svd", "orthogonal", "canonical"])
def test_the_exact_value_is_the_oracles(kind):
    case = accuracy.Case(kind, (3, 3, 3) if kind == "canonical" else (3, 3), 3)
    inputs = accuracy.draw(case, 1e-12, "float64", 0)
    entries = inputs.entries if kind != "orthogonal" else [np.zeros(3), *inputs.entries]
    structure = SimpleNamespace(kind="svd-sigmoid" if kind == "svd" else kind, dims=case.dims, rank=case.rank)
    parameters = {
        "entries": entries,
        "signs": [np.ones(3)] * len(case.dims),
        "logits": inputs.coupling,
        "alpha": inputs.coupling,
    }
    S = oracles.covariance(structure, parameters)
    want = oracles.kl(S, np.concatenate(inputs.means), np.concatenate(inputs.log_vars))
    # 80 digits, condition number 3/1e-12, some hundreds of roundings: 60 digits remain with room.
    assert abs(accuracy.exact_kl(case, inputs) - want) <= 1e-60 * abs(want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_cells_come_out_as_claimed(dtype):
    """n = 4 needs fewer roundings than the page's n = 20, so the page's bound must hold; Eq. 9 loses far more."""
    case, gap = accuracy.Case("svd", (4, 4), 4), accuracy.GAPS[dtype][-1]
    eps = float(np.finfo(dtype).eps)
    for seed in range(3):
        inputs = accuracy.draw(case, gap, dtype, seed)
        truth = accuracy.exact_kl(case, inputs)
        assert accuracy.error(accuracy.OURS, "torch", case, inputs, truth) <= claim(r"At most (\d+) eps off") * eps
        lost = accuracy.error("Eq. 9, solve", "torch", case, inputs, truth)
        assert isinstance(lost, str) or lost > 1e3 * eps
