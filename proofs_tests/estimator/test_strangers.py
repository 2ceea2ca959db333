"""Views that no chain of subjects joins are named by a fit."""

import warnings

import numpy as np
import pytest

from jpvae import JPVAE
from jpvae.errors import JPVAEWarning
from jpvae.views.connected import groups

CHAIN = [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]  # the first and the last meet through the others
PAIRS = [[1, 1, 0, 0], [0, 0, 1, 1]]
ALONE = [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (CHAIN, [[0, 1, 2, 3]]),
        (PAIRS, [[0, 1], [2, 3]]),
        (ALONE, [[0, 1, 2], [3]]),
        ([[1, 0, 1, 0], [0, 1, 0, 0]], [[0, 2], [1]]),  # nobody has the last
    ],
)
def test_groups(mask, expected):
    assert groups(np.array(mask, bool)) == expected


def fit(mask, prior="canonical"):
    has = np.repeat(np.array(mask, bool), 8, axis=0)
    rng = np.random.default_rng(0)
    views = {name: rng.standard_normal((len(has), 2)) for name in "abcd"}
    JPVAE(2, likelihood="gaussian", hidden=(4,), steps=2, backend="numpy", progress=False, prior=prior).fit(views, has)


def test_a_fit_names_the_groups():
    for mask, words in ((PAIRS, "'a', 'b'; 'c', 'd'"), (ALONE, "'a', 'b', 'c'; 'd'")):
        with pytest.warns(JPVAEWarning, match=f"of two of these groups: {words}[.] How views"):
            fit(mask)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(CHAIN)
        fit(PAIRS, "independent")
