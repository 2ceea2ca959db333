"""What is not finite stops a training at once, by name, and is never written; data beyond all scales are no imputation."""

import numpy as np
import pytest
from ended_runs import StopAt
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.engines import engine
from jpvae.errors import TrainingDiverged, ViewError
from jpvae.testing.examples import MODELS, parameters
from jpvae.training.batches import Batches
from jpvae.training.divergence import check_finite, check_report
from jpvae.training.loop import alone, train
from jpvae.training.plan import Plan
from jpvae.training.schedules import Constant, LearningRate

VIEWS, MASK = three_views(60, 3)
NAMED = dict(zip(("rna", "protein", "clinic"), VIEWS, strict=True))
BACKENDS = ("numpy", "torch")


def data(row, view, value, **plan):
    """Two real views of 40 rows, complete; one value is another."""
    rng, model = np.random.default_rng(0), MODELS["orthogonal, negative"]
    views = [rng.standard_normal((40, c)) for c in model.features]
    views[view][row, 1] = value
    chosen = Plan(50, 8, Constant(), LearningRate(), "subset", **plan)
    return model, Batches(views, np.ones((40, 2), dtype=bool), model, chosen, ("rna", "protein"))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("row", "view"), [(0, 0), (17, 1), (39, 0)])
def test_the_row_view_term_and_step_are_named(backend, row, view):
    """1e200 squared is beyond float64: the posterior's mean is as large as that, in the KL."""
    model, batches = data(row, view, 1e200)
    step = next(k for k in range(50) if row in batches.rows(k))
    made = engine(backend, model, "float64")
    place = f"at step {step} .*view '{('rna', 'protein')[view]}', row {row} is the first: its KL .* is inf"
    with pytest.raises(TrainingDiverged, match=place):
        alone(made, train(made.start(parameters(model), None), batches))


def test_of_several_rows_the_data_s_first_is_named():
    model, batches = data(0, 0, 0.5)
    rows = batches.rows(0)
    batches.views[1].inputs[rows[[5, 2, 7]], 1] = 1e200
    made = engine("numpy", model, "float64")
    with pytest.raises(TrainingDiverged, match=f"at step 0 .*'protein', row {rows[[5, 2, 7]].min()} is the first"):
        alone(made, train(made.start(parameters(model), None), batches))


def blind(model, view, column):
    """Parameters whose encoder does not see that column."""
    p = parameters(model)
    p[f"encoder.{view}.0.weight"][column] = 0.0
    return p


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_reconstruction_is_named_where_the_posterior_is_finite(backend):
    model, batches = data(23, 1, 1e200)
    step = next(k for k in range(50) if 23 in batches.rows(k))
    made = engine(backend, model, "float64")
    with pytest.raises(TrainingDiverged, match=f"at step {step} .*'protein', row 23 is the first: its reconstruction is inf"):
        alone(made, train(made.start(blind(model, 1, 1), None), batches, first=step))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gradient_that_is_not_finite_makes_no_step_where_there_is_a_limit(backend):
    """The loss of 1e153 is 1e306, its derivative in log_var as large; that squared is beyond float64."""
    model, batches = data(5, 0, 1e153, max_gradient_norm=1.0)
    step = next(k for k in range(50) if 5 in batches.rows(k))
    made = engine(backend, model, "float64")
    state = made.start(blind(model, 0, 1), None)
    before = made.to_arrays(state)
    with pytest.raises(TrainingDiverged, match=rf"the gradient's norm is inf at step {step} .*e\+30.*step was not taken"):
        alone(made, train(state, batches, first=step))
    for one, other in zip(before, made.to_arrays(state), strict=True):
        assert all(np.array_equal(one[name], x) for name, x in other.items())


def test_the_row_s_label_is_named_and_the_prior_where_all_else_is_finite():
    finite, half = np.ones((3, 2)), np.asarray([[1.0, 1.0], [np.inf, 1.0], [1.0, 1.0]])
    report = {"loss": np.nan, "reconstruction": [1.0, 1.0], "kl": np.nan}
    report["rows"] = {"posterior": finite, "reconstruction": finite, "kl": np.asarray([0.5, np.inf, np.inf])}
    message = r"row 's4' is the first: its KL is inf, by the joint prior's parameters"
    with pytest.raises(TrainingDiverged, match=message):
        check_report(report, "step 0", np.asarray([9, 7, 4]), ("rna", "protein"), [repr(f"s{k}") for k in range(10)])
    report["rows"] = {"posterior": half, "reconstruction": finite, "kl": np.ones(3)}  # one view's alone
    with pytest.raises(TrainingDiverged, match=r"view 'rna', row 7 is the first: its KL .* is inf"):
        check_report(report, "step 0", np.asarray([9, 7, 4]), ("rna", "protein"))


def test_parameters_and_moments_that_are_not_finite_are_named():
    arrays = {"encoder.1.0.weight": np.ones(2), "m.prior.U": np.ones(3)}
    check_finite(arrays, 7, ("rna", "protein"))
    for name, message in {"encoder.1.0.weight": "view 'protein': encoder.1.0.weight", "m.prior.U": "^m.prior.U"}.items():
        with pytest.raises(TrainingDiverged, match=f"{message} is not finite after step 6, though the loss was"):
            check_finite(arrays | {name: np.asarray([1.0, np.nan])}, 7, ("rna", "protein"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_last_good_checkpoint_stays(tmp_path, monkeypatch, backend):
    """The loss of step 25 is finite; the parameters after it are not. Nothing is written then, nor at the end."""
    path, options = tmp_path / "c", OPTIONS | {"steps": 26, "backend": backend}
    made = type(engine(backend, MODELS["svd"], "float64"))
    step = made.train_step

    def poisoned(self, state, batch, **rates):
        found = step(self, state, batch, **rates)
        if rates["learning_rate"] == LearningRate(2e-2).at(25, 26):
            self.parameters(state)["decoder.1.0.bias"][0] = np.inf
        return found

    monkeypatch.setattr(made, "train_step", poisoned)
    model = JPVAE(**options)
    with pytest.raises(TrainingDiverged, match=r"view 'protein': decoder.1.0.bias is not finite after step 25"):
        model.fit(NAMED, MASK, checkpoint=path, checkpoint_every=10)
    monkeypatch.undo()
    left, good = JPVAE.load(path), JPVAE(**options).fit(NAMED, MASK, callbacks=[StopAt(20)])
    assert all(np.array_equal(left.parameters_[name], x) for name, x in good.parameters_.items())


@pytest.mark.parametrize("call", ["impute", "sample_imputations"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_data_beyond_all_scales_are_named_and_not_imputed_as_nan(call, dtype, monkeypatch):
    """By a model that reads cells however far they are, as those of earlier releases and networks of one's own do."""
    monkeypatch.setattr("jpvae.planning._FARTHEST_READ", None)
    model = JPVAE(**OPTIONS | {"steps": 3, "backend": "numpy", "dtype": dtype}).fit(NAMED, MASK)
    mask = np.ones((20, 3), dtype=bool)
    mask[4:, 2] = False
    views = {name: v[:20].copy() for name, v in NAMED.items()}
    # 1e30 scales away: of the two signs one at least makes a log-variance of 1e29, whose exponential is inf.
    predictor, far = model.predictor(), np.zeros((2, 4), dtype)
    far[:, 2] = 1e30, -1e30
    sign = (1, -1)[int(np.argmax(predictor.engine.encode(predictor.p, 1, far)[1].max(axis=1)))]
    views["protein"][13, 2] += sign * 1e30 * model.scaling_[1][1][2]
    place = r"view 'clinic', row 13 cannot be imputed: .*because view 'protein', column 2 of that row is 1e\+30 times its scale"
    with pytest.raises(ViewError, match=place):
        getattr(model, call)(views, mask, n_draws=2)
    views["protein"][13, 2] = VIEWS[1][13, 2]
    assert all(np.isfinite(x).all() for x in getattr(model, call)(views, mask, n_draws=2).values())
