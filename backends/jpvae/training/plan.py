"""How to train: objective, weights, steps, schedules; plain numbers, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import ConfigError
from .schedules import BetaSchedule, LearningRate

RECORDED = 50  # steps between two records of the history
_EVALUATIONS = 20


@dataclass(frozen=True)
class Calibration:
    """A training in two parts: the first ``steps`` without ``rows`` of the rows, by which the likelihoods' own parameters
    for predictions are then found (inference/calibration.py); the second with all rows, and the rates from their start.
    Where these rows are few, ``folds`` - 1 further trainings are made, of the first part alone, each without as many others:
    what is found is then of the rows of all folds.

    Along the first part the rows that it leaves out are evaluated (watching.py), at most 20 times, for one pass forward of two
    batches in every 50 steps: about a hundredth of the training's time."""

    steps: int
    rows: int
    folds: int = 1

    @property
    def every(self) -> int:
        """Steps between two evaluations; each comes with a record of the history."""
        return RECORDED * math.ceil(self.steps / (RECORDED * _EVALUATIONS))

    def evaluated(self, batch: int) -> int:
        """How many of the rows: whole batches, where there are enough for one."""
        most = min(self.rows, 2 * batch * (self.every // RECORDED))
        return min(most, max(batch, most - most % batch))


@dataclass(frozen=True)
class Plan:
    """How to train: objective "elbo" (Eq. 5) or "subset", its weights, steps, schedules.

    validation_fraction: of the rows, held out of all steps for early stopping; 0 without.
    calibration: of the likelihoods' own parameters, if any.
    bootstrap: whether the rows are as many that are drawn with replacement.
    column_weights: of each view's columns in a row's log p; None: 1.
    cell_dropout: the share of rows that are trained on with only a part of their cells, uniform on [0, 1], in every batch.
    """

    steps: int
    batch_size: int
    beta: BetaSchedule
    learning_rate: LearningRate
    objective: str = "subset"
    weights: tuple[float, ...] = (1.0, 0.5, 0.5)
    coupling_rate: float = 0.1
    seed: int = 0
    max_gradient_norm: float | None = None
    validation_fraction: float = 0.0
    view_weights: tuple[float, ...] | None = None
    column_weights: tuple[tuple[float, ...], ...] | None = None
    cell_dropout: float = 0.0
    cross_draws: int = 1
    cross_weight: float = 1.0
    weight_decay: float = 0.0
    calibration: Calibration | None = None
    bootstrap: bool = False

    def weight(self, step: int) -> float:
        """The KL's weight at ``step`` (from 0), a plain number whatever kind of number the schedule gives."""
        return float(self.beta.beta(step, self.steps))

    def __post_init__(self) -> None:
        if self.objective not in ("elbo", "subset"):
            raise ConfigError(f"objective is {self.objective!r}; expected 'elbo' (Eq. 5) or 'subset'")
        if self.steps < 1 or self.batch_size < 1:
            raise ConfigError(f"steps is {self.steps} and batch_size {self.batch_size}; expected at least 1")
        if not (math.isfinite(self.coupling_rate) and self.coupling_rate >= 0):
            raise ConfigError(f"coupling_rate is {self.coupling_rate}; expected a finite number of at least 0")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ConfigError(f"weight_decay is {self.weight_decay}; expected a finite number of at least 0")
        for weights in self.column_weights or ():
            if not all(math.isfinite(w) and w > 0 for w in weights):
                raise ConfigError(f"column_weights has {weights}; expected finite numbers above 0")
        if self.max_gradient_norm is not None and not self.max_gradient_norm > 0:
            raise ConfigError(f"max_gradient_norm is {self.max_gradient_norm}; expected a positive number, or None")
        if min(self.weights, default=0.0) < 0 or not math.fsum(self.weights) > 0 or not all(map(math.isfinite, self.weights)):
            raise ConfigError(f"subset_weights is {self.weights}; expected non-negative numbers, at least one positive")
        views = self.view_weights
        if views is not None and not (all(math.isfinite(w) and w >= 0 for w in views) and math.fsum(views) > 0):
            raise ConfigError(f"view_weights is {views}; expected non-negative numbers, at least one positive")

    def part(self, step: int) -> tuple[int, int, int]:
        """Of the training in which ``step`` is: its number from 0, its first step, and how many it has."""
        first = 0 if self.calibration is None else self.calibration.steps
        return (1, first, self.steps - first) if 0 < first <= step else (0, 0, first or self.steps)

    def rate(self, step: int) -> float:
        """The learning rate at ``step``."""
        _, first, steps = self.part(step)
        return self.learning_rate.at(step - first, steps)


def held_out_rows(fraction: float, rows: int) -> int:
    """How many of the rows are held out: none, or the fraction of them, rounded, at least one."""
    return max(1, round(fraction * rows)) if fraction > 0 else 0
