"""Early stopping: held-out rows are never trained on, their loss is the objective's, the best parameters are kept."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from ended_runs import StopAt
from numbered_batches import same
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.engines import engine
from jpvae.errors import TrainingDiverged
from jpvae.model.model import Model
from jpvae.testing import dense
from jpvae.training.batches import Batches
from jpvae.training.callbacks import Callback
from jpvae.training.early_stopping import HeldOut
from jpvae.training.plan import Plan
from jpvae.training.schedules import Constant, LearningRate

MODEL = Model((4, 3), (2, 2), ("gaussian",) * 2, hidden=(3,), prior="svd")
STOPPING = OPTIONS | {
    "steps": 400,
    "batch_size": 8,
    "learning_rate": 6e-2,
    "learning_rate_schedule": "constant",
    "backend": "numpy",
    "early_stopping": True,
    "patience": 2,
}


def batches(seed=0, rows=23):
    rng = np.random.default_rng(1)
    views = [rng.standard_normal((rows, c)) for c in MODEL.features]
    plan = Plan(100, 4, Constant(), LearningRate(), "subset", (1.0, 0.5, 0.5), seed=seed, validation_fraction=0.3)
    return Batches(views, np.ones((rows, 2), dtype=bool), MODEL, plan)


LOSSES = {  # by evaluation -> step of the best, its loss, and how many since
    "better and better": ([3.0, 2.0, 1.0], 150, 1.0, 0),
    "worse": ([1.0, 2.0, 3.0], 50, 1.0, 2),
    "as good is not better": ([2.0, 2.0, 2.0], 50, 2.0, 2),
    "worse, then better": ([2.0, 3.0, 1.0], 150, 1.0, 0),
    "below 0": ([-1.0, -3.0, -2.0], 100, -3.0, 1),
}


@pytest.mark.parametrize(("losses", "step", "loss", "since"), LOSSES.values(), ids=LOSSES.keys())
def test_the_best_of_the_evaluations_is_kept(losses, step, loss, since, monkeypatch):
    """Every 50 steps of 150; the parameters are those of then, and two without a better one are enough."""
    one, given = HeldOut(SimpleNamespace(to_arrays=lambda state: (state, {})), batches(), 2, None), iter(losses)
    monkeypatch.setattr(one, "loss", lambda *_: next(given))
    assert (one.every, one.exhausted) == (50, False)
    for done in range(1, 101):
        assert one.after(done, f"after {done}") == ({"held_out": losses[done // 50 - 1]} if done % 50 == 0 else {})
    one.batches.plan = replace(one.batches.plan, steps=133)
    assert one.after(133, "after 150") == {"held_out": losses[2]}  # the last step is evaluated whenever it comes
    best = one.best
    assert (best.loss, best.since) == (loss, since)
    assert best.parameters == f"after {step}"
    assert one.exhausted == (since >= 2)


def test_the_rows_are_split_by_the_seed():
    data = batches()
    held = np.concatenate([rows for rows, _ in data.held_out()])
    trained = {int(row) for step in range(40) for row in data.rows(step)}
    assert len(held) == 7  # of 23, 0.3 are 6.9
    assert trained | set(held.tolist()) == set(range(23))
    assert not trained & set(held.tolist())
    assert all(np.array_equal(batch.views[0], data.views[0].inputs[rows]) for rows, batch in data.held_out())
    (_, first), (_, second) = data.held_out()
    rows = len(second.observed)
    assert not np.any(first.posterior_noise[..., :rows, :] == second.posterior_noise)  # each batch has noise of its own
    for again in (data, batches()):
        assert all(same(one, other) for (_, one), (_, other) in zip(data.held_out(), again.held_out(), strict=True))
    assert sorted(held) != sorted(np.concatenate([rows for rows, _ in batches(seed=1).held_out()]))


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_the_measure_is_the_dense_objective_of_the_held_out_rows(backend):
    data = batches()
    held_out = HeldOut(engine(backend, MODEL, "float64"), data, 3, None)
    p = MODEL.initial_parameters(3)
    sums = [len(rows) * dense.loss(MODEL, p, batch, 1.0)["loss"] for rows, batch in data.held_out()]
    assert len(sums) == 2
    # Sums of some hundred terms of size 1, in float64.
    assert held_out.loss(p, 50) == pytest.approx(sum(sums) / 7, rel=1e-12)


def test_it_remembers_the_best_and_counts_what_came_after():
    class Scripted(HeldOut):
        def loss(self, parameters, done):
            return {50: 3.0, 100: 1.0, 150: 2.0, 200: 1.0, 250: 0.5, 300: 9.0, 350: 0.6, 360: 0.4}[done]

    backend, plan = engine("numpy", MODEL, "float64"), Plan(360, 4, Constant(), LearningRate(), validation_fraction=0.3)
    held_out = Scripted(backend, batches(), 2, None)
    held_out.batches.plan = plan
    state, seen = backend.start(MODEL.initial_parameters(0)), []
    for done in range(1, 361):
        state.parameters.whole[:] = done
        if held_out.after(done, state):
            seen.append((done, held_out.best.step, held_out.best.since, held_out.exhausted))
    expected = [(50, 50, 0, False), (100, 100, 0, False), (150, 100, 1, False), (200, 100, 2, True), (250, 250, 0, False)]
    assert seen == [*expected, (300, 250, 1, False), (350, 250, 2, True), (360, 360, 0, False)]  # the last: at the end
    assert all((x == 360).all() for x in held_out.best.parameters.values())


@pytest.fixture(scope="module")
def stopped():
    """A fit that stops early, and its evaluations by step."""
    kept = {}

    class Keep(Callback):
        def on_log(self, record):
            if "held_out" in record:
                kept[record["step"]] = record["held_out"]

    return JPVAE(**STOPPING).fit(*three_views(40, 4), callbacks=[Keep()]), kept


def test_the_best_parameters_are_the_result(stopped):
    model, evaluations = stopped
    best = min(evaluations, key=evaluations.get)
    last = max(evaluations)
    assert 0 < best < last < STOPPING["steps"]
    assert model.history_[-1]["step"] == last

    # Stopped at the best step by force, the training is that of the steps until there.
    until = JPVAE(**STOPPING).fit(*three_views(40, 4), callbacks=[StopAt(best)])
    assert all(np.array_equal(model.parameters_[name], x) for name, x in until.parameters_.items())


def test_a_finished_checkpoint_is_the_result_and_trains_no_more(stopped, tmp_path, monkeypatch):
    model, _ = stopped
    JPVAE(**STOPPING).fit(*three_views(40, 4), checkpoint=tmp_path / "c")
    monkeypatch.setattr("jpvae.course.train", None)
    for other in (JPVAE.load(tmp_path / "c"), JPVAE(**STOPPING).fit(*three_views(40, 4), checkpoint=tmp_path / "c")):
        assert all(np.array_equal(other.parameters_[name], x) for name, x in model.parameters_.items())


def test_an_evaluation_that_is_not_finite_stops_the_training():
    data = batches()
    row = int(next(data.held_out())[0][1])
    data.views[1].inputs[row, 0] = np.inf
    held_out = HeldOut(engine("numpy", MODEL, "float64"), data, 3, None)
    with pytest.raises(
        TrainingDiverged, match=rf"at the evaluation after step 49 .*view 'view1', row {row} is the first: its KL"
    ):
        held_out.after(50, engine("numpy", MODEL, "float64").start(MODEL.initial_parameters(0)))
