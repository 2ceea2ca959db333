"""What a reader of the report should know before believing it, and what to change, in plain words, the gravest first.

Advice to train differently comes with the error on held-out subjects: it is what a change must make smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..figures.calibration import Calibration
from ..figures.cross_view import LEAST, CrossView
from ..figures.distributions import Column
from ..figures.patterns import Patterns
from ..figures.training import Training
from ..inference.latent_report import LatentReport
from .encoding import percent
from .rivals import Rivals
from .verdicts import FEWEST, USELESS, judged

FEW_ROWS, SHIFTED, MEMORISED, TIED, ROUNDING = 100, 1.0, 0.15, 0.01, 1e-12


@dataclass(frozen=True)
class Caution:
    """grave: whether results may be wrong rather than only less good; what was found; what to do."""

    grave: bool
    title: str
    text: str


def cautions(
    patterns: Patterns,
    shared: np.ndarray,
    training: Training,
    cross: CrossView,
    calibration: Calibration,
    columns: Sequence[Column],
    *,
    on_trained: Sequence[float] | None,
    latents: LatentReport | None,
    rivals: Rivals | None,
    held_out: int | None,
    untested: str | None,
    warned: Sequence[str] = (),
) -> list[Caution]:
    """shared (M, M): how many subjects of the tables have both views; held_out: on how many rows that no
    training saw cross and calibration were computed, None where on rows that it may have seen; untested: why, if not by choice;
    on_trained: R^2 of each view on rows of the training; warned: the warnings given while the results were computed. What a few
    subjects show by chance is no caution: of fewer than FEWEST nothing is claimed, as in the verdicts."""
    found = [
        *_of_evidence(patterns, held_out, untested),
        *_of_views(patterns, shared, cross),
        *_of_intervals(calibration, cross, outnumbered=len(columns) > patterns.rows),
        *_of_rivals(rivals, cross),
        *_of_overfitting(cross, on_trained, rivals),
        *_of_training(training, latents, rivals),
        *_of_pairs(cross),
        *_of_columns(columns),
        *(Caution(True, "Warning", text) for text in dict.fromkeys(warned)),
    ]
    return sorted(found, key=lambda caution: not caution.grave)


def _of_evidence(patterns: Patterns, held_out: int | None, untested: str | None) -> list[Caution]:
    found = []
    if untested is not None:
        found.append(
            Caution(True, "Could not be tested", f"Nothing here is of subjects that the model had not seen: {untested}.")
        )
    elif held_out is None:
        found.append(
            Caution(
                False,
                "Not tested on new subjects",
                "The model may have been trained on the subjects shown here, so the R² values and intervals below may look "
                "better than they would be on new subjects. The command `jpvae report` trains a second model without some of "
                "the rows and tests that one, unless `--no-evaluation` is given.",
            )
        )
    elif held_out < FEW_ROWS:
        found.append(
            Caution(
                False,
                "Tested on few subjects",
                f"Only {held_out} subjects were held out, and scores vary by chance. Another split (`--seed`) shows how much.",
            )
        )
    if patterns.rows < FEW_ROWS:
        found.append(
            Caution(
                False,
                "Few subjects",
                f"There are {patterns.rows} subjects. With fewer than {FEW_ROWS}, simple methods such as ridge regression are "
                "often as good or better; compare them before relying on this model.",
            )
        )
    return found


def _of_views(patterns: Patterns, shared: np.ndarray, cross: CrossView) -> list[Caution]:
    M, found = len(cross.names), []
    apart = [
        f"{cross.names[i]} and {cross.names[j]}"
        for i in range(M)
        for j in range(i + 1, M)
        if patterns.of_view[i] and patterns.of_view[j] and shared[i, j] < LEAST
    ]
    if apart:
        found.append(
            Caution(
                True,
                "Views that hardly meet",
                f"Fewer than {LEAST} subjects of these tables have both {listed(apart)}. How these views are related cannot be "
                f"checked here, and can only have been learned {'through other views' if M > 2 else 'from other subjects'}.",
            )
        )
    by_view = zip(cross.names, cross.together, cross.together_rows, strict=True)
    useless = [name for name, r2, rows in by_view if r2 < USELESS and rows >= FEWEST]
    if useless:
        found.append(
            Caution(
                True,
                "Views that cannot be filled",
                f"The model recovers almost nothing of {listed(useless)} from the other views: the imputations are hardly "
                "better than column means. Leave these views missing, or use a method with a smaller error.",
            )
        )
    return found


def _of_intervals(calibration: Calibration, cross: CrossView, *, outnumbered: bool) -> list[Caution]:
    """outnumbered: whether the tables have more columns than subjects."""
    by_view = [
        (name, float(part), judged(float(part), int(rows), int(cells)))
        for name, part, rows, cells in zip(
            calibration.names, calibration.at_95, cross.together_rows, calibration.cells, strict=True
        )
    ]
    why = " This is common where columns outnumber subjects, as they do here." if outnumbered else ""
    found = []
    if narrow := [f"{name} ({percent(part)})" for name, part, how in by_view if how == "narrow"]:
        found.append(
            Caution(
                True,
                "Intervals too narrow",
                f"The 95 % intervals contain too few of the true values of {listed(narrow)}. Treat the standard deviations of "
                f"these imputations as lower bounds.{why}",
            )
        )
    if wide := [f"{name} ({percent(part, 1)})" for name, part, how in by_view if how == "wide"]:
        found.append(
            Caution(False, "Intervals too wide", f"The 95 % intervals contain nearly every true value of {listed(wide)}.")
        )
    return found


def _of_rivals(rivals: Rivals | None, cross: CrossView) -> list[Caution]:
    enough = {name for name, rows in zip(cross.names, cross.together_rows, strict=True) if rows >= FEWEST}
    lost = [each for each in rivals.lost() if each[2] >= TIED and each[0] in enough] if rivals is not None else []
    if not lost:
        return []
    words = [f"{view} ({method}, by {percent(part)})" for view, method, part in lost]
    return [
        Caution(
            False,
            "A simpler method is better",
            f"On held-out subjects another method has a smaller error on {listed(words)}. Differences of a few per cent may be "
            "chance; if one stays with another split (`--seed`), fill these views by that method.",
        )
    ]


def _of_overfitting(cross: CrossView, on_trained: Sequence[float] | None, rivals: Rivals | None) -> list[Caution]:
    unknown = [float("nan")] * len(cross.names)
    both = zip(cross.names, cross.together, on_trained or unknown, cross.together_rows, strict=True)
    found = [
        (name, f"{name} is {own:z.2f} there and {new:z.2f} here")
        for name, new, own, rows in both
        if own - new > MEMORISED and rows >= FEWEST
    ]
    if not found:
        return []
    return [
        Caution(
            False,
            "Overfitting",
            "The model fills the subjects that it was trained on better than held-out ones: R² of "
            f"{listed([w for _, w in found])}. "
            "Fewer `--steps`, a smaller `--hidden` or a larger `--weight-decay` is worth a try where it makes the error on "
            f"held-out subjects smaller{_now(rivals, [name for name, _ in found])}.",
        )
    ]


def _of_training(training: Training, latents: LatentReport | None, rivals: Rivals | None) -> list[Caution]:
    found = []
    if latents is not None and any(view["collapsed"] for view in latents.views.values()):
        found.append(Caution(True, "Latents without information", latents.advice))
    if training.still_falling:
        found.append(
            Caution(
                False,
                "Training was still improving",
                "The loss was still falling at the end. Raise `--steps` if that makes the error on held-out subjects smaller"
                f"{_now(rivals)}.",
            )
        )
    return found


def _of_pairs(cross: CrossView) -> list[Caution]:
    """Among three views or more: of two, the view itself cannot be filled."""
    M = len(cross.names)
    none = [
        f"{cross.names[j]} from {cross.names[i]}"
        for i in range(M)
        for j in range(M)
        if M > 2 and cross.r2[i, j] < USELESS <= cross.together[j] and cross.rows[i, j] >= FEWEST
    ]
    if not none:
        return []
    return [
        Caution(
            False,
            "Views that one other view does not fill",
            f"Almost nothing is recovered of {listed(none)} alone. A subject who has only the second view of such a pair gets "
            "hardly more than column means for the first.",
        )
    ]


def _now(rivals: Rivals | None, views: Sequence[str] = ()) -> str:
    """Where the error on held-out subjects stands, of these views or of all."""
    errors = [] if rivals is None else [(name, line) for name in rivals.views if (line := rivals.error(name)) is not None]
    words = [f"{line.cells[0]} on {name}" for name, line in errors if not views or name in views]
    return f" (now {listed(words)})" if words else ""


def _of_columns(columns: Sequence[Column]) -> list[Caution]:
    return [*_of_constants(columns), *_of_shifts(columns)]


def _of_constants(columns: Sequence[Column]) -> list[Caution]:
    alike = [
        f"{c.view}: {c.name}"
        for c in columns
        if c.counts[0] > 1 and (max(c.observed) == 1 if c.labels else c.deviations[0] <= ROUNDING * abs(c.means[0]))
    ]
    if not alike:
        return []
    many = f"{len(alike):,} columns have" if len(alike) > 1 else "One column has"
    return [
        Caution(
            False,
            "Columns with one value only",
            f"{many} the same value in every subject shown ({listed(alike)}): nothing can be learned about them, and R² and "
            "intervals leave them out. Check that no other values are missing by mistake, and drop them (`--drop`).",
        )
    ]


def _of_shifts(columns: Sequence[Column]) -> list[Caution]:
    shifted = [c for c in columns if not c.labels and c.counts[1] >= 10 and np.isfinite(c.shift) and abs(c.shift) > SHIFTED]
    if not shifted:
        return []
    largest = sorted(shifted, key=lambda c: -abs(c.shift))[:3]
    words = listed([f"{c.view}: {c.name}" for c in largest])
    many = f"{len(shifted):,} columns have" if len(shifted) > 1 else "One column has"
    return [
        Caution(
            False,
            "Imputed values that differ from observed ones",
            f"{many} imputed values more than one standard deviation away from the observed ones on average ({words}"
            f"{', ...' if len(shifted) > 3 else ''}). That is right if the subjects who lack the view differ from those who "
            "have it; check whether they should.",
        )
    ]


def listed(words: Sequence[str], most: int = 6) -> str:
    """As a sentence lists them: "a, b and c"; "a, b and 7 more"."""
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))
