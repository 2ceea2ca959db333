"""docs/quadrants.md is what the committed lines give: the numbers of its tables are means that are taken again here."""

import json
import re
from statistics import mean

import numpy as np
import pytest
import quadrants
import quadrants_page

KEPT = json.loads(quadrants.KEPT.read_text())
PAGE = quadrants_page.PAGE.read_text(encoding="utf-8")
METHODS = {"JPVAE": "jpvae", "regressors": "regressor", "CVAE": "cvae", "MoPoE": "mopoe"}
SCORES = ("error", "pixel", "joint")


def rows(begins):
    """The table that follows a line, its head first."""
    found = re.search(re.escape(begins) + r"\n\n((?:\|.*\n)+)", PAGE)
    head, _, *body = [[cell.strip().strip("*") for cell in row.strip().strip("|").split("|")] for row in found[1].splitlines()]
    return [dict(zip(head, row, strict=True)) for row in body]


def score(method, pattern, name):
    """The mean over the method's seeds."""
    return mean(case["patterns"][pattern][name] for case in KEPT["cases"] if case["method"] == method)


def test_the_page_shows_what_was_measured():
    assert quadrants_page.page() == PAGE


def test_every_method_and_pattern_was_measured_alike():
    assert {case["method"] for case in KEPT["cases"]} == set(METHODS.values())
    assert len({case["steps"] for case in KEPT["cases"]}) == 1
    for case in KEPT["cases"]:
        assert case["setting"] == quadrants.SETTINGS[case["method"]]
        assert set(case["patterns"]) == set(quadrants_page.GLYPHS)
        assert "dirty" not in case["commit"]
    for case in (case for case in KEPT["cases"] if case["method"] == "regressor"):
        assert all(found["pixel"] == found["joint"] for found in case["patterns"].values())  # its pixels are independent


def test_the_settings_are_the_best_of_those_tried():
    for method in METHODS.values():
        tried = [line for line in KEPT["tried"] if line["method"] == method]
        best = min(tried, key=lambda line: mean(found["joint"] for found in line["patterns"].values()))
        assert best["setting"] == quadrants.SETTINGS[method]


def test_the_means():
    table = {row[""]: row for row in rows("**Means over the 14 patterns, 1,000 test images**")}
    assert set(table) == set(METHODS)
    for name, method in METHODS.items():
        for kind in SCORES:
            wanted = mean(score(method, pattern, kind) for pattern in quadrants_page.GLYPHS)
            assert float(table[name][kind]) == pytest.approx(wanted, abs=0.51e-4 if kind == "error" else 0.51e-2)


def test_every_pattern():
    table = {row["seen"]: row for row in rows("**By pattern (black: seen)**")}
    assert len(table) == 14
    for pattern, glyph in quadrants_page.GLYPHS.items():
        for name, method in METHODS.items():
            assert float(table[glyph][f"error, {name}"]) == pytest.approx(score(method, pattern, "error"), abs=0.51e-4)
            assert float(table[glyph][f"joint, {name}"]) == pytest.approx(score(method, pattern, "joint"), abs=0.51e-2)


@pytest.mark.parametrize("kind", SCORES)
def test_what_is_lost_is_printed(kind):
    """How many patterns each has, and how far JPVAE is from the best of the others."""
    (sentence,) = re.findall(rf"^- {kind}: (.*)$", PAGE, re.M)
    best = [min(METHODS, key=lambda name, p=p: score(METHODS[name], p, kind)) for p in quadrants_page.GLYPHS]
    for name in METHODS:
        assert re.search(rf"{name} on {best.count(name)}\b", sentence)
    means = {name: mean(score(method, p, kind) for p in quadrants_page.GLYPHS) for name, method in METHODS.items()}
    other = min(set(means) - {"JPVAE"}, key=means.get)
    change = 100 * (means["JPVAE"] / means[other] - 1)
    side = "above" if change > 0 else "below"
    assert f"JPVAE's mean is {abs(change):.1f} % {side} that of {other}, the best of the others" in sentence


def test_what_was_found():
    text = " ".join(PAGE.split())
    means = {m: {k: mean(score(m, p, k) for p in quadrants_page.GLYPHS) for k in SCORES} for m in METHODS.values()}
    assert "JPVAE has the best joint score and the regressors by far the smallest error" in text
    assert min(means, key=lambda m: means[m]["joint"]) == "jpvae"
    assert min(means, key=lambda m: means[m]["error"]) == "regressor"
    assert "JPVAE's mean error is above that of CVAE too, and more than 5 % above the regressors'" in text
    assert means["jpvae"]["error"] > max(means["cvae"]["error"], 1.05 * means["regressor"]["error"])
    assert "MoPoE is last in all three scores" in text
    assert all(max(means, key=lambda m, k=k: means[m][k]) == "mopoe" for k in SCORES)
    assert "CVAE trains in a third of JPVAE's time" in text
    assert "with three seen, the regressors have the best joint score as well" in text
    for pattern in (p for p in quadrants_page.GLYPHS if p.count("1") == 3):
        assert min(means, key=lambda m, p=pattern: score(m, p, "joint")) == "regressor"
    for pattern in (p for p in quadrants_page.GLYPHS if p.count("1") == 1):
        assert min(means, key=lambda m, p=pattern: score(m, p, "joint")) == "jpvae"
    assert "The regressors have six times JPVAE's parameters" in text
    parameters = {case["method"]: case["parameters"] for case in KEPT["cases"]}
    assert 5.5 < parameters["regressor"] / parameters["jpvae"] < 6.5
    seconds = {m: mean(case["seconds"] for case in KEPT["cases"] if case["method"] == m) for m in means}
    assert 0.25 < seconds["cvae"] / seconds["jpvae"] < 0.4


def test_the_pictures_have_what_was_seen_and_something_else_where_not():
    kept = np.load(quadrants.KEPT.with_suffix(".npz"))
    assert set(kept) == {"truth", *METHODS.values()}
    for method in METHODS.values():
        for k, seen in enumerate(quadrants.PATTERNS):
            same = (kept[method][k] == kept["truth"]).all(axis=(0, 2))
            assert tuple(same) == seen
