"""Predictive mean matching: donors by brute force over the predictions, and values that somebody was observed to have."""

import numpy as np
import pandas as pd
import pytest
from synthetic import OPTIONS

from jpvae import JPVAE
from jpvae.errors import ConfigError, ViewError
from jpvae.inference.matching import nearest

N = 120
RNG = np.random.default_rng(0)
STATE = RNG.standard_normal(N)
NAMES = [f"p{k}" for k in range(N)]
SCAN = pd.DataFrame({f"s{k}": STATE + 0.2 * RNG.standard_normal(N) for k in range(3)}, NAMES)
COST = pd.DataFrame({"sex": ["f", "m"] * (N // 2), "cost": np.rint(50 * np.exp(STATE)), "other": STATE}, NAMES)
VIEWS = {"scan": SCAN, "cost": COST.mask(pd.Series(np.arange(N) % 3 == 0, COST.index))}
FIT = {"latent_dims": 2, "likelihood": "infer", "hidden": (8,), "steps": 300, "missing": "nan"}


@pytest.fixture(scope="module")
def model():
    return JPVAE(**OPTIONS | FIT).fit(VIEWS)


@pytest.mark.parametrize("k", [1, 2, 5, 12])
def test_the_nearest_by_sorting_all_distances(k):
    rng = np.random.default_rng(k)
    values = np.sort(rng.standard_normal(12).round(1))
    targets = np.concatenate([rng.standard_normal(40) * 2, values])
    first = nearest(values, targets, k)
    for target, place in zip(targets, first, strict=True):
        chosen = np.sort(np.abs(values[place : place + k] - target))
        np.testing.assert_allclose(chosen, np.sort(np.abs(values - target))[:k], atol=1e-15)


@pytest.mark.parametrize("k", [1, 4])
def test_donors_are_the_rows_that_are_predicted_alike(model, k):
    """The oracle predicts each donor by ``impute`` with its view hidden, and the recipient's means are draws without noise."""
    draws = 3
    matched = model.sample_imputations(VIEWS, n_draws=draws, matching=k)["cost"]
    means = model.sample_imputations(VIEWS, n_draws=draws, observation_noise=False)["cost"]
    predicted = model.impute({"scan": SCAN})["cost"]
    there, ranks = VIEWS["cost"]["cost"].notna().to_numpy(), set[int]()
    for drawn, mean in zip(matched, means, strict=True):
        pd.testing.assert_frame_equal(drawn[there], VIEWS["cost"][there])
        for name in ("cost", "other"):
            donors = VIEWS["cost"][name].to_numpy(np.float64)
            for row in np.flatnonzero(~there):
                order = np.argsort(np.abs(predicted[name].to_numpy() - mean[name].iloc[row]) + np.where(there, 0, np.inf))
                assert drawn[name].iloc[row] in donors[order[:k]]
                if name == "other":  # which has no ties; the donors in the order of their predictions
                    alike = donors[sorted(order[:k], key=predicted[name].to_numpy().__getitem__)]
                    ranks |= set(np.flatnonzero(alike == drawn[name].iloc[row]).tolist())
        assert set(drawn["sex"]) <= {"f", "m"}
    assert not matched[0].equals(matched[1])
    assert ranks == set(range(k))  # each of the k is drawn


def test_who_has_nothing_else_is_no_donor(model):
    """Of such a row there is nothing to predict by."""
    alone = {"scan": SCAN.mask(pd.Series(np.arange(N) % 3 == 1, SCAN.index)), "cost": VIEWS["cost"].copy()}
    silent = np.arange(N) % 3 == 1
    alone["cost"].loc[silent, ["cost", "other"]] = 7777.0, 7.0
    assert silent.sum() == alone["cost"]["cost"].eq(7777.0).sum() == 40
    for drawn in model.sample_imputations(alone, n_draws=3, matching=5)["cost"]:
        assert not drawn["cost"][VIEWS["cost"]["cost"].isna()].eq(7777.0).any()


def test_draws_keep_the_scale_and_the_relation(model):
    """Costs are whole, positive and skewed, as a Gaussian's draws are not."""
    holes = VIEWS["cost"]["cost"].isna().to_numpy()
    plain, matched = (
        np.stack([one["cost"].to_numpy()[holes] for one in model.sample_imputations(VIEWS, n_draws=20, **more)["cost"]])
        for more in ({}, {"matching": 5})
    )
    assert (plain < 0).any()
    assert (plain % 1 != 0).any()
    assert (matched > 0).all()
    assert (matched % 1 == 0).all()
    truth = np.log(COST["cost"].to_numpy()[holes])
    # log cost is the state, of which the scan's mean of three has the correlation 1 / sqrt(1 + 0.04 / 3) = .99: 5 donors of
    # 80, from a span of 5 / 80 of the ranks, leave it above .9
    assert np.corrcoef(np.log(matched).mean(axis=0), truth)[0, 1] > 0.9


def test_a_row_keeps_its_draws_wherever_it_stands(model):
    order = np.random.default_rng(1).permutation(N)
    first = model.sample_imputations(VIEWS, n_draws=2, matching=3)["cost"]
    turned = model.sample_imputations({name: v.iloc[order] for name, v in VIEWS.items()}, n_draws=2, matching=3)["cost"]
    for one, other in zip(first, turned, strict=True):
        pd.testing.assert_frame_equal(one.iloc[order], other)


def test_refused(model):
    few = {name: view.iloc[:6] for name, view in VIEWS.items()}
    with pytest.raises(ViewError, match=r"matching is 5, and view 'cost', column 'cost' is observed beside other views in 4"):
        model.sample_imputations(few, matching=5)
    with pytest.raises(ConfigError, match="matching is 0; expected at least 1"):
        model.sample_imputations(VIEWS, matching=0)
    with pytest.raises(ConfigError, match="matching needs observation_noise=True"):
        model.sample_imputations(VIEWS, matching=2, observation_noise=False)
