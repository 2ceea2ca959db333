"""What calibration hides of a row, how much of it is decoded at a time, and how cells inside their intervals are counted.

Models here compute nothing: draws are numbers that were chosen, so that ranks can be counted by hand.
"""

import bisect
from types import SimpleNamespace

import numpy as np
import pytest

from jpvae.inference import calibration
from jpvae.inference.calibration import DRAWS, LEVEL, SHIFTS, WIDER, LeftOut, calibrated

ENGINE = SimpleNamespace(numpy=np.asarray, asarray=np.asarray, xp=np)


def predictor(views, **more):
    """Views of one column whose variance is learned, and is not taken for that of a normal distribution."""
    family = SimpleNamespace(
        own_columns=lambda features: {"log_var": np.arange(features)},
        normal_noise=lambda _: {},
        cells=lambda x, _: (x, ~np.isnan(x)),
    )
    more |= {"fresh": lambda *_: None, "corrected": lambda *_: made}
    model = SimpleNamespace(views=views, likelihoods=(family,) * views, features=(1,) * views)
    p = {f"likelihood.{j}.log_var": np.zeros(1) for j in range(views)}
    made = SimpleNamespace(seed=0, model=model, p=p, own=[{"log_var": np.zeros(1)}] * views, engine=ENGINE, xp=np, **more)
    return made


def hidden_of(observed, monkeypatch):
    """For every view that was hidden: in which rows, and what was seen of them then."""
    found = {}

    def note(view, parts):
        (_, _, views, had, seen) = parts[0]
        found[view] = (views[0][:, 0].astype(int), had, seen)
        return SimpleNamespace(sums=lambda: (np.zeros(0), np.zeros(0)), found=lambda _: {})

    monkeypatch.setattr(calibration, "_Hidden", note)
    rows = np.arange(len(observed), dtype=float)[:, None]
    calibrated([LeftOut(predictor(observed.shape[1]), [rows] * observed.shape[1], observed)])
    return found


def test_what_is_seen_of_a_row_is_what_another_row_has(monkeypatch):
    """Three in four rows have all of three views, the others the first two: with the first hidden, of a row that has all the
    second alone is seen in about one case of four, else the second and third; always what the row has, and never nothing."""
    observed = np.ones((400, 3), dtype=bool)
    observed[::4, 2] = False
    found = hidden_of(observed, monkeypatch)
    assert found.keys() == {0, 1, 2}
    for view, (rows, had, seen) in found.items():
        assert np.array_equal(rows, np.flatnonzero(observed[:, view]))
        assert np.array_equal(had, observed[rows])
        assert not seen[:, view].any()
        assert not (seen & ~had).any()
        assert seen.any(axis=1).all()
        whole = had.all(axis=1)
        if view < 2:
            assert seen[whole, 1 - view].all()
            share = 1.0 - seen[whole, 2].mean()
            assert abs(share - 0.25) < 5 * np.sqrt(0.25 * 0.75 / whole.sum())
    assert found[2][2][:, :2].all()


def test_where_another_row_has_nothing_of_it_all_else_is_seen(monkeypatch):
    """Half of the rows have the first view alone, which is no help; the others keep all that they have but the hidden view."""
    observed = np.asarray([[True, False, False], [True, True, True]] * 20)
    for view, (_, _, seen) in hidden_of(observed, monkeypatch).items():
        others = np.arange(3) != view
        assert {tuple(row) for row in seen[:, others].tolist()} <= {(True, True), (True, False)}
        assert seen[:, others].all(axis=1).any()
    assert {tuple(row) for row in hidden_of(observed, monkeypatch)[0][2].tolist()} == {(False, True, True)}


def test_what_is_learned_is_moved_by_both_shifts_and_keeps_its_dtype(monkeypatch):
    made, ways = predictor(2), {0: ([0.5], 0.25), 1: ([-1.0], 2.0)}
    made.own = [{"log_var": np.float32([1.0])}, {"log_var": np.float32([2.0])}]
    monkeypatch.setattr(calibration._Hidden, "slope_of_others", lambda _: 1.0)
    monkeypatch.setattr(calibration._Hidden, "shifts", lambda self: np.array(ways[self.view][0]))
    monkeypatch.setattr(calibration._Hidden, "widening", lambda self, shifts: ways[self.view][1] + shifts[0])
    found = calibrated([LeftOut(made, [np.zeros((4, 1))] * 2, np.ones((4, 2), dtype=bool))])
    assert {name: x.tolist() for name, x in found.items()} == {"likelihood.0.log_var": [2.25], "likelihood.1.log_var": [2.0]}
    assert all(x.dtype == np.float32 for x in found.values())


def one_view(targets, drawn):
    """A hidden view of one column with these targets, whose draws at log-variance v are e^{v/2} times ``drawn``."""
    made = predictor(1)
    made.model.likelihoods[0].mean = lambda *given: np.zeros((DRAWS, len(given[2]), 1))
    made.model.likelihoods[0].draw_many = lambda means, own, _: means + np.exp(own["log_var"] / 2) * drawn[:, None, None]
    there = np.ones((len(targets), 1), dtype=bool)
    hidden = calibration._Hidden(0, [calibration._Part(made, 0, [targets[:, None]], there, there)])
    hidden._decoded = lambda *_: [(None, targets[:, None])]
    return hidden


@pytest.mark.parametrize("lost", [0, 1, 2])
@pytest.mark.parametrize("step", [0.0, 0.5, 1.0])
def test_cells_inside_are_counted_by_their_rank_and_ties_halved(lost, step):
    """Twenty cells, so that one of them is a twentieth: the widening is the first with which 19 are inside, or nearest to it.
    By hand, cell by cell. Draws are -39 to 39, cells at half steps or at draws, where every tie counts a half."""
    drawn, rng = np.arange(DRAWS) - 39.0, np.random.default_rng(lost)
    targets = rng.permutation(np.r_[np.linspace(-30.0, 30.0, 16).round(), 36.5, 37.0, 37.5, 38.0]) * (1.0 + step)
    targets[:lost] = np.nan
    counts = []
    for wider in WIDER:
        made = (np.exp(wider / 2) * drawn).tolist()  # sorted
        ranks = [(bisect.bisect_left(made, x) + bisect.bisect_right(made, x)) / 2 for x in targets[lost:].tolist()]
        counts.append(sum(1.5 <= rank <= 77.5 for rank in ranks))
    missed = [abs(count / (20 - lost) - LEVEL) for count in counts]
    assert one_view(targets, drawn).widening(np.zeros(1)) == WIDER[missed.index(min(missed))]
    assert len(set(counts)) > 2


@pytest.mark.parametrize("there", [False, True])
def test_where_no_cell_is_there_nothing_is_moved(there):
    """The first column has a variance and no cell, or one that prefers the largest shift; the second one has no parameter."""
    hidden = one_view(np.array([0.0]), np.arange(DRAWS) - 39.0)
    hidden.features, hidden.other = 2, np.arange(1)
    chance = [-1.0, -2.0]

    def log_prob(*given):
        return np.full((16, 3, 2), chance) * [there * (10.0 - given[3]["log_var"][0]), 1.0]

    hidden.family.log_prob = log_prob
    assert hidden.shifts()[0] == (SHIFTS[-1] if there else 0.0)


def test_a_column_without_cells_follows_the_view_s_others():
    """Both have a variance; the first has no cell, the second prefers the largest shift."""
    hidden = one_view(np.array([0.0]), np.arange(DRAWS) - 39.0)
    hidden.features, hidden.other = 2, np.arange(2)
    hidden.family.log_prob = lambda *given: np.full((16, 3, 2), [0.0, given[3]["log_var"][0] - 10.0])
    assert hidden.shifts().tolist() == [SHIFTS[-1]] * 2


@pytest.mark.parametrize("overflow", [np.nan, np.inf, -np.inf])
def test_a_shift_under_which_numbers_overflow_is_none(overflow):
    """The likelihood rises with the shift, up to 3; beyond that it is no number."""
    hidden = one_view(np.array([0.0]), np.arange(DRAWS) - 39.0)
    hidden.features, hidden.other = 1, np.arange(1)

    def log_prob(*given):
        shift = given[3]["log_var"][0]
        return np.full((16, 3, 1), 10.0 * shift - 100.0 if shift <= 3.0 else overflow)

    hidden.family.log_prob = log_prob
    with np.errstate(invalid="ignore"):
        assert hidden.shifts().tolist() == [3.0]


def test_where_no_cell_is_there_nothing_is_widened():
    assert one_view(np.full(4, np.nan), np.arange(DRAWS) - 39.0).widening(np.zeros(1)) == 0.0


@pytest.mark.parametrize(("entries", "most", "groups"), [(50, 7, [5, 2, 5, 3]), (5, 7, [1] * 15), (10**6, 9, [7, 8])])
def test_rows_are_decoded_as_many_at_a_time_as_fit_in_memory(entries, most, groups, monkeypatch):
    """Of two blocks, ten draws of each row's one column; padding is left out."""
    made, seen, sizes = predictor(1), np.arange(15)[:, None] % 2 == 0, []
    blocks = [SimpleNamespace(rows=slice(0, 7), size=7), SimpleNamespace(rows=slice(7, 15), size=8)]
    for block in blocks:
        block.observed, block.views = np.ones((9, 1), dtype=bool), [np.arange(9.0)[:, None] + block.rows.start]

    def draw(block, _, draws, observed):
        assert observed.dtype == bool
        assert np.array_equal(observed, np.r_[seen[block.rows], np.ones((9 - block.size, 1), dtype=bool)])
        return [np.broadcast_to(block.views[0], (draws, 9, 1))]

    def outputs(_, z, observed, eps):
        assert (observed.shape, eps) == ((z.shape[1], 1), None)
        sizes.append(z.shape[1])
        return z

    asked = []
    made.blocks = lambda _, observed: (asked.append(len(observed)), blocks)[1]
    made.noise, made.draw_latents, made.outputs = lambda _: None, draw, outputs
    monkeypatch.setattr(calibration, "ENTRIES", entries)
    part = calibration._Part(made, 0, [np.zeros((15, 1))], np.ones((15, 1), dtype=bool), seen)
    found = list(part.decoded(10, most))
    assert sizes == groups
    assert asked == [most]
    assert np.array_equal(np.concatenate([x[:, 0] for _, x in found]), np.arange(15.0))
    assert all(np.array_equal(outputs[0], x) for outputs, x in found)
