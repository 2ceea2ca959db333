"""What held-out rows correct in predictions: the slope by which they are trusted, and Student's tails of their errors.

Oracles: SciPy's t; regression by hand; and a model that is one Gaussian (exact.py), of whose missing views all is a formula:

    E[x] = mu + b (E[x | x_O] - mu),    Var[x] = b^2 (K - v) + (1 - b^2) (C - v) + v      K: given x_O; C: without; v: the noise
"""

import itertools

import numpy as np
import pytest
from exact import COLUMNS, exact
from scipy import stats

from jpvae import JPVAE
from jpvae.errors import CheckpointError
from jpvae.files import checkpoints
from jpvae.inference import calibration
from jpvae.inference.predictive import DEGREES, SQUARES, Predictive, log_density, slopes, sums


@pytest.mark.parametrize("nu", DEGREES)
def test_the_density_is_scipy_s(nu):
    x, sd = np.linspace(-30.0, 30.0, 13), np.exp(np.linspace(-4.0, 4.0, 13))
    wanted = stats.norm(0, sd).logpdf(x) if nu == np.inf else stats.t(nu, 0, sd * np.sqrt((nu - 2) / nu)).logpdf(x)
    np.testing.assert_allclose(log_density(x**2, sd**2, nu), wanted, rtol=1e-12)  # a hundred roundings of numbers below 1e3


@pytest.mark.parametrize("nu", DEGREES[1:])
def test_a_scaled_normal_is_student_s_t_of_variance_one(nu):
    rng = np.random.default_rng(nu)
    w = Predictive(1.0, nu).factors(rng.standard_normal((20_000, SQUARES)))
    x = w * rng.standard_normal(20_000)
    assert stats.kstest(x, stats.t(nu, 0, np.sqrt((nu - 2) / nu)).cdf).pvalue > 1e-3
    spread = np.sqrt(((nu - 2) / (nu - 4) - 1) / 20_000)  # of the mean of w^2: E w^4 = (nu - 2)/(nu - 4)
    assert abs(np.mean(w**2) - 1) < 5 * spread


def test_the_slope_is_a_regression_s_and_two_standard_errors_more():
    rng = np.random.default_rng(0)
    predicted, known = rng.standard_normal((9, 5)), rng.random((9, 5)) < 0.7
    truth = 0.3 * predicted + rng.standard_normal((9, 5))
    cells = [[(p, t) for p, t, k in zip(*row, strict=True) if k] for row in zip(predicted, truth, known, strict=True)]
    a, b = (sum(p * (p, t)[k] for row in cells for p, t in row) for k in range(2))
    rest = [sum(p * (t - b / a * p) for p, t in row) for row in cells]
    wanted = b / a + 2 * np.sqrt(9 / 8 * sum(r * r for r in rest)) / a
    assert 0 < wanted < 1
    assert slopes([sums(predicted, truth, known)]) == [pytest.approx(wanted, rel=1e-12)]


def test_the_slope_of_what_is_known():
    predicted = np.random.default_rng(0).standard_normal((9, 5))
    every = np.ones((9, 5), dtype=bool)
    told = [sums(predicted, b * predicted, every) for b in (0.4, 1.4, -0.4)]
    nothing = sums(np.zeros((9, 5)), predicted, every)
    assert slopes([*told, nothing]) == [pytest.approx(0.4), 1.0, 0.0, 1.0]
    few = np.arange(9)[:, None]
    alone = sums(predicted, 0.4 * predicted, every & (few < 5))
    assert slopes([alone]) == [1.0]
    # Six rows in two views tell of both; every view counts by its rows, however large what is predicted of it.
    first, second = (sums(by * predicted, b * by * predicted, every & (few < 3)) for by, b in ((1.0, 0.2), (10.0, 0.6)))
    found = slopes([first, second, nothing])
    assert found[0] == found[1]
    assert 0.4 < found[0] < 0.8
    assert found[2] == 1.0
    assert slopes([told[0], first])[0] == pytest.approx(0.4)


def written(path, **arrays):
    """The exact model's file with further arrays."""
    exact().model.save(path)
    tensors, header = checkpoints.load(path)
    tensors |= {f"parameters.{name}": x for name, x in exact().model.predictor().p.items()}
    checkpoints.save(path, {**tensors, **arrays}, header)


def corrected(tmp_path, *by):
    """The exact model, and the same with corrections of its views."""
    arrays = {f"calibrated.{name}": x for view, each in enumerate(by) for name, x in each.arrays(view).items()}
    written(tmp_path / "m.safetensors", **arrays)
    return exact(), JPVAE.load(tmp_path / "m.safetensors")


MASK = np.repeat([[False, True, True]], 6, axis=0)


@pytest.mark.parametrize("b", [0.0, 0.6, 1.0])
def test_a_missing_view_is_trusted_by_its_slope(tmp_path, b):
    one, model = corrected(tmp_path, Predictive(b), Predictive(0.1), Predictive(0.1))  # the last two are there
    rows, at = one.sample(6, 1), slice(0, COLUMNS[0])
    means, K = one.conditional(rows, MASK[0])
    wanted = one.mean[at] + b * (means - one.mean[at])
    np.testing.assert_allclose(model.impute(rows, MASK, method="plug-in")[0], wanted, rtol=1e-9, atol=1e-9)
    v, C = one.noise[at], np.diag(one.covariance)[at]
    sd = np.sqrt(b**2 * (np.diag(K) - v) + (1 - b**2) * (C - v) + v)
    n = 4000
    mean, std = model.impute(rows, MASK, n_draws=n, return_std=True)
    assert np.all(np.abs(mean[0] - wanted) < 5 * sd / np.sqrt(n))
    np.testing.assert_allclose(std[0], np.broadcast_to(sd, std[0].shape), rtol=5 / np.sqrt(2 * n))
    np.testing.assert_array_equal(mean[1], rows[1])


def test_draws_have_student_s_tails_and_the_same_correlations(tmp_path):
    nu, n = 5, 8000
    one, model = corrected(tmp_path, Predictive(1.0, nu), Predictive(1.0, nu))
    rows, seen = one.sample(2, 3), np.array([False, False, True])
    mask = np.repeat(seen[None], 2, axis=0)
    drawn = model.sample_imputations(rows, mask, n_draws=n)
    means, K = one.conditional(rows, seen)
    both = np.concatenate(drawn[:2], axis=2)
    sd = np.sqrt(np.diag(K))
    for r in range(2):
        scaled = (both[:, r] - means[r]) / sd
        for c in range(both.shape[2]):
            assert stats.kstest(scaled[:, c], stats.t(nu, 0, np.sqrt((nu - 2) / nu)).cdf).pvalue > 1e-4
            assert stats.kstest(scaled[:, c], "norm").pvalue < 1e-6
        # A correlation's standard error is (1 - rho^2)/sqrt(n) of normals; E w^4 = 3 makes three times its variance of it.
        found, wanted = np.corrcoef(scaled.T), K / np.outer(sd, sd)
        assert np.all(np.abs(found - wanted) <= 5 * np.sqrt(3 / n) * (1 - wanted**2) + 1e-12)
        assert np.abs(wanted[:4, 4:]).max() > 0.1
    for few, many in zip(model.sample_imputations(rows, mask, n_draws=10), drawn, strict=True):
        np.testing.assert_array_equal(few, many[:10])


def test_tails_are_the_noise_s_alone_where_draws_are_resampled_and_no_matter_without_noise(tmp_path):
    one, model = corrected(tmp_path, Predictive(1.0, 5))
    rows, n = one.sample(2, 3), 1000
    options = {"observation_noise": False, "n_draws": 20}
    without = one.model.sample_imputations(rows, MASK[:2], **options)
    np.testing.assert_array_equal(model.sample_imputations(rows, MASK[:2], **options)[0], without[0])
    drawn, plain = (m.sample_imputations(rows, MASK[:2], n_draws=n, proposals=2000)[0] for m in (model, one.model))
    middle = model.sample_imputations(rows, MASK[:2], n_draws=n, proposals=2000, observation_noise=False)[0]
    sd = np.sqrt(one.noise[: COLUMNS[0]])
    assert stats.kstest(((drawn - middle) / sd)[:, 0, 0], stats.t(5, 0, np.sqrt(3 / 5)).cdf).pvalue > 1e-4
    assert stats.kstest(((plain - middle) / sd)[:, 0, 0], "norm").pvalue > 1e-4


def unrelated(rows, seed):
    """Two tables that tell nothing of each other, one with long tails; 80 columns."""
    rng = np.random.default_rng(seed)
    return {"rna": rng.standard_normal((rows, 40)), "protein": rng.standard_t(3, (rows, 40))}


def test_a_model_that_has_learned_noise_is_not_trusted(tmp_path):
    train, new = unrelated(60, 0), unrelated(200, 1)
    options = {"likelihood": "gaussian", "latent_dims": 4, "hidden": (), "steps": 150, "backend": "numpy", "progress": False}
    model, without = JPVAE(**options).fit(train), JPVAE(**options, calibration=0).fit(train)
    p = model.parameters_
    assert max(p["predictive.0.slope"], p["predictive.1.slope"]) < 0.5
    assert p["predictive.1.degrees_of_freedom"][0] < np.inf
    deviation = train["protein"].std(axis=0)

    def error(filled):
        return np.mean(((filled - new["protein"]) / deviation) ** 2)

    given = {"rna": new["rna"]}
    null = error(train["protein"].mean(axis=0))
    lost, left = (error(one.impute(given)["protein"]) - null for one in (without, model))
    assert lost > 0.02
    assert left < lost / 4  # what is predicted of nothing is shrunk to less than half, and so its square

    path = tmp_path / "m.safetensors"
    model.save(path)
    for backend, rtol in (("numpy", 0.0), ("torch", 1e-3)):
        again = JPVAE.load(path, backend=backend)
        for name, x in p.items():
            np.testing.assert_array_equal(again.parameters_[name], x)
        for one, other in (
            (model.impute(given)["protein"], again.impute(given)["protein"]),
            (model.sample_imputations(given, n_draws=3)["protein"], again.sample_imputations(given, n_draws=3)["protein"]),
        ):
            np.testing.assert_allclose(other, one, rtol=rtol, atol=rtol)


@pytest.mark.parametrize(("part", "value"), [("slope", 1.5), ("slope", -0.1), ("degrees_of_freedom", 2.0), ("skewness", 1.0)])
def test_forged_corrections_are_refused(tmp_path, part, value):
    written(tmp_path / "m.safetensors", **{f"calibrated.predictive.0.{part}": np.array([value])})
    with pytest.raises(CheckpointError, match=r"no training can find|do not match its header"):
        JPVAE.load(tmp_path / "m.safetensors")


def test_a_slope_is_taken_where_it_makes_numbers_likelier(monkeypatch):
    """An exact model is to be believed; of a view that varies half as much around its mean it makes too much."""
    one, there = exact(), np.ones((400, 3), dtype=bool)
    first, *rest = one.sample(400, 5)
    middle, found = one.mean[: COLUMNS[0]], []
    monkeypatch.setattr(calibration, "slopes", lambda sums: [0.5] * len(sums))
    for b in (1.0, 0.5):
        rows = zip(one.model._fitted.units, [middle + b * (first - middle), *rest], strict=True)
        views = [units.prepare(x, there[:, 0], "float64", range(400)) for units, x in rows]
        found.append(
            [
                name
                for name in calibration.calibrated([calibration.LeftOut(one.model.predictor(), views, there)])
                if name.endswith("slope")
            ]
        )
    assert found == [[], ["predictive.0.slope"]]


def test_numbers_and_categories_have_slopes_of_their_own(monkeypatch):
    """A number of chance, on which the other view should not be believed, beside a category that the other view knows."""
    monkeypatch.setattr(calibration, "slopes", lambda sums: [0.0] * len(sums))
    rng = np.random.default_rng(0)
    told = rng.standard_normal((80, 2))
    views = [told, np.stack([rng.standard_normal(80), told[:, 0] > 0.0], axis=1)]
    model = JPVAE(2, likelihood="infer", hidden=(8,), steps=150, backend="numpy", progress=False).fit(views)
    p = model.parameters_
    assert (p["predictive.1.slope"], p["predictive.1.slope_of_others"]) == (0.0, 1.0)


def test_each_kind_of_column_is_decoded_by_its_own_slope():
    """Numbers as if all were by the first slope, categories as if by the second, of the same draws."""
    rng = np.random.default_rng(0)
    told = rng.standard_normal((40, 2))
    views = [told, np.stack([told[:, 1] + rng.standard_normal(40), told[:, 0] > 0.0, told[:, 1] > 0.5], axis=1)]
    model = JPVAE(2, likelihood="infer", hidden=(8,), steps=20, calibration=0, backend="numpy", progress=False).fit(views)
    mask = np.repeat([[True, False]], 40, axis=0)

    def drawn(by):
        predictor = model.predictor().corrected(1, by)
        (block,) = predictor.blocks([told, np.zeros((40, 3))], mask)
        ((_, _, means),) = predictor.decoded_draws(block, [1], 5)
        return means[:, :40], predictor.centres(block, [1])[1][:40]

    numbers = model._fitted.model.likelihoods[1].normal_noise(3)
    at = np.concatenate(list(numbers.values()))
    others = np.setdiff1d(np.arange(3), at)
    assert (len(at), len(others)) == (1, 2)
    slopes = (0.4, 0.8, 1.0)
    alone = {b: drawn(Predictive(b)) for b in slopes}
    for b, of_others in itertools.permutations(slopes, 2):
        for found, first, second in zip(
            drawn(Predictive(b, slope_of_others=of_others)), alone[b], alone[of_others], strict=True
        ):
            np.testing.assert_array_equal(found[..., at], first[..., at])
            np.testing.assert_array_equal(found[..., others], second[..., others])
            assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("by", "parts"),
    [
        (Predictive(), set()),
        (Predictive(0.5), {"slope"}),
        (Predictive(0.5, slope_of_others=0.5), {"slope"}),
        (Predictive(0.5, slope_of_others=1.0), {"slope", "slope_of_others"}),
        (Predictive(slope_of_others=1.0), set()),
        (Predictive(1.0, 7, 0.0), {"degrees_of_freedom", "slope_of_others"}),
    ],
)
def test_what_is_kept_is_what_is_read(by, parts):
    arrays = by.arrays(1)
    assert {name.removeprefix("predictive.1.") for name in arrays} == parts
    again = Predictive.of(arrays, 1)
    assert (again.slopes, again.degrees_of_freedom) == (by.slopes, by.degrees_of_freedom)


def test_a_category_of_chance_is_not_told():
    """A hundred columns say nothing of the categories beside them: uncorrected, their log loss is above the base rate's."""
    rng = np.random.default_rng(4)
    rows, new = 100, 400
    told = rng.standard_normal((rows + new, 100))
    views = [told, (rng.random((rows + new, 3)) < [0.3, 0.5, 0.7]).astype(float)]
    options = {"likelihood": "infer", "steps": 149, "backend": "numpy", "progress": False}

    def log_loss(probability):
        truth = views[1][rows:]
        return -np.mean(np.log(np.where(truth == 1.0, probability, 1.0 - probability)))

    train = [x[:rows] for x in views]
    mask = np.repeat([[True, False]], new, axis=0)
    given = [told[rows:], np.zeros((new, 3))]
    model, without = (JPVAE(4, **options, calibration=part).fit(train) for part in (0.2, 0.0))
    base = log_loss(train[1].mean(axis=0))
    assert model.parameters_["predictive.1.slope"] < 1.0  # of all its columns: there is no second decoding
    assert "predictive.1.slope_of_others" not in model.parameters_
    found, uncorrected = (log_loss(one.impute(given, mask)[1]) for one in (model, without))
    assert found - base < (uncorrected - base) / 2
