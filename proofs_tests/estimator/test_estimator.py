"""Imputation on three views with every pattern of holes: it is useful, it follows its formulas, and it touches nothing else."""

import numpy as np
import pytest
from synthetic import OPTIONS, fitted, three_views

from jpvae import JPVAE
from jpvae.errors import NotFitted
from jpvae.testing import dense

VIEWS, MASK = three_views(120, 9)  # rows that fitted() has not seen
METHODS = [{"method": "predictive", "n_draws": 16}, {"method": "plug-in"}, {"method": "plug-in", "moments": "training"}]
IDS = ["predictive", "plug-in", "plug-in, training moments"]


def in_model_units():
    """The training data's own units, recomputed."""
    views, mask = three_views(600, 0)
    units = [(v[m].mean(axis=0), v[m].std(axis=0)) for v, m in zip(views, mask.T, strict=True)]
    return units, [(v - location) / scale for v, (location, scale) in zip(VIEWS, units, strict=True)]


def posterior_means():
    _, x = in_model_units()
    return np.concatenate([dense.encode(fitted().parameters_, i, v)[0] for i, v in enumerate(x)], axis=-1)


def regressed(mean, covariance):
    """Each row's latents: posterior means where observed, the Gaussian's conditional mean elsewhere."""
    latents, model = posterior_means(), fitted().model_
    for r, seen in enumerate(MASK):
        if not seen.all():
            o, h = dense.coordinates(model, seen), dense.coordinates(model, ~seen)
            latents[r, h] = mean[h] + dense.gain(covariance, o, h) @ (latents[r, o] - mean[o])
    return latents


def decoded(latents):
    model, (units, _) = fitted().model_, in_model_units()
    parts = [dense.network(fitted().parameters_, f"decoder.{j}", latents[:, at]) for j, at in enumerate(dense.blocks(model))]
    return [part * scale + location for part, (location, scale) in zip(parts, units, strict=True)]


@pytest.mark.parametrize("options", METHODS, ids=IDS)
def test_imputation_beats_column_means(options):
    """Two shared numbers explain all but a hundredth of the variance; from some of the views they are seen with more noise."""
    filled = fitted().impute(VIEWS, MASK, **options)
    for j, (truth, found) in enumerate(zip(VIEWS, filled, strict=True)):
        holes = ~MASK[:, j]
        error, spread = truth[holes] - found[holes], truth[holes] - truth[MASK[:, j]].mean(axis=0)
        assert (error**2).mean() < 0.25 * (spread**2).mean()


@pytest.mark.parametrize("options", METHODS, ids=IDS)
def test_observed_rows_come_back_bit_equal_and_inputs_stay(options):
    given = [np.where(seen[:, None], v, np.nan) for v, seen in zip(VIEWS, MASK.T, strict=True)]
    kept = [v.copy() for v in given]
    mask = MASK.copy()
    for v in (*given, mask):
        v.flags.writeable = False
    filled = fitted().impute(given, mask, **options)
    for before, after, result, seen in zip(kept, given, filled, MASK.T, strict=True):
        assert np.array_equal(before, after, equal_nan=True)
        assert np.array_equal(result[seen], before[seen])
        assert np.isfinite(result).all()
        assert not np.shares_memory(result, after)


def test_draws_average_to_the_predictive_imputation():
    draws = fitted().sample_imputations(VIEWS, MASK, n_draws=11, observation_noise=False)
    mean, std = fitted().impute(VIEWS, MASK, n_draws=11, return_std="mean")
    for j, seen in enumerate(MASK.T):
        # Eleven float64 numbers, no pairs, of the data's size, summed twice in different order.
        assert draws[j].mean(axis=0) == pytest.approx(mean[j], rel=1e-13, abs=1e-12)
        assert draws[j].std(axis=0, ddof=1) == pytest.approx(std[j], rel=1e-9, abs=1e-12)
        assert (std[j][seen] == 0).all()
        assert (std[j][~seen] > 0).all()
        assert np.array_equal(draws[j][:, seen], np.broadcast_to(VIEWS[j][seen], (11, seen.sum(), VIEWS[j].shape[1])))


@pytest.mark.parametrize("options", METHODS, ids=IDS)
def test_a_row_does_not_depend_on_the_rows_after_it(options):
    whole = fitted().impute(VIEWS, MASK, **options)
    for k in (1, 7, 60):
        part = fitted().impute([v[:k] for v in VIEWS], MASK[:k], **options)
        assert all(np.array_equal(w[:k], p) for w, p in zip(whole, part, strict=True))


@pytest.mark.parametrize("observation_noise", [False, True])
def test_a_draw_does_not_depend_on_the_rows_after_it(observation_noise):
    def draws(mask, k):
        return fitted().sample_imputations([v[:k] for v in VIEWS], mask[:k], n_draws=3, observation_noise=observation_noise)

    other = np.concatenate([MASK[:30], ~MASK[30:] | (np.arange(3) == 1)])
    for part in (draws(MASK, 30), draws(other, 120)):
        assert all(np.array_equal(w[:, :30], p[:, :30]) for w, p in zip(draws(MASK, 120), part, strict=True))


def test_the_training_batch_size_has_no_part_in_prediction(tmp_path):
    fitted().save(tmp_path / "m")
    other = JPVAE.load(tmp_path / "m")
    other.batch_size = 1
    for first, second in zip(fitted().impute(VIEWS, MASK), other.impute(VIEWS, MASK), strict=True):
        assert np.array_equal(first, second)


def test_latents_and_plug_in_imputations_by_dense_conditioning():
    fitted_model = fitted()
    S = dense.covariance(fitted_model.model_, fitted_model.parameters_)
    latents = regressed(np.zeros(len(S)), S)
    # Condition number below 1e4, float64, values up to 1e2.
    assert fitted_model.transform(VIEWS, MASK) == pytest.approx(latents, rel=1e-9, abs=1e-9)
    expected = decoded(latents)
    filled = fitted_model.impute(VIEWS, MASK, method="plug-in")
    reconstructed = fitted_model.reconstruct(VIEWS, MASK)
    for j in range(3):
        assert filled[j][~MASK[:, j]] == pytest.approx(expected[j][~MASK[:, j]], rel=1e-9, abs=1e-8)
        assert reconstructed[j] == pytest.approx(expected[j], rel=1e-9, abs=1e-8)


def test_plug_in_with_training_moments_is_eq_12():
    expected = decoded(regressed(*fitted().moments_))
    filled = fitted().impute(VIEWS, MASK, method="plug-in", moments="training")
    for j in range(3):
        assert filled[j][~MASK[:, j]] == pytest.approx(expected[j][~MASK[:, j]], rel=1e-9, abs=1e-8)


def test_training_moments_are_those_of_posterior_samples():
    views, mask = three_views(600, 0)
    units, _ = in_model_units()
    full = mask.all(axis=1)
    x = [(v[full] - location) / scale for v, (location, scale) in zip(views, units, strict=True)]
    posteriors = [dense.encode(fitted().parameters_, i, v) for i, v in enumerate(x)]
    mean, log_var = (np.concatenate(part, axis=-1) for part in zip(*posteriors, strict=True))
    found_mean, found_covariance = fitted().moments_
    var, n = np.exp(log_var).mean(axis=0), full.sum()
    assert np.all(np.abs(found_mean - mean.mean(axis=0)) < 5 * np.sqrt(var / n))
    # A sample covariance given the means: its deviation is below sqrt(2 s_ii s_jj / n) with s the total variance.
    S = np.cov(mean.T) + np.diag(var)
    assert np.all(np.abs(found_covariance - S) < 5 * np.sqrt(2 * np.outer(np.diag(S), np.diag(S)) / n))


@pytest.mark.parametrize("complete", [0, 7, 8])
def test_moments_need_more_complete_rows_than_latents(complete):
    """Seven latents: from seven rows or fewer their covariance is singular and Eq. 12 has no answer."""
    views, _ = three_views(20, 0)
    mask = (np.arange(3) != np.arange(20)[:, None] % 3) | (np.arange(20)[:, None] < complete)
    model = JPVAE(**OPTIONS | {"steps": 1}).fit(views, mask)
    if complete == 8:
        assert np.isfinite(model.impute(views, mask, method="plug-in", moments="training")[0]).all()
        return
    out = [np.full_like(view, 7.0) for view in views]
    with pytest.raises(NotFitted, match=r"needs more rows with every view in training than latents; use moments='prior'"):
        model.impute(views, mask, method="plug-in", moments="training", out=out)
    assert all((view == 7.0).all() for view in out)  # nothing was written


CALLS = [
    lambda m: m.impute(VIEWS),
    lambda m: m.transform(VIEWS),
    lambda m: m.sample(1),
    lambda m: m.score(VIEWS),
    lambda m: m.reconstruct(VIEWS),
    lambda m: m.sample_imputations(VIEWS),
    lambda m: m.save("nowhere"),
]


@pytest.mark.parametrize("call", CALLS)
def test_nothing_before_fit(call):
    with pytest.raises(NotFitted, match=r"no parameters yet; call fit\(views\) first, or JPVAE\.load\(path\)"):
        call(JPVAE())
