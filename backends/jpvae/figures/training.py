"""The course of a training: its loss, and, where rows were held out for early stopping or calibration, the loss on these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .sample import evenly

MOST = 400  # points of a curve


@dataclass(frozen=True)
class Training:
    """Nats per row in the model's units. steps, loss: a point per record; held_out_steps, held_out: a point per evaluation;
    best: the step whose parameters were kept, None without early stopping; seconds: how long it took."""

    steps: tuple[int, ...]
    loss: tuple[float, ...]
    held_out_steps: tuple[int, ...]
    held_out: tuple[float, ...]
    best: int | None
    seconds: float

    @property
    def still_falling(self) -> bool:
        """Whether the last tenth of the records is clearly below the tenth before, by two hundredths of the whole fall; and
        held-out rows, if there are any, were best in that tenth."""
        n = len(self.loss) // 10
        if n < 2 or (self.best is not None and self.best < 0.9 * self.steps[-1]):
            return False
        last, before, first = (sum(part) / n for part in (self.loss[-n:], self.loss[-2 * n : -n], self.loss[:n]))
        return before - last > 0.02 * abs(first - last)


def training(history: Sequence[Mapping[str, Any]], *, early_stopping: bool) -> Training:
    """Of the records of ``JPVAE.history_``. early_stopping: whether the evaluations chose the parameters."""
    evaluated = [record for record in history if "held_out" in record]
    best = min(evaluated, key=lambda record: record["held_out"])["step"] if evaluated and early_stopping else None
    kept = [history[k] for k in evenly(len(history), MOST)]
    held = [evaluated[k] for k in evenly(len(evaluated), MOST)] if evaluated else []
    return Training(
        tuple(int(record["step"]) for record in kept),
        tuple(float(record["loss"]) for record in kept),
        tuple(int(record["step"]) for record in held),
        tuple(float(record["held_out"]) for record in held),
        best,
        float(history[-1]["seconds"]),
    )
