"""How to train, as plain numbers: each option at and beyond the end of its range; the two parts of a training; held-out rows.
And its history: means since the last record, and what belongs to the last step of them."""

import math

import numpy as np
import pytest

from jpvae.errors import ConfigError
from jpvae.model.model import Model
from jpvae.options import Options
from jpvae.planning import plan_of
from jpvae.training.history import Recorder
from jpvae.training.plan import Calibration, Plan, held_out_rows
from jpvae.training.schedules import Constant, LearningRate, Linear

SMALL, NAN, INF = math.ulp(0.0), math.nan, math.inf
TAKEN = {
    "steps": [1],
    "batch_size": [1],
    "objective": ["elbo", "subset"],
    "coupling_rate": [0.0, SMALL],
    "weight_decay": [0.0, SMALL],
    "column_weights": [None, ((SMALL, 1.0), (2.0,))],
    "max_gradient_norm": [None, SMALL, INF],
    "weights": [(1.0,), (0.0, SMALL), (1.0, 0.0, 0.0)],
    "view_weights": [None, (0.0, SMALL), (1.0, 0.0)],
}
REFUSED = {
    "steps": [0, -1],
    "batch_size": [0, -1],
    "objective": ["ELBO"],
    "coupling_rate": [-SMALL, NAN, INF, -INF],
    "weight_decay": [-SMALL, NAN, INF, -INF],
    "column_weights": [((1.0, bad),) for bad in (0.0, -SMALL, NAN, INF)],
    "max_gradient_norm": [0.0, -SMALL, NAN],
    "weights": [(), (0.0, 0.0), (1.0, -SMALL), (1.0, NAN), (NAN, 1.0), (1.0, INF), (-1.0, -1.0)],
    "view_weights": [(), (0.0, 0.0), (1.0, -SMALL), (1.0, NAN), (1.0, INF), (-1.0, -1.0)],
}


def plan(**changes):
    return Plan(**({"steps": 10, "batch_size": 4, "beta": Constant(), "learning_rate": LearningRate()} | changes))


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in TAKEN.items() for value in values])
def test_taken(name, value):
    assert getattr(plan(**{name: value}), name) == value


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_refused(name, value):
    with pytest.raises(ConfigError, match="subset_weights" if name == "weights" else name):
        plan(**{name: value})


def test_the_parts_of_a_training():
    assert [plan().part(step) for step in (0, 9)] == [(0, 0, 10)] * 2
    for first in (1, 3):
        two = plan(calibration=Calibration(first, 5))
        assert [two.part(step) for step in range(5)] == [(0, 0, first)] * first + [(1, first, 10 - first)] * (5 - first)


def test_each_part_has_the_rates_of_a_training_of_its_own():
    """Without a warm-up: the peak at the first step, then the cosine's half period over the others but one."""
    two = plan(calibration=Calibration(4, 5), learning_rate=LearningRate(2.0, warmup=0.0))
    expected = [
        2.0,
        *(1 + math.cos(math.pi * k / 3) for k in range(3)),
        2.0,
        *(1 + math.cos(math.pi * k / 5) for k in range(5)),
    ]
    assert [two.rate(step) for step in range(10)] == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(("fraction", "rows", "expected"), [(0.0, 9, 0), (0.01, 9, 1), (0.3, 9, 3), (0.5, 4, 2), (0.9, 10, 9)])
def test_held_out_rows(fraction, rows, expected):
    assert held_out_rows(fraction, rows) == expected


def test_a_record_every_so_many_steps_and_at_the_end(monkeypatch):
    clock = iter([100.0, 101.0, 103.0, 104.0, 108.0, 109.0])
    monkeypatch.setattr("jpvae.training.history.time.perf_counter", lambda: next(clock))
    seen, chosen = [], plan(beta=Linear(5), learning_rate=LearningRate(2.0, "cosine", 0.0))
    earlier = [{"step": step, "seconds": seconds} for step, seconds in ((-2, 10.0), (-1, 30.0), (0, 50.0))]
    recorder = Recorder(chosen, earlier, [], seen.append, every=4)
    for step in range(10):
        report = {"loss": float(step), "kl": [1.0 * step, 2.0 * step]}
        recorder(step, report, {"held": 7.0} if step == 5 else None)
    # After 4, 6 (an evaluation), 8 and 10 steps: means of steps 0-3, 4-5, 6-7, 8-9; rate and beta of the last step before.
    assert [r["step"] for r in seen] == [4, 6, 8, 10]
    assert [r["loss"] for r in seen] == [1.5, 4.5, 6.5, 8.5]
    assert [r["kl"] for r in seen] == [[1.5, 3.0], [4.5, 9.0], [6.5, 13.0], [8.5, 17.0]]
    assert [r.get("held") for r in seen] == [None, 7.0, None, None]
    assert [r["beta"] for r in seen] == pytest.approx([0.6, 1.0, 1.0, 1.0])
    assert [r["learning_rate"] for r in seen] == pytest.approx([1 + math.cos(math.pi * k / 9) for k in (2, 4, 6, 8)])
    assert [r["seconds"] for r in seen] == [51.0, 53.0, 54.0, 58.0]  # on from the 50 of the run before
    assert recorder.history == [*earlier, *seen]
    assert recorder.window == []
    recorder.close(10)
    assert len(recorder.history) == 7  # nothing since
    recorder.window.append({"loss": np.float64(3.0)})
    recorder.close(11)
    assert recorder.history[-1]["loss"] == 3.0
    assert recorder.window == [{"loss": 3.0}]


def test_a_new_run_counts_its_seconds_from_0(monkeypatch):
    clock = iter([100.0, 101.5])
    monkeypatch.setattr("jpvae.training.history.time.perf_counter", lambda: next(clock))
    recorder = Recorder(plan(steps=1), [], [], [].append)
    recorder(0, {"loss": 1.0})
    assert recorder.history[0]["seconds"] == 1.5


@pytest.mark.parametrize(
    ("rows", "left_out", "folds"),
    [
        (3, 0, 0),  # three rows left out in all
        (4, 1, 4),
        (17, 3, 5),
        (18, 4, 4),  # all rows but two, by four models
        (28, 6, 4),
        (75, 15, 4),  # 60 rows
        (147, 29, 3),
        (148, 30, 2),
        (299, 60, 1),
        (2000, 400, 1),
    ],
)
def test_few_rows_are_left_out_by_several_models(rows, left_out, folds):
    found = plan_of(Options(), Model((2, 1), (1, 1), ("gaussian",) * 2), rows, ("a", "b"), 0).calibration
    assert (found.rows, found.folds) == (left_out, folds) if folds else found is None


def test_a_small_part_of_the_rows_is_not_left_out_by_60_models():
    found = plan_of(Options(calibration=0.01), Model((2, 1), (1, 1), ("gaussian",) * 2), 100, ("a", "b"), 0).calibration
    assert (found.rows, found.folds) == (1, 10)


@pytest.mark.parametrize(("steps", "folds"), [(148, 1), (150, 4)])
def test_trials_have_no_further_models(steps, folds):
    found = plan_of(Options(steps=steps), Model((2, 1), (1, 1), ("gaussian",) * 2), 28, ("a", "b"), 0)
    assert found.calibration.folds == folds


@pytest.mark.parametrize(("columns", "folds"), [(6_000, 4), (7_500, 4), (7_501, 3), (15_000, 2), (100_000, 2)])
def test_wide_tables_have_fewer_further_models(columns, folds):
    model = Model((columns - 50, 50), (1, 1), ("gaussian",) * 2)
    assert plan_of(Options(), model, 75, ("a", "b"), 0).calibration.folds == folds


@pytest.mark.parametrize(
    ("steps", "rows", "batch", "every", "evaluated"),
    [
        (1, 7, 10, 50, 7),  # fewer rows than a batch: all of them
        (1000, 10, 10, 50, 10),
        (1000, 29, 10, 50, 20),  # two batches in 50 steps, whole ones
        (1001, 29, 10, 100, 20),  # beyond 20 times 50 steps less often, and then more
        (1001, 99, 10, 100, 40),
        (40_000, 99, 10, 2000, 90),
    ],
)
def test_how_often_the_rows_that_are_left_out_are_evaluated_and_how_many(steps, rows, batch, every, evaluated):
    one = Calibration(steps, rows)
    assert (one.every, one.evaluated(batch)) == (every, evaluated)
