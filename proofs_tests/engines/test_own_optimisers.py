"""Optimisers of the user's own under torch: their runs are resumed by them alone, and weight decay is decoupled under each."""

import functools

import numpy as np
import pytest
import torch
from ended_runs import Killed, kill
from synthetic import OPTIONS, three_views

import jpvae_jax
import jpvae_torch
from jpvae import JPVAE
from jpvae.errors import CheckpointError, ConfigError, JPVAEWarning
from jpvae.files import checkpoints

VIEWS, MASK = three_views(80, 5)
NAMED = dict(zip(("rna", "protein", "clinic"), VIEWS, strict=True))
SHORT = OPTIONS | {"steps": 60, "hidden": (6,)}


def test_an_optimiser_of_the_user_s_own_and_its_resumed_run(tmp_path):
    def momentum(groups):
        return torch.optim.SGD(groups, lr=1.0, momentum=0.5)

    backend = functools.partial(jpvae_torch.Engine, optimizer=momentum)
    options = SHORT | {"backend": backend, "learning_rate": 1e-3, "weight_decay": 0.1}
    model = JPVAE(**options).fit(NAMED, MASK)
    with pytest.raises(Killed):
        JPVAE(**options).fit(NAMED, MASK, checkpoint=tmp_path / "c", checkpoint_every=20, on_log=kill)
    resumed = JPVAE(**options).fit(NAMED, MASK, checkpoint=tmp_path / "c")
    assert all(np.array_equal(x, resumed.parameters_[name]) for name, x in model.parameters_.items())
    start = model.model_.initial_parameters(0, model.scaling_)
    assert all(x.size == 0 or not np.array_equal(x, start[name]) for name, x in model.parameters_.items())
    with pytest.warns(JPVAEWarning, match=r"does not keep \(optimizer\): another fit would use backend='torch' without them"):
        assert JPVAE.load(tmp_path / "c").backend == "torch"
    assert JPVAE.load(tmp_path / "c", backend=backend).backend is backend  # without a warning


def by(optimizer):
    return functools.partial(jpvae_torch.Engine, optimizer=optimizer)


SGD = by(functools.partial(torch.optim.SGD, lr=1.0, momentum=0.5))
OTHERS = {
    "Adam by SGD": ("torch", SGD),
    "SGD by Adam": (SGD, "torch"),
    "SGD by NumPy's": (SGD, "numpy"),
    "SGD by JAX's": (SGD, jpvae_jax.Engine),
    "SGD by another": (SGD, by(torch.optim.RMSprop)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_optimiser_s_training_is_not_gone_on_with(name, tmp_path):
    first, second = OTHERS[name]
    options = SHORT | {"learning_rate": 1e-3, "steps": 6}
    with pytest.raises(Killed):
        JPVAE(**options, backend=first).fit(NAMED, MASK, checkpoint=tmp_path / "c", checkpoint_every=3, on_log=kill)
    with pytest.raises(
        CheckpointError, match=r"belongs to a different training run: .*Choose another path, or delete the file"
    ):
        JPVAE(**options, backend=second).fit(NAMED, MASK, checkpoint=tmp_path / "c")


class Plain(torch.optim.Optimizer):
    """Plain descent; what it keeps of each parameter, and in its groups, is that of a subclass."""

    def __init__(self, groups, **more):
        super().__init__(groups, {"lr": 1.0} | more)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            factor = self.changed(group)
            for x in group["params"]:
                self.keep(self.state[x])
                if x.grad is not None:
                    x.sub_(group["lr"] * factor * x.grad)

    def changed(self, group):
        return 1.0

    def keep(self, state):
        pass


class Counting(Plain):
    """It counts in its groups, as optimisers without a schedule do, and in its state, where an entry is None."""

    def __init__(self, groups):
        super().__init__(groups, k=0, total=torch.zeros(()), weight=0.1, ready=False, most=float("inf"))

    def changed(self, group):
        assert type(group["k"]) is int
        assert group["ready"] is (group["k"] > 0)
        group["k"], group["ready"] = group["k"] + 1, True
        group["total"] += 1
        group["weight"] += 0.1  # 53 digits of it are told from 24
        return group["weight"] / group["k"] / float(group["total"])

    def keep(self, state):
        state["buffer"] = None
        state["step"], state["decayed"] = state.get("step", 0) + 1, state.get("decayed", 1.0) * 0.9
        assert type(state["step"]) is int


class Inner(torch.nn.Module):
    def __init__(self, features, latents):
        super().__init__()
        self.encoder = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Linear(features, 2 * latents)])

    def forward(self, x):
        return self.encoder[1](x)


def outer(features, latents):
    return torch.nn.Linear(features, 2 * latents)


RESUMED = {
    "groups": (by(Counting), None),
    "names": (SGD, {"rna": (Inner, None), "protein": (outer, None)}),  # encoder.0.encoder.1.weight, encoder.1.weight
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_resumed_run_has_all_that_its_optimiser_had(name, tmp_path):
    backend, networks = RESUMED[name]
    options = SHORT | {"learning_rate": 1e-3, "steps": 6, "dtype": "float32", "backend": backend, "networks": networks}
    JPVAE(**options).fit(NAMED, MASK, checkpoint=tmp_path / "whole")
    with pytest.raises(Killed):
        JPVAE(**options).fit(NAMED, MASK, checkpoint=tmp_path / "c", checkpoint_every=3, on_log=kill)
    JPVAE(**options).fit(NAMED, MASK, checkpoint=tmp_path / "c")
    whole, resumed = (checkpoints.load(tmp_path / name)[0] for name in ("whole", "c"))  # with the optimiser's state
    assert sum(name.startswith("adam.state") for name in whole) > 1
    assert whole.keys() == resumed.keys()
    assert all(np.array_equal(x, resumed[name]) for name, x in whole.items())


class Text(Plain):
    def keep(self, state):
        state["phase"] = "warm"


class Complex(Plain):
    def keep(self, state):
        state["phase"] = torch.ones(2, dtype=torch.complex64)


class Shared(Plain):
    def keep(self, state):
        self.state["steps"] = 1


UNKEPT = {
    Text: r"^optimizer is Text, whose state has 'phase' = 'warm'; expected for each parameter a dict of real numbers, ",
    Complex: r"^optimizer is Complex, whose state has 'phase' = tensor\(.*; expected for each parameter a dict of real numbers",
    Shared: r"^optimizer is Shared, whose state has the key 'steps'; expected for each parameter a dict of real numbers, ",
}


@pytest.mark.parametrize("kind", UNKEPT)
def test_a_state_that_a_file_cannot_keep_is_refused_before_the_file_is_touched(kind, tmp_path):
    options = SHORT | {"steps": 6, "learning_rate": 1e-3}
    with pytest.raises(Killed):
        JPVAE(**options, backend=by(Plain)).fit(NAMED, MASK, checkpoint=tmp_path / "c", checkpoint_every=3, on_log=kill)
    before = (tmp_path / "c").read_bytes()
    one = type("Plain", (Plain,), {"keep": kind.keep, "__module__": Plain.__module__})  # to a file, the same optimiser
    with pytest.raises(ConfigError, match=UNKEPT[kind].replace(kind.__name__, "Plain")):
        JPVAE(**options, backend=by(one)).fit(NAMED, MASK, checkpoint=tmp_path / "c", checkpoint_every=3)
    assert (tmp_path / "c").read_bytes() == before


def no_rate(groups):
    return torch.optim.Optimizer(groups, {"step_size": 1.0})


def other_groups(groups):
    return torch.optim.SGD([x for group in groups for x in group["params"]], lr=1.0)


class Closing(torch.optim.SGD):
    """One that evaluates the loss itself."""

    def step(self, closure):
        return super().step(closure)


def fewer(groups):
    return torch.optim.SGD(groups[1:], lr=1.0)


def of_copies(groups):
    copies = [group | {"params": [x.detach().clone() for x in group["params"]]} for group in groups]
    return torch.optim.SGD(copies, lr=1.0)


REFUSED = {
    "fewer groups": (fewer, r"^optimizer gave SGD, which trains other tensors than the groups have; expected a function"),
    "copies": (of_copies, r"^optimizer gave SGD, which trains other tensors than the groups have; expected a function"),
    "several groups": (torch.optim.LBFGS, r"^optimizer fails on \d groups of parameters: LBFGS doesn't support"),
    "a closure": (Closing, r"^optimizer gave Closing, whose step needs a closure; expected a function of parameter groups"),
    "no rate": (no_rate, r"^optimizer gave Optimizer, which has a group without 'lr'; expected a function of parameter groups"),
    "other groups": (
        other_groups,
        r"^optimizer gave SGD, which has a group without 'couples'; expected a function of parameter",
    ),
    "no optimiser": (lambda groups: groups[0], r"^optimizer gave \{.*; expected .* that gives a torch.optim.Optimizer"),
    "no function": ("sgd", r"^optimizer fails on \d groups .*: 'str' object is not callable; expected a function of"),
    "other options": (functools.partial(torch.optim.SGD, speed=1), r"unexpected keyword argument 'speed'; expected a function"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_optimiser_is_refused(name):
    optimizer, message = REFUSED[name]
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        JPVAE(**SHORT, backend=by(optimizer)).fit(NAMED, MASK)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Rprop, torch.optim.Adam, torch.optim.AdamW])
def test_weight_decay_is_decoupled_under_every_optimiser(optimizer):
    """After one step from the same start, with decay w and without, parameters differ by rate * w * f times the start: the step
    itself does not see the decay. AdamW's own decay, which its default would be, is off."""
    found, rates = {}, []

    def make(groups):
        made = optimizer(groups, lr=1.0)
        rates.append(made.param_groups)
        return made

    for decay in (0.0, 3.0):
        model = JPVAE(**SHORT | {"steps": 1, "backend": by(make), "weight_decay": decay}).fit(NAMED, MASK)
        found[decay] = model.parameters_
    start = model.model_.initial_parameters(0, model.scaling_)
    rate = rates[-1][0]["lr"]
    factors = {name: model.model_.decay(name, x.ndim) for name, x in start.items()}
    assert set(factors.values()) >= {0.0, 1.0}
    for name, x in start.items():
        if name.startswith("likelihood"):  # calibrated after the steps
            continue
        expected = rate * 3.0 * factors[name] * x
        whole, difference = found[0.0][name], found[0.0][name] - found[3.0][name]
        rounding = 8 * np.finfo(float).eps * (1 + np.abs(whole).max(initial=0.0))  # of both steps, and of their difference
        assert np.abs(difference - expected).max(initial=0.0) <= rounding, name
