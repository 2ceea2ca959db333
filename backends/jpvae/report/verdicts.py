"""Whether the filled values of each view can be trusted, in a few words and some sentences: the first thing on the page.

R^2 when the view is filled from all others, and the part of the true values inside the 95 % intervals, on subjects that the
model had not seen; the first line that fits:

    unknown   not tested, fewer than 20 subjects to test on, or nothing that varies
    no        R^2 < 0.1                        an error that is 5 % below column means' at best: sqrt(1 - 0.1) = 0.95
    narrow    coverage < 0.90                  the intervals promise too much
    part      R^2 < 0.5
    yes

Where another method's error is at least 5 % smaller, the words name it, and a yes has the colour of a part; under a no only
where that method fills the view.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..figures.calibration import Calibration
from ..figures.cross_view import CrossView
from .encoding import percent
from .rivals import OURS, Ahead, Rivals

USELESS, HALF, NARROW, WIDE = 0.1, 0.5, 0.90, 0.99
BEATEN, CLEAR = 0.05, 0.15  # by what part another method's error is smaller: less is often chance; may still be
FEWEST = 20  # subjects: with fewer the R^2 of a column is uncertain by about 0.2 either way
MANY = 100  # values, all of which lie inside right 95 % intervals in one case of 169; of 20 they do in one of 3
Grade = Literal["yes", "part", "narrow", "no", "unknown"]
_ANSWERS: dict[Grade, tuple[str, str]] = {  # where no other method is ahead; where one is
    "yes": ("Yes", "Yes, but {} is closer"),
    "part": ("In part, with their intervals", "In part, but {} is closer"),
    "narrow": ("Not their intervals", "Not their intervals, and {} is closer"),
    "no": ("No", "No, but {} can fill it"),
    "unknown": ("Not known", "Not known"),
}


@dataclass(frozen=True)
class Verdict:
    """On one view. grade: as above, the colour; answer: in words; share: R^2, NaN where unknown; text: what was found."""

    view: str
    grade: Grade
    answer: str
    share: float
    text: str


def verdicts(cross: CrossView, calibration: Calibration, rivals: Rivals | None, *, tested: bool) -> list[Verdict]:
    """Of every view. tested: whether the numbers are of subjects that the model had not seen."""
    found = []
    for j, view in enumerate(cross.names):
        share, rows, inside = float(cross.together[j]), int(cross.together_rows[j]), float(calibration.at_95[j])
        ahead = None if rivals is None else rivals.ahead(view)
        how = judged(inside, rows, int(calibration.cells[j]))
        known = math.nan if how == "unknown" else inside
        grade, words = answer(tested=tested, share=share, rows=rows, inside=known, ahead=ahead)
        sentences = [
            _recovered(share, rows),
            _covered(inside, how),
            _compared(view, rivals),
            _advice(grade, ahead, view, rivals),
        ]
        found.append(Verdict(view, grade, words, share, " ".join(filter(None, sentences))))
    return found


def answer(*, tested: bool, share: float, rows: int, inside: float, ahead: Ahead | None) -> tuple[Grade, str]:
    """The grade and its words. rows: to test on; inside: coverage of the 95 % intervals, NaN where there are none; ahead: the
    best other method, None without a comparison or where none is better."""
    grade = _grade(share, rows, inside, tested=tested)
    plain, beaten = _ANSWERS[grade]
    if ahead is None or ahead.by < BEATEN:
        return grade, plain
    if grade == "no" and not ahead.useful:
        return grade, plain
    return "part" if grade == "yes" else grade, beaten.format(ahead.method)


def _grade(share: float, rows: int, inside: float, *, tested: bool) -> Grade:
    if not tested or math.isnan(share) or rows < FEWEST:
        return "unknown"
    if share < USELESS:
        return "no"
    if inside < NARROW:  # False where there are no intervals
        return "narrow"
    return "part" if share < HALF else "yes"


def _recovered(share: float, rows: int) -> str:
    few = (
        f"Only {rows} of the subjects looked at have this view and another one: too few for a conclusion. "
        if rows < FEWEST
        else ""
    )
    if math.isnan(share):
        return few or "Its columns do not vary among the subjects looked at."
    if share < 0:
        return f"{few}Its filled values are no closer to the truth than column means."
    if share < USELESS:
        return (
            f"{few}Only {percent(share)} of its variation is recovered: its filled values are hardly better than column means."
        )
    return f"{few}{percent(share)} of its variation is recovered from the other views."


def judged(inside: float, rows: int, cells: int) -> Literal["narrow", "right", "wide", "unknown"]:
    """The 95 % intervals by the part of so many true values, of so many subjects, inside them."""
    if math.isnan(inside) or rows < FEWEST or cells < FEWEST:
        return "unknown"
    if inside < NARROW:
        return "narrow"
    return "wide" if inside > WIDE and cells >= MANY else "right"


def _covered(inside: float, how: str) -> str:
    if math.isnan(inside):
        return ""
    words = {
        "narrow": ", too few",
        "wide": ": they are wider than they need to be",
        "unknown": "; there are too few of them for a conclusion",
    }
    return f"The 95 % intervals contain {percent(inside, int(inside > WIDE))} of the true values{words.get(how, '')}."


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


def _advice(grade: Grade, ahead: Ahead | None, view: str, rivals: Rivals | None) -> str:
    """What to do where another method is clearly better, or nothing fills the view."""
    if grade == "unknown":
        return ""
    if ahead is not None and ahead.by >= BEATEN and (ahead.useful or grade != "no"):
        line = None if rivals is None else rivals.main(view)
        better = (
            f"{percent(ahead.by)} fewer mistakes" if line and line.larger_is_better else f"an error {percent(ahead.by)} smaller"
        )
        sure = "" if ahead.by >= CLEAR else "if it has with another split too (`--seed`), "
        return f"{ahead.method[:1].upper()}{ahead.method[1:]} has {better}: {sure}fill this view by it."
    return "Leave this view missing, but for columns with a high R² of their own (see below)." if grade == "no" else ""
