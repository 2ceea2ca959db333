"""Memory-mapped tables are checked as they are read, and their likelihoods guessed from the first rows: results, errors and
warnings are those of tables in memory, which are inferred and checked whole before any work."""

import warnings

import numpy as np
import pytest
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.errors import ViewError
from jpvae.views import inferring, opening
from jpvae.views.reading import BLOCK

ROWS, GLANCE = 2 * BLOCK + 77, 100
VIEWS, MASK = three_views(ROWS, 41)
SHORT = OPTIONS | {"steps": 3, "backend": "numpy", "missing": "nan"}


def outcome(call, views):
    """Its result or the error, and every warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call(views)
        except ViewError as error:
            result = str(error)
    return result, [str(one.message) for one in caught]


def in_memory_and_mapped(folder, views):
    for i, view in enumerate(views):
        np.save(folder / f"{i}.npy", view)
    return views, [np.load(folder / f"{i}.npy", mmap_mode="r") for i in range(len(views))]


def nothing(_):
    """No mistake."""


def late_infinity(views):
    views[0][-1, 1] = np.inf


def two_mistakes(views):
    """The one in the first view stands further down, and is named: views are checked one after the other."""
    views[0][-1, 1], views[1][0, 2] = np.inf, -np.inf


def late_row_of_nothing(views):
    for view in views:
        view[-2] = np.nan


def beyond(views):
    views[2][BLOCK + np.argmax(MASK[BLOCK:, 2]), 0] = 1e300


@pytest.mark.parametrize("spoil", [nothing, late_infinity, two_mistakes, late_row_of_nothing, beyond])
@pytest.mark.parametrize("impossible", ["error", "missing"])
def test_what_is_checked_as_it_is_read_has_the_same_complaints(tmp_path, spoil, impossible):
    """As the tables in memory, which are checked whole: each error, and each warning once, of all blocks."""
    options = SHORT | {"likelihood": ["gaussian", "bernoulli", "gaussian"], "dtype": "float32"}
    views = [np.where(seen[:, None], v, np.nan) for v, seen in zip(VIEWS, MASK.T, strict=True)]
    views[1] = np.where(np.isnan(views[1]), np.nan, views[1] > 0)
    model = JPVAE(**options, impossible=impossible).fit(views)
    spoil(views)
    if impossible == "missing":
        views[1][[3, BLOCK + 3], 1] = 2.0
    whole, mapped = (
        outcome(lambda given: model.transform(given).tobytes(), given) for given in in_memory_and_mapped(tmp_path, views)
    )
    assert mapped == whole
    assert isinstance(whole[0], str) == (spoil is not nothing)
    assert len(whole[1]) == (impossible == "missing" and spoil not in (late_infinity, two_mistakes))


def as_they_are(_):
    """The first rows show what all are."""


def no_more_flags(views):
    views[0][ROWS - 1, 1] = 2.5


def no_more_counts(views):
    views[2][ROWS - 1] = -1.0


def flags_after_all(views):
    """A column of zeros is a measurement, which has nothing against ones."""
    views[1][:, 0] = (np.arange(ROWS) >= GLANCE) & (np.arange(ROWS) % 2 == 0)


def constant_after_all(views):
    views[1][:, 0] = 2.5


def late_mistake(views):
    views[1][-1, 1] = np.inf


CASES = [as_they_are, no_more_flags, no_more_counts, flags_after_all, late_mistake, constant_after_all]


@pytest.mark.parametrize("change", CASES)
def test_a_wrong_guess_leaves_no_trace(tmp_path, monkeypatch, change):
    """Flags, numbers and counts of which the first rows show less than all: the fit, its warnings and its error are those of
    tables in memory, which are inferred from all rows at first."""
    for module in (inferring, opening):
        monkeypatch.setattr(module, "GLANCE", GLANCE)
    rng = np.random.default_rng(0)
    flags, numbers, counts = rng.integers(0, 2, (ROWS, 4)), rng.standard_normal((ROWS, 3)), rng.poisson(4.0, (ROWS, 12))
    views = [np.where(v.any(axis=1, keepdims=True), v, np.nan).astype(float) for v in (flags, numbers, counts)]
    views[1] += 1.0
    change(views)

    def fitted(given):
        made = JPVAE(**SHORT | {"likelihood": "infer"}).fit(given)
        return made.inferred_, {name: x.tobytes() for name, x in made.parameters_.items()}

    whole, mapped = (outcome(fitted, given) for given in in_memory_and_mapped(tmp_path, views))
    assert mapped == whole
