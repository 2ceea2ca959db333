"""docs/experiments.md shows what curves.py measured, and its truths are what they are said to be."""

import curves
import numpy as np
import pytest


def test_the_page_shows_what_was_measured():
    assert curves.PAGE.read_text() == curves.page()


@pytest.mark.parametrize("truth", ["products", "circle"])
def test_lines_across_the_views_tell_nothing(truth):
    """All correlations are 0; one of 4,000 rows has a standard error of 0.016, of products (kurtosis 9) of 0.03 at most."""
    a, b = curves.tables(truth, 4000)
    across = np.corrcoef(a.T, b.T)[: a.shape[1], a.shape[1] :]
    assert np.abs(across).max() < 0.1


@pytest.mark.parametrize("truth", curves.TRUTHS)
def test_tables_are_the_same_every_time_and_longer_ones_are_others(truth):
    for one, other, longer in zip(curves.tables(truth, 50), curves.tables(truth, 50), curves.tables(truth, 60), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.shape == (50, longer.shape[1])
        assert np.isfinite(longer).all()
