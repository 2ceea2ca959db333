"""How often each row of a memory-mapped table is read: once by a fit before its first step, by the steps as often as their
batches have it, and once at most by the report at the end; once by what a fitted model makes of it.

The tables count themselves: an array that knows how often each of its rows was asked for, in place of the memory-mapped file.
"""

import re

import numpy as np
import pytest
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.errors import JPVAEWarning, ViewError
from jpvae.inference import latent_report
from jpvae.model.likelihoods.gaussian import Gaussian
from jpvae.training.callbacks import Callback
from jpvae.views import dataframes, inferring, opening
from jpvae.views.reading import BLOCK

ROWS = 2 * BLOCK + 77
VIEWS, MASK = three_views(ROWS, 41)
COUNTS = [np.floor(np.exp(v / v.std())) for v in VIEWS]
SHORT = OPTIONS | {"steps": 3, "backend": "numpy"}


class Counted(np.memmap):
    """An array with ``reads`` (N,), how often each row was asked for; what was asked for counts no further."""

    reads = None

    def __getitem__(self, index):
        found = super().__getitem__(index)
        if self.reads is None:
            return found
        rows = index[0] if isinstance(index, tuple) else index
        np.add.at(self.reads, rows, 1)
        return np.asarray(found)

    def __array_function__(self, function, types, args, kwargs):
        assert self.reads is None, f"{function} reads a table whole"
        return super().__array_function__(function, types, args, kwargs)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        assert self.reads is None, f"{ufunc} reads a table whole"
        return super().__array_ufunc__(ufunc, method, *inputs, **kwargs)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The views, memory-mapped and counted, with NaN where they are missing."""
    as_array, made = dataframes.as_array, []
    monkeypatch.setattr(
        dataframes, "as_array", lambda given, *named: given if isinstance(given, Counted) else as_array(given, *named)
    )
    for i, (view, observed) in enumerate(zip(VIEWS, MASK.T, strict=True)):
        np.save(tmp_path / f"{i}.npy", np.where(observed[:, None], view, np.nan))
        made.append(np.load(tmp_path / f"{i}.npy", mmap_mode="r").view(Counted))
        made[-1].reads = np.zeros(ROWS, int)
    return made


def reads(files):
    """(3, N): how often each row of each view was read since this was last asked."""
    found = np.stack([file.reads for file in files])
    for file in files:
        file.reads[:] = 0
    return found


class Watching(Callback):
    """Takes the counts before the first step and after the last."""

    def __init__(self, files):
        self.files, self.before, self.during = files, None, None

    def on_start(self, *_):
        self.before = reads(self.files)

    def on_end(self):
        self.during = reads(self.files)


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("options", [{}, {"entries": "marginalise", "ensemble": 2}], ids=["rows", "cells, ensemble"])
def test_a_fit_reads_once_then_batches_then_once(files, tmp_path, options, checkpoint):
    options, watching = SHORT | options, Watching(files)
    kept = {"checkpoint": tmp_path / "c", "checkpoint_every": 1} if checkpoint else {}
    model = JPVAE(**options).fit(files, missing="nan", callbacks=[watching], **kept)
    models = options.get("ensemble", 1)
    assert (watching.before == 1).all()
    assert (watching.during.sum(axis=1) == models * SHORT["steps"] * model.batch_size).all()
    assert (reads(files) == 1).all()  # the report, of an ensemble's first model alone
    expected = JPVAE(**options).fit(VIEWS, MASK)
    assert all(np.array_equal(x, model.parameters_[name]) for name, x in expected.parameters_.items())


def test_of_many_rows_some_are_reported_on_and_each_read_once(files, monkeypatch):
    """Both reports are of a part of the rows, which overlap: what both look at is read once, what one, once."""
    monkeypatch.setattr(latent_report, "ROWS", 200)
    model = JPVAE(**SHORT).fit(files, missing="nan", callbacks=[Watching(files)])
    found, complete = reads(files), MASK.all(axis=1)
    looked_at = np.zeros(ROWS, bool)
    looked_at[latent_report.places(ROWS)] = True
    assert looked_at.sum() == 200
    assert (found == (complete | looked_at)).all()
    expected = JPVAE(**SHORT).fit(VIEWS, MASK)
    assert all(np.array_equal(a, b) for a, b in zip(model.moments_, expected.moments_, strict=True))
    assert str(model.report_) == str(expected.report_)


@pytest.fixture
def glance(monkeypatch):
    """Of few rows."""
    for module in (inferring, opening):
        monkeypatch.setattr(module, "GLANCE", 100)
    return 100


def test_likelihoods_are_inferred_on_the_way(files, glance):
    """From the first rows, which are read for that; that the others agree is found while all are checked."""
    watching = Watching(files)
    model = JPVAE(**SHORT | {"likelihood": "infer"}).fit(files, missing="nan", callbacks=[watching])
    assert (watching.before == np.where(np.arange(ROWS) < glance, 2, 1)).all()
    expected = JPVAE(**SHORT | {"likelihood": "infer"}).fit(VIEWS, MASK)
    assert all(np.array_equal(x, model.parameters_[name]) for name, x in expected.parameters_.items())


class Hollow(Gaussian):
    """Ones are out of reach, though less and more are not."""

    name = "hollow"

    def targets(self, values, location, scale):
        return np.where(values == 1.0, 1e39, super().targets(values, location, scale))


@pytest.mark.parametrize(("likelihood", "value"), [("student_t", 1e45), (Hollow(), 1.0)], ids=["largest", "between"])
def test_a_value_beyond_the_dtype_is_found_before_the_first_step(tmp_path, likelihood, value):
    """By the ends of its column, or by another pass for a likelihood whose ends show nothing. (student_t: its scale is a median
    distance, which one value does not change.)"""
    views = [v.copy() for v in VIEWS[:2]]
    views[1][ROWS - 3, 1] = value
    for i, view in enumerate(views):
        np.save(tmp_path / f"{i}.npy", view)
    views = [np.load(tmp_path / f"{i}.npy", mmap_mode="r") for i in range(2)]
    options = SHORT | {"likelihood": likelihood, "dtype": "float32", "latent_dims": 2}
    started = Watching([])
    started.on_start = lambda *_: pytest.fail("training began")
    place = rf"view 'view1', row {ROWS - 3}, column 1 is {re.escape(f'{value:g}')}"
    with pytest.raises(ViewError, match=rf"{place}, beyond float32 once scaled"):
        JPVAE(**options).fit(views, callbacks=[started])


@pytest.mark.parametrize(
    "likelihood", ["negative_binomial", "student_t", {"view0": "infer", "view1": "poisson", "view2": "infer"}]
)
def test_a_fit_from_files_is_one_from_memory(tmp_path, likelihood):
    """Batches, held-out rows (of one of them) and the rows of the report are read from the files as they are asked for."""
    calibration = 0.2 if likelihood == "student_t" else 0.0
    options = SHORT | {"likelihood": likelihood, "steps": 9, "dtype": "float32", "entries": "marginalise"}
    options |= {"calibration": calibration}
    tables = dict(zip(("view0", "view1", "view2"), COUNTS, strict=True))
    files = {}
    for name, table in tables.items():
        np.save(tmp_path / f"{name}.npy", table)
        files[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    found, expected = (JPVAE(**options).fit(views, MASK) for views in (files, tables))
    assert all(np.array_equal(x, found.parameters_[name]) for name, x in expected.parameters_.items())
    assert all(np.array_equal(a, b) for a, b in zip(found.moments_, expected.moments_, strict=True))
    assert str(found.report_) == str(expected.report_)


@pytest.fixture(scope="module")
def model():
    return JPVAE(**SHORT).fit(VIEWS, MASK)


CALLS = {
    "impute": lambda model, views: model.impute(views, missing="nan", n_draws=2),
    "impute, std": lambda model, views: model.impute(views, missing="nan", n_draws=2, return_std=True)[1],
    "draws": lambda model, views: model.sample_imputations(views, missing="nan", n_draws=2),
    "transform": lambda model, views: model.transform(views, missing="nan"),
    "reconstruct": lambda model, views: model.reconstruct(views, missing="nan"),
    "elbo": lambda model, views: model.elbo(views, missing="nan"),
    "score": lambda model, views: model.score_samples(views, missing="nan", n_draws=2),
    "effective_draws": lambda model, views: model.effective_draws(views, missing="nan", n_draws=2),
    "score_conditional": lambda model, views: model.score_conditional(views, missing="nan", target=0, n_draws=2),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_fitted_model_reads_once(files, model, call):
    found = call(model, files)
    assert (reads(files) == 1).all()
    expected = call(model, [np.array(file) for file in files])  # checked whole before any work
    pairs = zip(found, expected, strict=True) if isinstance(found, list) else [(found, expected)]
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def test_levels_are_read_once(files):
    """Categories among numbers, in rows and cells; the probabilities are those of the tables in memory."""
    views = [np.where(np.arange(v.shape[1]) == 1, np.floor(v % 3), v) for v in (np.array(file) for file in files)]
    views[0][5::7, 0] = np.nan
    for file, view in zip(files, views, strict=True):
        np.save(file.filename, view)
    options = SHORT | {"likelihood": [{1: "categorical", 0: "gaussian"}] * 3, "entries": "marginalise", "missing": "nan"}
    model = JPVAE(**options).fit(views)
    reads(files)
    found = model.impute_probabilities(files, n_draws=2)
    assert (reads(files) == 1).all()
    assert all(np.array_equal(*pair) for pair in zip(found, model.impute_probabilities(views, n_draws=2), strict=True))


@pytest.mark.parametrize(("full", "number"), [(None, 1), (0, 2), (2, 2)])
def test_imputing_into_arrays_of_zeros_reads_once(files, model, full, number):
    """Into an array that holds something, in its last row say, what comes from there on is written after the check."""
    out = [np.zeros(v.shape) for v in VIEWS]
    if full is not None:
        out[full][-1, 0] = 7.0
    model.impute(files, missing="nan", n_draws=2, out=out)
    found = reads(files)
    last = np.arange(ROWS) >= 2 * BLOCK
    assert [(row[~last].max(), row[last].max()) for row in found] == [(1, 2 if i == full else 1) for i in range(3)]
    assert found.max() == number
    assert all(np.array_equal(a, b) for a, b in zip(out, model.impute(VIEWS, MASK, n_draws=2), strict=True))


def test_a_late_mistake_leaves_the_arrays_as_they_were(files, model):
    """Zeros are zeros again; what stood in an array still does."""
    out = [[np.zeros(v.shape) for v in VIEWS] for _ in "12"]
    out[0][1][600:] = 7.0
    before = [[array.copy() for array in part] for part in out]
    spoilt = [np.array(file) for file in files]
    spoilt[2][-1, 1] = np.inf
    with pytest.raises(ViewError, match=rf"view 'view2', row {ROWS - 1}, column 1 is inf"):
        model.impute(spoilt, missing="nan", n_draws=2, out=out, return_std=True)
    assert all(np.array_equal(a, b) for now, then in zip(out, before, strict=True) for a, b in zip(now, then, strict=True))


def test_constant_columns_are_found_across_blocks():
    """One value in every row of a view but the last, one in every row, and one row alone: two are constant, or one was read."""
    views = [v.copy() for v in VIEWS[:2]]
    views[0][:, 1], views[0][:, 2] = 2.5, 2.5
    views[0][-1, 2] = 3.0
    mask = np.ones((ROWS, 2), bool)
    options = SHORT | {"latent_dims": 2}
    with pytest.warns(JPVAEWarning, match=r"view 'view0' has 1 constant columns \(1\)"):
        JPVAE(**options).fit(views, mask)
    views[0][-1, 2], mask[-1, 0] = 99.0, False  # a value that the mask leaves out
    with pytest.warns(JPVAEWarning, match=r"view 'view0' has 2 constant columns \(1, 2\)"):
        JPVAE(**options).fit(views, mask)
