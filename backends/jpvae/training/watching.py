"""The loss on the rows that the first part of a training leaves out for calibration: a curve for people, which decides nothing.

It is the training objective at beta = 1, forwards only (model/objective.py): no gradient, no optimiser and no copy of the
parameters is made, and its noise is of a stream that no step draws from. A training with it has the same bits as one without.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..engines import Engine
from ..model.objective import negative_elbo
from .batches import Batches


class Watch:
    """Evaluates every ``plan.calibration.every`` steps, until the steps have all rows: there is no held-out row after that."""

    def __init__(self, engine: Engine, batches: Batches) -> None:
        self.engine, self.batches, self.calibration = engine, batches, batches.plan.calibration

    def after(self, done: int, state: Any) -> dict[str, float]:
        """To be called after each step, with the number done: the evaluation {"held_out": nats per row}, {} where none is due.

        Neither is there one where the loss is not finite, which ends no training.
        """
        if self.calibration is None or done > self.calibration.steps or done % self.calibration.every:
            return {}
        loss = self.loss(self.engine.parameters(state))
        return {"held_out": loss} if math.isfinite(loss) else {}

    def loss(self, parameters: dict[str, Any]) -> float:
        """The objective's mean over the held-out rows, of native parameters; NaN where there are none."""
        engine, total, count = self.engine, 0.0, 0
        for rows, batch in self.batches.held_out(shared=False):
            with np.errstate(all="ignore"):
                found = negative_elbo(
                    self.batches.model,
                    parameters,
                    batch.inputs(engine.asarray),
                    lambda i, x: engine.encode(parameters, i, x),
                    lambda i, z: engine.decode(parameters, i, z),
                    beta=1.0,
                    xp=engine.xp,
                )
            total, count = total + len(rows) * float(engine.numpy(found.loss)), count + len(rows)
        return total / count if count else math.nan
