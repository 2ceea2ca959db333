"""JointPriorModule: a start from a given prior, what a state holds, and life inside what PyTorch users build around a model."""

import copy
import sys

import numpy as np
import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

import jpvae_core as jc
from jpvae.errors import ConfigError
from jpvae_torch import JointPriorModule

RNG = np.random.default_rng(0)
KINDS = {
    "orthogonal": lambda **more: JointPriorModule((3, 3), **more),
    "orthogonal, learned": lambda **more: JointPriorModule((3, 3), learn_alpha=True, **more),
    "orthogonal, three": lambda **more: JointPriorModule((3, 3, 3), **more),
    "sigmoid": lambda **more: JointPriorModule((3, 4), "svd", rank=2, **more),
    "tanh": lambda **more: JointPriorModule((3, 4), "svd", 0.5, bound="tanh", **more),
    "canonical": lambda **more: JointPriorModule({"scan": 3, "genes": 4, "lab": 2}, "canonical", **more),
    "independent": lambda **more: JointPriorModule((3, 4), "independent", **more),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def tensor(*shape):
    return torch.asarray(RNG.normal(size=shape))


def rotation(n, d=None):
    return torch.asarray(np.linalg.qr(RNG.normal(size=(n, n)))[0][:, :d])


class Model(torch.nn.Module):
    """Encoders of one layer each; the loss is the KL."""

    def __init__(self, prior):
        super().__init__()
        self.prior = prior
        self.encoders = torch.nn.ModuleList([torch.nn.Linear(5, 2 * n) for n in prior.options.dims])

    def forward(self, x):
        means, log_vars = zip(*(e(x).float().chunk(2, dim=-1) for e in self.encoders), strict=True)
        return jc.kl_divergence(self.prior(), means, log_vars)


@every_kind
def test_it_starts_at_alpha_near_the_identity_and_learns(kind):
    module = KINDS[kind](dtype=torch.float64)
    prior = module().check()
    alpha = {"tanh": 0.5, "independent": 0.0}.get(kind, 0.95)
    assert float(prior.max_singular_value().detach()) == pytest.approx(alpha, abs=1e-12)
    assert prior.dtype == torch.float64
    rows = [tensor(4, n).requires_grad_() for n in prior.dims]
    jc.kl_divergence(prior, rows, rows).sum().backward()
    for name, p in module.named_parameters():
        assert bool((p.grad != 0).any()), name
        with torch.no_grad():  # whatever an optimiser does, it stays a prior
            p -= 1e6 * p.grad.sign()
    module().check()


GIVEN = {
    "orthogonal, det -1": lambda: jc.JointPrior.orthogonal(-rotation(3), -0.7),
    "an eigenvalue -1": lambda: jc.JointPrior.orthogonal(torch.diag(torch.asarray([1.0, -1.0, -1.0]).double()), 0.9),
    "covariance": lambda: jc.JointPrior.from_covariance(0.1 * tensor(3, 4), rank=2),
    "strong": lambda: jc.JointPrior.svd(rotation(4, 2), torch.asarray([20.0, -20.0]).double(), rotation(3, 2), "tanh"),
    "canonical": lambda: jc.JointPrior.canonical([rotation(n, 2) for n in (3, 2, 4)], tensor(3, 2)).named("a", "b", "c"),
    "without rotations": lambda: jc.JointPrior.canonical(None, tensor(3, 2)),
    "independent": lambda: jc.JointPrior.independent([2, 3], like=tensor(1)),
}


@pytest.mark.parametrize("case", GIVEN)
def test_a_start_at_a_given_prior(case):
    """log(1 - s^2) to 1e-13 of it, C to 1e-14: a few roundings of entries of order 1."""
    given = GIVEN[case]()
    prior = JointPriorModule.of(given)()
    assert (prior.dims, prior.names, prior.dtype) == (given.dims, given.names, given.dtype)
    torch.testing.assert_close(prior.covariance(), given.covariance(), rtol=0, atol=1e-14)
    torch.testing.assert_close(prior.log_det(), given.log_det(), rtol=1e-13, atol=0)


@pytest.mark.parametrize("t", [-60.0, 17.0, 40.0])
def test_a_learned_alpha_that_rounds_to_1_is_a_prior_all_the_same(t):
    """log(1 - tanh(t/2)^2) = -2 log cosh(t/2), of three directions: at t = 40 alpha is 1 - 1e-17, in float32 and in float64."""
    module = JointPriorModule((3, 3), learn_alpha=True)
    with torch.no_grad():
        module.alpha.fill_(t)
    log_cosh = 0.5 * abs(t) + np.log1p(np.exp(-abs(t))) - np.log(2.0)
    log_det = module().check().log_det()
    np.testing.assert_allclose(float(log_det.detach()), -6.0 * log_cosh, rtol=1e-6)
    log_det.backward()
    np.testing.assert_allclose(module.alpha.grad, [-3.0 * np.tanh(0.5 * t)], rtol=1e-6)
    again = JointPriorModule.of(module(), learn_alpha=True)
    torch.testing.assert_close(again.alpha, module.alpha, rtol=1e-6, atol=0)


@every_kind
def test_the_state_is_the_raw_parameters_and_gives_the_same_prior(kind):
    module, other = KINDS[kind](seed=1), KINDS[kind](seed=2)
    assert {name for name, _ in module.named_parameters()} == module.no_weight_decay()
    other.load_state_dict(module.state_dict())
    assert other() == module() == copy.deepcopy(module)()
    assert module.double()().dtype == torch.float64


OTHERS = {  # pairs of modules with parameters of the same names and shapes, and what is said
    "alpha": (((2, 2), "orthogonal", 0.4), ((2, 2),), "alpha=0.4, not 0.95"),
    "alpha of three": (((2, 2, 2), "orthogonal", 0.4), ((2, 2, 2),), "alpha=0.4, not 0.95"),
    "bound": (((2, 2), "svd", {"bound": "tanh"}), ((2, 2), "svd"), "bound='tanh', not 'sigmoid'"),
    "sizes": (((4, 5), "independent"), ((2, 3), "independent"), r"dims=\[4, 5\], not \[2, 3\]"),
    "names": (({"a": 2, "b": 2},), ({"b": 2, "a": 2},), r"names=\['a', 'b'\], not \['b', 'a'\]"),
}


def made(*given):
    more = given[-1] if len(given) > 1 and isinstance(given[-1], dict) else {}
    return JointPriorModule(*given[: len(given) - bool(more)], **more)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("case", OTHERS)
def test_a_state_of_other_settings_is_refused(case, strict):
    one, other, message = OTHERS[case]
    model = torch.nn.ModuleDict({"joint": made(*other)})
    state = torch.nn.ModuleDict({"joint": made(*one)}).state_dict()
    assert [x.shape for x in state.values()][:-1] == [x.shape for x in model.state_dict().values()][:-1]
    with pytest.raises(RuntimeError, match=f"joint._extra_state is that of a prior with {message}"):
        model.load_state_dict(state, strict=strict)
    made(*one).load_state_dict(made(*one).state_dict())


def test_a_learned_alpha_and_a_missing_name_are_no_difference():
    """alpha is where a learned one starts; without names, views are read in their order."""
    starts = [JointPriorModule((2, 2), alpha=alpha, learn_alpha=True) for alpha in (0.3, 0.9)]
    starts[0].load_state_dict(starts[1].state_dict())
    assert starts[0]() == starts[1]()
    JointPriorModule((2, 2)).load_state_dict(JointPriorModule({"a": 2, "b": 2}).state_dict())


@pytest.mark.parametrize(
    "through",
    [
        lambda x: x,
        lambda x: x.half(),
        lambda x: x.bfloat16(),
        lambda x: 0.999 * x + 0.001 * x,  # an average with itself
        lambda x: torch.nn.Parameter(x.float()),
    ],
)
def test_settings_survive_what_is_done_to_checkpoints(through):
    module = JointPriorModule({"scan": 3, "genes": 4}, "svd", 0.123456789, bound="tanh")
    state = {name: through(x) for name, x in module.state_dict().items()}
    module.load_state_dict(state)
    assert all(isinstance(x, torch.Tensor) for x in state.values())  # which is what safetensors takes


def test_a_state_without_settings_is_loaded_with_a_warning():
    module = JointPriorModule((2, 2), alpha=0.4)
    state = {name: x for name, x in module.state_dict().items() if name != "_extra_state"}
    with pytest.warns(UserWarning, match="the state has no _extra_state"):
        JointPriorModule((2, 2)).load_state_dict(state)
    with pytest.raises(RuntimeError, match="prior=None, not 'orthogonal'"):
        module.load_state_dict(state | {"_extra_state": torch.zeros(3)})


def test_groups_for_an_optimiser():
    module = JointPriorModule((3, 4), "svd")
    groups = module.parameter_groups(0.01)
    assert [(len(g["params"]), g["lr"], g["weight_decay"]) for g in groups] == [(2, 0.01, 0.0), (1, 0.001, 0.0)]
    assert groups[1]["params"][0] is module.logits
    assert torch.optim.AdamW([*groups, {"params": torch.nn.Linear(2, 2).parameters()}], weight_decay=0.1).param_groups
    assert JointPriorModule((3, 4), "independent").parameter_groups(0.01) == []


def kl_of(kind):
    """A model, rows, and its KLs: tens of nats in float32, so some 50 roundings are within 1e-5; bfloat16's would be 1e-2."""
    model, x = Model(KINDS[kind]()), torch.asarray(RNG.normal(size=(4, 5)), dtype=torch.float32)
    return model, x, model(x).detach()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's own tracer reads it
@pytest.mark.parametrize("kind", ["orthogonal, learned", "canonical"])
def test_compiled_and_exported_it_is_the_same(kind, monkeypatch):
    model, x, want = kl_of(kind)
    monkeypatch.setattr(sys.modules["jpvae_core.skew"], "_KEPT", {})  # as in a program that has made no rotation yet
    if kind == "canonical":
        found = torch.compile(model, backend="aot_eager", fullgraph=True)(x)
    else:
        found = torch.export.export(model, (x,), strict=True).module()(x)
    torch.testing.assert_close(found, want, rtol=1e-5, atol=1e-5)


@every_kind
def test_under_autocast_it_is_the_same(kind):
    model, x, want = kl_of(kind)
    means, log_vars = zip(*(e(x).chunk(2, dim=-1) for e in model.encoders), strict=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = jc.kl_divergence(model.prior(), means, log_vars)
    torch.testing.assert_close(found, want, rtol=1e-5, atol=1e-5)


@pytest.fixture
def group(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("kind", ["orthogonal", "canonical"])
@pytest.mark.usefixtures("group")
def test_under_ddp_every_parameter_gets_its_gradient(kind):
    """DDP raises where a parameter takes no part in the loss, and copies buffers at each step."""
    model, x = Model(KINDS[kind]()), torch.asarray(RNG.normal(size=(4, 5)), dtype=torch.float32)
    plain, wrapped = copy.deepcopy(model), DistributedDataParallel(model)
    for _ in range(2):
        plain(x).mean().backward()
        wrapped(x).mean().backward()
    for p, q in zip(plain.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dims": 3}, "dims is 3; expected one positive integer for each view"),
        ({"dims": (3.5, 3)}, r"dims is \(3.5, 3\)"),
        ({"dims": {"a": 0, "b": 2}}, "dims is {'a': 0, 'b': 2}"),
        ({"dims": ()}, r"dims is \(\)"),
        ({"prior": ["svd"]}, r"prior is \['svd'\]"),
        ({"alpha": "0.9"}, "alpha is '0.9'; expected a number"),
        ({"alpha": [0.1, 0.2, 0.3]}, r"alpha is \[0.1, 0.2, 0.3\]; expected a number"),
        ({"prior": "svd", "rank": 1.5}, "rank is 1.5; expected an integer or None"),
        ({"seed": "a"}, "seed is 'a'; expected an integer"),
        ({"dtype": torch.bfloat16}, "dtype is torch.bfloat16; expected torch.float32"),
        ({"dtype": "float32"}, "dtype is 'float32'; expected torch.float32"),
        ({"device": "nowhere"}, "device is 'nowhere'; expected one of torch's"),
    ],
)
def test_arguments_of_another_kind_are_named(given, message):
    with pytest.raises(ConfigError, match=message):
        JointPriorModule(**{"dims": (3, 3)} | given)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match=r"^dims is \(3, 4\) with prior=.orthogonal.*expected equal sizes"):
        JointPriorModule((3, 4))
    with pytest.raises(jc.LibraryError, match=r"expected torch.Tensor"):
        JointPriorModule.of(jc.JointPrior.orthogonal(np.eye(2), 0.5))
    with pytest.raises(jc.ArgumentError, match=r"prior is a torch.Tensor; expected a JointPrior"):
        JointPriorModule.of(torch.eye(2))
    for rate in ("0.1", -1.0, np.nan, None):
        with pytest.raises(ConfigError, match=r"lr is .*; expected a number of at least 0"):
            JointPriorModule((2, 2)).parameter_groups(rate)
    with pytest.raises(jc.ShapeError, match="no leading axes"):
        JointPriorModule.of(jc.JointPrior.orthogonal(torch.eye(2).expand(3, 2, 2), 0.5))
    with pytest.raises(jc.ShapeError, match="no leading axes"):
        JointPriorModule.of(jc.JointPrior.canonical([torch.eye(2).expand(3, 2, 2)] * 2, torch.zeros(3, 2, 2)))
    half = JointPriorModule((2, 2)).half()
    with pytest.raises(jc.DtypeError, match="float16"):
        jc.kl_divergence(half(), [torch.zeros(1, 2)] * 2, [torch.zeros(1, 2)] * 2)


def test_a_start_at_a_prior_whose_views_have_changed_places():
    """Then C is alpha R^T; the dense C of the given prior is the truth."""
    given = jc.JointPrior.orthogonal(jc.orthogonal(torch.tensor([0.3, -1.0, 0.5], dtype=torch.float64), 3), 0.5)
    turned = given.marginal([1, 0])
    found = JointPriorModule.of(turned)().cross_covariance(1, 0)
    assert torch.allclose(found, given.cross_covariance(1, 0).T, rtol=0.0, atol=8 * torch.finfo(torch.float64).eps)


def test_a_start_with_an_alpha_that_is_none():
    with pytest.raises(ConfigError, match=r"prior has alpha=1\.5; expected a number between -1 and 1"):
        JointPriorModule.of(jc.JointPrior.orthogonal(torch.eye(2), torch.tensor(1.5)), learn_alpha=True)
    with pytest.raises(ConfigError, match="learn_alpha is True, and the prior has no alpha"):
        JointPriorModule.of(jc.JointPrior.from_covariance(0.5 * torch.eye(2)), learn_alpha=True)
