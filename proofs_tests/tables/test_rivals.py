"""The methods that JPVAE is compared with do what their names say: by dense algebra, optimality conditions and plain loops."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from jpvae.model import factor_analysis as fa
from jpvae.tables.rivals import METHODS
from jpvae.tables.rivals import soft_impute as si
from jpvae.tables.rivals.patterns import LEAST, extra_trees, partial_least_squares, ridge
from jpvae.tables.rivals.validation import choose

OWNER = np.array([0, 0, 0, 1, 1, 2, 2])


def correlated(rows, seed=0, noise=0.5, factors=2):
    """(rows, 7) of mean about 0 and deviation about 1, from two factors."""
    rng = np.random.default_rng(seed)
    loadings = rng.standard_normal((factors, 7))
    x = rng.standard_normal((rows, factors)) @ loadings + noise * rng.standard_normal((rows, 7))
    return (x - x.mean(axis=0)) / x.std(axis=0)


def holed(table, seed=1, part=0.3, cells=0.0):
    """Views lost with probability ``part``, and single cells with probability ``cells``; the last row loses a view only."""
    rng = np.random.default_rng(seed)
    lost = rng.random((len(table), 3)) < part
    lost[lost.all(axis=1), 0] = False
    return np.where(lost[:, OWNER] | (rng.random(table.shape) < cells), np.nan, table)


@pytest.fixture(scope="module")
def fitted():
    table = holed(correlated(60), cells=0.1)
    return fa.FactorAnalysis(2).fit(table, OWNER), table


def test_factor_analysis_has_the_density_of_its_normal_distribution(fitted):
    model, table = fitted
    covariance = model.loadings_ @ model.loadings_.T + np.diag(model.noise_)
    for row, found in zip(table, model.log_likelihood(table), strict=True):
        seen = ~np.isnan(row)
        dense = multivariate_normal(model.mean_[seen], covariance[np.ix_(seen, seen)]).logpdf(row[seen]) if seen.any() else 0.0
        # Seven terms of at most 1/noise = 1e3 in size: 1e3 * 1e2 eps.
        assert found == pytest.approx(dense, rel=1e-11, abs=1e-11)


def test_factor_analysis_fills_with_the_conditional_mean(fitted):
    model, table = fitted
    covariance = model.loadings_ @ model.loadings_.T + np.diag(model.noise_)
    for row, filled in zip(table, model.fill(table), strict=True):
        seen, gone = ~np.isnan(row), np.isnan(row)
        gain = covariance[np.ix_(gone, seen)] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
        assert filled[gone] == pytest.approx(model.mean_[gone] + gain @ (row[seen] - model.mean_[seen]), rel=1e-9, abs=1e-9)
        assert np.array_equal(filled[seen], row[seen])


def test_em_never_lowers_the_likelihood_and_ends_at_a_maximum():
    table = holed(correlated(80, seed=3), seed=4, cells=0.1)
    model = fa.FactorAnalysis(2, rounds=5000, enough=1e-12).fit(table, OWNER)
    steps = np.diff(model.log_likelihoods_)
    assert (steps > -1e-9).all()  # rounding of a sum of some 400 logarithms
    best = model.log_likelihood(table).sum()
    rng = np.random.default_rng(0)
    for _ in range(20):  # no neighbour is better: second-order losses only
        other = fa.FactorAnalysis(2)
        for name, size in (("loadings_", 1e-3), ("mean_", 1e-3), ("noise_", 1e-4)):
            value = getattr(model, name)
            setattr(other, name, value + size * rng.standard_normal(value.shape))
        other.noise_ = np.maximum(other.noise_, fa.LEAST_NOISE)
        assert other.log_likelihood(table).sum() < best + 1e-4


def test_soft_impute_of_a_whole_table_shrinks_its_singular_values():
    table = correlated(30)
    model = si.SoftImpute(0.4).fit(table, OWNER)
    U, s, V = np.linalg.svd(table, full_matrices=False)
    assert model.penalty_ == pytest.approx(0.4 * s[0], rel=1e-12)
    shrunk = np.maximum(s - 0.4 * s[0], 0.0)
    B = model.components_
    # B B' = V D V'. Gram matrices lose half the digits of singular values, here those above 0.4 of the largest: 1e-8 and some.
    assert pytest.approx((V.T * shrunk) @ V, rel=1e-7, abs=1e-7) == B @ B.T
    assert U.shape == table.shape


def test_soft_impute_with_holes_is_optimal(monkeypatch):
    """The condition of the minimum: for Z = U D V', the known residuals R have U' R V = penalty I and ||R||_2 <= penalty."""
    monkeypatch.setattr(si, "ENOUGH", 1e-18)
    monkeypatch.setattr(si, "MOST_ROUNDS", 5000)
    table = holed(correlated(40), cells=0.1)
    model = si.SoftImpute(0.2).fit(table, OWNER)
    everything, known = np.empty_like(table), ~np.isnan(table)
    B, penalty = model.components_, model.penalty_
    for r, row in enumerate(table):
        at = known[r]
        a = np.linalg.solve(B[at].T @ B[at] + penalty * np.eye(B.shape[1]), B[at].T @ row[at])
        everything[r] = B @ a
    R = np.where(known, table - everything, 0.0)
    U, s, V = np.linalg.svd(everything, full_matrices=False)
    rank = B.shape[1]
    assert (s[rank:] < 1e-6).all()
    # Rounds stop when Z moves by 1e-9 of itself; entries are about 1 and the penalty about 3.
    assert pytest.approx(penalty * np.eye(rank), abs=1e-5) == U[:, :rank].T @ R @ V[:rank].T
    assert np.linalg.norm(R, 2) <= penalty * (1 + 1e-6)
    filled = model.fill(table)
    assert filled[~known] == pytest.approx(everything[~known], rel=1e-9, abs=1e-9)


def test_ridge_is_fitted_once_per_pattern_with_the_penalty_that_leaving_one_out_chooses():
    table = holed(correlated(70, seed=5))
    new = holed(correlated(12, seed=6), seed=7)
    filled = ridge().fit(table, OWNER).fill(new)
    have = np.stack([~np.isnan(table[:, j == OWNER]).any(axis=1) for j in range(3)], axis=1)
    for row, answer in zip(new, filled, strict=True):
        given = [j for j in range(3) if not np.isnan(row[j == OWNER]).any()]
        for view in set(range(3)) - set(given):
            rows = have[:, [*given, view]].all(axis=1)
            X, Y = table[rows][:, np.isin(OWNER, given)], table[rows][:, view == OWNER]
            errors = {}
            for alpha in np.logspace(-1, 5, 13):
                errors[alpha] = np.mean(
                    [(Y[i] - one_ridge(np.delete(X, i, 0), np.delete(Y, i, 0), alpha)(X[i])) ** 2 for i in range(len(X))]
                )
            best = min(errors, key=errors.get)
            assert answer[view == OWNER] == pytest.approx(one_ridge(X, Y, best)(row[np.isin(OWNER, given)]), rel=1e-8, abs=1e-8)


def one_ridge(X, Y, alpha):
    """x -> the ridge regression's answer, intercept not penalised, by the normal equations."""
    x0, y0 = X.mean(axis=0), Y.mean(axis=0)
    B = np.linalg.solve((X - x0).T @ (X - x0) + alpha * np.eye(X.shape[1]), (X - x0).T @ (Y - y0))
    return lambda x: y0 + (x - x0) @ B


def test_pls_with_all_components_is_least_squares():
    table = correlated(50, seed=8)
    new = np.where(OWNER == 2, np.nan, correlated(5, seed=9))
    filled = partial_least_squares(5).fit(table, OWNER).fill(new)
    X = np.column_stack([np.ones(50), table[:, OWNER != 2]])
    B = np.linalg.lstsq(X, table[:, OWNER == 2], rcond=None)[0]
    expected = np.column_stack([np.ones(5), new[:, OWNER != 2]]) @ B
    assert filled[:, OWNER == 2] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_trees_answer_with_means_of_training_rows():
    table = correlated(50, seed=8)
    new = np.where(OWNER == 1, np.nan, correlated(20, seed=9, noise=3.0))
    filled = extra_trees(3).fit(table, OWNER).fill(new)[:, OWNER == 1]
    known = table[:, OWNER == 1]
    assert (filled > np.sort(known, axis=0)[:3].mean(axis=0) - 1e-12).all()
    assert (filled < np.sort(known, axis=0)[-3:].mean(axis=0) + 1e-12).all()
    assert np.ptp(filled) > 0.5


def test_where_too_few_rows_share_the_pattern_a_view_is_left_out():
    """View 2 is there in five rows only: with it there is nothing to learn from; without it, all of view 0."""
    table = correlated(40, seed=10)
    table[LEAST // 2 :, OWNER == 2] = np.nan
    new = np.where(OWNER == 1, np.nan, correlated(4, seed=11))
    without = np.where(OWNER == 2, np.nan, new)
    model = ridge().fit(table, OWNER)
    assert np.array_equal(model.fill(new)[:, OWNER == 1], model.fill(without)[:, OWNER == 1])
    only_that = np.where(OWNER == 2, new, np.nan)
    assert (model.fill(only_that)[:, OWNER != 2] == 0).all()  # the means of standardised columns


def test_the_setting_with_the_smallest_error_on_held_out_rows_wins():
    table = holed(correlated(400, seed=12, noise=0.3), seed=13)
    chosen = choose(METHODS["factor analysis"], table, OWNER, seed=0)
    assert chosen.errors[chosen.setting] == min(chosen.errors.values())
    assert chosen.errors["2 factors"] < 1.2 * chosen.errors[chosen.setting]  # two factors made the table
    assert choose({"means": METHODS["column means"][""]}, table, OWNER, seed=0).errors["means"] > 2 * min(
        chosen.errors.values()
    )


def test_deviations_are_of_rows_that_were_not_learned_from():
    """A rival that remembers its rows has residuals of 0 on them; its deviations are those of new rows: 1, for noise."""

    class Memory:
        def fit(self, table, owner):
            self.rows = np.nan_to_num(table)
            return self

        def fill(self, table):
            same = (np.where(np.isnan(table)[:, None], 0.0, self.rows - np.nan_to_num(table)[:, None]) == 0).all(axis=2)
            return np.where(np.isnan(table), np.where(same.any(axis=1)[:, None], self.rows[same.argmax(axis=1)], 0.0), table)

    table = np.random.default_rng(14).standard_normal((2000, 7))
    chosen = choose({"": Memory}, table, OWNER, seed=0)
    # 400 held-out rows: a root mean square of normal noise has a deviation of 1/sqrt(800) = 0.035; five of them.
    assert chosen.deviation == pytest.approx(np.ones(7), abs=5 * 0.035)


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("rows", [12, pytest.param(40, marks=pytest.mark.thorough)])
def test_every_method_works_on_few_rows(method, rows):
    table, new = holed(correlated(rows)), holed(correlated(9, seed=2), seed=3)
    chosen = choose(METHODS[method], table, OWNER, seed=0)
    filled = chosen.rival.fill(new)
    assert np.isfinite(filled).all()
    assert np.array_equal(filled[~np.isnan(new)], new[~np.isnan(new)])
    assert (chosen.deviation > 0).all()
