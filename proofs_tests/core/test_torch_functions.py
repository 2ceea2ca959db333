"""The KL of two views and a rotation are Functions of their own in eager torch; within ``torch.func``, operation by operation.

Both are the same number and the same derivatives, of every order, in whatever way autograd is asked for them. (What is right,
test_gradients.py and the error bounds know, in 80 digits.)
"""

import numpy as np
import pytest
import torch
from strategies import Model, Structure
from torch.autograd import forward_ad, functional

import jpvae_core as jc
from jpvae_core import _pair_in_torch

STRUCTURES = (
    Structure("orthogonal", (3, 3), 3),
    Structure("svd-sigmoid", (4, 3), 2),
    Structure("svd-tanh", (3, 3), 3),
    Structure("svd-tanh", (1, 3), 1),
)
BY_ROW = torch.tensor([[True, True], [True, False], [False, True], [False, False]])
MASKS = {
    "none": None,
    "alike": [True, False],
    "by row": BY_ROW,
    "subsets": torch.stack([BY_ROW, BY_ROW[[1, 0, 3, 2]]]),
}
every_case = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: f"{s.kind}-{s.rank}")


def problem(structure, mask):
    """The KL of four rows as a function of means, log-variances, frames and the coupling; and a point."""
    p, rng = Model(structure, 3).parameters, np.random.default_rng(0)
    frames = [jc.frame(x, n, structure.rank, s) for x, n, s in zip(p["entries"], structure.dims, p["signs"], strict=False)]
    coupling = p["alpha"] if "alpha" in p else p["logits"]
    rows = [rng.standard_normal((4, n)) for n in (*structure.dims, *structure.dims)]

    def kl(m_1, m_2, l_1, l_2, *rest):
        prior = structure.prior({"frames": rest[:-1], ("alpha" if "alpha" in p else "logits"): rest[-1]})
        return jc.kl_divergence(prior, [m_1, m_2], [l_1, l_2], mask)

    return kl, [torch.tensor(np.asarray(x), dtype=torch.float64, requires_grad=True) for x in (*rows, *frames, coupling)]


def plain(kl):
    """The same without the Function."""
    return lambda *x: torch.func.vmap(lambda _: kl(*x))(torch.zeros(1))[0]


def close(found, wanted):
    """Sums of less than 100 products each; entries and slopes below 1e3."""
    for x, y in zip(found, wanted, strict=True):
        x, y = (torch.zeros((), dtype=torch.float64) if z is None else z.detach() for z in (x, y))
        torch.testing.assert_close(*torch.broadcast_tensors(x, y), rtol=0, atol=100 * 2.0**-52 * (1e3 + float(y.abs().max())))


@every_case
@every_structure
def test_value_and_both_derivatives(structure, mask):
    kl, at = problem(structure, mask)
    weights = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64)
    ways = []
    for function in (kl, plain(kl)):
        value = function(*at)
        weights = weights.expand_as(value)
        first = torch.autograd.grad(value, at, weights, create_graph=True, allow_unused=True)
        second = torch.autograd.grad(sum((g * g).sum() for g in first if g is not None), at, allow_unused=True)
        once = torch.autograd.grad(function(*at), at, weights, allow_unused=True)
        ways.append([value, *once, *first, *second])
    close(*ways)
    with torch.no_grad():
        assert torch.equal(kl(*at), ways[0][0])


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("structure", STRUCTURES[:2], ids=lambda s: s.kind)
def test_every_way_to_ask(structure, monkeypatch):
    """Cotangents in a batch, hooks on what is saved, some gradients alone; and dual numbers, which it leaves to torch."""
    kl, at = problem(structure, None)
    wanted = functional.jacobian(plain(kl), tuple(at))
    monkeypatch.setattr(_pair_in_torch, "_value", seen := Calls(_pair_in_torch._value))
    close(functional.jacobian(kl, tuple(at), vectorize=True), wanted)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: x.clone(), lambda x: x):
        found = kl(*at)
    close(torch.autograd.grad(found.sum(), at[3:], allow_unused=True), [x.sum(0) for x in wanted[3:]])
    assert seen.count == 2
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(kl(*(forward_ad.make_dual(x, torch.ones_like(x)) for x in at))).tangent
    close([tangent], [sum(x.reshape(4, -1).sum(1) for x in wanted)])
    assert seen.count == 2


@pytest.mark.parametrize("shape", [(10,), (2, 3, 10)], ids=str)
def test_a_rotation(shape):
    """Of a stack too."""
    rng = np.random.default_rng(1)
    (weights, other), ways = torch.tensor(rng.standard_normal((2, *shape[:-1], 5, 5))), []
    entries = torch.tensor(rng.standard_normal(shape), requires_grad=True)
    for function in (lambda x: jc.orthogonal(x, 5), plain(lambda x: jc.orthogonal(x, 5))):
        value = function(entries)
        (first,) = torch.autograd.grad(value, entries, weights, create_graph=True)
        second = torch.autograd.grad((first * first).sum(), entries)
        once = torch.autograd.grad(function(entries), entries, weights)
        pair = torch.autograd.grad(function(entries), entries, torch.stack([weights, other]), is_grads_batched=True)
        ways.append([value, first, *second, *once, *pair])
    close(*ways)
    with torch.no_grad():
        assert torch.equal(jc.orthogonal(entries, 5), ways[0][0])


def test_one_tensor_for_both_views():
    """Its gradient is the sum of both; the second derivative's too."""
    kl, at = problem(STRUCTURES[0], None)
    m, log_var, *rest = at[0], at[2], *at[4:]
    first, second = ([], [])
    for function in (kl, plain(kl)):
        slopes = torch.autograd.grad(function(m, m, log_var, log_var, *rest).sum(), [m, log_var], create_graph=True)
        first.append(slopes)
        second.append(torch.autograd.grad((slopes[0] * slopes[1]).sum(), [m, log_var]))
    close(*first)
    close(*second)


@pytest.mark.parametrize("size", [1.0, 1.1])
@every_structure
def test_each_derivative_alone_and_of_frames_that_are_not_orthonormal(structure, size):
    """One row, and one argument after the other differentiated, where the Function leaves out what nobody asked for. (To
    autograd a frame's entries are free numbers: off the frames, where its terms do not vanish, they have derivatives too.)"""
    kl, at = problem(structure, None)
    at = [x.detach() * size if 4 <= i < len(at) - 1 else x.detach()[:1] if i < 4 else x.detach() for i, x in enumerate(at)]
    together = [x.clone().requires_grad_() for x in at]
    every = torch.autograd.grad(plain(kl)(*together).sum(), together, allow_unused=True)
    for i, wanted in enumerate(every):
        if wanted is None:  # of two frames an orthogonal prior takes one
            continue
        first, second = [], []
        for function in (kl, plain(kl)):
            one = [x.clone().requires_grad_(k == i) for k, x in enumerate(at)]
            (slope,) = torch.autograd.grad(function(*one).sum(), one[i], create_graph=True)
            first.append(slope)
            bent = torch.autograd.grad((slope * slope).sum(), one[i]) if slope.requires_grad else [torch.zeros(())]
            second.append(bent[0])
            (alone,) = torch.autograd.grad(function(*one).sum(), one[i])
            close([alone], [wanted])
        close(first, [wanted, wanted])
        close(second[:1], second[1:])


def test_each_ratio_of_a_correlation_has_its_own_derivative():
    """A Bounded of free numbers, of which one is differentiated: the KL is linear in s/(1-s) and -s/(1+s)."""
    _, at = problem(STRUCTURES[0], None)
    m_1, m_2, l_1, l_2, Q = (x.detach() for x in at[:5])
    given = [x.detach() for x in jc.number_bound(0.5, Q)]
    mu = m_2 @ Q
    slopes = {1: 0.25 * ((m_1 - mu) ** 2).sum(), 2: 0.25 * ((m_1 + mu) ** 2).sum()}
    slopes[3] = 0.5 * (l_1.exp().sum() + l_2.exp().sum()) - 0.5 * 4 * 3 / (1.0 + given[3])
    for k, wanted in slopes.items():
        ratios = [x.clone().requires_grad_(i == k) for i, x in enumerate(given)]
        prior = jc.JointPrior.orthogonal(Q, jc.Bounded(*ratios))
        (found,) = torch.autograd.grad(jc.kl_divergence(prior, [m_1, m_2], [l_1, l_2]).sum(), ratios[k])
        close([found], [wanted])


def test_one_frame_with_leading_axes_beside_one_without():
    """What the Function does not take: the KL of each prior of the stack, by its dense form."""
    rng = np.random.default_rng(2)
    U, V = (torch.tensor(np.linalg.qr(rng.standard_normal(shape))[0]) for shape in ((2, 3, 2), (4, 2)))
    means, log_vars = ([torch.tensor(rng.standard_normal((5, n))) for n in (4, 3)] for _ in "12")
    prior = jc.JointPrior.svd(U, torch.tensor([0.3, -1.0], dtype=torch.float64), V)
    found = jc.kl_divergence(prior, means, log_vars)
    assert found.shape == (2, 5)
    for k, S in enumerate(prior.covariance()):
        close([found[k]], [jc.kl_dense(means, log_vars, S)])


class Counted(torch.Tensor):
    """A tensor that stays one of its class in every operation, as those of other packages do."""


def test_tensors_of_a_class_of_their_own_stay_of_it():
    """Any of the arguments: what nobody has announced to autograd.Function is left to torch, operation by operation."""
    kl, at = problem(STRUCTURES[1], None)
    plainly = kl(*at)
    for i in range(len(at)):
        mixed = [x.detach().as_subclass(Counted) if k == i else x.detach() for k, x in enumerate(at)]
        found = kl(*mixed)
        assert type(found) is Counted
        close([found.as_subclass(torch.Tensor)], [plainly])
    assert type(jc.orthogonal(torch.ones(3).as_subclass(Counted), 3)) is Counted


def test_what_is_kept_of_a_size_serves_training_after_inference():
    """Constants made within inference mode could not be saved for backward."""
    size = 11
    with torch.inference_mode():
        jc.skew(torch.zeros(size * (size - 1) // 2), size)
    entries = torch.ones(size * (size - 1) // 2, requires_grad=True)
    jc.skew(entries, size)[0].sum().backward()
    assert torch.equal(entries.grad, (torch.arange(len(entries)) < size - 1).float())


@pytest.mark.filterwarnings("ignore:.*torch.jit", "ignore:Converting a tensor")
def test_a_trace_has_the_operations():
    """Traced on one matrix, it is right for another."""
    traced = torch.jit.trace(lambda x: jc.orthogonal(x, 3), torch.ones(3, dtype=torch.float64))
    at = torch.tensor([0.5, -2.0, 1.5], dtype=torch.float64)
    close([traced(at)], [jc.orthogonal(at, 3)])
    assert "solve" in str(traced.graph)


class Calls:
    """Counts the calls of a function."""

    def __init__(self, function):
        self.function, self.count = function, 0

    def __call__(self, *args):
        self.count += 1
        return self.function(*args)
