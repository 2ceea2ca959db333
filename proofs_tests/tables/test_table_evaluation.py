"""`evaluate`: errors as plain loops give them; nothing of a hidden view reaches the method that fills it."""

import numpy as np
import pandas as pd
import pytest
from table_files import mixed_tables, three_tables, views_of

from jpvae import JPVAE
from jpvae.tables import evaluation
from jpvae.tables.dialect import Dialect
from jpvae.tables.joining import join
from jpvae.tables.rivals import METHODS
from jpvae.tables.scoring import column_scales, error
from jpvae.tables.sources import sources
from jpvae.views.checking import read_views

OPTIONS = {"latent_dims": 2, "prior": "canonical", "likelihood": "gaussian", "hidden": (8,), "steps": 20, "backend": "numpy"}


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables")
    return join(sources(views_of(path, three_tables(1, 80), (".csv",) * 3)), {name: Dialect(id="who") for name in "abc"})


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
    fitted = JPVAE(**OPTIONS | {"steps": 1}).fit(joined.views, joined.observed).set_params(steps=20)  # its options matter
    result = evaluation.evaluate(fitted, joined, part=0.3, seed=2)
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
    fitted = JPVAE(**OPTIONS).fit(joined.views, joined.observed)
    spoilt = {name: v.copy() for name, v in joined.views.items()}
    spoilt["b"].iloc[test] *= -100.0
    rows = test[joined.observed[test, 1] & (joined.observed[test].sum(axis=1) > 1)]
    assert len(rows) > 3
    data = [
        read_views(views, joined.observed, missing="nan", names=fitted.view_names_, columns=fitted.table_columns_)
        for views in (joined.views, spoilt)
    ]
    whole = [[np.where(d.observed[:, j, None], table, np.nan) for j, table in enumerate(d.tables)] for d in data]
    seen = []
    for method in ("JPVAE", *METHODS):
        filler = evaluation.fit(method, OPTIONS, data[0].names, [t[train] for t in whole[0]], data[0].columns, seed=0)
        first, second = (filler.fill(evaluation._without(tables, rows, 1))[1] for tables in whole)
        assert first.mean.tobytes() == second.mean.tobytes(), method
        assert first.draws.tobytes() == second.draws.tobytes(), method
        assert np.isfinite(first.mean).all()
        assert np.isfinite(first.draws).all()
        seen.append(first.mean.tobytes())
    assert len(set(seen)) == 1 + len(METHODS)  # no two are the same method


def test_categories_are_right_or_wrong(tmp_path):
    """Column means give the most frequent name, counted here; a name that is a number's sign is found by the neighbours; a name
    that no training row has takes its view out of the test; empty cells are no truth."""
    tables = mixed_tables(2, 120)
    tables["c"].iloc[0, 1] = "IX"
    joined = join(sources(views_of(tmp_path, tables, (".csv",) * 3)), {name: Dialect(id="who") for name in "abc"})
    options = OPTIONS | {"likelihood": "infer", "entries": "marginalise", "missing": "nan", "latent_dims": 1}
    fitted = JPVAE(**options, progress=False).fit(joined.views, joined.observed)
    seed = next(s for s in range(99) if rare_is_held_out(joined, s))
    result = evaluation.evaluate(fitted, joined, part=0.3, seed=seed)
    test = sorted(np.random.default_rng(seed).permutation(len(joined.observed))[: round(0.3 * len(joined.observed))].tolist())
    stages = joined.views["c"]["stage"].tolist()
    known = [stages[r] for r in range(len(stages)) if r not in test and isinstance(stages[r], str)]
    frequent = max(sorted(set(known)), key=known.count)
    rows = [r for r in test if stages[r] in known and joined.observed[r].sum() > 1]
    found = result["views"]["c"]
    assert (found["classes"], found["columns"], found["rows"]) == (["stage"], 1, len(rows))
    assert found["accuracy"]["column means"] == sum(stages[r] == frequent for r in rows) / len(rows)
    assert result["views"]["a"]["classes"] == ["sex", "smoker"]
    assert result["views"]["b"]["accuracy"] is None
    assert result["views"]["c"]["accuracy"]["nearest neighbours"] > 0.8 > found["accuracy"]["column means"]
    assert all(np.isfinite(list(view["error"].values())).all() for view in result["views"].values())


def rare_is_held_out(joined, seed):
    held_out = np.random.default_rng(seed).permutation(len(joined.observed))[: round(0.3 * len(joined.observed))]
    return "IX" in joined.views["c"]["stage"].iloc[held_out].tolist()


def test_rows_filled_in_blocks_score_as_rows_filled_at_once(joined, monkeypatch):
    """Means do not depend on the blocks, so neither does an error (other than in the order of its sum)."""
    fitted = JPVAE(**OPTIONS | {"steps": 1}).fit(joined.views, joined.observed)
    whole = evaluation.evaluate(fitted, joined, part=0.3, seed=2, methods=["ridge"])
    monkeypatch.setattr(evaluation, "CELLS", 1)  # a row at a time
    single = evaluation.evaluate(fitted, joined, part=0.3, seed=2, methods=["ridge"])
    for name, found in whole["views"].items():
        assert single["views"][name]["error"]["ridge"] == pytest.approx(found["error"]["ridge"], rel=1e-12)
        assert single["views"][name]["rows"] == found["rows"]


def test_probabilities_of_levels_that_no_training_row_has_are_zero():
    """Beside another category and zeros and ones, whose columns they must not move into; the others' are the model's own."""
    rng, rows = np.random.default_rng(0), 80
    u = rng.standard_normal(rows)
    colour = np.where(u > 0, "red", "amber").astype(object)
    colour[70:] = "green"  # between the two, of rows that are not learned from
    frames = {
        "a": pd.DataFrame({"x": u + 0.1 * rng.standard_normal(rows)}),
        "b": pd.DataFrame({"flag": 1.0 * (u > 1), "colour": colour, "y": u, "place": rng.choice(list("kl"), rows)}),
    }
    data = read_views(frames, likelihood="infer")
    tables = [np.asarray(table, np.float64) for table in data.tables]
    filler = evaluation.fit(
        "JPVAE", {"steps": 40, "missing": "nan"}, data.names, [t[:60] for t in tables], data.columns, seed=0
    )
    given = [tables[0][60:70], np.full_like(tables[1][60:70], np.nan)]
    found = filler.fill(given)[1].probabilities
    kept = filler.model.impute_probabilities(dict(zip("ab", given, strict=True)))["b"]
    assert [title.split("=")[0] for title in filler.model.levels_["b"]] == ["1", "1", "3", "3"]
    assert {j: p.shape for j, p in found.items()} == {0: (10, 2), 1: (10, 3), 3: (10, 2)}
    assert (found[1][:, 1] == 0).all()
    assert np.array_equal(np.concatenate([found[1][:, [0, 2]], found[3]], axis=1), kept)
    assert np.corrcoef(found[1][:, 2], u[60:70])[0, 1] > 0.5
