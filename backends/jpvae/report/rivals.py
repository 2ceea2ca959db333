"""The result of ``tables.evaluation.evaluate`` as lines of a table: one per view and score, the best method marked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .encoding import percent

OURS, _PLAIN, _BELOW = "JPVAE", "column means", 0.95
_FEW_CATEGORIES = 0.02
_SCORES: tuple[tuple[str, str, Callable[[float], str], Callable[..., float] | None], ...] = (
    ("error", "error, in standard deviations", "{:.3f}".format, min),
    ("accuracy", "categories filled correctly", percent, max),
    ("log_loss", "log loss of categories, nats", "{:.3f}".format, min),
    ("coverage_95", "values inside their 95 % interval", percent, None),
)


@dataclass(frozen=True)
class Line:
    """One view's score by method. cells: as they are shown; best: which methods have the best one, none of a coverage."""

    view: str
    score: str
    values: tuple[float, ...]
    cells: tuple[str, ...]
    best: tuple[bool, ...]

    @property
    def larger_is_better(self) -> bool:
        """Whether it is a part of what is right, not an error."""
        return self.score == _SCORES[1][1]


@dataclass(frozen=True)
class Ahead:
    """The best other method on a view, and by what part its error is smaller, or its mistakes in categories are fewer; useful:
    whether that is 5 % below column means' too."""

    method: str
    by: float
    useful: bool


@dataclass(frozen=True)
class Rivals:
    """methods: JPVAE first; seconds: of each; lines: view by view; train, held_out: how many rows."""

    methods: tuple[str, ...]
    seconds: tuple[float, ...]
    lines: tuple[Line, ...]
    train: int
    held_out: int

    @property
    def won(self) -> tuple[int, int]:
        """In how many lines JPVAE is the best, or as good; of how many."""
        compared = [line for line in self.lines if any(line.best)]
        return sum(line.best[0] for line in compared), len(compared)

    @property
    def views(self) -> tuple[str, ...]:
        """In the order of the lines."""
        return tuple(dict.fromkeys(line.view for line in self.lines))

    def error(self, view: str) -> Line | None:
        """The line of a view's error; None of one that has categories only."""
        return next((line for line in self.lines if (line.view, line.score) == (view, _SCORES[0][1])), None)

    def main(self, view: str) -> Line | None:
        """The line by which a view is judged: its error, or the categories filled correctly where it has nothing else."""
        correct = (line for line in self.lines if line.view == view and line.larger_is_better)
        return self.error(view) or next(correct, None)

    def ahead(self, view: str) -> Ahead | None:
        """The best other method where it is better by the line that judges the view, of categories by 2 % of all at least."""
        line = self.main(view)
        others = [k for k, method in enumerate(self.methods) if method != OURS]
        if line is None or not others:
            return None
        errors = [1.0 - value for value in line.values] if line.larger_is_better else list(line.values)
        best, ours = min(others, key=lambda k: errors[k]), errors[self.methods.index(OURS)]
        gained = ours - errors[best]
        if not gained > 0 or (line.larger_is_better and gained < _FEW_CATEGORIES):
            return None
        plain = errors[self.methods.index(_PLAIN)] if _PLAIN in self.methods else math.inf if line.larger_is_better else 1.0
        return Ahead(self.methods[best], gained / ours, useful=errors[best] <= _BELOW * plain)

    def lost(self) -> list[tuple[str, str, float]]:
        """(view, method, by what part its error is smaller) where another method's error is smaller."""
        found = []
        for line in self.lines:
            if line.score == _SCORES[0][1] and not line.best[0]:
                k = min(range(len(line.values)), key=lambda k: line.values[k])
                found.append((line.view, self.methods[k], 1.0 - line.values[k] / line.values[0]))
        return found

    def errors(self) -> list[dict[str, Any]]:
        """The errors, one record per view and method, for the chart."""
        return [
            {"view": line.view, "method": method, "error": value}
            for line in self.lines
            if line.score == _SCORES[0][1]
            for method, value in zip(self.methods, line.values, strict=True)
        ]


def rivals(result: Mapping[str, Any]) -> Rivals:
    """Of what ``evaluate`` gives."""
    methods = tuple(result["seconds"])
    lines = []
    for view, found in result["views"].items():
        for name, words, form, best_of in _SCORES:
            if found[name] is None:
                continue
            values = tuple(float(found[name][method]) for method in methods)
            best = tuple(best_of is not None and value == best_of(values) for value in values)
            lines.append(Line(view, words, values, tuple(form(value) for value in values), best))
    rows = result["rows"]
    return Rivals(methods, tuple(result["seconds"].values()), tuple(lines), rows["train"], rows["held_out"])
