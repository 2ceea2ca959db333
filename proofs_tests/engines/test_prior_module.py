"""JointPriorModule: a start from a given prior, what a state holds, and life inside what PyTorch users build around a model."""

import copy

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
def test_compiled_and_exported_it_is_the_same(kind):
    model, x, want = kl_of(kind)
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
    ],
)
def test_arguments_of_another_kind_are_named(given, message):
    with pytest.raises(ConfigError, match=message):
        JointPriorModule(**{"dims": (3, 3)} | given)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="expected equal sizes"):
        JointPriorModule((3, 4))
    with pytest.raises(jc.LibraryError, match=r"expected torch.Tensor"):
        JointPriorModule.of(jc.JointPrior.orthogonal(np.eye(2), 0.5))
    with pytest.raises(jc.ShapeError, match="no leading axes"):
        JointPriorModule.of(jc.JointPrior.canonical([torch.eye(2).expand(3, 2, 2)] * 2, torch.zeros(3, 2, 2)))
    half = JointPriorModule((2, 2)).half()
    with pytest.raises(jc.DtypeError, match="float16"):
        jc.kl_divergence(half(), [torch.zeros(1, 2)] * 2, [torch.zeros(1, 2)] * 2)
