"""Whether filled values can be trusted: every situation has one answer, which no single good number can buy."""

import itertools
import math

import numpy as np
import pytest

from jpvae.figures.calibration import LEVELS, Calibration
from jpvae.figures.cross_view import CrossView
from jpvae.report.rivals import Ahead, rivals
from jpvae.report.verdicts import answer, verdicts

NAN = math.nan
BARELY, RIDGE, MEANS = (
    Ahead("PLS", 0.03, useful=True),
    Ahead("ridge", 0.3, useful=True),
    Ahead("column means", 0.2, useful=False),
)
GOOD = {"tested": True, "share": 0.8, "rows": 200, "inside": 0.95, "ahead": None}
SITUATIONS = {
    "high R²": ({}, "yes", "Yes"),
    "high, a method is a little better": ({"ahead": BARELY}, "yes", "Yes"),
    "high, a method is much better": ({"ahead": RIDGE}, "part", "Yes, but ridge is closer"),
    "high, narrow": ({"inside": 0.7}, "narrow", "Not their intervals"),
    "high, narrow, beaten": ({"inside": 0.7, "ahead": RIDGE}, "narrow", "Not their intervals, and ridge is closer"),
    "high, wide": ({"inside": 1.0}, "yes", "Yes"),
    "high, no intervals": ({"inside": NAN}, "yes", "Yes"),
    "low": ({"share": 0.3}, "part", "In part, with their intervals"),
    "low, beaten": ({"share": 0.3, "ahead": RIDGE}, "part", "In part, but ridge is closer"),
    "low, narrow": ({"share": 0.3, "inside": 0.89}, "narrow", "Not their intervals"),
    "tiny": ({"share": 0.02}, "no", "No"),
    "tiny, narrow": ({"share": 0.02, "inside": 0.5}, "no", "No"),
    "tiny, a method is a little better": ({"share": 0.02, "ahead": BARELY}, "no", "No"),
    "tiny, beaten": ({"share": 0.02, "ahead": RIDGE}, "no", "No, but ridge can fill it"),
    "negative": ({"share": -0.4}, "no", "No"),
    "negative, column means are better": ({"share": -0.4, "ahead": MEANS}, "no", "No"),
    "negative, beaten": ({"share": -0.4, "ahead": RIDGE}, "no", "No, but ridge can fill it"),
    "few rows": ({"rows": 19}, "unknown", "Not known"),
    "few rows, tiny": ({"rows": 19, "share": 0.0, "ahead": RIDGE}, "unknown", "Not known"),
    "nothing varies": ({"share": NAN}, "unknown", "Not known"),
    "not tested": ({"tested": False}, "unknown", "Not known"),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_each_situation_has_its_answer(situation):
    changes, grade, words = SITUATIONS[situation]
    assert answer(**GOOD | changes) == (grade, words)


def test_a_yes_needs_every_number():
    shares, insides, ahead = (
        (-1.0, 0.0, 0.09, 0.1, 0.49, 0.5, 1.0, NAN),
        (0.0, 0.89, 0.9, 1.0, NAN),
        (None, BARELY, RIDGE, MEANS),
    )
    for tested, share, rows, inside, other in itertools.product((True, False), shares, (0, 19, 20), insides, ahead):
        grade, words = answer(tested=tested, share=share, rows=rows, inside=inside, ahead=other)
        whole = tested and share >= 0.5 and rows >= 20 and not inside < 0.9
        assert words.startswith("Yes") == whole
        assert (grade == "yes") == (whole and other in (None, BARELY))
        assert (grade == "unknown") == (not tested or rows < 20 or math.isnan(share))
        assert not (words.startswith("No,") and other is MEANS)


def evaluated(scores, **others):
    """Of one view, each score by method."""
    view = {"error": None, "accuracy": None, "log_loss": None, "coverage_95": None} | others
    return rivals({"rows": {"train": 8, "held_out": 2}, "seconds": dict.fromkeys(scores, 1.0), "views": {"a": view}})


def test_who_is_ahead():
    def of(**errors):
        scores = {name.replace("_", " "): value for name, value in errors.items()}
        return evaluated(scores, error=scores).ahead("a")

    assert of(JPVAE=0.5, ridge=0.4, PLS=0.45) == Ahead("ridge", pytest.approx(0.2), useful=True)
    assert of(JPVAE=0.5, ridge=0.5) is None
    assert of(JPVAE=0.5) is None
    assert of(JPVAE=1.2, column_means=1.0) == Ahead("column means", pytest.approx(1 / 6), useful=False)
    assert of(JPVAE=1.2, column_means=1.0, ridge=0.97) == Ahead("ridge", pytest.approx(0.23 / 1.2), useful=False)
    assert of(JPVAE=1.2, ridge=0.97) == Ahead("ridge", pytest.approx(0.23 / 1.2), useful=False)
    right = {"JPVAE": 0.9, "ridge": 0.95, "column means": 0.6}
    assert evaluated(right, accuracy=right).ahead("a") == Ahead("ridge", pytest.approx(0.5), useful=True)
    right |= {"ridge": 0.915}  # one and a half in a hundred
    assert evaluated(right, accuracy=right).ahead("a") is None


def test_the_sentences_are_of_the_numbers():
    """Two views: one that is filled, and one that only ridge fills."""
    errors = {"a": {"JPVAE": 0.4, "column means": 1.0, "ridge": 0.41}, "b": {"JPVAE": 0.99, "column means": 1.0, "ridge": 0.5}}
    none = {"accuracy": None, "log_loss": None, "coverage_95": None}
    result = {"rows": {"train": 8, "held_out": 50}, "seconds": dict.fromkeys(errors["a"], 1.0)}
    compared = rivals(result | {"views": {view: {"error": error} | none for view, error in errors.items()}})
    cross = CrossView(("a", "b"), np.eye(2), np.full((2, 2), 50), np.array([0.84, 0.02]), np.array([50, 50]), ())
    intervals = Calibration(("a", "b"), LEVELS, np.tile([[0.995], [0.85]], len(LEVELS)), np.array([100, 20]))
    first, second = verdicts(cross, intervals, compared, tested=True)
    assert (first.grade, second.grade) == ("yes", "no")
    assert first.text == (
        "84 % of its variation is recovered from the other views. The 95 % intervals contain 99.5 % of the true values: they "
        "are wider than they need to be. Error 0.400 standard deviations (ridge 0.410)."
    )
    assert (second.answer, second.text) == (
        "No, but ridge can fill it",
        "Only 2 % of its variation is recovered: its filled values are hardly better than column means. The 95 % intervals "
        "contain 85 % of the true values, too few. Error 0.990 standard deviations (ridge 0.500). Ridge has an error 49 % "
        "smaller: fill this view by it.",
    )
    text = verdicts(cross, intervals, None, tested=True)[1].text
    assert text.endswith("too few. Leave this view missing, but for columns with a high R² of their own (see below).")
    assert verdicts(cross, intervals, compared, tested=False)[1].answer == "Not known"
