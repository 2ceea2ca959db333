"""How often a block of rows of a memory-mapped table is read: twice by a fit before its first step (to check and standardise,
and once standardised), once by an imputation into new arrays, and twice where nothing may be written before every mistake is
found, or where memory must not grow with the rows; a conditional score reads a third time, for the evidence with the target and
without it.

The tables are memory-mapped files; a spy stands at the one door to a block's rows. A training's batches are places, not blocks.
"""

from collections import Counter

import numpy as np
import pytest
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.errors import JPVAEWarning
from jpvae.views import reading
from jpvae.views.memory_map import is_mapped
from jpvae.views.reading import BLOCK, blocks

ROWS = 2 * BLOCK + 77
VIEWS, MASK = three_views(ROWS, 41)
COUNTS = [np.floor(np.exp(v / v.std())) for v in VIEWS]
SHORT = OPTIONS | {"steps": 3, "backend": "numpy"}


@pytest.fixture
def files(tmp_path):
    """The views, memory-mapped, with NaN where they are missing."""
    for i, (view, observed) in enumerate(zip(VIEWS, MASK.T, strict=True)):
        np.save(tmp_path / f"{i}.npy", np.where(observed[:, None], view, np.nan))
    return [np.load(tmp_path / f"{i}.npy", mmap_mode="r") for i in range(3)]


@pytest.fixture
def reads(monkeypatch):
    """(address of a memory-mapped table, first row) -> how often these rows were read."""
    counter, rows_of = Counter(), reading._rows

    def rows(table, which):
        if is_mapped(table) and isinstance(which, slice):
            counter[table.ctypes.data, which.start or 0] += 1
        return rows_of(table, which)

    monkeypatch.setattr(reading, "_rows", rows)
    return counter


def times(reads, files):
    """How often every block of every file was read: the same number for all."""
    expected = {(file.ctypes.data, block.start) for file in files for block in blocks(ROWS)}
    assert set(reads) == expected
    (number,) = set(reads.values())
    return number


@pytest.mark.parametrize("likelihood", ["gaussian", "infer"])
def test_a_fit_reads_twice(files, reads, tmp_path, likelihood):
    model = JPVAE(**SHORT | {"likelihood": likelihood}).fit(files, missing="nan", checkpoint=tmp_path / "c")
    assert times(reads, files) == 2
    expected = JPVAE(**SHORT | {"likelihood": likelihood}).fit(VIEWS, MASK)
    assert all(np.array_equal(x, model.parameters_[name]) for name, x in expected.parameters_.items())


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
    "impute": (1, lambda model, files: model.impute(files, missing="nan", n_draws=2)),
    "impute, std": (1, lambda model, files: model.impute(files, missing="nan", n_draws=2, return_std=True)),
    "draws": (1, lambda model, files: model.sample_imputations(files, missing="nan", n_draws=2)),
    "transform": (2, lambda model, files: model.transform(files, missing="nan")),
    "reconstruct": (2, lambda model, files: model.reconstruct(files, missing="nan")),
    "elbo": (2, lambda model, files: model.elbo(files, missing="nan")),
    "score": (2, lambda model, files: model.score(files, missing="nan", n_draws=2)),
    "score_conditional": (3, lambda model, files: model.score_conditional(files, missing="nan", target=0, n_draws=2)),
}


@pytest.mark.parametrize(("number", "call"), CALLS.values(), ids=CALLS.keys())
def test_how_often_a_fitted_model_reads(files, reads, model, number, call):
    call(model, files)
    assert times(reads, files) == number


def test_imputing_into_files_reads_once_to_check_and_once_to_copy(files, reads, model):
    out = [np.zeros(v.shape) for v in VIEWS]
    model.impute(files, missing="nan", n_draws=2, out=out)
    assert times(reads, files) == 2
    assert all(np.array_equal(a, b) for a, b in zip(out, model.impute(VIEWS, MASK, n_draws=2), strict=True))


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
