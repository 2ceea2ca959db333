"""torch.autocast stays outside: every public function gives what it gives without it, bit for bit, and so do its gradients."""

import functools
import inspect

import numpy as np
import pytest
import torch
from traced_calls import STRUCTURES, everything, inputs, maps, rarely_traced

import jpvae_core as jc
from jpvae_core import vjp

# Products of float32 matrices are what autocast rounds to bfloat16: without its door a function here is off by 1e-3.
BFLOAT16 = functools.partial(torch.autocast, "cpu", dtype=torch.bfloat16)


def tree(function, x):
    """The function on every array of a tree of dicts, lists and tuples."""
    if isinstance(x, dict):
        return {key: tree(function, value) for key, value in x.items()}
    return [tree(function, value) for value in x] if isinstance(x, list | tuple) else function(x)


def leaves(x):
    """The arrays of a tree, in order."""
    if isinstance(x, dict | list | tuple):
        return [leaf for value in (x.values() if isinstance(x, dict) else x) for leaf in leaves(value)]
    return [x]


def to_torch(x):
    """Floats in float32, with a gradient wanted."""
    x = np.asarray(x)
    return torch.tensor(x.astype(np.float32), requires_grad=True) if x.dtype.kind == "f" else torch.tensor(x)


def outcome(function, structure, one, autocast):
    """Outputs, and the gradients of their sum with respect to all inputs; forward within autocast, backward outside."""
    arguments = tree(to_torch, list(one))
    if autocast:
        with BFLOAT16():
            found = leaves(function(structure, *arguments))
    else:
        found = leaves(function(structure, *arguments))
    sum(x.sum() for x in found).backward()
    return found, [x.grad for x in leaves(arguments) if x.requires_grad]


def same(left, right):
    """Bit for bit; a gradient may be missing from both."""
    assert len(left) == len(right)
    for x, y in zip(left, right, strict=True):
        assert (x is None) == (y is None)
        assert x is None or (x.dtype == y.dtype == torch.float32 and torch.equal(x, y))


@pytest.mark.parametrize("function", [everything, rarely_traced], ids=lambda f: f.__name__)
@pytest.mark.parametrize("structure", STRUCTURES[1:], ids=lambda s: s.kind)
def test_every_function_of_a_prior(structure, function):
    one = inputs(structure)[0]
    for left, right in zip(*(outcome(function, structure, one, autocast) for autocast in (True, False)), strict=True):
        same(left, right)


def test_every_parameterization():
    one = [np.random.default_rng(k).uniform(-1, 1, 3) for k in range(3)]
    for left, right in zip(*(outcome(maps, None, one, autocast) for autocast in (True, False)), strict=True):
        same(left, right)


def test_within_a_compiled_function():
    """The same under torch.compile without a graph break, and under vmap."""
    torch._dynamo.reset()
    A, B = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0))
    run = torch.compile(jc.cayley, fullgraph=True, backend="eager")
    wanted = [jc.cayley(A - A.mT), jc.cayley(B - B.mT)]
    with BFLOAT16():
        assert torch.equal(run(A - A.mT), wanted[0])
        mapped = torch.func.vmap(jc.cayley)(torch.stack([A - A.mT, B - B.mT]))
    assert torch.allclose(mapped, torch.stack(wanted), rtol=0, atol=1e-6)


def test_autocast_is_on_again_afterwards():
    x = torch.ones(2, 2)
    with BFLOAT16():
        jc.cayley(x - x)
        assert (x @ x).dtype == torch.bfloat16


def doors():
    """Every public function and method that computes with arrays."""
    found = {f"jc.{name}": x for name, x in vars(jc).items() if inspect.isfunction(x)}
    found |= {f"vjp.{name}": x for name, x in vars(vjp).items() if inspect.isfunction(x) and x.__module__ == vjp.__name__}
    found |= {
        f"JointPrior.{name}": getattr(jc.JointPrior, name)
        for name in dir(jc.JointPrior)
        if inspect.isfunction(getattr(jc.JointPrior, name))
    }
    for cls in (jc.Fused, jc.FusedInFrames):
        found |= {f"{cls.__name__}.{name}": x for name, x in vars(cls).items() if inspect.isfunction(x)}
    # nothing is multiplied there
    without = {"jc.sign_matrix", "JointPrior.independent", "JointPrior.check", "jc.register_jax", "Fused.split_noise"}
    return {name: x for name, x in found.items() if not name.partition(".")[2].startswith("_") and name not in without}


@pytest.mark.parametrize("name", doors())
def test_every_door_has_it(name):
    assert hasattr(doors()[name], "__wrapped__"), f"{name} lacks @public"
