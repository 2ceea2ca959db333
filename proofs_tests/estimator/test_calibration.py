"""The likelihoods' own parameters, learned on rows that the networks have not seen.

Oracles: a model that is one Gaussian (exact.py), whose noise variances are numbers set by hand; coverage of new rows; and a
decoder that ignores its latents, whose likelihood is SciPy's, on the same grids:

    d_view = argmax_d sum_c L_c(d),    d_c = argmax_d L_c(d) - (d - d_view)^2 / (2 tau^2)

of normal noise with Student's t and the normal in turn; of counts then one e for the whole view, which is found by counting
draws: how many cells lie between ranks 2 and 78 of 79 draws, ties halved, is computed.
"""

import functools
from types import SimpleNamespace

import numpy as np
import pytest
from ended_runs import StopAt
from exact import COLUMNS, exact
from scipy import stats

from jpvae import JPVAE
from jpvae.errors import ConfigError
from jpvae.inference import calibration
from jpvae.inference.calibration import DRAWS, SHIFTS, WIDER, LeftOut, calibrated
from jpvae.inference.predictive import DEGREES
from jpvae.inference.predictor import Predictor

ROWS = 400


def believing(change):
    """The exact model's predictor with log-variances changed by view, and rows of it in the model's units."""
    one = exact()
    own = one.model.predictor()
    p = {name: own.engine.numpy(x) for name, x in own.p.items()}
    for i, by in enumerate(change):
        p[f"likelihood.{i}.log_var"] = p[f"likelihood.{i}.log_var"] + by
    native = {name: own.engine.asarray(x) for name, x in p.items()}
    units = one.model._fitted.units
    there = np.ones(ROWS, dtype=bool)
    views = [u.prepare(x, there, "float64", range(ROWS)) for u, x in zip(units, one.sample(ROWS, 5), strict=True)]
    return one, Predictor(own.engine, own.model, native, own.seed), views


def expected(one):
    """The true log-variances by name, in the model's units, and the least that their estimates may be wrong by."""
    truth, error, start = {}, {}, 0
    for i, (c, units) in enumerate(zip(COLUMNS, one.model._fitted.units, strict=True)):
        at = slice(start, start + c)
        seen = np.arange(len(COLUMNS)) != i
        _, K = one.conditional(one.sample(2, 0), seen)
        truth[f"likelihood.{i}.log_var"] = np.log(one.noise[at] / units.scale**2)
        # The variance of a hidden value, K, is estimated from ROWS squares; the noise is only a part of it.
        error[f"likelihood.{i}.log_var"] = np.sqrt(2.0 / ROWS) * np.diag(K) / one.noise[at]
        start += c
    return truth, error


@pytest.mark.parametrize("by", [0.0, -3.0, 1.0])
def test_variances_that_are_wrong_become_those_of_the_truth(by):
    one, predictor, views = believing([by, by - 0.5, 0.0])
    found = calibrated([LeftOut(predictor, views, np.ones((ROWS, 3), dtype=bool))])
    truth, error = expected(one)
    assert {name for name in found if not name.startswith("predictive.")} == truth.keys()
    for name, log_var in truth.items():
        assert np.all(np.abs(found[name] - log_var) < 0.5 * (SHIFTS[1] - SHIFTS[0]) + 5 * error[name])
        if by == -3.0 and name == "likelihood.0.log_var":
            assert np.all(found[name] - (log_var + by) > 2.0)  # so that the bound above is no matter of course


def test_rows_of_several_models_count_as_those_of_one():
    """The same model twice, each with a part of the rows; then two that are wrong by as much in opposite directions."""
    one, predictor, views = believing([0.5, -0.5, 0.0])
    whole = calibrated([LeftOut(predictor, views, np.ones((ROWS, 3), dtype=bool))])
    parts = [slice(0, 150), slice(150, ROWS)]
    there = [np.ones((part.stop - part.start, 3), dtype=bool) for part in parts]
    split = calibrated([LeftOut(predictor, [v[at] for v in views], seen) for at, seen in zip(parts, there, strict=True)])
    assert split.keys() == whole.keys()
    for name, x in whole.items():
        np.testing.assert_array_equal(split[name], x)

    two = [believing([by, by, 0.0])[1] for by in (-1.0, 1.0)]
    opposite = calibrated(
        [LeftOut(each, [v[at] for v in views], seen) for each, at, seen in zip(two, parts, there, strict=True)]
    )
    truth, error = expected(one)
    for name, log_var in truth.items():  # as in the test above, but the draws' own variances are those of two wrong models
        assert np.all(np.abs(opposite[name] - log_var) < 0.5 * (SHIFTS[1] - SHIFTS[0]) + 5 * error[name])


def test_rows_with_one_view_show_nothing():
    _, predictor, views = believing([0.0, 0.0, 0.0])
    alone = np.eye(3, dtype=bool)[np.arange(ROWS) % 3]
    assert calibrated([LeftOut(predictor, views, alone)]) == {}


def wide(rows, seed):
    """Two tables of 60 columns each, of three common numbers, noise as large as what they share."""
    rng = np.random.default_rng(seed)
    loadings = np.random.default_rng(99).standard_normal((3, 120)) / np.sqrt(3)
    x = rng.standard_normal((rows, 3)) @ loadings + rng.standard_normal((rows, 120))
    return {"rna": x[:, :60], "protein": x[:, 60:]}


def coverage(model, tables):
    """The share of the second table's values inside the central 95 % of their draws, given the first."""
    drawn = model.sample_imputations({"rna": tables["rna"]}, n_draws=DRAWS)["protein"]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0, method="weibull")
    return np.mean((low <= tables["protein"]) & (tables["protein"] <= high))


def test_intervals_cover_where_columns_outnumber_rows():
    """60 rows of 120 columns: the fit knows its rows by heart."""
    train, new = wide(60, 0), wide(64, 1)
    options = {"likelihood": "gaussian", "latent_dims": 6, "hidden": (16,), "steps": 150, "backend": "numpy", "progress": False}
    options |= {"learning_rate": 0.03}  # by heart in few steps
    without = coverage(JPVAE(**options, calibration=0).fit(train), new)
    found = coverage(JPVAE(**options).fit(train), new)
    # Held out: 12 rows of 60 cells, whose residuals vary together; the share inside is known to about 0.02.
    assert without < 0.9 < found < 0.99


def test_few_rows_are_all_left_out_by_models_that_have_not_seen_them(monkeypatch):
    """30 rows of 120 columns, six for each of five models. What a model has seen it knows by heart: it is far nearer to it."""
    ratios = []

    def look(folds):
        first, second = (np.concatenate([fold.views[i].inputs for fold in folds]) for i in range(2))
        assert len(np.unique(first, axis=0)) == 30
        for k, (predictor, _, observed) in enumerate(folds):
            assert len(observed) == 6
            (block,) = predictor.blocks([first, second], np.ones((30, 2), dtype=bool), drawing=False)
            decoded = predictor.decoded_mean(1, predictor.conditional_latents(block)[1])[:30]
            distance = np.sum((predictor.engine.numpy(decoded) - second) ** 2, axis=1)
            left_out = np.arange(30) // 6 == k
            ratios.append(distance[left_out].mean() / distance[~left_out].mean())
        return {}

    monkeypatch.setattr("jpvae.course.calibrated", look)
    options = {"likelihood": "gaussian", "latent_dims": 6, "hidden": (16,), "steps": 150, "backend": "numpy", "progress": False}
    JPVAE(**options, learning_rate=0.03).fit(wide(30, 0))
    assert len(ratios) == 5
    assert min(ratios) > 2.0  # of rows that it has seen it would be 1


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    """Before the parameters are set, at that very step, and after."""
    monkeypatch.setattr("jpvae.planning._FOLDED_STEPS", 20)  # short, and with further models all the same
    options = {"likelihood": "gaussian", "latent_dims": 2, "hidden": (8,), "steps": 30, "backend": "numpy", "progress": False}
    train = wide(60, 0)
    whole = JPVAE(**options).fit(train)

    for after in (7, 20, 26):
        path = tmp_path / f"{after}.safetensors"
        stopped = JPVAE(**options).fit(train, checkpoint=path, callbacks=[StopAt(after)])
        assert stopped.n_iter_ == after
        again = JPVAE(**options).fit(train, checkpoint=path)
        for name, x in whole.parameters_.items():
            np.testing.assert_array_equal(again.parameters_[name], x)


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), True, "some"])
def test_odd_fractions_are_refused(value):
    with pytest.raises(ConfigError, match="calibration"):
        JPVAE(calibration=value).fit(wide(30, 0))


MEANS = np.array([0.4, 1.0, 2.5, 6.0])
SPREADS = np.array([-0.5, 0.25, 1.0, 1.75])  # of the data, around what the model believes


class Normal:
    name, parameter, believed = "gaussian", "log_var", -1.0

    @staticmethod
    def drawn(rng, rows):
        return MEANS + np.exp((Normal.believed + SPREADS) / 2) * rng.standard_normal((rows, 4))

    @staticmethod
    def law(c, log_var):
        return stats.norm(MEANS[c], np.exp(log_var / 2))

    @staticmethod
    def bias(units):  # targets are standardised
        return (MEANS - units.location) / units.scale

    @staticmethod
    def learned(units):
        return Normal.believed - 2.0 * np.log(units.scale)


class Tailed(Normal):
    """Errors with the same variances, five degrees of freedom, of which the model knows nothing."""

    @staticmethod
    def drawn(rng, rows):
        return MEANS + np.exp((Normal.believed + SPREADS) / 2) * rng.standard_t(5, (rows, 4)) * np.sqrt(3 / 5)


class NegativeBinomial:
    name, parameter, believed = "negative_binomial_unscaled", "log_dispersion", -1.0

    @staticmethod
    def drawn(rng, rows):
        r = np.exp(-(NegativeBinomial.believed + SPREADS))
        return rng.negative_binomial(r, r / (r + MEANS), (rows, 4)).astype(float)

    @staticmethod
    def law(c, log_phi):
        r = np.exp(-log_phi)
        return stats.nbinom(r, r / (r + MEANS[c]))

    @staticmethod
    def bias(_):
        return 30.0 * np.arctanh(np.log(MEANS) / 30.0)

    @staticmethod
    def learned(_):
        return np.full(4, NegativeBinomial.believed)

    density, tie = staticmethod(lambda law, x: law.logpmf(x)), staticmethod(lambda law, x: law.pmf(x))


def inside(below, equal):
    """P(1.5 <= #{draws < x} + #{draws = x}/2 <= 77.5) of 79 independent draws, (n,): twice it is a sum of 79 terms
    0, 1 or 2, whose law is the 79th power of a polynomial."""
    w = np.exp(-2j * np.pi * np.arange(256) / 256)
    one = (1.0 - below - equal)[:, None] + equal[:, None] * w + below[:, None] * w**2
    return np.fft.ifft(one**DRAWS, axis=1).real[:, 3:156].sum(axis=1)


@functools.cache
def found(family, rows, gaps):
    """The two views' data, NaN where a cell is empty; the second view's learned parameter, and what becomes of it."""
    rng = np.random.default_rng(rows)
    x = family.drawn(rng, rows)
    x[rng.random(x.shape) < 0.3 * gaps] = np.nan
    x[np.isnan(x).all(axis=1)] = 1.0
    first = rng.standard_normal((rows, 2))
    options = {"hidden": (), "steps": 1, "latent_dims": 2, "progress": False, "backend": "numpy", "dtype": "float64"}
    likelihood = {"view0": "gaussian", "view1": family.name}
    model = JPVAE(likelihood=likelihood, entries="marginalise" if gaps else "error", missing="nan", **options).fit([first, x])
    units, own = model._fitted.units, model.predictor()
    p = {name: np.array(value) for name, value in own.p.items()}
    p["decoder.1.0.weight"][:], p["decoder.1.0.bias"][:] = 0.0, family.bias(units[1])
    p[f"likelihood.1.{family.parameter}"][:] = family.learned(units[1])
    there = np.ones(rows, dtype=bool)
    views = [u.prepare(v, there, "float64", range(rows)) for u, v in zip(units, (first, x), strict=True)]
    predictor = Predictor(own.engine, own.model, p, own.seed)
    made = calibrated([LeftOut(predictor, views, np.ones((rows, 2), dtype=bool))])
    nu = made.get("predictive.1.degrees_of_freedom", [np.inf])[0]
    return x, made[f"likelihood.1.{family.parameter}"] - family.learned(units[1]), nu


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("rows", [12, 500])
@pytest.mark.parametrize("family", [Normal, Tailed])
def test_the_variances_and_the_tails_are_those_of_largest_likelihood(family, rows, gaps):
    x, moved, nu = found(family, rows, gaps)
    best = {}
    sd = np.exp((family.believed + SHIFTS[:, None, None] * np.ones(4)) / 2)  # of each shift and column
    for degrees in DEGREES:
        if degrees == np.inf:
            cells = stats.norm.logpdf(x, MEANS, sd)
        else:
            cells = stats.t.logpdf(x, degrees, MEANS, sd * np.sqrt((degrees - 2) / degrees))
        fits = np.nansum(cells, axis=1)
        middle = SHIFTS[fits.sum(axis=1).argmax()]
        near = fits - (SHIFTS[:, None] - middle) ** 2 / (2 * 0.5**2)
        best[degrees] = near.max(axis=0).sum() - (degrees < np.inf), SHIFTS[near.argmax(axis=0)]
    wanted = max(best, key=lambda degrees: best[degrees][0])
    assert nu == wanted
    np.testing.assert_allclose(moved, best[wanted][1], atol=1e-9)
    if rows == 500:
        assert (nu < np.inf) == (family is Tailed)


@pytest.mark.parametrize("rows", [12, 500])
def test_the_view_s_shift_each_column_s_own_and_the_last_one_for_all(rows):
    family = NegativeBinomial
    x, moved, nu = found(family, rows, False)
    assert nu == np.inf
    cells = [column[~np.isnan(column)] for column in x.T]
    fits = np.array(
        [[family.density(family.law(c, family.believed + d), v).sum() for c, v in enumerate(cells)] for d in SHIFTS]
    )
    middle = SHIFTS[fits.sum(axis=1).argmax()]
    own = SHIFTS[(fits - (SHIFTS[:, None] - middle) ** 2 / (2 * 0.5**2)).argmax(axis=0)]
    assert len(set(own)) > (1 if rows > 100 else 0)
    assert np.any(own != SHIFTS[fits.argmax(axis=0)]) or rows > 100  # the penalty is met
    e = moved - own
    assert np.allclose(e, e[0], atol=1e-9)
    assert np.isclose(WIDER, e[0], atol=1e-9).any()
    shares, count = [], sum(map(len, cells))
    for wider in WIDER:
        laws = [family.law(c, family.believed + own[c] + wider) for c in range(4)]
        total = 0.0
        for law, column in zip(laws, cells, strict=True):
            v, times = np.unique(column, return_counts=True)
            total += times @ inside(law.cdf(v) - family.tie(law, v), family.tie(law, v))
        shares.append(total / count)
    missed = np.abs(np.array(shares) - 0.95)
    # Each cell's 79 draws decide whether it is inside: a count with a standard error of at most that of all cells together.
    assert missed[np.isclose(WIDER, e[0])][0] <= missed.min() + 3 * np.sqrt(0.95 * 0.05 / count)


def test_how_many_rows_are_looked_at():
    """About 40,000 cells of a view for its shifts, but at least 20 rows, and all rows where there are fewer."""
    assert (calibration._CELLS, calibration._FEWEST) == (40_000, 20)

    class Seen(calibration._Hidden):
        def __init__(self, features):
            self.features, self.other, self.asked = features, np.arange(features), []
            self.family, self.learned, self.view, self.xp = None, {}, 0, np
            self.engine = SimpleNamespace(numpy=np.asarray, asarray=np.asarray)
            self.parts = [SimpleNamespace(predictor=SimpleNamespace(seed=0))]

        def _decoded(self, draws, most):
            self.asked.append((draws, most))
            raise StopIteration

    for features, rows in ((10, 4000), (2000, 20), (3000, 20), (40_000, 20), (50_000, 20)):
        one = Seen(features)
        for look in (one.shifts, one.predictions, lambda here=one: here.widening(None)):
            with pytest.raises(StopIteration):
                look()
        assert one.asked == [(16, rows), (DRAWS, rows), (DRAWS, max(1, 40_000 // features))]
