"""The training loop. Its state is the step count, the parameters and the optimiser's arrays.

A training is a generator: it yields each step that it wants made, is sent the engine's report of it, and returns what it comes
to. So one is run by itself (``alone``), and several of one architecture step by step as one program (``together``).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any, NamedTuple, TypeVar

from ..engines import Engine
from ..model.batch import Batch
from .batches import Batches
from .callbacks import StopTraining
from .divergence import check_report, plain_report

T = TypeVar("T")


class Step(NamedTuple):
    """A step that a training waits for; settings: the keywords of ``Engine.train_step``."""

    number: int
    state: Any
    batch: Batch
    settings: Mapping[str, Any]


Training = Generator[Step, dict[str, Any], T]


def train(
    state: Any,
    batches: Batches,
    *,
    first: int = 0,
    last: int | None = None,
    on_step: Callable[[int, Any], None] | None = None,
    weight_decay: float | None = None,
) -> Training[tuple[int, bool]]:
    """Steps ``first`` to ``last`` (all by default), in place; ``on_step(step, report)`` after each, until it raises
    StopTraining. weight_decay: None for the plan's. Returns the number of steps done since step 0, and whether StopTraining
    ended it.

    Raises TrainingDiverged at the first loss or gradient norm that is not finite, naming the step, row, view and term.
    """
    plan = batches.plan
    chosen = {} if plan.max_gradient_norm is None else {"max_gradient_norm": plan.max_gradient_norm}
    decay = plan.weight_decay if weight_decay is None else weight_decay
    chosen |= {"weight_decay": decay} if decay else {}
    last = plan.steps if last is None else last
    for step in range(first, last):
        settings = {
            "beta": plan.weight(step),
            "learning_rate": plan.rate(step),
            "coupling_rate": plan.coupling_rate,
            **chosen,
        }
        report = yield Step(step, state, batches.at(step), settings)
        report = plain_report(report, len(batches.names))
        check_report(report, f"step {step}", batches.rows(step), batches.names, batches.index)
        if on_step is not None:
            try:
                on_step(step, report)
            except StopTraining:
                return step + 1, True
    return max(first, last), False


def alone(engine: Engine, training: Training[T]) -> T:
    """Run a training; what it returns."""
    with closing(training):
        try:
            step = next(training)
            while True:
                step = training.send(engine.train_step(step.state, step.batch, **step.settings))
        except StopIteration as end:
            found: T = end.value
            return found


def together(engine: Engine, trainings: Sequence[Training[T]]) -> list[T]:
    """Run trainings of one engine's model step by step, the same step of all that are at it as one program (``Engine.stack``).

    A step is made alone where no other training is at it, its batch has another size, or the engine has no stacks. The first
    exception of any ends all.
    """
    waiting: dict[int, Step] = {}
    found: dict[int, T] = {}
    make = getattr(engine, "stack", None)
    stacks: dict[tuple[int, ...], tuple[list[Any], Any]] = {}  # by their states: a training that calibrates has several

    def send(k: int, report: dict[str, Any] | None) -> None:
        try:
            waiting[k] = trainings[k].send(report)  # type: ignore[arg-type]  # None starts it
        except StopIteration as end:
            found[k] = end.value
            waiting.pop(k, None)

    with ExitStack() as open_:
        for k, training in enumerate(trainings):
            open_.enter_context(closing(training))
            send(k, None)
        while waiting:
            behind = min(step.number for step in waiting.values())
            first = next(step for step in waiting.values() if step.number == behind)
            size = len(first.batch.observed)
            chosen = [
                k
                for k, step in waiting.items()
                if step.number == behind and step.settings == first.settings and len(step.batch.observed) == size
            ]
            states = [waiting[k].state for k in chosen]
            these = tuple(map(id, states))
            if these not in stacks:
                now = {id(step.state) for step in waiting.values()} - set(these)
                stacks = {others: kept for others, kept in stacks.items() if set(others) <= now}
                stacks[these] = states, make(states) if make is not None and len(states) > 1 else None
            stack = stacks[these][1]
            if stack is None:
                reports = [engine.train_step(waiting[k].state, waiting[k].batch, **waiting[k].settings) for k in chosen]
            else:
                reports = stack.step([waiting[k].batch for k in chosen], **first.settings)
            for k, report in zip(chosen, reports, strict=True):
                send(k, report)
    return [found[k] for k in range(len(trainings))]
