"""The held-out loss along a training that calibrates: the objective of rows that no step has seen, which changes nothing."""

import functools
import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numbered_batches import same
from synthetic import three_views

from jpvae import JPVAE, course
from jpvae.engines import engine
from jpvae.model.model import Model
from jpvae.testing import dense
from jpvae.training.batches import Batches
from jpvae.training.plan import Calibration, Plan
from jpvae.training.schedules import Constant, LearningRate
from jpvae.training.watching import Watch

MODEL = Model((4, 3), (2, 2), ("gaussian",) * 2, hidden=(3,), prior="svd")
VIEWS, MASK = three_views(120, 1)
FIT = {"likelihood": "gaussian", "hidden": (4,), "steps": 160, "batch_size": 16, "backend": "numpy", "progress": False}


def batches(share=(0, 1), rows=23):
    """Nine rows are left out of the first 60 of 100 steps; of these two batches are evaluated."""
    rng = np.random.default_rng(1)
    views = [rng.standard_normal((rows, c)) for c in MODEL.features]
    plan = Plan(100, 4, Constant(), LearningRate(), "subset", (1.0, 0.5, 0.5), calibration=Calibration(60, 9))
    return Batches(views, np.ones((rows, 2), dtype=bool), MODEL, plan, share=share)


def without(history, *names):
    return [{name: value for name, value in record.items() if name not in names} for record in history]


@pytest.fixture(scope="module")
def whole():
    return JPVAE(2, **FIT).fit(VIEWS, MASK)


@pytest.mark.parametrize("value", [2.5, np.nan, np.inf])
def test_it_is_due_every_so_many_steps_to_the_last_without_those_rows(value, monkeypatch):
    """The first 200 of 300 steps: every 50, and none where the loss is not finite."""
    plan = Plan(300, 4, Constant(), LearningRate(), calibration=Calibration(200, 9))
    watch = Watch(SimpleNamespace(parameters=lambda state: state), SimpleNamespace(plan=plan))
    monkeypatch.setattr(watch, "loss", lambda parameters: value if parameters == "state" else 0.0)
    found = {done: watch.after(done, "state") for done in range(1, 301)}
    due = {done for done, told in found.items() if told}
    assert due == ({50, 100, 150, 200} if np.isfinite(value) else set())
    assert all(found[done] == {"held_out": value} for done in due)
    without = Watch(watch.engine, SimpleNamespace(plan=replace(plan, calibration=None)))
    assert without.after(50, "state") == {}


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_it_is_the_dense_objective_of_rows_that_no_step_has_seen(backend):
    data, made = batches(), engine(backend, MODEL, "float64")
    held = list(data.held_out())
    rows = np.concatenate([rows for rows, _ in held])
    assert len(set(rows.tolist())) == 8
    assert not set(rows.tolist()) & {int(row) for step in range(60) for row in data.rows(step)}
    assert set(rows.tolist()) <= {int(row) for step in range(60, 100) for row in data.rows(step)}
    p, watch = MODEL.initial_parameters(3), Watch(made, data)
    expected = sum(len(rows) * dense.loss(MODEL, p, batch, 1.0)["loss"] for rows, batch in held) / 8
    # Sums of some hundred terms of size 1, in float64.
    assert watch.loss(made.parameters(made.start(p, None))) == pytest.approx(expected, rel=1e-12)


def test_every_process_evaluates_all_rows():
    alone, (_, second) = list(batches().held_out()), (list(batches((k, 2)).held_out(shared=False)) for k in range(2))
    assert all(same(one, other) and other.shares is None for (_, one), (_, other) in zip(alone, second, strict=True))


def test_a_training_with_it_has_the_bits_of_one_without(whole, monkeypatch):
    monkeypatch.setattr(course.Watch, "after", lambda *_: {})
    unwatched = JPVAE(2, **FIT).fit(VIEWS, MASK)
    assert not any("held_out" in record for record in unwatched.history_)
    evaluated = {record["step"]: record["held_out"] for record in whole.history_ if "held_out" in record}
    assert list(evaluated) == [50, 100]  # of the first 107 steps
    assert evaluated[100] < evaluated[50]
    assert without(whole.history_, "held_out", "seconds") == without(unwatched.history_, "seconds")
    assert all(np.array_equal(x, unwatched.parameters_[name]) for name, x in whole.parameters_.items())
    assert all(np.array_equal(one, other) for one, other in zip(whole.moments_, unwatched.moments_, strict=True))
    for first, second in zip(whole.impute(VIEWS, MASK, seed=3), unwatched.impute(VIEWS, MASK, seed=3), strict=True):
        assert np.array_equal(first, second)


@pytest.mark.parametrize("at", [50, 150])
def test_a_resumed_training_has_the_same_history(at, whole, tmp_path):
    class Ended(Exception):
        pass

    def end(record):
        if record["step"] == at:
            raise Ended

    fit = functools.partial(JPVAE(2, **FIT).fit, VIEWS, MASK, checkpoint=tmp_path / "c", checkpoint_every=20)
    with pytest.raises(Ended):
        fit(on_log=end)
    history = fit().history_
    assert without(history, "seconds") == without(whole.history_, "seconds")
    assert sum("held_out" in record for record in history) == 2
    assert JPVAE.load(tmp_path / "c").history_ == history


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.filterwarnings("error")
def test_a_loss_that_is_not_finite_is_left_out(backend):
    data, made = batches(), engine(backend, MODEL, "float64")
    state = made.start(MODEL.initial_parameters(0), None)
    assert Watch(made, data).after(50, state).keys() == {"held_out"}
    assert [Watch(made, data).after(done, state) for done in (49, 100)] == [{}, {}]  # none is due; all rows are trained on
    row = int(next(data.held_out())[0][1])
    data.views[1].inputs[row, 0] = np.inf
    assert Watch(made, data).after(50, state) == {}


def test_it_costs_few_rows():
    """At most 20 evaluations, and for every 50 steps two batches at most, in whole batches if there is one."""
    for steps, rows in itertools.product([*range(1, 3001, 7), 123_456_789], (4, 63, 64, 100, 128, 1000)):
        found = Calibration(steps, rows)
        count = steps // found.every
        assert count <= 20
        assert count * found.evaluated(64) <= 2 * 64 * steps / 50
        assert found.evaluated(64) % 64 == 0 or found.evaluated(64) == rows < 64
        assert found.every % 50 == 0  # where the history has a record anyway
