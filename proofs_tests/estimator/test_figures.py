"""The numbers behind the figures: each beside the estimator's own methods, scikit-learn or a plain loop."""

import math
from collections import Counter

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score

from jpvae import JPVAE
from jpvae.figures import calibration as calibrating
from jpvae.figures import subjects as single
from jpvae.figures.correlations import correlations
from jpvae.figures.cross_view import LEAST, cross_view, r_squared, variables
from jpvae.figures.distributions import BINS, distributions, shares_of
from jpvae.figures.latent_map import principal_plane
from jpvae.figures.patterns import patterns
from jpvae.figures.sample import Sample, deviations, evenly
from jpvae.figures.training import training
from jpvae.inference.inspection import prior_of, singular_values
from jpvae.views.checking import read_views
from jpvae.views.columns import Columns, Group

NAMES = ("a", "b", "c")
LIKELIHOOD = {"a": "gaussian", "b": {0: "gaussian", 1: "categorical", 2: "poisson_unscaled"}, "c": "gaussian"}


def tables(rows=90):
    rng = np.random.default_rng(4)
    u, has = rng.standard_normal((rows, 2)), rng.random((rows, 3)) < 0.7
    has[np.arange(rows), rng.integers(3, size=rows)] = True
    a = u @ rng.standard_normal((2, 4)) + 0.3 * rng.standard_normal((rows, 4))
    b = np.stack([10.0 + 3.0 * u[:, 0], np.digitize(u[:, 1], (-0.5, 0.5)), rng.poisson(np.exp(0.5 * u[:, 0]))], axis=1)
    c = u @ rng.standard_normal((2, 2)) + 0.3 * rng.standard_normal((rows, 2))
    return {name: np.where(has[:, j, None], x, np.nan) for j, (name, x) in enumerate(zip(NAMES, (a, b, c), strict=True))}, has


@pytest.fixture(scope="module")
def fitted():
    views, has = tables()
    model = JPVAE(2, likelihood=LIKELIHOOD, hidden=(8,), steps=150, backend="numpy", missing="nan", progress=False)
    model.fit(views, has)
    return model, views, has


@pytest.fixture(scope="module")
def sample(fitted):
    model, views, has = fitted
    data = read_views(views, has.copy(), missing="nan", names=model.view_names_, columns=model.table_columns_)
    return Sample.of(model._fitted, model.predictor(), data)


def hidden(views, keep):
    """The views as a person has them who lacks the others: NaN where ``keep`` (N, 3) is False."""
    return {name: np.where(keep[:, j, None], views[name], np.nan) for j, name in enumerate(NAMES)}


def test_patterns_are_counted():
    _, has = tables(200)
    found, counts = patterns(has, NAMES), Counter(map(tuple, has.tolist()))
    assert {p.has: p.rows for p in found.shown} == counts
    assert [p.rows for p in found.shown] == sorted(counts.values(), reverse=True)
    assert found.of_view == tuple(sum(n for has, n in counts.items() if has[j]) for j in range(3))
    assert found.complete == counts[True, True, True]
    few = patterns(has, NAMES, most=2)
    assert few.others == (len(counts) - 2, 200 - sum(n for _, n in counts.most_common(2)))


def test_r_squared_is_scikit_learns():
    rng = np.random.default_rng(0)
    truth, filled = rng.standard_normal((40, 3)) * (1, 100, 1e-3) + (0, 5, 1), rng.standard_normal((40, 3))
    # Sums of 40 squares in another order: 40 eps of numbers whose ratio is up to 1e6.
    assert r_squared(truth, filled) == pytest.approx(r2_score(truth, filled, multioutput="raw_values"), rel=1e-12)
    truth[3:9, 1] = np.nan
    known = ~np.isnan(truth[:, 1])
    assert r_squared(truth, filled)[1] == pytest.approx(r2_score(truth[known, 1], filled[known, 1]), rel=1e-12)
    assert math.isnan(r_squared(np.full((5, 1), 7.3), np.zeros((5, 1)))[0])  # nothing to explain
    assert math.isnan(r_squared(truth[: LEAST - 1], filled[: LEAST - 1])[0])


def test_a_category_is_one_column_however_many_levels_it_has():
    """Six rows, a number filled perfectly and a category of three levels filled with its shares: 1 and 0, whose mean is 1/2."""
    levels = np.eye(3)[[0, 0, 0, 1, 1, 2]]
    truth = np.column_stack([np.arange(6.0), levels])
    filled = np.column_stack([np.arange(6.0), np.tile([1 / 2, 1 / 3, 1 / 6], (6, 1))])
    assert r_squared(truth, filled, owner=np.array([0, 1, 1, 1]), count=2) == pytest.approx([1.0, 0.0], abs=1e-15)
    # Without the row of the last level: the shares' errors are 3 (1/4 + 1/9 + 1/36) + 2 (1/4 + 4/9 + 1/36) = 47/18, those of
    # the means 3/5 and 2/5 are 3 (8/25) + 2 (18/25) = 60/25.
    found = r_squared(truth[:5], filled[:5], owner=np.array([0, 1, 1, 1]), count=2)
    assert found[1] == pytest.approx(1 - (47 / 18) / (60 / 25))

    one_hot = Columns((Group("categorical", (1, 2, 3, 5, 6, 7), size=3), Group("gaussian", (0, 4))))
    assert variables(one_hot).tolist() == [0, 1, 1, 1, 4, 5, 5, 5]


def test_zero_is_the_training_means():
    """Five values near 10 where the training's mean is 0: filling 9 is much better than 0, and worse than their own mean."""
    truth, filled = np.array([[9.8, 9.9, 10.0, 10.1, 10.2]]).T, np.full((5, 1), 9.0)
    assert r_squared(truth, filled, np.zeros(1))[0] == pytest.approx(1 - 5.1 / 500.1)  # 5 + 0.1, 500 + 0.1
    assert r_squared(truth, filled)[0] == pytest.approx(1 - 5.1 / 0.1)
    assert r_squared(truth, filled, np.array([np.nan])) == r_squared(truth, filled)


def test_constant_columns_are_in_no_interval(sample):
    part = sample.rows(np.arange(40))
    part.table(0)[:, 1] = np.where(np.isnan(part.table(0)[:, 1]), np.nan, 7.0)
    have = part.observed[:, 0] & (part.observed.sum(axis=1) > 1)
    assert calibrating.calibration(part).cells[0] == 3 * have.sum()  # of four columns


def test_cross_view_is_impute_with_views_hidden(fitted, sample):
    model, views, has = fitted
    found = cross_view(sample)
    for i in range(3):
        for j in range(3):
            both = has[:, i] & has[:, j] if i != j else np.zeros(len(has), bool)
            assert found.rows[i, j] == both.sum()
            if i == j or j == 1:  # of view b the category is scored by its levels, which impute does not give
                continue
            alone = np.zeros_like(has[both])
            alone[:, i] = True
            filled = model.impute(hidden({n: v[both] for n, v in views.items()}, alone), n_draws=32)[NAMES[j]]
            # float32 networks, whose products' last bits depend on their shapes.
            assert found.r2[i, j] == pytest.approx(r2_score(views[NAMES[j]][both], filled), abs=1e-4)
    rows = has[:, 2] & (has.sum(axis=1) > 1)
    others = has[rows] & [True, True, False]
    filled = model.impute(hidden({n: v[rows] for n, v in views.items()}, others), n_draws=32)["c"]
    assert found.together[2] == pytest.approx(r2_score(views["c"][rows], filled), abs=1e-4)
    assert found.columns[2] == pytest.approx(r2_score(views["c"][rows], filled, multioutput="raw_values"), abs=1e-4)
    assert found.together_rows[2] == rows.sum() >= LEAST
    assert not np.isnan(found.columns[1]).any()


def test_coverage_is_counted_between_sorted_draws(fitted, sample):
    model, views, has = fitted
    found = calibrating.calibration(sample)
    assert found.levels == pytest.approx(np.arange(1, 20) / 20)
    K, rows = calibrating.DRAWS, has[:, 0] & (has.sum(axis=1) > 1)
    others = has[rows] & [False, True, True]
    drawn = model.sample_imputations(hidden({n: v[rows] for n, v in views.items()}, others), n_draws=K)["a"]
    inside = np.zeros(19)
    for r, truth in enumerate(views["a"][rows]):
        for c, x in enumerate(truth):
            ordered = sorted(drawn[:, r, c])
            inside += [ordered[k - 1] <= x <= ordered[K - k] for k in range(19, 0, -1)]
    assert found.found[0] == pytest.approx(inside / views["a"][rows].size, abs=1.5 / views["a"][rows].size)  # a tie's last bit
    assert found.cells.tolist() == [views["a"][rows].size, 2 * (has[:, 1] & (has.sum(axis=1) > 1)).sum(), found.cells[2]]


def test_draws_of_the_truths_own_law_are_calibrated():
    rng = np.random.default_rng(5)
    truth, drawn = rng.standard_normal(20_000), rng.standard_normal((calibrating.DRAWS, 20_000))
    found = calibrating.coverage((drawn < truth).sum(axis=0), (drawn <= truth).sum(axis=0))
    # Exchangeable, so each level is exact; of 20,000 cases a share's standard error is at most 0.0036.
    assert found == pytest.approx(calibrating.LEVELS, abs=4 * 0.0036)


def test_distributions_hold_all_known_and_all_drawn_values(fitted, sample):
    model, views, has = fitted
    found = {(c.view, c.name): c for c in distributions(sample)}
    assert list(found) == [(name, str(k)) for name in NAMES for k in range(views[name].shape[1])]
    drawn = model.sample_imputations(views, n_draws=1)
    for (view, name), column in found.items():
        j, k = NAMES.index(view), int(name)
        known, imputed = views[view][has[:, j], k], drawn[view][0][~has[:, j], k]
        assert column.counts == (has[:, j].sum(), (~has[:, j]).sum())
        assert sum(column.observed) == pytest.approx(1.0)
        assert sum(column.imputed) == pytest.approx(1.0)
        if (view, name) == ("b", "1"):
            levels = sorted(set(known))
            assert column.labels == ("0", "1", "2")
            assert column.observed == pytest.approx([np.mean(known == level) for level in levels])
            shares = [np.mean(imputed == level) for level in levels]
            assert column.imputed == pytest.approx(shares)
            assert column.shift == pytest.approx(sum(abs(np.array(shares) - column.observed)) / 2)
            continue
        assert column.means == pytest.approx((known.mean(), imputed.mean()), rel=1e-5, abs=1e-5)
        assert column.shift == pytest.approx((imputed.mean() - known.mean()) / known.std(), rel=1e-4, abs=1e-5)
        assert len(column.observed) == BINS


def test_shares_are_counted():
    values = np.array([0.0, 0.1, 0.5, 0.51, 1.0])
    assert shares_of(values, 0.0, 1.0) == tuple(
        sum(k / BINS <= x < (k + 1) / BINS or (k == BINS - 1 and x == 1.0) for x in values) / 5 for k in range(BINS)
    )
    assert shares_of(np.empty(0), 0.0, 1.0) == ()


def test_the_map_is_the_latents_principal_plane():
    points = np.random.default_rng(1).standard_normal((50, 5)) * (1, 3, 0.2, 5, 1) + 2.0
    places, explained = principal_plane(points)
    theirs = PCA(2).fit(points)
    assert explained == pytest.approx(theirs.explained_variance_ratio_)
    assert np.abs(places) == pytest.approx(np.abs(theirs.transform(points)))
    places, explained = principal_plane(np.arange(4.0)[:, None])  # one latent
    assert (places[:, 1].tolist(), explained.tolist()) == ([0.0] * 4, [1.0, 0.0])


def test_correlations_are_the_priors(fitted):
    model, _, _ = fitted
    prior = prior_of(model.model_, model.parameters_)
    found = correlations(prior, NAMES)
    for (i, j), values in singular_values(prior).items():
        block = found.matrix[np.ix_(found.owner == i, found.owner == j)]
        # Products of two by two matrices in float64 whose rotations were trained in float32.
        assert np.linalg.svd(block, compute_uv=False) == pytest.approx(values, abs=1e-6)
    assert np.isnan(found.matrix[found.owner[:, None] == found.owner[None, :]]).all()
    assert found.left_out == 0


def test_intervals_of_single_subjects_are_order_statistics(fitted, sample):
    model, views, has = fitted
    found = single.subjects(sample, most=9)
    assert len(found) == 9
    for subject in found:
        row = int(subject.id.removeprefix("row "))
        assert not has[row].all()  # there are enough who lack a view
        for shown in subject.views:
            j = NAMES.index(shown.view)
            assert shown.present == has[row, j]
            others = has[row] & (np.arange(3) != j)
            drawn = model.sample_imputations(
                hidden({n: v[[row]] for n, v in views.items()}, others[None]), n_draws=single.DRAWS
            )
            for value in shown.values:
                ordered = sorted(drawn[shown.view][:, 0, int(value.column)])
                # Ranks 200 * 0.025 and 200 * 0.975 of 199 draws; the bits of a product depend on the rows around it.
                assert (value.low, value.high) == pytest.approx((ordered[4], ordered[194]), rel=1e-4, abs=1e-4)
                assert value.truth == pytest.approx(views[shown.view][row, int(value.column)], nan_ok=True)


def test_those_who_lack_a_view_come_first():
    observed = np.ones((100, 3), bool)
    observed[[7, 50], 1] = False
    observed[60, 1:] = False
    assert {7, 50, 60} < set(single.chosen_rows(observed, 5).tolist())
    assert single.chosen_rows(observed, 2).tolist() == [7, 50]
    assert single.chosen_rows(observed, 0).size == 0


def test_a_training_that_is_still_falling_is_known():
    def of(losses, held_out=(), early_stopping=True):
        records = [{"step": k, "loss": loss, "seconds": 1.0} for k, loss in enumerate(losses)]
        evaluated = zip(records, held_out or [0] * len(records), strict=True)
        return training([r | ({"held_out": h} if h else {}) for r, h in evaluated], early_stopping=early_stopping)

    assert of(np.linspace(100, 0, 60)).still_falling
    assert not of(100.0 * np.exp(-np.arange(60.0))).still_falling
    assert not of([3.0, 2.0]).still_falling
    found = of([3.0, 2.0, 1.0, 0.5], [4.0, 2.5, 2.6, 2.7])
    assert (found.best, found.held_out) == (1, (4.0, 2.5, 2.6, 2.7))
    found = of([3.0, 2.0, 1.0, 0.5], [4.0, 2.5, 2.6, 2.7], early_stopping=False)
    assert (found.best, found.held_out) == (None, (4.0, 2.5, 2.6, 2.7))  # the last step's parameters were kept


def test_deviations_and_rows():
    table = np.array([[1.0, 2.0, np.nan], [3.0, 2.0, np.nan], [np.nan, 2.0, np.nan]])
    assert deviations(table) == pytest.approx([1.0, np.nan, np.nan], nan_ok=True)
    assert evenly(3, 10).tolist() == [0, 1, 2]
    assert evenly(1000, 3).tolist() == [0, 499, 999]
