"""The training loop by itself: what a step is asked for, and trainings that make one step together.

Engines here compute nothing: a report names the state, the batch and the settings that it was made from.
"""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from numbered_batches import batches, same

from jpvae.errors import TrainingDiverged
from jpvae.training.callbacks import StopTraining
from jpvae.training.loop import Step, alone, together, train

CHOSEN = [
    ({}, {}),
    ({"max_gradient_norm": 2.0}, {"max_gradient_norm": 2.0}),
    ({"weight_decay": 0.3}, {"weight_decay": 0.3}),
    ({"weight_decay": 0.3, "max_gradient_norm": 2.0}, {"weight_decay": 0.3, "max_gradient_norm": 2.0}),
]
ONE_ROW = {"posterior": np.ones((1, 2)), "reconstruction": np.ones((1, 2)), "kl": np.ones(1)}
GOOD = {"loss": 1.0, "reconstruction": [1.0, 1.0], "kl": 0.0, "gradient_norm": 1.0, "rows": ONE_ROW}


@pytest.mark.parametrize(("plan", "expected"), CHOSEN)
def test_a_step_is_asked_for_with_the_plan_s_numbers(plan, expected):
    """What a plan does not have is not asked for: an engine that knows no weight decay trains without it."""
    data, heard = batches(steps=3, coupling_rate=0.25, **plan), []
    training = train("state", data, on_step=lambda step, report: heard.append((step, report)))
    for step in range(3):
        asked = next(training) if step == 0 else training.send(GOOD)
        rates = {"beta": 1.0, "learning_rate": data.plan.rate(step), "coupling_rate": 0.25}
        assert asked.settings == rates | expected
        assert (asked.number, asked.state) == (step, "state")
        assert same(asked.batch, data.at(step))
    with pytest.raises(StopIteration) as end:
        training.send(GOOD)
    assert end.value.value == (3, False)
    assert heard == [(step, GOOD) for step in range(3)]


@pytest.mark.parametrize(("first", "last", "done"), [(1, None, 4), (1, 3, 3), (3, 3, 3), (4, 2, 4)])
def test_a_part_of_a_training(first, last, done):
    made, engine = [], SimpleNamespace(train_step=lambda *_, **__: GOOD)
    found = alone(engine, train(0, batches(steps=4), first=first, last=last, on_step=lambda step, _: made.append(step)))
    assert found == (done, False)
    assert made == list(range(first, done))


def test_who_stops_a_training_has_had_its_step():
    def stop(step, _):
        if step == 1:
            raise StopTraining

    engine = SimpleNamespace(train_step=lambda *_, **__: GOOD)
    assert alone(engine, train(0, batches(steps=4), on_step=stop)) == (2, True)


@pytest.mark.parametrize("on_step", [None, lambda *_: pytest.fail("heard of a loss that is not finite")])
def test_a_loss_that_is_not_finite_names_its_step(on_step):
    reports = iter([GOOD, GOOD | {"loss": np.nan}])
    engine = SimpleNamespace(train_step=lambda *_, **__: next(reports))
    heard = on_step and (lambda step, report: on_step(step, report) if step else None)
    with pytest.raises(TrainingDiverged, match="step 1"):
        alone(engine, train(0, batches(steps=4), on_step=heard))


def test_a_sum_beyond_all_numbers_of_rows_that_are_not_is_explained():
    engine = SimpleNamespace(train_step=lambda *_, **__: GOOD | {"loss": np.inf})
    with pytest.raises(TrainingDiverged, match="every row is finite, but not their sum; the parameters have become too large"):
        alone(engine, train(0, batches(steps=4)))


@dataclass
class Machine:
    """An engine with stacks that notes which states made each step; a stack knows the states that it was made of."""

    steps: list = field(default_factory=list)
    made: list = field(default_factory=list)

    def train_step(self, state, batch, **settings):
        self.steps.append([state])
        return {"state": state, "batch": batch, **settings}

    def stack(self, states):
        self.made.append(states)

        def step(given, **settings):
            self.steps.append(states)
            return [{"state": s, "batch": b, **settings} for s, b in zip(states, given, strict=True)]

        return SimpleNamespace(step=step)


def training(name, rates, rows=4, first=0):
    """Asks for a step at each rate, and finds that it was made with its own state, batch and rate."""
    for number, rate in enumerate(rates, first):
        batch = SimpleNamespace(observed=np.ones((rows, 2)), of=(name, number))
        report = yield Step(number, name, batch, {"learning_rate": rate})
        assert report == {"state": name, "batch": batch, "learning_rate": rate}
    return f"{name} done"


TOGETHER = {
    "all alike": ([("a", [1, 1]), ("b", [1, 1])], ["ab", "ab"], ["ab"]),
    "rates that part and meet": (
        [("a", [1, 1, 2, 1]), ("b", [1, 1, 3, 1]), ("c", [1, 1, 2, 1])],
        ["abc", "abc", "ac", "b", "abc"],
        ["abc", "ac", "abc"],
    ),
    "one ends": ([("a", [1, 1, 1]), ("b", [1]), ("c", [1, 1, 1])], ["abc", "ac", "ac"], ["abc", "ac"]),
    "one alone at the end": ([("a", [1, 1, 1]), ("b", [1])], ["ab", "a", "a"], ["ab"]),
    "one catches up": ([("a", [1, 1], 4, 2), ("b", [1, 1, 1, 1])], ["b", "b", "ab", "ab"], ["ab"]),
    "a smaller batch": ([("a", [1]), ("b", [1], 3), ("c", [1])], ["ac", "b"], ["ac"]),
    "never": ([("a", []), ("b", [1])], ["b"], []),
}


@pytest.mark.parametrize(("members", "steps", "stacks"), TOGETHER.values(), ids=TOGETHER.keys())
def test_the_same_step_of_several_trainings_is_one_program(members, steps, stacks):
    """Whose settings or batches are another's alone; a stack is made anew when others are at the step, and only then."""
    machine = Machine()
    found = together(machine, [training(*member) for member in members])
    assert found == [f"{name} done" for name, *_ in members]
    assert ["".join(states) for states in machine.steps] == steps
    assert ["".join(states) for states in machine.made] == stacks


def test_an_engine_without_stacks_makes_the_steps_one_by_one():
    machine = Machine()
    engine = SimpleNamespace(train_step=machine.train_step)
    assert together(engine, [training("a", [1, 1]), training("b", [1, 1])]) == ["a done", "b done"]
    assert machine.steps == [["a"], ["b"], ["a"], ["b"]]


def test_the_first_error_of_any_ends_all():
    closed = []

    def failing():
        yield Step(0, "x", SimpleNamespace(observed=np.ones((4, 2))), {"learning_rate": 1})
        raise ArithmeticError("over")

    def watched():
        try:
            yield from training("a", [1, 1, 1])
        finally:
            closed.append("a")

    with pytest.raises(ArithmeticError, match="over"):
        together(Machine(), [watched(), failing()])
    assert closed == ["a"]
