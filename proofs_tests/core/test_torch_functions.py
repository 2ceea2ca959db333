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


class Calls:
    """Counts the calls of a function."""

    def __init__(self, function):
        self.function, self.count = function, 0

    def __call__(self, *args):
        self.count += 1
        return self.function(*args)
