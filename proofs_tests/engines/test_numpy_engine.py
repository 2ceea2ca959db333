"""The NumPy engine: steps equal to the torch engine's, the other engine's checkpoints, everything above it.

(That either engine's gradients are right is test_conformance.py's matter: complex steps through a dense loss; 200 steps of each
engine: test_same_training.py.)
"""

import itertools
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import synthetic
from ended_runs import Killed, kill
from synthetic import OPTIONS, binary_views, three_views

from jpvae import JPVAE
from jpvae.engines import engine
from jpvae.errors import ConfigError, TrainingDiverged
from jpvae.model.model import Model
from jpvae.training.batches import Batches
from jpvae.training.plan import Plan
from jpvae.training.schedules import Constant, LearningRate
from jpvae_numpy import Engine
from jpvae_numpy.layers import Layers

STEPS, BINARY, REAL = 60, "bernoulli", "gaussian"
MODELS = {
    "independent": Model((4, 3), (2, 3), (BINARY, REAL), hidden=(5, 4), prior="independent"),
    "orthogonal": Model((4, 3), (3, 3), (BINARY, REAL), hidden=(5, 4), prior="orthogonal", alpha=-0.8),
    "learned alpha": Model((4, 3), (3, 3), (BINARY, REAL), hidden=(5,), prior="orthogonal", learn_alpha=True),
    "svd": Model((4, 3), (2, 4), (BINARY, BINARY), hidden=(5,), prior="svd", alpha=0.7),
    "svd, tanh, rank 1": Model((4, 3), (3, 2), (BINARY, REAL), hidden=(5,), prior="svd", bound="tanh", rank=1),
    "canonical": Model((4, 3, 5), (3, 2, 4), (BINARY, REAL, BINARY), hidden=(5,), prior="canonical", alpha=0.7),
    "orthogonal, three views": Model((4, 3, 2), (2, 2, 2), (REAL, BINARY, REAL), hidden=(), alpha=0.9),
}
RUNS = [
    ("independent", "holes", "subset"),
    ("orthogonal", "complete", "elbo"),
    ("learned alpha", "complete", "subset"),
    ("svd", "complete", "elbo"),
    ("svd", "holes", "subset"),
    ("svd, tanh, rank 1", "holes", "elbo"),
    ("canonical", "holes", "subset"),
    ("orthogonal, three views", "holes", "subset"),
]


def start(model):
    """Parameters away from their usual start, where rotations are nearly the identity."""
    rng = np.random.default_rng(5)
    return {k: np.asarray(v + 0.3 * rng.standard_normal(v.shape)) for k, v in model.initial_parameters(1).items()}


def batches(model, holes="holes", objective="subset"):
    """40 rows of every pattern, in batches of 16."""
    rng, M = np.random.default_rng(6), model.views
    patterns = [bits for bits in itertools.product([True, False], repeat=M) if any(bits)]
    observed = np.asarray([patterns[r % len(patterns)] if holes == "holes" else (True,) * M for r in range(40)])
    views = [rng.standard_normal((40, c)) for c in model.features]
    kinds = zip(views, model.likelihood_names, observed.T, strict=True)
    views = [np.where(seen[:, None], v > 0 if name == BINARY else v, 0.0) for v, name, seen in kinds]
    weights = (1.0, 0.5, 0.5) if M == 2 else (1.0, 1.0)
    return Batches(views, observed, model, Plan(STEPS, 16, Constant(), LearningRate(), objective, weights))


def run(backend, state, data, first=0, last=STEPS, **limit):
    """The reports of these steps: beta rises, the rate falls, correlations move at half of it."""
    return [
        backend.train_step(
            state, data.at(k), beta=min(1.0, k / 50), learning_rate=1e-2 / (1 + k / 100), coupling_rate=0.5, **limit
        )
        for k in range(first, last)
    ]


def assert_same_training(found, expected):
    """Reports, parameters, moments, to 1e-9 of an array's largest entry.

    Both engines' gradients are sums of fewer than 1e3 terms, rounded at 1e-16: apart by 1e-13 of their largest entry. Adam
    divides by a gradient's size, so an entry of 1e-3 of the largest moves by a share of 1e-10 of a step otherwise, smaller ones
    move by their noise; 60 steps of 1e-2 or less, on parameters of size 1 that contract towards the same optimum.
    """
    (reports, arrays), (expected_reports, expected_arrays) = found, expected
    for one, other in zip(reports, expected_reports, strict=True):
        assert one.keys() == other.keys()
        assert all(one[name] == pytest.approx(other[name], rel=1e-9) for name in other)
    for one, other in zip(arrays, expected_arrays, strict=True):
        assert one.keys() == other.keys()
        for name, x in other.items():
            assert one[name].shape == x.shape
            assert np.all(np.abs(one[name] - x) <= 1e-9 * np.abs(x).max(initial=0.0)), name


@pytest.mark.parametrize(("name", "holes", "objective"), RUNS)
def test_sixty_steps_equal_torch(name, holes, objective):
    model, data = MODELS[name], batches(MODELS[name], holes, objective)
    results = []
    for backend in (Engine(model, "float64"), engine("torch", model, "float64")):
        state = backend.start(start(model), None)
        results.append((run(backend, state, data), backend.to_arrays(state)))
    assert_same_training(*results)
    begun = start(model)
    assert all((x != begun[k]).any() for k, x in results[0][1][0].items())  # every parameter was trained


@pytest.mark.parametrize(("name", "limit"), [("svd", 1.0), ("learned alpha", 2.5), ("canonical", 1.0)])
def test_sixty_steps_of_limited_gradients_equal_torch(name, limit):
    """A limit that the norm crosses both ways."""
    model, data, results = MODELS[name], batches(MODELS[name]), []
    for backend in (Engine(model, "float64"), engine("torch", model, "float64")):
        state = backend.start(start(model), None)
        results.append((run(backend, state, data, max_gradient_norm=limit), backend.to_arrays(state)))
    assert_same_training(*results)
    norms = [report["gradient_norm"] for report in results[0][0]]
    assert min(norms) < limit < max(norms)


def test_either_engine_goes_on_from_the_other_s_checkpoint():
    model, data, at = MODELS["canonical"], batches(MODELS["canonical"]), 60
    backends = [Engine(model, "float64"), engine("torch", model, "float64")]
    for first, second in (backends, backends[::-1]):
        state = first.start(start(model), None)
        begun = run(first, state, data, 0, at)
        arrays = first.to_arrays(state)
        resumed = second.start(*arrays)
        found = begun + run(second, resumed, data, at, 2 * at), second.to_arrays(resumed)
        expected = begun + run(first, state, data, at, 2 * at), first.to_arrays(state)
        assert_same_training(found, expected)
        assert float(arrays[1]["step"]) == at  # what was handed over has not moved since


def test_threads_change_no_bit():
    model = MODELS["orthogonal, three views"]
    ends = []
    for threads in (1, 2, 3):
        one = Engine(model, threads=threads)
        state = one.start(start(model))
        ends.append((run(one, state, batches(model), 0, 20), one.to_arrays(state)))
    for reports, (parameters, moments) in ends[1:]:
        assert reports == ends[0][0]
        assert all(np.array_equal(x, parameters[k]) for k, x in ends[0][1][0].items())
        assert all(np.array_equal(x, moments[k]) for k, x in ends[0][1][1].items())


def test_float32_stays_float32(monkeypatch):
    """Through every link of the chain: one float64 constant would double the memory traffic of all that follows."""
    passed = []

    def watched(method):
        def call(self, x, **options):
            result = method(self, x, **options)
            passed.extend((x, *(() if result is None else (result,))))
            return result

        return call

    monkeypatch.setattr(Layers, "forward", watched(Layers.forward))
    monkeypatch.setattr(Layers, "backward", watched(Layers.backward))
    for name in ("learned alpha", "svd", "canonical"):
        model = MODELS[name]
        one = Engine(model)
        state = one.start(start(model))
        run(one, state, batches(model), 0, 2)
        p = one.parameters(state)
        posterior = one.encode(p, 0, one.asarray(np.ones((3, model.features[0]))))
        passed += [*p.values(), *posterior, one.decode(p, 0, posterior[0])]
        parameters, moments = one.to_arrays(state)
        passed += [*parameters.values(), *(x for k, x in moments.items() if k != "step")]
        own = {k: one.asarray(v) for k, v in model.own_parameters(p, 1).items()}
        outputs = np.zeros((3, model.features[1]), np.float32)
        bar, own_bar = model.likelihoods[1].log_prob_vjp(one.xp, outputs, outputs, own, outputs[:, :1])
        passed += [bar, *own_bar.values()]
    assert len(passed) > 100
    assert {x.dtype.name for x in passed} == {"float32"}


def test_the_estimator_s_results_are_those_of_torch(tmp_path):
    """Training, imputation with its deviations, draws, score, moments: the same numbers from both engines."""
    views, mask = three_views(100, 0)
    models = [JPVAE(**OPTIONS | {"steps": 30, "backend": backend}).fit(views, mask) for backend in ("numpy", "torch")]
    models[0].save(tmp_path / "m")
    models += [JPVAE.load(tmp_path / "m"), pickle.loads(pickle.dumps(models[0]))]  # noqa: S301
    expected = results(models.pop(1), views, mask)
    for model in models:
        for one, other in zip(results(model, views, mask), expected, strict=True):
            # 30 steps as above, then decoders of gain below 100 on latents that differ by 1e-12; largest entries below 1e3.
            assert np.all(np.abs(one - other) <= 1e-9 * np.abs(other).max())


def results(model, views, mask):
    filled, std = model.impute(views, mask, n_draws=4, return_std=True)
    plug_in = [model.impute(views, mask, method="plug-in", moments=m) for m in ("prior", "training")]
    draws = model.sample_imputations(views, mask, n_draws=2, observation_noise=True)
    others = [model.transform(views, mask), np.asarray([model.score(views, mask)]), *model.reconstruct(views, mask)]
    return [*filled, *std, *itertools.chain(*plug_in), *draws, *others, *model.sample(3), *model.training_moments()]


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path):
    options = OPTIONS | {"steps": 100, "dtype": "float32", "backend": "numpy"}
    whole = JPVAE(**options).fit(*three_views(60, 1))
    with pytest.raises(Killed):
        JPVAE(**options).fit(*three_views(60, 1), checkpoint=tmp_path / "c", checkpoint_every=30, on_log=kill)
    resumed = JPVAE(**options).fit(*three_views(60, 1), checkpoint=tmp_path / "c")
    assert all(np.array_equal(x, resumed.parameters_[k]) for k, x in whole.parameters_.items())


def test_divergence_is_an_error_and_no_flood_of_warnings():
    options = OPTIONS | {"latent_dims": 2, "prior": "svd", "likelihood": "bernoulli", "learning_rate": 1e6}
    with pytest.raises(TrainingDiverged, match=r"at step \d+"):
        JPVAE(**options | {"backend": "numpy", "dtype": "float32"}).fit(binary_views(60, 0))


def test_other_devices_are_refused():
    with pytest.raises(ConfigError, match=r"device is 'cuda', which backend='numpy' cannot use here: .* expected device='cpu'"):
        engine("numpy", MODELS["svd"], device="cuda")


def test_it_needs_no_framework(tmp_path):
    for name in ("torch", "jax"):
        (tmp_path / f"{name}.py").write_text("raise AssertionError('a framework is imported')")
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from synthetic import JPVAE, OPTIONS, three_views\n"
        "views, mask = three_views(60, 0)\n"
        "model = JPVAE(**OPTIONS | {'steps': 2, 'backend': 'numpy'}).fit(views, mask)\n"
        "assert len(model.impute(views, mask)) == 3\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'jax', 'safetensors', 'typer'}))"
    )
    here = os.path.dirname(synthetic.__file__)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False, cwd=here)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
