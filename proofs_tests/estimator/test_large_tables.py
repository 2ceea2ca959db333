"""Tables that are looked at piece by piece: what comes of the pieces is what comes of the whole.

Pieces are made small here, so that small tables have many; the oracles are NumPy's functions of the whole.
"""

import numpy as np
import pytest
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.inference.latent_report import _patterns
from jpvae.model.likelihoods import likelihood
from jpvae.model.model import Model
from jpvae.options import Options
from jpvae.planning import plan_of
from jpvae.training import shuffling
from jpvae.training.shuffling import Rest, Shuffled
from jpvae.views import pieces
from jpvae.views.kinds import Summary
from jpvae.views.sentinels import _suspects_of, suspects
from jpvae.views.standardising import Standardiser

ROWS = 1_000
VIEWS, MASK = three_views(ROWS, 7)


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(pieces, "WHOLE", 300)
    monkeypatch.setattr(pieces, "PIECE", 150)


def standardised(family, values, observed, block=37):
    made = Standardiser(likelihood(family), *values.shape)
    for start in range(0, len(values), block):
        made.add(values[start : start + block], observed[start : start + block])
    return made.scaling()


def with_gaps():
    """Cells that are empty, a column without a value in the first half, one constant and one constant in every piece."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((ROWS, 5)) * [1.0, 10.0, 0.1, 1.0, 1.0] + [0.0, 1e4, 3.0, 0.0, 0.0]
    values[rng.random((ROWS, 5)) < 0.2] = np.nan
    values[: ROWS // 2, 2] = np.nan
    values[:, 3], values[:, 4] = 7.0, np.where(np.arange(ROWS) < 30, 1.0, 2.0)
    return values, rng.random(ROWS) < 0.8


@pytest.mark.usefixtures("small_pieces")
def test_location_and_scale_of_pieces_are_those_of_the_whole():
    """Sums of 800 numbers: an error of 800 eps of their absolute sum, at most; squares of deviations twice that."""
    values, observed = with_gaps()
    location, scale = standardised("gaussian", values, observed)
    rows, eps = values[observed], np.finfo(float).eps
    assert location == pytest.approx(np.nanmean(rows, axis=0), rel=2 * ROWS * eps, abs=2 * ROWS * eps)
    expected = np.nanstd(rows, axis=0)
    assert scale == pytest.approx(np.where(expected > 0, expected, 1.0), rel=4 * ROWS * eps)
    assert (location[3], scale[3]) == (7.0, 1.0)


@pytest.mark.usefixtures("small_pieces")
def test_families_without_units_have_none_in_pieces():
    values = (np.arange(3 * ROWS).reshape(ROWS, 3) % 7 == 0).astype(float)
    location, scale = standardised("bernoulli", values, np.ones(ROWS, bool))
    assert not location.any()
    assert (scale == 1).all()


@pytest.mark.usefixtures("small_pieces")
def test_medians_of_pieces_are_near_that_of_the_whole():
    """A median of 30 normals has deviation 1.25 / sqrt(30); the mean of 33 of these, 0.04."""
    values = np.random.default_rng(1).standard_normal((ROWS, 5))
    location, scale = standardised("student_t", values, np.ones(ROWS, bool))
    assert np.abs(location - np.median(values, axis=0)).max() < 5 * 0.04
    assert np.abs(scale - 1.0).max() < 0.2


def test_summaries_of_pieces_are_those_of_the_whole():
    values, _ = with_gaps()
    values[:, 0] = np.round(values[:, 0])
    found = Summary.of(values[:11])
    for start in range(11, ROWS, 83):
        found = found.and_of(Summary.of(values[start : start + 83]))
    for ours, expected in zip(found.columns(), Summary.of(values).columns(), strict=True):
        eps = np.finfo(float).eps
        assert ours[:-1] == pytest.approx(expected[:-1], rel=4 * ROWS * eps, abs=1e-12)
        # a mean is summed to ROWS eps of itself, and moves the skewness by three times that over the deviation
        moved = 3 * ROWS * eps * abs(ours.mean) / ours.var**0.5 if ours.var else 0.0
        assert ours.skewness == pytest.approx(expected.skewness, rel=4 * ROWS * eps, abs=moved)


def test_suspects_in_pieces_are_those_of_the_whole():
    values = np.round(np.random.default_rng(2).uniform(1.0, 60.0, (ROWS, 3)))
    values[::50, 0], values[7, 1], values[8, 1] = -999.0, -1.0, 88.0
    expected = suspects(values)
    assert set(expected) == {0, 1}
    found = {j: _suspects_of(values[start : start + 70, j] for start in range(0, ROWS, 70)) for j in expected}
    assert found == expected


@pytest.mark.usefixtures("small_pieces")
def test_patterns_are_counted_in_pieces():
    found = dict(_patterns(MASK))
    assert found == {tuple(p): int((p == MASK).all(axis=1).sum()) for p in np.unique(MASK, axis=0).tolist()}


@pytest.mark.usefixtures("small_pieces")
def test_a_fit_in_pieces_is_the_fit(monkeypatch, tmp_path):
    """Everything at once, from files: standardised up to rounding, and so trained to nearly the same parameters."""
    options = OPTIONS | {"steps": 5, "backend": "numpy", "likelihood": "infer"}
    for i, view in enumerate(VIEWS):
        np.save(tmp_path / f"{i}.npy", view)
    files = [np.load(tmp_path / f"{i}.npy", mmap_mode="r") for i in range(3)]
    found = JPVAE(**options).fit(files, MASK)
    monkeypatch.undo()
    expected = JPVAE(**options).fit(VIEWS, MASK)
    assert found.inferred_ == expected.inferred_
    for name, x in expected.parameters_.items():
        assert found.parameters_[name] == pytest.approx(x, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("chosen", [np.ones(50, bool), np.arange(50) % 3 == 0, np.arange(50) > 44, np.zeros(50, bool)])
@pytest.mark.parametrize("most", [1, 4, 100])
def test_rows_are_spread_evenly(monkeypatch, chosen, most):
    monkeypatch.setattr(pieces, "WHOLE", 5)
    monkeypatch.setattr(pieces, "PIECE", 4)
    there = np.flatnonzero(chosen)
    expected = there[np.unique(np.linspace(0, len(there) - 1, min(most, len(there))).astype(int))]
    assert pieces.spread(chosen, most).tolist() == expected.tolist()


def generator(seed):
    return np.random.Generator(np.random.Philox(seed))


@pytest.mark.parametrize("rows", [1, 2, 3, 9, 64, 1000, 1025])
def test_a_computed_order_is_a_permutation(monkeypatch, rows):
    monkeypatch.setattr(shuffling, "_KEPT", 0)
    orders = [Shuffled(generator(seed), rows)[np.arange(rows)] for seed in range(3)]
    assert all(np.array_equal(np.sort(order), np.arange(rows)) for order in orders)
    again = Shuffled(generator(0), rows)
    assert np.array_equal(again[np.arange(rows)[::-1]], orders[0][::-1])  # whatever is asked for, and when
    assert rows < 9 or len({tuple(order.tolist()) for order in orders}) == 3


def test_a_computed_order_favours_no_row(monkeypatch):
    """Of 600 orders of 10 rows: which row is first, and which follows row 0; chi-square with 9 and 8 degrees of freedom stays
    below 37.3 and 35.5 but once in 40,000 times."""
    monkeypatch.setattr(shuffling, "_KEPT", 0)
    orders = np.stack([Shuffled(generator(seed), 10)[np.arange(10)] for seed in range(600)])
    first = np.bincount(orders[:, 0], minlength=10)
    assert ((first - 60.0) ** 2 / 60.0).sum() < 37.3
    followed = [order[at + 1] for order in orders.tolist() if (at := order.index(0)) < 9]
    after, mean = np.bincount(followed, minlength=10)[1:], len(followed) / 9
    assert ((after - mean) ** 2 / mean).sum() < 35.5


def test_a_short_order_is_numpys():
    assert np.array_equal(Shuffled(generator(5), 100)[np.arange(100)], generator(5).permutation(100))


@pytest.mark.parametrize("without", [[], [0], [9], [0, 1, 2], [3, 4, 8], list(range(10))])
def test_the_rest_of_the_rows(without):
    rest = Rest(10, np.array(without, dtype=int))
    assert rest[np.arange(len(rest))].tolist() == [r for r in range(10) if r not in without]


def test_which_orders_are_kept():
    """Of up to 2^17 rows, a megabyte."""
    kept, computed = (Shuffled(generator(0), rows) for rows in (2**17, 2**17 + 1))
    assert np.array_equal(kept[np.arange(5)], generator(0).permutation(2**17)[:5])
    assert not hasattr(computed, "_order") or computed._order is None
    assert np.unique(computed[np.arange(3000)]).size == 3000


@pytest.mark.parametrize(
    ("rows", "given", "steps"),
    [
        (100, {}, 500),
        (640, {}, 1_000),
        (3_200, {}, 1_500),
        (6_400, {}, 3_000),
        (20_000, {}, 9_375),
        (80_000, {}, 18_750),  # four times the rows, twice the steps
        (2_000_000, {}, 93_750),
        (80_000, {"epochs": 30}, 37_500),  # what is asked for is made
        (80_000, {"steps": 7}, 7),
        (80_000, {"batch_size": 128}, 9_375),
    ],
)
def test_steps_grow_with_the_rows_and_then_with_their_root(rows, given, steps):
    model = Model((3, 3), (2, 2), ("gaussian", "gaussian"))
    assert plan_of(Options(**given), model, rows, ("a", "b"), 0).steps == steps


@pytest.mark.parametrize(
    ("rows", "given", "decay"),
    [
        (6, {}, 0.3),  # as many columns as rows
        (3, {}, 0.3),
        (2, {}, 0.36),  # three columns for each row
        (1, {}, 0.72),
        (24, {}, 0.15),  # a quarter
        (600, {"steps": 500}, 0.03),
        (600, {"steps": 2_000}, 0.0075),  # of four times the steps
        (600, {"steps": 100}, 0.03),
        (600, {"steps": 2_000, "weight_decay": 0.5}, 0.5),  # what is asked for
        (1, {"learning_rate": 0.2}, 0.5),  # no step takes more than a tenth of a weight
    ],
)
def test_weights_decay_as_much_over_many_steps_as_over_500(rows, given, decay):
    model = Model((3, 3), (2, 2), ("gaussian", "gaussian"))
    assert plan_of(Options(**given), model, rows, ("a", "b"), 0).weight_decay == pytest.approx(decay, rel=1e-12)


def test_weights_decay_no_more_than_was_tried():
    model = Model((5_000, 5_000), (2, 2), ("gaussian", "gaussian"))
    assert plan_of(Options(), model, 10, ("a", "b"), 0).weight_decay == 3.0
