"""return_std=True is the standard deviation of the missing value, noise and all; "mean" that of its decoded mean alone.

Oracles: the exact covariance of Gaussian regression (exact.py); the spread of draws, for every likelihood; SciPy's t.
"""

import functools

import numpy as np
import pandas as pd
import pytest
from exact import COLUMNS, PATTERNS, exact
from scipy import stats

from jpvae import JPVAE
from jpvae.errors import ConfigError
from jpvae.inference.filling import DrawStatistics

HOLES = [seen for seen in PATTERNS if not seen.all()]
RNG, N, S = np.random.default_rng(3), 90, 1501  # draws: an odd number, which are no pairs
U = RNG.standard_normal((N, 2))
ONE_HOT = np.eye(3)[np.digitize(U[:, 0], [-0.5, 0.5])]
COUNTS = RNG.poisson(np.exp(U @ RNG.standard_normal((2, 3)) * 0.5 + 1.0)).astype(float)
MIXED = np.column_stack([3 * U + 20, U[:, 0] - U[:, 1], U[:, 0] > 0, ONE_HOT])
KINDS = {0: "gaussian", 1: "student_t", 2: "student_t", 3: "bernoulli", (4, 5, 6): "categorical"}
VIEWS = [MIXED, COUNTS, COUNTS[::-1].copy(), U @ RNG.standard_normal((2, 4)) + 0.3 * RNG.standard_normal((N, 4))]
HEAVY = (1, 2)  # columns of Student's t: whose fourth moment is infinite, so that a sample's deviation converges too slowly
ROWS = 3
ASKED = [None, None, None, VIEWS[3][:ROWS]]


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch):
    """Blocks are padded to 512 rows; the few rows here would wait for the padding's draws."""
    monkeypatch.setattr("jpvae.inference.predictor.BLOCK", N)


@functools.cache
def model():
    """Every likelihood, hardly trained, with noise of sizes that differ from where they start."""
    likelihood = [KINDS, "negative_binomial", "poisson_unscaled", "gaussian"]
    options = {"latent_dims": 2, "prior": "canonical", "alpha": 0.6, "hidden": (4,), "steps": 60, "learning_rate": 2e-2}
    options |= {"dtype": "float64", "backend": "numpy", "progress": False, "batch_size": 30}
    options |= {
        "calibration": 0,
        "linear_skip": False,
        "weight_decay": 0.0,
        "max_gradient_norm": None,
        "cross_draws": 1,
        "cross_weight": 1.0,
    }
    made = JPVAE(likelihood=likelihood, **options).fit(VIEWS)
    assert made.model_.likelihood_names[1:3] == ("negative_binomial", "poisson_unscaled")
    return made


def joined(tables):
    return np.concatenate(tables[:3], axis=-1)


@functools.cache
def draws(observation_noise, seed=None):
    given = {"observation_noise": observation_noise, "n_draws": S, "seed": seed}
    return joined(model().sample_imputations(ASKED, **given))


@pytest.mark.parametrize("seen", HOLES, ids=lambda seen: "".join(str(i) for i in np.flatnonzero(seen)))
def test_it_is_the_square_root_of_the_exact_conditional_variance(seen):
    one, rows, hidden = exact(), 4, ~np.repeat(seen, COLUMNS)
    views, mask = one.sample(rows, 1), np.tile(seen, (rows, 1))
    exactly = np.diag(one.conditional(views, seen)[1])
    latent = exactly - one.noise[hidden]
    for return_std, wanted in ((True, exactly), ("mean", latent)):
        filled, std = one.model.impute(views, mask, n_draws=S, return_std=return_std)
        std = np.concatenate(std, axis=1)
        assert (std[:, ~hidden] == 0).all()
        # The noise's share is exact; the latents' is a sample variance of S Gaussians: 5 of its standard errors.
        assert np.all(np.abs(std[:, hidden] ** 2 - wanted) < 5 * latent * np.sqrt(2 / (S - 1)))
        assert all(np.array_equal(a, b) for a, b in zip(filled, one.model.impute(views, mask, n_draws=S), strict=True))


def test_it_is_the_spread_of_draws_for_every_likelihood():
    """Of independent draws. The mean of Var[x | z] stands for noise that was drawn: it varies less than their own square."""
    std = joined(model().impute(ASKED, n_draws=S, return_std=True)[1])
    x = draws(True, seed=77)
    light = np.setdiff1d(np.arange(x.shape[-1]), HEAVY)
    centred = (x - x.mean(axis=0))[..., light]
    variance, fourth = (centred**2).mean(axis=0), (centred**4).mean(axis=0)
    error = np.sqrt(2 * (fourth - variance**2) / S)
    assert np.all(np.abs(std[:, light] ** 2 - variance) < 5 * error)
    assert np.median(5 * error / variance) < 0.5  # so that a noise left out would have been seen
    means = joined(model().impute(ASKED, n_draws=S, return_std="mean")[1])
    assert np.all(means < std)
    assert np.any(np.abs(means[:, light] ** 2 - variance) > 5 * error, axis=0).all()  # in each of these columns


def test_it_is_the_spread_of_draws_with_heavy_tails():
    """Noise sigma t with nu = 4 has variance 2 sigma^2; sigma from the median of |noise|, q sigma, whose standard error is
    1/(2 g(q) sqrt n) sigma, g the density of |t|."""
    noise = np.abs(draws(True) - draws(False))[..., HEAVY].reshape(-1, 2)  # the same latents
    t, n = stats.t(4), S * ROWS
    q = t.ppf(0.75)
    variance = t.var() * (np.median(noise, axis=0) / q) ** 2
    value, mean = (joined(model().impute(ASKED, n_draws=S, return_std=kind)[1])[:, HEAVY] for kind in (True, "mean"))
    found = value**2 - mean**2
    assert found == pytest.approx(np.broadcast_to(variance, found.shape), rel=2 * 5 / (2 * 2 * t.pdf(q) * q * np.sqrt(n)))
    assert mean == pytest.approx(draws(False)[..., HEAVY].std(axis=0, ddof=1), rel=1e-9)


def test_cells_and_categories():
    """A cell has the spread of its draws, in the table's units; a category has none; what is known has 0."""
    table = pd.DataFrame({"size": 100 + 5 * U[:, 0], "kind": np.where(U[:, 1] > 0, "a", "b"), "flag": 1.0 * (U[:, 0] > 0)})
    table.loc[:2, ["size", "kind", "flag"]] = [[np.nan, "a", 1.0], [104.0, None, 0.0], [90.0, "b", np.nan]]
    options = {
        "likelihood": "infer",
        "entries": "marginalise",
        "hidden": (4,),
        "steps": 40,
        "latent_dims": 2,
        "backend": "numpy",
    }
    made = JPVAE(progress=False, **options).fit({"t": table, "u": pd.DataFrame(VIEWS[3], columns=list("wxyz"))})
    asked = {"t": table[:4], "u": pd.DataFrame(VIEWS[3][:4], columns=list("wxyz"))}
    _, std = made.impute(asked, n_draws=300, return_std=True)
    assert std["t"].loc[[1, 2, 3], "size"].tolist() == [0, 0, 0]
    assert std["t"]["kind"].isna().tolist() == [False, True, False, False]
    drawn = made.sample_imputations(asked, n_draws=300, seed=8)["t"]
    for row, column in ((0, "size"), (2, "flag")):
        x = np.asarray([one.loc[row, column] for one in drawn], float)
        c = x - x.mean()
        assert abs(std["t"].loc[row, column] ** 2 - np.mean(c**2)) < 5 * np.sqrt(2 * (np.mean(c**4) - np.mean(c**2) ** 2) / 300)


@pytest.mark.parametrize("n_draws", [4, 10, 64])
def test_pairs_of_draws_leave_no_error_in_what_is_linear(n_draws):
    """Views without hidden layers are decoded by linear maps: the mean of draws z, 2 mu - z is the decoded mu, whichever they
    are, and the variance is what any two sets of them find together. Each e^2 of 16 latents and more has a share."""
    rng = np.random.default_rng(5)
    options = {"hidden": (), "steps": 60, "calibration": 0, "latent_dims": 16, "dtype": "float64", "backend": "numpy"}
    s = rng.standard_normal((200, 3))
    views = [s @ rng.standard_normal((3, 20)) + rng.standard_normal((200, 20)) for _ in "ab"]
    made = JPVAE(likelihood="gaussian", progress=False, **options).fit(views)
    asked = [views[0], None]
    exact = made.impute(asked, method="plug-in")[1]
    # Of n sums of numbers about 10 in size, of which the draws' parts cancel.
    assert made.impute(asked, n_draws=n_draws)[1] == pytest.approx(exact, rel=1e-11, abs=1e-11)
    assert np.abs(made.impute(asked, n_draws=n_draws + 1)[1] - exact).max() > 1e-3
    _, std = made.impute(asked, n_draws=n_draws, return_std="mean")
    _, many = made.impute(asked, n_draws=2001, return_std="mean")
    # z' z of a row's draws: chi^2 of n/2 * 16 degrees of freedom at least, of 200 rows; five standard errors.
    error = np.sqrt(2.0 / (n_draws / 2 * 200) + 2.0 / (2000 * 200))
    assert np.mean(std[1] ** 2 / many[1] ** 2) == pytest.approx(1.0, abs=5 * error)


@pytest.mark.parametrize("wrong", [1, None, "value", "True", 0.0])
def test_what_return_std_cannot_be(wrong):
    with pytest.raises(ConfigError, match=r"return_std is .*; expected True \(of the value\), 'mean'"):
        model().impute(ASKED, return_std=wrong)


@pytest.mark.parametrize("sizes", [[6], [1, 5], [2, 1, 3]])
def test_statistics_do_not_depend_on_the_pieces(sizes):
    """The law of total variance by NumPy over all draws at once."""
    rng = np.random.default_rng(0)
    values, variances = rng.standard_normal((6, 2, 3)) + 40.0, rng.random((6, 2, 3))
    found = DrawStatistics((2, 3))
    for rows in np.split(np.arange(6), np.cumsum(sizes)[:-1]):
        found.update(values[rows], variances[rows])
    assert found.mean == pytest.approx(values.mean(axis=0), rel=1e-14)
    assert found.std == pytest.approx(np.sqrt(values.var(axis=0, ddof=1) + variances.mean(axis=0)), rel=1e-12)
