"""`evaluate`: errors as plain loops give them; nothing of a hidden view reaches the method that fills it."""

import dataclasses

import numpy as np
import pytest
from table_files import three_tables, views_of

from jpvae import JPVAE
from jpvae.tables import evaluation
from jpvae.tables.joining import join
from jpvae.tables.scoring import column_scales, error
from jpvae.tables.sources import sources

OPTIONS = {"latent_dims": 2, "prior": "canonical", "likelihood": "gaussian", "hidden": (8,), "steps": 20, "backend": "numpy"}


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables")
    return join(sources(views_of(path, three_tables(1, 80), (".csv",) * 3)), "who")


def test_the_error_of_a_filling_is_the_root_of_a_mean_of_squares():
    rng = np.random.default_rng(0)
    truth, filled, train = (rng.standard_normal((9, 3)) * (1.0, 10.0, 1e-3) for _ in range(3))
    train[2, 1] = np.nan
    train[:, 2] = 5.0
    squares = []
    for c in range(3):
        known = [x for x in train[:, c] if x == x]
        middle = sum(known) / len(known)
        deviation = (
            (sum((x - middle) ** 2 for x in known) / len(known)) ** 0.5 if c < 2 else 1.0
        )  # a constant column has no unit
        squares += [((f - t) / deviation) ** 2 for f, t in zip(filled[:, c], truth[:, c], strict=True)]
    # 27 squares summed in another order: 27 eps relative, half of it under the root.
    assert error(truth, filled, column_scales(train)) == pytest.approx((sum(squares) / 27) ** 0.5, rel=1e-14)


def test_errors_are_those_of_the_held_out_rows(joined):
    """Column means by hand, on rows split by hand; JPVAE by the estimator itself."""
    result = evaluation.evaluate(OPTIONS, joined, part=0.3, seed=2)
    N = len(joined.observed)
    test = sorted(np.random.default_rng(2).permutation(N)[: round(0.3 * N)].tolist())
    train = [r for r in range(N) if r not in test]
    assert result["rows"] == {"train": len(train), "held_out": len(test)}
    values = [np.asarray(joined.views[name]) for name in joined.names]
    model = JPVAE(**OPTIONS).fit([v[train] for v in values], joined.observed[train])
    for j, name in enumerate(joined.names):
        rows = [r for r in test if joined.observed[r, j] and joined.observed[r].sum() > 1]
        learned = values[j][[r for r in train if joined.observed[r, j]]]
        assert (result["views"][name]["rows"], result["views"][name]["columns"]) == (len(rows), learned.shape[1])
        mask = joined.observed[rows]
        mask[:, j] = False
        filled = {
            "column means": np.broadcast_to(learned.mean(axis=0), (len(rows), learned.shape[1])),
            "JPVAE": model.impute([v[rows] for v in values], mask)[j],
        }
        for method, x in filled.items():
            expected = np.sqrt((((x - values[j][rows]) / learned.std(axis=0)) ** 2).mean())
            # Means and deviations of some 50 numbers, summed in another order: 50 eps, times 1/error of about 1.
            assert result["views"][name]["error"][method] == pytest.approx(expected, rel=1e-12)


def test_nothing_of_a_hidden_view_reaches_the_methods(joined):
    """Other values in the held-out rows' hidden view: every method fills the same."""
    train, test = np.arange(60), np.arange(60, len(joined.observed))
    spoilt = dataclasses.replace(joined, views={name: v.copy() for name, v in joined.views.items()})
    spoilt.views["b"].iloc[test] *= -100.0
    rows = test[joined.observed[test, 1] & (joined.observed[test].sum(axis=1) > 1)]
    assert len(rows) > 3
    fills = zip(
        evaluation._methods(OPTIONS, joined, train).items(), evaluation._methods(OPTIONS, spoilt, train).items(), strict=True
    )
    seen = []
    for (method, fit), (_, fit_spoilt) in fills:
        first, second = fit()(rows, 1), fit_spoilt()(rows, 1)
        assert first.tobytes() == second.tobytes(), method
        assert np.isfinite(first).all()
        seen.append(first.tobytes())
    assert len(set(seen)) == 4  # they are four methods
