"""Batches are functions of (seed, step) alone: shuffled passes cut into batches, subsets of what is observed."""

import contextlib
import itertools
import zlib
from dataclasses import replace

import numpy as np
import pytest
from numbered_batches import batches, same

from jpvae.errors import ViewError
from jpvae.model.model import Model
from jpvae.training.batches import Batches
from jpvae.training.plan import Calibration, Plan
from jpvae.training.schedules import Constant, LearningRate
from jpvae.training.shuffling import Shuffled
from jpvae.views.units import Prepared


@pytest.mark.parametrize("views", [2, 3])
def test_a_batch_depends_on_seed_and_step_alone(views):
    asked = batches(views=views)
    in_any_order = {step: asked.at(step) for step in (7, 2, 29, 0, 8, 7)}
    for step, batch in in_any_order.items():
        assert same(batch, batches(views=views).at(step))
        assert not same(batch, batches(views=views, seed=1).at(step))
    assert not same(in_any_order[7], in_any_order[8])


@pytest.mark.parametrize(("rows", "size"), [(10, 4), (10, 5), (10, 10), (7, 3), (3, 8), (5, 1)])
def test_every_pass_shows_every_row_once(rows, size):
    """Batches are cut from an endless stream of shuffled passes: pass k is the stream's rows k N to (k+1) N."""
    data = batches(rows, size)
    passes = 6
    stream = np.concatenate([data.at(step).views[0][:, 0] for step in range(-(-passes * rows // min(size, rows)))])
    shuffles = stream[: passes * rows].reshape(passes, rows)
    assert all(sorted(one) == list(range(rows)) for one in shuffles)
    assert len({tuple(one) for one in shuffles}) > 1


@pytest.mark.parametrize("rows", [2**17 + 1, 2**18 + 1, 2**18])
def test_the_order_of_many_rows_is_a_permutation(rows):
    """Just beyond what is kept as an array, and around a power of 2, where a row's number takes a bit more."""
    order = Shuffled(np.random.default_rng(0), rows)[np.arange(rows)]
    assert np.array_equal(np.sort(order), np.arange(rows))
    assert abs(np.corrcoef(order, np.arange(rows))[0, 1]) < 5 / np.sqrt(rows)


@pytest.mark.parametrize("views", [2, 3])
def test_subsets_are_parts_of_what_is_observed(views):
    data, parts = batches(rows=14, size=14, views=views), set()
    for step in range(30):
        batch = data.at(step)
        assert np.array_equal(batch.subsets[0], batch.observed)
        assert batch.subsets.any(axis=2).all()
        assert not (batch.subsets & ~batch.observed).any()
        whole = batch.observed.all(axis=1)
        parts |= {tuple(map(tuple, rows)) for rows in batch.subsets[1:, whole].transpose(1, 0, 2).tolist()}
    every = [bits for bits in itertools.product([True, False], repeat=views) if any(bits)]
    assert parts == ({((True, False), (False, True))} if views == 2 else {(bits,) for bits in every})


def test_every_row_of_a_batch_has_a_random_subset_of_its_own():
    """Of three observed views each part has probability 1/8, but for all three, which stand for none as well: 2/8. Two rows
    are alike with probability 6/64 + 4/64."""
    data, steps, alike = batches(rows=140, size=140, views=3), 100, []
    for step in range(steps):
        batch = data.at(step)
        part = batch.subsets[1][batch.observed.all(axis=1)]
        alike += (part[:-1:2] == part[1::2]).all(axis=1).tolist()
    assert len(alike) == 10 * steps
    assert abs(np.mean(alike) - 10 / 64) < 5 * np.sqrt(10 / 64 * 54 / 64 / len(alike))


def test_the_plain_elbo_draws_no_subsets():
    batch = batches(objective="elbo").at(3)
    assert batch.subsets.shape[0] == batch.weights.tolist()[0] == 1
    assert np.array_equal(batch.subsets[0], batch.observed)


def test_noise_is_standard_normal_and_new_at_every_step():
    data = batches(views=3)
    for part in ("posterior_noise", "completion_noise"):
        noise = np.stack([getattr(data.at(step), part) for step in range(100)]).reshape(100, -1)
        # The correlation of two steps' n numbers has deviation 1 / sqrt(n); 4,950 pairs stay below 6 of them, and below 1.
        together = noise @ noise.T / noise.shape[1]
        assert np.abs(together - np.diag(np.diag(together))).max() < 6 / np.sqrt(noise.shape[1])
        assert len(np.unique(noise)) == noise.size
        assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
        assert abs(noise.var() - 1) < 5 * np.sqrt(2 / noise.size)


@pytest.mark.parametrize(("rows", "processes"), [(10, 2), (10, 3), (2, 3)])
def test_processes_share_a_batch(rows, processes):
    """Every process has its part of one and the same batch; one without a row has the first, which counts for nothing."""
    whole = batches(rows, rows, views=3)
    parts = [batches(rows, rows, views=3, share=(k, processes)) for k in range(processes)]
    for step in (0, 5):
        batch, shared = whole.at(step), [part.at(step) for part in parts]
        assert batch.shares is None
        assert np.array_equal(whole.rows(step), whole.at(step).views[0][:, 0])
        counted = [k for k in range(processes) if k < rows]
        seen = np.concatenate([shared[k].views[0][:, 0] for k in counted])
        assert sorted(seen) == sorted(batch.views[0][:, 0])
        # Of the rows, and of those that have each view: together they are all of them.
        assert np.sum([part.shares for part in shared], axis=0) == pytest.approx(np.ones(4))
        for k, part in enumerate(shared):
            own = np.arange(rows)[k::processes] if k < rows else np.arange(1)
            assert np.array_equal(part.observed, batch.observed[own])
            assert np.array_equal(part.subsets, batch.subsets[:, own])
            assert np.array_equal(part.posterior_noise, batch.posterior_noise[..., own, :])
            assert np.array_equal(part.completion_noise, batch.completion_noise[..., own, :])
            assert np.array_equal(parts[k].rows(step), whole.rows(step)[own])
            share = batch.observed[own].sum(axis=0) / np.maximum(batch.observed.sum(axis=0), 1)
            assert part.shares == pytest.approx((k < rows) * np.array([len(own) / rows, *share]))


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_each_cross_term_has_draws_of_its_own(draws):
    batch = batches(rows=6, size=6, views=3, cross_draws=draws).at(0)
    lead = () if draws == 1 else (draws,)
    assert batch.completion_noise.shape[:-1] == (*lead, 1, 6)
    assert np.unique(batch.completion_noise).size == batch.completion_noise.size


def test_weights_are_shares():
    assert batches(views=2).at(0).weights.tolist() == [0.5, 0.25, 0.25]
    assert batches(views=3).at(0).weights.tolist() == [0.5, 0.5]


def test_rows_drawn_with_replacement():
    """As many rows as there are, the same in every pass; each view in one of them; of N rows (1 - 1/N)^N = 1/e are missing."""
    data = batches(rows=60, size=60, bootstrap=True)
    first, second = (np.sort(data.at(step).views[0][:, 0]) for step in (0, 1))
    assert np.array_equal(first, second)
    assert not np.array_equal(data.at(0).views[0], data.at(1).views[0])
    assert abs(len(np.unique(first)) / 60 - (1 - np.exp(-1))) < 5 * 0.31 / np.sqrt(60)  # its deviation: 0.31/sqrt(N)
    few = [batches(rows=3, size=3, bootstrap=True, seed=seed).at(0) for seed in range(40)]
    assert all(batch.observed.any(axis=0).all() for batch in few)
    assert len({tuple(np.sort(batch.views[0][:, 0])) for batch in few}) > 3


def test_a_row_without_some_cells_keeps_those_that_it_shows():
    """Every row loses a part of its cells, uniform on [0, 1]: half of them on average, to encoders and likelihoods both."""
    rows, columns = 400, 5
    model = Model((columns,) * 2, (2, 2), ("gaussian",) * 2, hidden=(), prior="canonical")
    rng = np.random.default_rng(0)
    given = [
        Prepared(np.concatenate([x, np.ones_like(x)], 1), np.concatenate([x, np.ones_like(x)], 1))
        for x in rng.random((2, rows, columns)) + 1.0
    ]
    plan = Plan(3, rows, Constant(), LearningRate(), cell_dropout=0.5)
    batch = Batches(given, np.ones((rows, 2), bool), model, plan).at(0)
    order = Batches(given, np.ones((rows, 2), bool), model, plan).rows(0)
    for view, targets, whole in zip(batch.views, batch.targets, given, strict=True):
        kept = targets[:, columns:] == 1.0
        assert np.array_equal(targets[:, :columns], whole.targets[order][:, :columns])
        assert np.array_equal(view, whole.inputs[order] * np.tile(kept, 2))
        lost = ~kept.all(axis=1)
        # Half of the rows lose some, if their share is large enough for one of five cells: E[1 - (1 - u)^5] = 5/6 of them.
        assert abs(lost.mean() - 0.5 * 5 / 6) < 5 * 0.5 / np.sqrt(rows)
        assert abs((~kept).mean() - 0.25) < 5 * np.sqrt(0.5 / 3 + 0.01) / np.sqrt(rows)
    assert not np.array_equal(batch.targets[0][:, columns:], batch.targets[1][:, columns:])
    held = Batches(given, np.ones((rows, 2), bool), model, replace(plan, validation_fraction=0.5))
    assert all(np.array_equal(batch.views[0], given[0].inputs[at]) for at, batch in held.held_out())


def test_rows_that_are_held_out_are_never_trained_on():
    data = [batches(rows=20, size=6, views=3, validation_fraction=0.4, seed=seed) for seed in (0, 0, 1)]
    held = [[(rows, batch) for rows, batch in one.held_out()] for one in data]
    for one, found in zip(data, held, strict=True):
        rows = np.concatenate([rows for rows, _ in found])
        trained = {row for step in range(30) for row in one.rows(step).tolist()}
        assert (len(rows), rows.tolist(), trained) == (8, sorted(set(rows.tolist())), set(range(20)) - set(rows.tolist()))
        assert all(np.array_equal(batch.views[0], rows[:, None]) for rows, batch in found)
    assert [len(rows) for rows, _ in held[0]] == [6, 2]
    assert all(np.array_equal(a, b) and same(x, y) for (a, x), (b, y) in zip(held[0], held[1], strict=True))
    assert any(not np.array_equal(a, b) for (a, _), (b, _) in zip(held[0], held[2], strict=True))
    again = list(data[0].held_out())
    assert all(same(x, y) for (_, x), (_, y) in zip(held[0], again, strict=True))


def test_a_view_that_only_held_out_rows_have_is_named():
    model = Model((1, 1), (2, 2), ("gaussian",) * 2, hidden=(), prior="canonical")
    plan = Plan(3, 4, Constant(), LearningRate(), validation_fraction=0.9)
    observed = np.array([[True, row == 3] for row in range(10)])
    for seed in range(20):
        chosen = replace(plan, seed=seed)
        with contextlib.suppress(ViewError):
            Batches([np.zeros((10, 1))] * 2, observed, model, chosen)
            continue
        with pytest.raises(ViewError, match="view 'view1' is observed in no row that is left to train on, after 9 of 10"):
            Batches([np.zeros((10, 1))] * 2, observed, model, chosen)
        with pytest.raises(ViewError, match="view 'b' is"):
            Batches([np.zeros((10, 1))] * 2, observed, model, chosen, names=["a", "b"])
        return
    raise AssertionError("no seed holds the row out")


def test_of_a_view_that_only_calibration_has_one_row_is_trained_on():
    model = Model((1, 1), (2, 2), ("gaussian",) * 2, hidden=(), prior="canonical")
    plan = Plan(30, 4, Constant(), LearningRate(), calibration=Calibration(20, 6))
    chosen = Batches([np.zeros((10, 1))] * 2, np.ones((10, 2), dtype=bool), model, plan).calibrating
    observed = np.stack([np.ones(10, dtype=bool), np.isin(np.arange(10), chosen[1:5])], axis=1)
    data = Batches([np.zeros((10, 1))] * 2, observed, model, plan)
    assert data.calibrating.tolist() == np.delete(chosen, 1).tolist()
    assert {row for step in range(20) for row in data.rows(step).tolist()} == set(range(10)) - set(data.calibrating.tolist())


@pytest.mark.parametrize(("rows", "left_out"), [(10, 3), (12, 3), (30, 6)])
def test_every_fold_leaves_out_other_rows(rows, left_out):
    model = Model((1, 1), (2, 2), ("gaussian",) * 2, hidden=(), prior="canonical")
    plan = Plan(30, 4, Constant(), LearningRate(), calibration=Calibration(20, left_out, rows // left_out))
    first = Batches([np.zeros((rows, 1))] * 2, np.ones((rows, 2), dtype=bool), model, plan)
    every = [first, *map(first.leaving_out, range(1, plan.calibration.folds))]
    gone = np.concatenate([each.calibrating for each in every])
    assert len(set(gone.tolist())) == len(gone) == left_out * (rows // left_out)
    for each in every:
        assert {row for step in range(20) for row in each.rows(step).tolist()} == set(range(rows)) - set(
            each.calibrating.tolist()
        )


def test_targets_stand_beside_inputs_where_any_view_has_its_own():
    model = Model((1, 1), (2, 2), ("gaussian",) * 2, hidden=(), prior="canonical")
    plan, x = Plan(3, 4, Constant(), LearningRate()), np.arange(4.0)[:, None]
    for views in ([x, Prepared(x, x + 9.0)], [Prepared(x, x + 9.0), x]):
        batch = Batches(views, np.ones((4, 2), bool), model, plan).at(0)
        order = batch.views[0]
        expected = [order + 9.0 if isinstance(view, Prepared) else order for view in views]
        assert all(np.array_equal(*pair) for pair in zip(batch.targets, expected, strict=True))
    assert Batches([x, x], np.ones((4, 2), bool), model, plan).at(0).targets is None


def test_one_view_has_the_plain_bound():
    batch = batches(views=1).at(0)
    assert batch.weights.tolist() == [1.0]
    assert np.array_equal(batch.subsets, batch.observed[None])


def test_the_former_fingerprint_is_a_checksum_of_all_that_is_trained_on():
    """Of the mask, then of each view's inputs, and of its targets where these are other numbers."""
    rng, rows = np.random.default_rng(0), 1100
    observed, plan = np.ones((rows, 2), dtype=bool), Plan(3, 4, Constant(), LearningRate())
    model = Model((2, 3), (2, 2), ("gaussian",) * 2, hidden=(), prior="canonical")
    alike, inputs, targets = (rng.standard_normal((rows, c)) for c in (2, 3, 4))
    views = [Prepared(alike, alike), Prepared(inputs, targets)]
    expected = 0
    for part in (observed, alike, inputs, targets):
        expected = zlib.crc32(part.tobytes(), expected)
    assert Batches(views, observed, model, plan).former_fingerprint() == expected
    fewer = observed & (np.arange(rows)[:, None] != 7)
    assert Batches(views, fewer, model, plan).former_fingerprint() != expected
