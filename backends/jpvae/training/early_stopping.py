"""Early stopping: the training objective on rows that no step sees, and the parameters that were best there.

The measure is the objective itself at beta = 1, not the ELBO alone: under the subset objective a model may go on learning to
impute while its ELBO stands still. Its noise and subsets are the same at every evaluation, so that two evaluations differ
by their parameters only. An engine has one door to the objective, its training step: on a copy, at a rate of 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..engines import Engine
from .batches import Batches
from .divergence import check_report, plain_report


@dataclass(frozen=True)
class Best:
    """The best evaluation so far: after which step, its loss in nats per row (model's units), the parameters of then; and how
    many evaluations have been made since."""

    step: int
    loss: float
    parameters: Mapping[str, np.ndarray]
    since: int = 0


class HeldOut:
    """Evaluates every ``every`` steps, once per pass over the trained rows but not below 50 steps, and at the end."""

    def __init__(self, engine: Engine, batches: Batches, patience: int, best: Best | None) -> None:
        self.engine, self.batches, self.patience, self.best = engine, batches, patience, best
        self.every = max(50, math.ceil(len(batches.trained) / batches.size))

    @property
    def exhausted(self) -> bool:
        """Whether as many evaluations as ``patience`` have brought nothing better."""
        return self.best is not None and self.best.since >= self.patience

    def after(self, done: int, state: Any) -> dict[str, float]:
        """To be called after each step, with the number done: the evaluation {"held_out": nats per row}, {} where none is due.

        Raises TrainingDiverged where it is not finite.
        """
        if done % self.every and done < self.batches.plan.steps:
            return {}
        parameters = self.engine.to_arrays(state)[0]
        loss = self.loss(parameters, done)
        if self.best is None or loss < self.best.loss:
            self.best = Best(done, loss, parameters)
        else:
            self.best = replace(self.best, since=self.best.since + 1)
        return {"held_out": loss}

    def loss(self, parameters: Mapping[str, np.ndarray], done: int) -> float:
        """The objective's mean over the held-out rows. Raises TrainingDiverged."""
        copy, total, count = self.engine.start(parameters, None), 0.0, 0
        # With a limit, be it infinite, a gradient that is not finite moves nothing even at a rate of 0 (0 inf is NaN).
        still = dict.fromkeys(("learning_rate", "coupling_rate"), 0.0) | {"max_gradient_norm": math.inf}
        for rows, batch in self.batches.held_out():
            report = plain_report(self.engine.train_step(copy, batch, beta=1.0, **still), len(self.batches.names))
            when, names, index = f"the evaluation after step {done - 1}", self.batches.names, self.batches.index
            check_report({key: value for key, value in report.items() if key != "gradient_norm"}, when, rows, names, index)
            total, count = total + len(rows) * report["loss"], count + len(rows)
        return total / count
