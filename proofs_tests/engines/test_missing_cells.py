"""Empty cells: encoders read which cells there are, and learn in training to do with fewer."""

from dataclasses import replace

import numpy as np
import pytest

from jpvae.model.likelihoods import Marginal, likelihood
from jpvae.testing.examples import MODELS, batches
from jpvae.training.batches import Batches

MODEL = MODELS["missing cells"]
SPEC = (("gaussian", 2), ("categorical", 6, 3), ("poisson_unscaled", 1))


def test_an_empty_cell_reads_as_zero_with_a_bit_of_zero():
    values = np.array([[3.0, np.nan], [np.nan, -1.0]])
    family, location, scale = Marginal(likelihood("gaussian")), np.array([1.0, 0.0]), np.array([2.0, 1.0])
    targets = family.targets(values, location, scale)
    assert np.array_equal(family.inputs(targets, location, scale), [[1.0, 0.0, 1.0, 0.0], [0.0, -1.0, 0.0, 1.0]])
    older = Marginal(likelihood("gaussian"), bits=False)
    assert np.array_equal(older.inputs(targets, location, scale), [[1.0, np.nan], [np.nan, -1.0]], equal_nan=True)


def test_one_hot_columns_are_one_variable():
    assert likelihood(SPEC).variables(9).tolist() == [0, 1, 2, 2, 2, 3, 3, 3, 4]
    assert likelihood("categorical").variables(4).tolist() == [0, 0, 0, 0]
    assert Marginal(likelihood(SPEC)).variables(9).tolist() == likelihood(SPEC).variables(9).tolist()


def hidden_cells(dropout, steps=40, rows=50):
    """Which cells of each view a step leaves out though they are there, (steps x rows, c)."""
    whole = batches(MODEL, "complete", rows=rows)
    some = Batches(whole.views, whole.observed, MODEL, replace(whole.plan, cell_dropout=dropout))
    found = [[] for _ in MODEL.features]
    for step in range(steps):
        one, other = whole.at(step), some.at(step)
        for i, c in enumerate(MODEL.features):
            shown, there = other.views[i], one.views[i]
            bits = shown[:, c:]
            assert np.array_equal(np.where(bits > 0, there[:, :c], 0.0), shown[:, :c])
            assert not (bits > there[:, c:]).any()
            assert np.array_equal(one.targets[i][:, :-c], other.targets[i][:, :-c])
            assert np.array_equal(bits, other.targets[i][:, -c:])  # nothing is asked of what was not shown
            found[i].append(np.where(there[:, c:] > 0, bits == 0, np.nan))
    return [np.concatenate(each) for each in found]


def test_cells_are_hidden_as_often_as_the_option_means():
    """A share of the rows, each with a rate of its own, uniform on [0, 1]: half of that share of the cells."""
    for hidden in hidden_cells(0.6):
        hidden = hidden[~np.isnan(hidden).all(axis=1)]  # of rows that have a cell at all
        rows = len(hidden)
        share = np.nanmean(hidden, axis=1)
        # The mean of a row is U with probability .6, else 0: variance .6/3 - .09, plus a binomial's for few cells.
        assert np.nanmean(share) == pytest.approx(0.3, abs=5 * np.sqrt(0.25 / rows))
        assert np.mean(share > 0) < 0.6 + 5 * np.sqrt(0.25 / rows)


def test_a_variable_is_hidden_as_a_whole():
    hidden = hidden_cells(1.0)[1]
    variables = MODEL.likelihoods[1].variables(MODEL.features[1])
    for v in np.unique(variables):
        columns = hidden[:, variables == v]
        assert (np.isnan(columns) | (columns == columns[:, :1]) | np.isnan(columns[:, :1])).all()


def test_held_out_rows_are_shown_as_they_are():
    whole = batches(MODEL, "complete", rows=50)
    plan = replace(whole.plan, cell_dropout=1.0, validation_fraction=0.3)
    for rows, batch in Batches(whole.views, whole.observed, MODEL, plan).held_out():
        for view, shown in zip(whole.views, batch.views, strict=True):
            assert np.array_equal(view.inputs[rows], shown)
