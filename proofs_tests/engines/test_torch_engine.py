"""The torch engine's own: equal views side by side train as the NumPy engine trains them, and what a step may cost."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from jpvae.model.model import Model
from jpvae.training.batches import Batches
from jpvae.training.plan import Plan
from jpvae.training.schedules import Constant, LearningRate
from jpvae_numpy import Engine as NumpyEngine
from jpvae_torch import Engine

SIZES, LATENTS, STEPS, ROWS = (5, 7, 5), (2, 2, 2), 40, 16
MODEL = Model(SIZES, LATENTS, ("bernoulli", "gaussian", "gaussian"), hidden=(6, 4), prior="canonical", alpha=0.7)


def batches(model, objective, *, holes):
    rng = np.random.default_rng(3)
    views = [(rng.random((40, c)) < 0.5).astype(float) for c in model.features]
    observed = np.ones((40, model.views), dtype=bool)
    if holes:
        observed[::3, 0] = observed[1::4, 2] = False  # other rows in the first and the last decoder, which are equal
    weights = (1.0, 0.5, 0.5) if model.views == 2 else (1.0, 1.0)
    return Batches(views, observed, model, Plan(STEPS, ROWS, Constant(), LearningRate(), objective, weights))


def trained(engine, data):
    state = engine.start(MODEL.initial_parameters(1), None)
    losses = [
        engine.train_step(state, data.at(k), beta=1.0, learning_rate=1e-2, coupling_rate=0.5)["loss"] for k in range(STEPS)
    ]
    return losses, *engine.to_arrays(state)


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("objective", ["elbo", "subset"])
def test_equal_views_train_as_they_do_one_by_one(objective, holes):
    """The NumPy engine takes one view after the other. To 1e-9, as in test_numpy_engine.py, with a fifth of the steps."""
    data = batches(MODEL, objective, holes=holes)
    engine = Engine(MODEL, "float64")
    assert engine.start(MODEL.initial_parameters(1)).groups == [(0, 2), (1,)]
    (losses, *arrays), (expected_losses, *expected) = trained(engine, data), trained(NumpyEngine(MODEL, "float64"), data)
    assert losses == pytest.approx(expected_losses, rel=1e-9)
    for one, other in zip(arrays, expected, strict=True):
        assert one.keys() == other.keys()
        assert all(np.abs(one[k] - x).max() <= 1e-9 * max(np.abs(x).max(), 1e-3) for k, x in other.items())


class Calls(TorchDispatchMode):
    """Counts operations, and the entries of the largest tensor that one made anew."""

    def __init__(self):
        super().__init__()
        self.count, self.largest = Counter(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.count[func.overloadpacket.__name__] += 1
        if isinstance(out, torch.Tensor) and "out" not in (kwargs or {}) and not func.is_view:
            self.largest = max(self.largest, out.numel())
        return out


def test_what_a_step_costs():
    """Two equal views are one product per layer and direction, one factorisation serves the rotation and its gradient, Adam
    goes once over each layer, and nothing as large as a weight is made anew."""
    model = Model((300, 300), (3, 3), ("bernoulli",) * 2, hidden=(100, 100), prior="orthogonal")
    engine, data = Engine(model), batches(model, "elbo", holes=False)
    state = engine.start(model.initial_parameters(0), None)
    options = {"beta": 1.0, "learning_rate": 1e-3, "coupling_rate": 1.0}
    engine.train_step(state, data.at(0), **options)  # makes the scratch buffer
    with Calls() as calls:
        engine.train_step(state, data.at(1), **options)
    layers = 2 * 3
    assert calls.count["baddbmm"] == layers
    assert calls.count["bmm"] == 2 * layers - 1  # nobody asks for the data's gradient
    assert calls.count["_fused_adam_"] == layers + 1
    assert calls.count["linalg_solve"] == 1
    assert calls.largest < 2 * 100 * 100
