"""Batches are functions of (seed, step) alone: shuffled passes cut into batches, subsets of what is observed."""

import itertools

import numpy as np
import pytest
from numbered_batches import batches, same


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
