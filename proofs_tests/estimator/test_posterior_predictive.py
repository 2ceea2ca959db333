"""Draws are draws of the model's own p(x_missing | x_observed): three views, any of them seen, against Gaussian regression.

The oracle (exact.py) is the statistical target, not our way to it: it has no latents' posterior, no fusion, no sampling.
Monte Carlo bounds are five standard errors.
"""

import numpy as np
import pytest
from exact import COLUMNS, PATTERNS, exact, split

from jpvae import pool

HOLES = [seen for seen in PATTERNS if not seen.all()]
ids = {"argvalues": HOLES, "ids": lambda seen: "".join(str(i) for i in np.flatnonzero(seen))}


def hidden(tables, seen):
    """The columns of the views that were not seen, side by side."""
    return np.concatenate([t for t, s in zip(tables, seen, strict=True) if not s], axis=-1)


@pytest.mark.parametrize("seen", **ids)
@pytest.mark.parametrize("observation_noise", [True, False])
def test_draws_have_the_conditional_s_mean_and_covariance(seen, observation_noise):
    one, S, rows = exact(), 1500, 3
    views = one.sample(rows, 1)
    mask = np.tile(seen, (rows, 1))
    draws = hidden(one.model.sample_imputations(views, mask, n_draws=S, observation_noise=observation_noise), seen)
    means, K = one.conditional(views, seen)
    K = K - (1 - observation_noise) * np.diag(one.noise[~np.repeat(seen, COLUMNS)])
    v = np.diag(K)
    for r in range(rows):
        assert np.all(np.abs(draws[:, r].mean(axis=0) - means[r]) < 5 * np.sqrt(v / S))
        assert np.all(np.abs(np.cov(draws[:, r].T) - K) < 5 * np.sqrt((np.outer(v, v) + K**2) / S))


@pytest.mark.parametrize("seen", **ids)
def test_the_mean_imputation_is_the_conditional_mean(seen):
    """Slope 1, not 0.8: what a product of single-view posteriors gets wrong when two views are seen."""
    one, rows, S = exact(), 700, 64
    views, mask = one.sample(rows, 2), np.tile(seen, (rows, 1))
    means, K = one.conditional(views, seen)
    found = hidden(one.model.impute(views, mask, n_draws=S), seen)
    # Each entry misses by its own N(0, v/S), v without the likelihood's noise; so does the slope, by the sum of them.
    v = np.diag(K) - one.noise[~np.repeat(seen, COLUMNS)]
    wanted, error = (means - means.mean(axis=0)) / np.sqrt(np.diag(K)), (found - means) / np.sqrt(np.diag(K))
    spread = np.sqrt(v / np.diag(K) / S)
    slope = 1 + np.sum(wanted * error) / np.sum(wanted**2)
    assert abs(slope - 1) < 5 * np.sqrt(np.sum((wanted * spread) ** 2)) / np.sum(wanted**2)
    assert np.sqrt(np.mean(error**2)) < 1.1 * np.sqrt(np.mean(spread**2))


def test_the_product_of_single_view_posteriors_shrinks():
    """The same model under Eq. 3's posterior: two views seen, the slope is far below 1. (So the tests above can fail.)"""
    one, seen = exact("factorised"), np.array([True, True, False])
    views, mask = one.sample(700, 2), np.tile(seen, (700, 1))
    wanted, found = one.conditional(views, seen)[0], one.model.impute(views, mask)[2]
    wanted = wanted - wanted.mean(axis=0)
    assert np.sum(wanted * found) / np.sum(wanted**2) < 0.9


@pytest.mark.parametrize("seen", **ids)
def test_plug_in_and_transform_are_the_posterior_mean(seen):
    """Decoders are affine, so the decoded posterior mean is the conditional mean itself, to rounding."""
    one, rows = exact(), 5
    views, mask = one.sample(rows, 3), np.tile(seen, (rows, 1))
    found = hidden(one.model.impute(views, mask, method="plug-in"), seen)
    # float64: some thirty products of entries below 100, and solves of condition below 100.
    assert found == pytest.approx(one.conditional(views, seen)[0], abs=1e-10)


def test_score_is_exact_with_any_number_of_draws():
    """The fused posterior is p(z | x_O) here: every importance weight is p(x_O)."""
    one = exact()
    views, mask = one.sample(70, 4), np.tile(PATTERNS, (10, 1))
    wanted = one.log_density(views, mask)
    for draws in (1, 5):
        assert one.model.score_samples(views, mask, n_draws=draws) == pytest.approx(wanted, abs=1e-9)
    for target in range(3):
        others = mask & (np.arange(3) != target)
        found = one.model.score_conditional(views, mask, target=target, n_draws=1)
        seen = mask[:, target]
        assert found[seen] == pytest.approx((wanted - one.log_density(views, others))[seen], abs=1e-9)
        assert np.isnan(found[~seen]).all()


@pytest.mark.parametrize("rows", [513, 1100])
def test_blocks_and_groups_of_draws_are_independent(rows, monkeypatch):
    """No two rows and no two draws share noise, in whatever pieces they are made."""
    one, seen, S = exact(), np.array([False, True, False]), 12
    monkeypatch.setattr("jpvae.inference.predictor.Predictor.group", staticmethod(lambda _: 5))
    views, mask = one.sample(rows, 5), np.tile(seen, (rows, 1))
    means, K = one.conditional(views, seen)
    draws = hidden(one.model.sample_imputations(views, mask, n_draws=S), seen)
    z = np.linalg.solve(np.linalg.cholesky(K), np.moveaxis(draws - means, -1, 1)).mean(axis=1)  # (S, rows): N(0, 1/8)
    z = z * np.sqrt(len(K))
    assert np.linalg.norm(z, axis=0).min() > 0.1
    between_draws = z @ z.T / rows - np.eye(S)
    assert np.abs(between_draws).max() < 6 * np.sqrt(2 / rows)
    unit = z / np.linalg.norm(z, axis=0)
    between_rows = (unit.T @ unit)[~np.eye(rows, dtype=bool)]
    assert np.abs(between_rows).max() < 1 - 1e-6  # equal noise gives 1, but for rounding
    assert between_rows.std() == pytest.approx(1 / np.sqrt(S), rel=0.1)


def test_a_row_keeps_its_draws_wherever_it_stands():
    one, seen = exact(), np.array([True, False, True])
    views, mask = one.sample(600, 6), np.tile(seen, (600, 1))
    order = np.random.default_rng(0).permutation(600)
    whole = one.model.sample_imputations(views, mask, n_draws=3)[1]
    moved = one.model.sample_imputations([v[order] for v in views], mask, n_draws=3)[1]
    alone = one.model.sample_imputations([v[order[:1]] for v in views], mask[:1], n_draws=3)[1]
    assert moved == pytest.approx(whole[:, order], abs=1e-12)  # (a product's last bits depend on the row's place)
    assert alone == pytest.approx(whole[:, order[:1]], abs=1e-12)


def test_two_tables_in_two_calls_share_no_noise_and_a_seed_repeats_it():
    one, seen, rows = exact(), np.array([True, False, False]), 400
    first, second, mask = one.sample(rows, 7), one.sample(rows, 8), np.tile(seen, (rows, 1))

    def residual(views, seed=None):
        return (
            one.model.sample_imputations(views, mask, n_draws=1, seed=seed)[1][0]
            - split(np.concatenate([views[0], one.conditional(views, seen)[0]], axis=1))[1]
        )

    a, b, other, again = residual(first), residual(second), residual(first, seed=99), residual(first, seed=99)
    assert np.array_equal(other, again)
    for x, y in ((a, b), (a, other)):
        r = [np.corrcoef(x[:, k], y[:, k])[0, 1] for k in range(x.shape[1])]
        assert np.abs(r).max() < 5 / np.sqrt(rows)


def test_regressions_on_imputed_tables_are_unbiased():
    """Rubin's rules on m = 20 tables: the slopes of a view on another are the model's own (they were 0.8 of it)."""
    one, rows, m = exact(), 4000, 20
    views, rng = one.sample(rows, 9), np.random.default_rng(0)
    mask = np.ones((rows, 3), bool)
    mask[:, 2] = rng.random(rows) < 0.5
    tables = one.model.sample_imputations(views, mask, n_draws=m)
    estimates, variances = [], []
    for k in range(m):
        X = np.column_stack([np.ones(rows), tables[0][k][:, 0]])
        y = tables[2][k][:, 0]
        beta, rss = np.linalg.lstsq(X, y, rcond=None)[:2]
        estimates.append(beta[1])
        variances.append(rss[0] / (rows - 2) * np.linalg.inv(X.T @ X)[1, 1])
    pooled = pool(np.array(estimates), np.array(variances))
    truth = one.covariance[0, 9] / one.covariance[0, 0]
    assert abs(pooled.estimate - truth) < 5 * pooled.std_error
    assert pooled.std_error < 0.05 * abs(truth)  # so that a fifth would have been seen


def test_new_subjects_are_new_beyond_a_block():
    """1,100 rows in blocks of 512: none comes twice, and those a block apart are independent."""
    one, rows = exact(), 1100
    x = np.concatenate(one.model.sample(rows, seed=1), axis=1)
    assert len(np.unique(x, axis=0)) == rows
    for first, second in ((x[:512], x[512:1024]), (x[: rows - 1024], x[1024:])):
        r = [np.corrcoef(first[:, k], second[:, k])[0, 1] for k in range(x.shape[1])]
        assert np.abs(r).max() < 5 / np.sqrt(len(first))
