"""Whether the filled values of each view can be trusted, in a word and a sentence: the first thing on the page.

By R^2 when the view is filled from all others, and by how many true values lie inside the 95 % intervals:

    unknown   no such numbers, or only of subjects that the model may have been trained on
    no        R^2 < 0.02                       hardly better than column means
    narrow    coverage < 0.90                  the intervals promise too much
    part      R^2 < 0.5
    yes
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..figures.calibration import Calibration
from ..figures.cross_view import LEAST, CrossView
from .encoding import percent
from .rivals import OURS, Rivals

USELESS, HALF, NARROW = 0.02, 0.5, 0.90
Grade = Literal["yes", "part", "narrow", "no", "unknown"]
_ANSWERS: dict[Grade, str] = {
    "yes": "Yes",
    "part": "In part, with their intervals",
    "narrow": "Not their intervals",
    "no": "No",
    "unknown": "Not known",
}


@dataclass(frozen=True)
class Verdict:
    """On one view. answer: of its grade, in words; share: R^2, NaN where unknown; text: what was found."""

    view: str
    grade: Grade
    answer: str
    share: float
    text: str


def verdicts(cross: CrossView, calibration: Calibration, rivals: Rivals | None, *, tested: bool) -> list[Verdict]:
    """Of every view. tested: whether the numbers are of subjects that the model had not seen."""
    found = []
    for j, view in enumerate(cross.names):
        share, inside = float(cross.together[j]), float(calibration.at_95[j])
        grade = _grade(share, inside, tested=tested)
        sentences = [_recovered(share, int(cross.together_rows[j])), _covered(inside), _compared(view, rivals)]
        found.append(Verdict(view, grade, _ANSWERS[grade], share, " ".join(filter(None, sentences))))
    return found


def _grade(share: float, inside: float, *, tested: bool) -> Grade:
    if not tested or math.isnan(share):
        return "unknown"
    if share < USELESS:
        return "no"
    if inside < NARROW:  # False where there are no intervals
        return "narrow"
    return "part" if share < HALF else "yes"


def _recovered(share: float, rows: int) -> str:
    if math.isnan(share):
        if rows < LEAST:
            return f"Fewer than {LEAST} of the subjects looked at have this view and another one."
        return "Its columns do not vary among the subjects looked at."
    if share < USELESS:
        return "Almost nothing of its variation is recovered: filled values are hardly better than column means."
    return f"{percent(share)} of its variation is recovered from the other views."


def _covered(inside: float) -> str:
    return "" if math.isnan(inside) else f"The 95 % intervals contain {percent(inside)} of the true values."


def _compared(view: str, rivals: Rivals | None) -> str:
    """The error, or where a view has only categories the part that is right, beside the best of the other methods and ridge."""
    line = None if rivals is None else rivals.main(view)
    if rivals is None or line is None:
        return ""
    others = [k for k, method in enumerate(rivals.methods) if method != OURS]
    best = (max if line.larger_is_better else min)(others, key=lambda k: line.values[k], default=None)
    shown = [k for k in others if k == best or rivals.methods[k] == "ridge"]
    beside = ", ".join(f"{rivals.methods[k]} {line.cells[k]}" for k in shown)
    ours = line.cells[rivals.methods.index(OURS)]
    what = f"{ours} of its categories are right" if line.larger_is_better else f"Error {ours} standard deviations"
    return f"{what} ({beside})." if beside else f"{what}."
