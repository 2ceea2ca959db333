"""The torch engine's own: what a step may cost, and its compiled loss."""

from collections import Counter

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from jpvae.model.model import Model
from jpvae.model.objective import negative_elbo
from jpvae.training.batches import Batches
from jpvae.training.plan import Plan
from jpvae.training.schedules import Constant, LearningRate
from jpvae_torch import Engine


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
    """Each layer is one product per direction, one factorisation serves the rotation and its gradient, the optimiser is one
    call for what decays, the rest and the coupling, and nothing larger than a weight is made."""
    model = Model((300, 300), (3, 3), ("bernoulli",) * 2, hidden=(100, 100), prior="orthogonal", learn_alpha=True)
    ink = [(np.random.default_rng(i).random((16, 300)) < 0.5).astype(float) for i in range(2)]
    data = Batches(ink, np.ones((16, 2), dtype=bool), model, Plan(2, 16, Constant(), LearningRate(), "elbo"))
    engine = Engine(model)
    state = engine.start(model.initial_parameters(0), None)
    options = {"beta": 1.0, "learning_rate": 1e-3, "coupling_rate": 1.0}
    engine.train_step(state, data.at(0), **options)  # makes the moments
    with Calls() as calls:
        engine.train_step(state, data.at(1), **options)
    layers = 2 * 2 * 3
    assert calls.count["addmm"] == layers
    to_input = layers - 2  # the data's gradient is not computed
    prior = 2  # mu_2 C and its two gradients are products too: at most these
    assert layers + to_input <= calls.count["mm"] <= layers + to_input + 4 * prior
    assert calls.count["_fused_adamw_"] == 3
    assert calls.count["_linalg_solve_ex"] == 1
    assert calls.largest <= 300 * 100


def test_a_compiled_loss_trains_the_same(monkeypatch):
    """Traced by torch.compile into one graph, and run operation by operation ("eager": a C++ compiler takes minutes): the very
    bits (of a prior whose KL has no Function of its own)."""
    backends, compile = [], torch.compile

    def traced(function):
        backends.append(function)
        return compile(function, backend="eager", fullgraph=True)

    monkeypatch.setattr(torch, "compile", traced)
    model = Model((3, 2), (2, 2), ("gaussian",) * 2, hidden=(), prior="canonical")
    rng = np.random.default_rng(0)
    plan = Plan(2, 8, Constant(), LearningRate(), "elbo")
    data = Batches([rng.standard_normal((8, n)) for n in (3, 2)], np.ones((8, 2), dtype=bool), model, plan)

    def trained(compile):
        engine = Engine(model, "float64", compile=compile)
        state = engine.start(model.initial_parameters(0))
        losses = [engine.train_step(state, data.at(step), beta=1.0, learning_rate=1e-2)["loss"] for step in range(2)]
        return losses, engine.to_arrays(state)[0]

    (losses, parameters), (expected_losses, expected) = trained(True), trained(False)
    assert backends == [negative_elbo]
    assert losses == expected_losses
    assert all(np.array_equal(parameters[name], expected[name]) for name in expected)
