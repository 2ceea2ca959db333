"""What the page warns of: by hand-made numbers, each once above and once below what it takes."""

import numpy as np
import pytest

from jpvae.figures.calibration import LEVELS, Calibration
from jpvae.figures.cross_view import CrossView
from jpvae.figures.distributions import view_columns
from jpvae.figures.patterns import patterns
from jpvae.figures.training import training
from jpvae.report.cautions import cautions
from jpvae.report.rivals import rivals
from jpvae.report.verdicts import verdicts
from jpvae.views.columns import Columns

CURVE = training([{"step": k, "loss": 1.0, "seconds": 1.0} for k in range(3)], early_stopping=False)


def numbers(*, rows, share=0.0, inside=0.95, cells=200, examined=None):
    """Two views, of so many held-out subjects that have both; examined: of the matrix."""
    both = np.full((2, 2), rows if examined is None else examined)
    cross = CrossView(("a", "b"), np.full((2, 2), share), both, np.full(2, share), np.full(2, rows), ())
    return cross, Calibration(("a", "b"), LEVELS, np.full((2, len(LEVELS)), inside), np.full(2, cells))


def titles(cross, intervals, *, shared=500, columns=(), **others):
    has = patterns(np.ones((500, 2), bool), ("a", "b"))
    usual = {"on_trained": [1.0, 1.0], "latents": None, "rivals": None, "held_out": 100, "untested": None}
    found = cautions(has, np.full((2, 2), shared), CURVE, cross, intervals, columns, **usual | others)
    return {caution.title: caution.text for caution in found}


def test_of_too_few_subjects_nothing_is_claimed():
    error = {"error": {"JPVAE": 1.0, "ridge": 0.5}, "accuracy": None, "log_loss": None, "coverage_95": None}
    result = {"rows": {"train": 8, "held_out": 2}, "seconds": {"JPVAE": 1.0, "ridge": 1.0}, "views": {"a": error}}
    claims = {"Views that cannot be filled", "Overfitting", "Intervals too narrow", "A simpler method is better"}
    assert titles(*numbers(rows=20, inside=0.7), rivals=rivals(result)).keys() == claims
    for few in (numbers(rows=19, inside=0.7), numbers(rows=3, inside=1.0)):
        assert titles(*few, rivals=rivals(result)) == {}
        first = verdicts(*few, None, tested=True)[0]
        assert (first.answer, "there are too few of them for a conclusion" in first.text) == ("Not known", True)


def test_intervals_need_values():
    """All of n values lie inside right 95 % intervals in 0.95^n of all cases: 36 % at 20, 0.6 % at 100."""
    assert "Intervals too wide" not in titles(*numbers(rows=20, share=0.9, inside=1.0, cells=99))
    assert "Intervals too wide" in titles(*numbers(rows=20, share=0.9, inside=1.0, cells=100))
    assert "Intervals too narrow" not in titles(*numbers(rows=20, share=0.9, inside=0.5, cells=16))
    narrow = titles(*numbers(rows=20, share=0.9, inside=0.5, cells=20))["Intervals too narrow"]
    assert "outnumber" not in narrow
    fewest = verdicts(*numbers(rows=20, share=0.9, inside=0.5, cells=16), None, tested=True)[0]
    assert (fewest.answer, "there are too few of them for a conclusion" in fewest.text) == ("Yes", True)


def test_views_meet_in_the_tables_not_in_the_held_out_rows():
    assert "Views that hardly meet" not in titles(*numbers(rows=2, examined=2), shared=5)
    assert "have both a and b" in titles(*numbers(rows=2, examined=2), shared=4)["Views that hardly meet"]


def test_constant_columns_are_named():
    known = np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]])
    columns = view_columns("a", Columns.of_one_family("gaussian", 2), known, np.full((3, 2), np.nan))
    found = titles(*numbers(rows=30, share=0.9), columns=columns)
    assert "(a: 0)" in found["Columns with one value only"]
    assert "Columns with one value only" not in titles(*numbers(rows=30, share=0.9), columns=columns[1:])


@pytest.mark.parametrize(("ridge", "sure"), [(0.5, True), (0.94, False)])
def test_a_small_lead_is_to_be_tried_again(ridge, sure):
    error = {"error": {"JPVAE": 1.0, "ridge": ridge}, "accuracy": None, "log_loss": None, "coverage_95": None}
    result = {"rows": {"train": 8, "held_out": 2}, "seconds": {"JPVAE": 1.0, "ridge": 1.0}, "views": {"a": error, "b": error}}
    text = verdicts(*numbers(rows=30, share=0.6), rivals(result), tested=True)[0].text
    assert text.endswith("fill this view by it.")
    assert ("another split" in text) is not sure
