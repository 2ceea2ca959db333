"""Callbacks: told of every step and record, ended whatever happens, free to stop a training; ready-made ones write it down."""

import json
import sys
import types

import numpy as np
import pytest
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.errors import CheckpointError, MissingDependency
from jpvae.training import history
from jpvae.training.callbacks import Callback, JSONLines, StopTraining, TensorBoard
from jpvae.training.plan import Plan
from jpvae.training.schedules import Constant, LearningRate

SHORT = OPTIONS | {"steps": 120, "hidden": (), "backend": "numpy"}
DATA = three_views(60, 3)


class Diary(Callback):
    """Writes down what it is told; raises ``error`` at a step or a record."""

    def __init__(self, at=None, error=None, where="step", pages=None):
        self.at, self.error, self.where, self.pages = at, error, where, [] if pages is None else pages

    def on_start(self, model, step, steps):
        self.pages.append(("start", step, steps))
        self.told("start", step)

    def on_step(self, step, report):
        self.pages.append(("step", step, set(report)))
        self.told("step", step)

    def on_log(self, record):
        self.pages.append(("log", record["step"], record["loss"]))
        self.told("log", record["step"])

    def on_end(self):
        self.pages.append(("end",))

    def told(self, where, step):
        if (where, step) == (self.where, self.at):
            raise self.error


def test_what_they_are_told():
    diary, logged = Diary(), []
    model = JPVAE(**SHORT).fit(*DATA, callbacks=[diary], on_log=logged.append)
    assert logged == model.history_
    losses = {record["step"]: record["loss"] for record in model.history_}
    expected = [("start", 0, 120)]
    for step in range(1, 121):
        expected += [("log", step, losses[step])] if step in (50, 100, 120) else []
        expected.append(("step", step, {"loss", "reconstruction", "kl"}))
    assert diary.pages == [*expected, ("end",)]


@pytest.fixture
def folded(monkeypatch):
    """Options of a short training with further models: of 24 rows five are left out, for 50 of 75 steps."""
    monkeypatch.setattr("jpvae.planning._FOLDED_STEPS", 50)
    return SHORT | {"steps": 75, "calibration": 0.2}


def test_of_few_rows_they_are_told_of_further_models_between_the_two_parts(folded):
    """50 of 75 steps, then three further models, then the other 25."""

    class Folds(Diary):
        def on_fold(self, fold, folds):
            self.pages.append(("fold", fold, folds))

    diary = Folds()
    JPVAE(**folded).fit(*three_views(24, 3), callbacks=[diary])
    told = [page[:2] for page in diary.pages if page[0] in ("step", "fold")]
    folds = [("fold", k) for k in (2, 3, 4)]
    assert told == [*(("step", k) for k in range(1, 51)), *folds, *(("step", k) for k in range(51, 76))]
    assert {page[2] for page in diary.pages if page[0] == "fold"} == {4}


def test_the_gradient_s_norm_is_reported_where_it_is_limited():
    diary = Diary()
    model = JPVAE(**SHORT | {"max_gradient_norm": 1e9}).fit(*DATA, callbacks=[diary])
    free = JPVAE(**SHORT).fit(*DATA)
    assert diary.pages[1][2] == {"loss", "reconstruction", "kl", "gradient_norm"}
    assert all(0 < record["gradient_norm"] < 1e9 for record in model.history_)
    assert all(np.array_equal(model.parameters_[name], x) for name, x in free.parameters_.items())  # never reached


@pytest.mark.parametrize("where", ["start", "step", "log"])
def test_an_error_goes_through_and_ends_those_that_started(where):
    pages, at = [], 0 if where == "start" else 50
    first, second, third = Diary(pages=pages), Diary(at, KeyError("mine"), where, pages), Diary(pages=pages)
    with pytest.raises(KeyError, match="mine"):
        JPVAE(**SHORT).fit(*DATA, callbacks=[first, second, third])
    assert pages.count(("end",)) == (1 if where == "start" else 3)
    assert pages[-1] == ("end",)


@pytest.mark.parametrize(("at", "where"), [(50, "step"), (50, "log"), (73, "step")])
def test_a_training_that_is_stopped_is_fitted_and_can_go_on(tmp_path, at, where):
    diary = Diary(at, StopTraining(), where)
    model = JPVAE(**SHORT).fit(*DATA, checkpoint=tmp_path / "c", callbacks=[diary])
    assert [record["step"] for record in model.history_] == sorted({50, at})
    assert ("step", at + 1, set()) not in diary.pages
    assert diary.pages[-1] == ("end",)
    assert np.isfinite(model.impute(*DATA)[0]).all()
    loaded = JPVAE.load(tmp_path / "c")
    assert all(np.array_equal(loaded.parameters_[name], x) for name, x in model.parameters_.items())
    whole, resumed = JPVAE(**SHORT).fit(*DATA), JPVAE(**SHORT).fit(*DATA, checkpoint=tmp_path / "c")
    assert all(np.array_equal(resumed.parameters_[name], x) for name, x in whole.parameters_.items())
    seconds = dict.fromkeys(["seconds"], 0)
    assert [record | seconds for record in resumed.history_] == [record | seconds for record in whole.history_]


def test_a_stop_before_a_further_model_is_one_before_the_second_part(folded, tmp_path):
    class Stop(Callback):
        def on_fold(self, fold, folds):
            if fold == 3:
                raise StopTraining

    few = three_views(24, 3)
    stopped = JPVAE(**folded).fit(*few, checkpoint=tmp_path / "c", callbacks=[Stop()])
    assert (stopped.n_iter_, [record["step"] for record in stopped.history_]) == (50, [50])
    assert np.isfinite(stopped.impute(*few)[0]).all()
    whole, resumed = JPVAE(**folded).fit(*few), JPVAE(**folded).fit(*few, checkpoint=tmp_path / "c")
    assert resumed.parameters_.keys() == whole.parameters_.keys()
    assert all(np.array_equal(resumed.parameters_[name], x) for name, x in whole.parameters_.items())


def test_a_stop_between_two_records_is_recorded():
    model = JPVAE(**SHORT).fit(*DATA, callbacks=[Diary(73, StopTraining())])
    assert [record["step"] for record in model.history_] == [50, 73]


def test_json_lines_follow_a_resumed_run(tmp_path):
    file, path = tmp_path / "log.jsonl", tmp_path / "c"

    def read():
        return [json.loads(line) for line in file.read_text().splitlines()]

    with pytest.raises(KeyError):  # 100 is logged, and the checkpoint is of 60
        JPVAE(**SHORT).fit(*DATA, checkpoint=path, checkpoint_every=60, callbacks=[JSONLines(file), Diary(110, KeyError())])
    assert [record["step"] for record in read()] == [50, 100]
    model = JPVAE(**SHORT).fit(*DATA, checkpoint=path, callbacks=[JSONLines(file)])
    assert read() == model.history_
    assert [record["step"] for record in read()] == [50, 100, 120]


def test_json_lines_are_refused_where_they_cannot_be_written(tmp_path):
    with pytest.raises(CheckpointError, match="in a folder that does not exist; create it first"):
        JPVAE(**SHORT).fit(*DATA, callbacks=[JSONLines(tmp_path / "no" / "log.jsonl")])


def test_tensorboard_gets_every_number(tmp_path, monkeypatch):
    """With a writer that stands for torch's: the real one needs the package tensorboard."""
    calls = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            calls.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            calls.append((name, value, step))

        def close(self):
            calls.append("closed")

    fake = types.ModuleType("torch.utils.tensorboard")
    fake.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    named = dict(zip(("rna", "protein", "clinic"), DATA[0], strict=True))
    model = JPVAE(**SHORT).fit(named, DATA[1], callbacks=[TensorBoard(tmp_path)])
    first, last = model.history_[0], model.history_[-1]
    assert calls[0] == (str(tmp_path), 1)
    assert calls[-1] == "closed"
    assert ("loss", last["loss"], 120) in calls
    assert ("reconstruction/protein", first["reconstruction"][1], 50) in calls
    # Per record: loss, kl, step, beta, learning_rate, seconds, and the reconstruction of three views.
    assert len(calls) == 2 + 3 * 9


def test_tensorboard_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingDependency, match="pip install torch tensorboard"):
        TensorBoard(tmp_path)


def test_a_run_that_goes_on_counts_its_seconds_on(monkeypatch):
    clock = iter([1000.0, 1003.0])
    monkeypatch.setattr(history.time, "perf_counter", lambda: next(clock))
    plan = Plan(4, 8, Constant(), LearningRate())
    before = [{"step": 1, "seconds": 10.0}, {"step": 2, "seconds": 25.0}]
    seen = []
    recorder = history.Recorder(plan, before, [], seen.append, every=1)
    recorder(2, {"loss": 1.0})
    assert [record["seconds"] for record in seen] == [28.0]


class Spoils(Callback):
    """It takes what it is told for its own."""

    def on_step(self, step, report):
        report["reconstruction"].clear()
        report.clear()

    def on_log(self, record):
        record["reconstruction"].append("mine")
        record["loss"] = "mine"


def test_what_a_listener_changes_is_a_copy(tmp_path):
    diary = Diary()
    model = JPVAE(**SHORT).fit(*DATA, callbacks=[Spoils(), diary], checkpoint=tmp_path / "c", checkpoint_every=20)
    plain = JPVAE(**SHORT).fit(*DATA)
    assert [r["loss"] for r in model.history_] == [r["loss"] for r in plain.history_]
    assert [r["reconstruction"] for r in JPVAE.load(tmp_path / "c").history_] == [r["reconstruction"] for r in plain.history_]
    assert ("log", 120, plain.history_[-1]["loss"]) in diary.pages
