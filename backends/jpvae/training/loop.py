"""The training loop. Its state is the step count, the parameters and the optimiser's arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..engines import Engine
from .batches import Batches
from .callbacks import StopTraining
from .divergence import check_report


def train(
    engine: Engine,
    state: Any,
    batches: Batches,
    *,
    first: int = 0,
    last: int | None = None,
    on_step: Callable[[int, Any], None] | None = None,
) -> tuple[int, bool]:
    """Run steps ``first`` to ``last`` (all by default), in place; ``on_step(step, report)`` after each, until it raises
    StopTraining. Returns the number of steps done since step 0, and whether StopTraining ended it.

    Raises TrainingDiverged at the first loss or gradient norm that is not finite, naming the step, row, view and term.
    """
    plan = batches.plan
    chosen = {} if plan.max_gradient_norm is None else {"max_gradient_norm": plan.max_gradient_norm}
    chosen |= {"weight_decay": plan.weight_decay} if plan.weight_decay else {}
    last = plan.steps if last is None else last
    for step in range(first, last):
        report = engine.train_step(
            state,
            batches.at(step),
            beta=plan.beta.beta(step, plan.steps),
            learning_rate=plan.rate(step),
            coupling_rate=plan.coupling_rate,
            **chosen,
        )
        check_report(report, f"step {step}", batches.rows(step), batches.names, batches.index)
        if on_step is not None:
            try:
                on_step(step, report)
            except StopTraining:
                return step + 1, True
    return max(first, last), False
