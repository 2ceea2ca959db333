"""proposals=K: draws of the model's own p(x_missing | x_observed), however wrong its encoders; and what K draws are worth.

The model and the target are exact.py's, where p(x_missing | x_observed) is Gaussian regression; encoders are spoilt by hand.
"""

import functools

import numpy as np
import pytest
from exact import COLUMNS, exact, split

from jpvae.errors import ConfigError, JPVAEWarning
from jpvae.inference.importance import Weights, resample

K, S, ROWS = 3000, 1200, 60
ENOUGH = 300  # effective draws, for normal errors; most rows have them
TWO = np.array([True, True, False])


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch):
    """Blocks are padded to 512 rows; the few rows here would wait for the padding's draws."""
    monkeypatch.setattr("jpvae.inference.predictor.BLOCK", 60)
    monkeypatch.setattr("jpvae.inference.predictor.Predictor.group", staticmethod(lambda _: 700))  # both K and S in pieces


def spoilt(shrink=0.8, widen=0.7, **options):
    """Means too small, and variances wrong, in every view: a model of its own."""
    one = exact.__wrapped__(**options)
    p, n = one.model.predictor().p, one.model.model_.latent_dims
    for i, size in enumerate(n):
        p[f"encoder.{i}.0.weight"][:, :size] *= shrink
        p[f"encoder.{i}.0.bias"][size:] -= widen  # log sigma^2 = -softplus of it
    return one


def misses(one, views, mask, columns, proposals, worth):
    """How many standard errors mean and covariance of S draws, without the noise, are from the conditional's, at most: of some
    500 to 3,000 numbers."""
    drawn = one.model.sample_imputations(views, mask, n_draws=S, proposals=proposals, observation_noise=False)
    x = np.concatenate(drawn, axis=-1)[..., ~columns]
    means, V = one.conditional(views, columns)
    V = V - np.diag(one.noise[~columns])
    v, result = np.diag(V), []
    for r in np.flatnonzero(worth > ENOUGH):
        share = 1 / S + 1 / worth[r]  # of what S of the K give, and of what the K are worth
        result.append(np.abs(x[:, r].mean(axis=0) - means[r]) / np.sqrt(v * share))
        result.append(np.abs(np.cov(x[:, r].T) - V) / np.sqrt((np.outer(v, v) + V**2) * share))
    return max(np.max(one) for one in result)


@pytest.mark.parametrize("seen", [TWO, [True, False, False], [False, True, True]], ids=["01", "0", "12"])
def test_wrong_encoders_are_corrected(seen):
    one, columns = spoilt(0.75), np.repeat(seen, COLUMNS)
    views, mask = one.sample(ROWS, 1), np.tile(seen, (ROWS, 1))
    worth = one.model.effective_draws(views, mask, n_draws=K)
    assert np.mean(worth > ENOUGH) > 0.5
    assert misses(one, views, mask, columns, K, worth) < 6
    assert misses(one, views, mask, columns, None, worth) > 10  # so that the test can fail


def test_the_paper_s_posterior_is_corrected():
    """Eq. 3's product of single-view posteriors, each of them exact: with two views seen its draws are not the model's own."""
    one, columns = exact("factorised"), np.repeat(TWO, COLUMNS)
    views, mask = one.sample(ROWS, 2), np.tile(TWO, (ROWS, 1))
    worth = one.model.effective_draws(views, mask, n_draws=K)
    assert np.mean(worth > ENOUGH) > 0.5
    assert misses(one, views, mask, columns, K, worth) < 6
    assert misses(one, views, mask, columns, None, worth) > 10


def test_cells_are_corrected():
    """The encoders read a missing cell as its mean. The cells' own views are resampled too."""
    one, columns = spoilt(1.0, 0.7, entries="marginalise", posterior="fused"), np.ones(sum(COLUMNS), bool)
    columns[[1, 2, 6, 11]] = False
    views = one.sample(ROWS, 3)
    gaps = split(np.where(columns, np.concatenate(views, axis=1), np.nan))
    mask = np.ones((ROWS, 3), bool)
    worth = one.model.effective_draws(gaps, mask, n_draws=K)
    assert np.mean(worth > ENOUGH) > 0.5

    def miss(proposals):
        options = {"n_draws": S, "proposals": proposals, "observation_noise": False}
        drawn = np.concatenate(one.model.sample_imputations(gaps, **options), axis=-1)[..., ~columns]
        means, V = one.conditional(views, columns)
        v = np.diag(V) - one.noise[~columns]
        return np.max((np.abs(drawn.mean(axis=0) - means) / np.sqrt(v * (1 / S + 1 / worth[:, None])))[worth > ENOUGH])

    assert miss(K) < 6
    assert miss(None) > 10


def test_by_default_rows_that_lack_single_cells_are_resampled_where_it_pays():
    """Row by row the result is that of 2 n_draws proposals where these are worth 8 and a view that is there lacks cells,
    else that without: the same draws, to the bit."""
    one, columns = spoilt(0.3, 2.5, entries="marginalise", posterior="fused"), np.ones((ROWS, sum(COLUMNS)), bool)
    columns[:40, [1, 2, 6]] = False  # single cells
    columns[20:, -COLUMNS[2] :] = False  # a view, and of rows 20 to 39 both
    gaps = split(np.where(columns, np.concatenate(one.sample(ROWS, 9), axis=1), np.nan))

    def drawn(proposals, draws):
        options = {"n_draws": draws, "observation_noise": False, "missing": "nan"}
        return np.concatenate(one.model.sample_imputations(gaps, **options, **proposals), axis=-1)

    for draws, many in ((20, 40), (4, 32)):
        found, plain, chosen = drawn({}, draws), drawn({"proposals": None}, draws), drawn({"proposals": many}, draws)
        worth = one.model.effective_draws(gaps, n_draws=many, missing="nan")
        pays = (np.arange(ROWS) < 40) & (worth >= 8)
        assert 8 < pays.sum() < 32
        assert np.array_equal(found, np.where(pays[:, None], chosen, plain))
        assert not np.any(np.all(chosen == plain, axis=(0, 2)))


def test_right_encoders_are_left_alone():
    """Every weight is p(x_O): all draws are worth K, and those taken have the same law as those without weights."""
    one, columns = exact(), np.repeat(TWO, COLUMNS)
    views, mask = one.sample(ROWS, 4), np.tile(TWO, (ROWS, 1))
    worth = one.model.effective_draws(views, mask, n_draws=50)
    assert worth == pytest.approx(50.0, rel=1e-9)
    for proposals in (K, None):
        assert misses(one, views, mask, columns, proposals, np.full(ROWS, float(K))) < 6


def test_the_mean_imputation_and_its_deviation_are_of_the_same_draws():
    one = spoilt()
    views, mask = one.sample(ROWS, 5), np.tile(TWO, (ROWS, 1))
    drawn = one.model.sample_imputations(views, mask, n_draws=41, proposals=90, observation_noise=False, seed=3)[2]
    mean, std = one.model.impute(views, mask, n_draws=41, proposals=90, return_std="mean", seed=3)
    assert drawn.mean(axis=0) == pytest.approx(mean[2], rel=1e-12)
    assert drawn.std(axis=0, ddof=1) == pytest.approx(std[2], rel=1e-9)
    other = one.model.impute(views, mask, n_draws=41, proposals=91, seed=3)[2]
    assert not np.allclose(other, mean[2])


@pytest.mark.parametrize("shift", [0.7, 0.2])
def test_what_draws_are_worth(shift):
    """One view: q and p(z | x) are Gaussian, and so (sum w)^2 / sum w^2 can be simulated in NumPy, without the model."""
    one, draws, seen = spoilt(0.8, shift), 200, np.array([False, True, False])
    right, n, (location, scale) = exact(), 3, one.model.scaling_[1]
    views, rng = one.sample(3, 6), np.random.default_rng(0)
    found = one.model.effective_draws(views, np.tile(seen, (3, 1)), n_draws=draws)
    x = (views[1] - location) / scale

    def encoded(p):
        out = x @ p["encoder.1.0.weight"] + p["encoder.1.0.bias"]
        return out[:, :n], -np.logaddexp(0, out[:, n:])

    (m, log_v), (target, log_s) = encoded(one.model.predictor().p), encoded(right.model.predictor().p)
    z = m + np.exp(log_v / 2) * rng.standard_normal((4000, draws, 3, n))
    log_w = 0.5 * ((z - m) ** 2 / np.exp(log_v) - (z - target) ** 2 / np.exp(log_s)).sum(axis=-1)
    w = np.exp(log_w)
    simulated = w.sum(axis=1) ** 2 / (w**2).sum(axis=1)  # (4000, 3)
    low, high = np.quantile(simulated, [0.0005, 0.9995], axis=0)
    assert np.all((low <= found) & (found <= high))
    assert np.all(high < 0.97 * draws)


@pytest.mark.parametrize("draws", [1, 4, 100])
def test_each_draw_alone_and_all_together_have_the_weights(draws):
    w = np.array([[0.05, 1.0], [0.6, 0.0], [0.05, 2.0], [0.3, 1.0]])
    places = (np.arange(3000) + 0.5) / 3000
    taken = np.stack([resample(1000.0 + np.log(np.maximum(w, 1e-300)), np.full(2, u), draws) for u in places])
    for r, p in enumerate((w / w.sum(axis=0)).T):
        shares = (taken[..., r, None] == np.arange(4)).mean(axis=0)  # (draws, 4), over the places of the first
        assert np.abs(shares - p).max() <= 2 / 3000
        counts = (taken[..., r, None] == np.arange(4)).sum(axis=1)  # (3000, 4): of one row
        assert np.all(np.abs(counts - draws * p) < 1)


def test_collapsed_weights_are_reported_with_what_to_do():
    """By imputations and by scores, of eight draws on."""
    one = spoilt(shrink=-8.0, widen=-3.0)
    views, mask = one.sample(ROWS, 7), np.tile(TWO, (ROWS, 1))
    assert np.median(one.model.effective_draws(views, mask, n_draws=40)) < 1.5
    for call in (one.model.impute, one.model.sample_imputations, one.model.impute_probabilities):
        with pytest.warns(JPVAEWarning, match=r"in the middle row 40 draws are worth 1\.\d.*hang on single draws.*proposals"):
            call(views, mask, n_draws=4, proposals=40)
    one.model.impute(views, mask, n_draws=4)  # no proposals, no warning
    for call in (one.model.score_samples, functools.partial(one.model.score_conditional, target=0)):
        with pytest.warns(JPVAEWarning, match=r"in the middle row 8 draws are worth 1\.\d.*Take more n_draws"):
            call(views, mask, n_draws=8)


@pytest.mark.parametrize("proposals", [0, 1, True, 2.5, "all", 100_001])
def test_what_proposals_cannot_be(proposals):
    one = exact()
    for call in (one.model.impute, one.model.sample_imputations):
        with pytest.raises(ConfigError, match="proposals is "):
            call(one.sample(ROWS, 8), proposals=proposals)


def test_a_plug_in_has_no_draws_to_choose_from():
    one = exact()
    with pytest.raises(ConfigError, match="proposals needs method='predictive'"):
        one.model.impute(one.sample(ROWS, 8), method="plug-in", proposals=64)


@pytest.mark.parametrize("sizes", [[9], [1, 8], [4, 3, 2]])
def test_weights_in_groups_are_the_weights_at_once(sizes):
    """log mean w, its error by the delta method, and Kish's number, from all weights together."""
    log_w, found = np.random.default_rng(2).standard_normal((9, 5)), Weights(5)
    for rows in np.split(np.arange(9), np.cumsum(sizes)[:-1]):
        found.add(log_w[rows])
    w, evidence = np.exp(log_w), found.evidence()
    assert evidence.log_density == pytest.approx(np.log(w.mean(axis=0)), abs=1e-13)
    assert evidence.error == pytest.approx(w.std(axis=0) / w.mean(axis=0) / 3, rel=1e-12)
    assert evidence.effective_draws == pytest.approx(w.sum(axis=0) ** 2 / (w**2).sum(axis=0), rel=1e-12)
