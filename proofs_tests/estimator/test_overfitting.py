"""Hidden layers that know their rows by heart: what rows that they have not seen say of them, and what follows.

Oracles: squared errors of predictions made here with weights multiplied by hand; the rule on numbers chosen here; and new rows.
"""

import numpy as np
import pytest
from ended_runs import StopAt
from exact import exact

from jpvae import JPVAE
from jpvae.errors import CheckpointError
from jpvae.files import checkpoints
from jpvae.inference import overfitting
from jpvae.inference.calibration import LeftOut
from jpvae.inference.overfitting import SHARES, confirmed_share, last_layers
from jpvae.planning import decay_after

QUIET = {"likelihood": "gaussian", "backend": "numpy", "progress": False}


def tables(rows, seed, columns=30, noise=1.0):
    """Two views of two common numbers, with noise."""
    loadings = np.random.default_rng(9).standard_normal((2, 2, columns))
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((rows, 2))
    return [z @ W + noise * rng.standard_normal((rows, columns)) for W in loadings]


def left_out(model, views):
    there = np.ones((len(views[0]), 2), dtype=bool)
    units = model._fitted.units
    rows = [one.prepare(x, there[:, 0], "float32", range(len(x))) for one, x in zip(units, views, strict=True)]
    return [LeftOut(model.predictor(), rows, there)]


def test_the_last_layers_are_those_beside_a_linear_path():
    train = tables(40, 0, columns=3)
    model = JPVAE(2, hidden=(5, 4), steps=2, **QUIET).fit(train)._fitted.model
    assert last_layers(model) == ["encoder.0.2.weight", "decoder.0.2.weight", "encoder.1.2.weight", "decoder.1.2.weight"]
    assert last_layers(JPVAE(2, hidden=(), steps=2, **QUIET).fit(train)._fitted.model) == []
    assert last_layers(JPVAE(2, linear_skip=False, hidden=(4,), steps=2, **QUIET).fit(train)._fitted.model) == []
    assert confirmed_share([LeftOut(exact().model.predictor(), [], np.ones((0, 3), dtype=bool))]) == 1.0  # it has none


@pytest.mark.parametrize(
    ("gains", "wanted"),  # of the errors at each share, in their mean; with their standard error
    [
        ([(0.1, 0.0), (0.2, 0.0), (0.1, 0.0), (0.0, 0.0)], 0.5),
        ([(0.1, 0.04), (0.2, 0.1), (0.3, 0.0), (0.4, 0.0)], 0.75),  # a half is no better for certain: nothing further is tried
        ([(0.1, 0.06), (0.9, 0.0), (0.9, 0.0), (0.9, 0.0)], 1.0),
        ([(0.1, 0.0), (0.2, 0.0), (0.3, 0.0), (0.4, 0.0)], 0.0),
        ([(-0.1, 0.0)], 1.0),
    ],
)
def test_the_share_is_the_last_that_is_better_for_certain(monkeypatch, gains, wanted):
    model = JPVAE(2, hidden=(4,), steps=2, **QUIET).fit(tables(40, 0, columns=3))
    rows = 100
    chance = np.where(np.arange(rows) % 2, 1.0, -1.0) * np.sqrt(rows)  # whose mean has the standard error 1
    found = iter([np.full(rows, 3.0), *(3.0 * (1.0 - gain + error * chance) for gain, error in gains)])
    monkeypatch.setattr(overfitting, "_errors", lambda _: [(np.arange(rows), next(found))])
    assert confirmed_share(left_out(model, tables(10, 1, columns=3))) == wanted


def test_a_row_s_views_are_not_independent_and_few_rows_tell_nothing(monkeypatch):
    """Two views that change alike in every row have the certainty of one, and two that do not, of more."""
    model = JPVAE(2, hidden=(4,), steps=2, **QUIET).fit(tables(40, 0, columns=3))
    folds = left_out(model, tables(10, 1, columns=3))

    def share(count, *orders):
        chance = np.where(np.arange(count) % 2, 1.0, -1.0) * np.sqrt(count)
        base = [(np.arange(count), np.ones(count)) for _ in orders]
        better = [(np.arange(count), 0.9 + 0.06 * chance[order]) for order in orders]  # by 0.1, with a standard error of 0.06
        found = iter([base, better, base])
        monkeypatch.setattr(overfitting, "_errors", lambda _: next(found))
        return confirmed_share(folds)

    same, turned = np.arange(100), np.arange(100)[::-1]
    assert share(100, same) == share(100, same, same) == 1.0
    assert share(100, same, turned) == 0.75
    sure = np.zeros(19, dtype=int)
    assert share(19, sure) == 1.0  # however certain
    assert share(20, np.arange(20)) == 1.0


def test_errors_are_those_of_models_with_smaller_weights(monkeypatch, tmp_path):
    """By the estimator: files in which the weights were multiplied, imputing the same rows."""
    train, new = tables(60, 0), tables(50, 1)
    model = JPVAE(2, hidden=(16,), steps=60, **QUIET).fit(train)
    found, errors = [], overfitting._errors
    monkeypatch.setattr(overfitting, "_errors", lambda folds: (found.append(errors(folds)), found[-1])[1])
    monkeypatch.setattr(overfitting, "_CERTAIN", -1e9)  # so that every share is looked at
    monkeypatch.setattr(overfitting, "_DRAWS", 400)
    uncorrected = left_out(model, new)[0].predictor
    uncorrected.predictive = [type(each)() for each in uncorrected.predictive]
    assert confirmed_share([left_out(model, new)[0]._replace(predictor=uncorrected)]) == 0.0
    model.save(tmp_path / "m.safetensors")
    tensors, header = checkpoints.load(tmp_path / "m.safetensors")
    kept = {name: x for name, x in tensors.items() if "predictive" not in name}
    for share, each in zip([1.0, *SHARES], found, strict=True):
        scaled = {
            f"parameters.{name}": np.float32(share) * kept[f"parameters.{name}"] for name in last_layers(model._fitted.model)
        }
        checkpoints.save(tmp_path / "other.safetensors", kept | scaled, header)
        other = JPVAE.load(tmp_path / "other.safetensors")
        for j, (rows, found_of_view) in enumerate(each):
            assert rows.tolist() == list(range(50))
            mask = np.repeat([[i != j for i in range(2)]], 50, axis=0)
            filled = other.impute(new, mask, n_draws=400)[j]
            wanted = np.mean(((filled - new[j]) / model._fitted.scaling[j][1]) ** 2, axis=1)
            # Means of 400 draws have a 400th of a draw's variance; the errors' own is at least as large.
            np.testing.assert_allclose(found_of_view.mean(), wanted.mean(), rtol=0.02)


@pytest.mark.parametrize(("columns", "decays"), [(40, True), (8, False)])
def test_what_is_known_by_heart_decays(columns, decays):
    """The hidden layers have nothing to add: all is linear. They know 80 columns by heart, and not 16."""
    train = tables(160, 0, columns)
    shares, original = [], overfitting.confirmed_share

    def note(folds):
        shares.append(original(folds))
        return shares[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jpvae.course.confirmed_share", note)
        JPVAE(8, steps=149, **QUIET).fit(train)
    assert (shares[0] < 1.0) == decays


def test_the_decay_is_that_of_the_share_but_never_too_fast():
    assert decay_after(0.3, 0.01, 1.0) is None
    assert decay_after(0.3, 0.01, 0.5) == pytest.approx(1.2)
    assert decay_after(0.3, 0.01, 0.0) == pytest.approx(4.8)  # a quarter is the least share that counts
    assert decay_after(0.3, 0.1, 0.25) == pytest.approx(1.0)  # a step takes at most a tenth of the linear maps
    assert decay_after(3.0, 0.1, 0.25) == 3.0  # and never less than it did


@pytest.mark.parametrize("given", ["auto", 0.7])
def test_a_run_that_was_stopped_goes_on_with_the_decay(monkeypatch, tmp_path, given):
    """It is in the file, is heeded where weight decay is "auto" alone, and changes what is trained."""
    options = {"hidden": (8,), "steps": 30, "weight_decay": given, **QUIET}
    train = tables(60, 0, columns=10)
    plain = JPVAE(2, **options).fit(train)
    monkeypatch.setattr("jpvae.course.confirmed_share", lambda _: 0.5)
    whole, path = JPVAE(2, **options).fit(train), tmp_path / "m.safetensors"
    stopped = JPVAE(2, **options).fit(train, checkpoint=path, callbacks=[StopAt(25)])
    assert stopped.n_iter_ == 25
    header = checkpoints.load(path)[1]
    assert header.get("weight_decay") == (None if given == 0.7 else pytest.approx(4 * 0.3 * np.sqrt(20 / 60)))
    again = JPVAE(2, **options).fit(train, checkpoint=path)
    same = [np.array_equal(whole.parameters_[name], plain.parameters_[name]) for name in plain.parameters_]
    assert all(same) == (given == 0.7)
    for name, x in whole.parameters_.items():
        np.testing.assert_array_equal(again.parameters_[name], x)


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan"), "0.5", True, [0.5]])
def test_forged_decays_are_refused(tmp_path, value):
    path = tmp_path / "m.safetensors"
    JPVAE(2, hidden=(4,), steps=2, **QUIET).fit(tables(40, 0, columns=3)).save(path)
    tensors, header = checkpoints.load(path)
    checkpoints.save(path, tensors, {**header, "weight_decay": value})
    with pytest.raises(CheckpointError, match=r"weight decay|damaged"):
        JPVAE.load(path)
