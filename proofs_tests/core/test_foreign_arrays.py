"""Arrays of other classes, or of nowhere: torch's containers, wrappers, subclasses, the meta device; and NumPy alone."""

import sys
import types

import numpy as np
import pytest
import torch
from plain_views import DIMS, LOG_VARS, MASK, MEANS, NAMED, PRIOR

import jpvae_core as jc


def plain():
    """What NumPy's arrays in a list give."""
    return jc.kl_divergence(PRIOR, MEANS, LOG_VARS, MASK)


def test_what_is_read_like_a_dict_or_a_list():
    """torch's own, which are neither; and what holds an array for flax, within lists and dicts too."""
    names, means = "cab", [torch.tensor(x) for x in MEANS]
    log_vars = [torch.tensor(x) for x in LOG_VARS]
    prior = NAMED.to(means[0])
    by_name = [torch.nn.ParameterDict(dict(zip(names, x, strict=True))) for x in (means, log_vars)]
    in_order = [torch.nn.ParameterList(x) for x in (means, log_vars)]
    for given in (by_name, in_order):
        np.testing.assert_allclose(jc.kl_divergence(prior, *given, MASK).detach(), plain(), rtol=1e-13)


@pytest.mark.parametrize("loaded", [True, False])
def test_a_wrapper_is_its_array_where_flax_is_loaded(monkeypatch, loaded):
    class Held:
        def __init__(self, array):
            self.array = array

        def __jax_array__(self):
            return self.array

    monkeypatch.setitem(sys.modules, "flax", types.ModuleType("flax")) if loaded else monkeypatch.delitem(
        sys.modules, "flax", raising=False
    )
    forms = [[Held(x) for x in MEANS], tuple(map(Held, MEANS)), dict(zip("cab", map(Held, MEANS), strict=True))]
    for means in forms:
        if loaded:
            np.testing.assert_array_equal(jc.kl_divergence(NAMED, means, LOG_VARS, MASK), plain())
        else:
            with pytest.raises(jc.LibraryError, match="Held"):
                jc.kl_divergence(NAMED, means, LOG_VARS, MASK)


class Tensor(torch.Tensor):
    """Of a module that is not torch's."""


def test_a_tensor_of_another_class_is_torch_s():
    entries = torch.ones(3)
    assert torch.equal(jc.skew(entries.as_subclass(Tensor), 3), jc.skew(entries, 3))


def test_tensors_without_values_have_their_shapes():
    """On the meta device, masks of bits too; only what reads values refuses it."""
    means, log_vars = ([torch.empty(5, n, device="meta") for n in DIMS] for _ in "12")
    for mask in (None, torch.ones(5, 3, device="meta"), torch.ones(3, dtype=torch.bool, device="meta")):
        found = jc.kl_divergence(jc.JointPrior.independent(DIMS), means, log_vars, mask)
        assert (found.shape, found.device.type) == ((5,), "meta")
    assert jc.orthogonal(torch.empty(4, 3, device="meta"), 3).shape == (4, 3, 3)


def test_nothing_but_numpy_is_needed(monkeypatch):
    """As where nobody has imported torch: every look for it finds nothing."""
    want = plain()
    monkeypatch.delitem(sys.modules, "torch")
    np.testing.assert_array_equal(plain(), want)
    np.testing.assert_array_equal(jc.skew(np.ones(3), 3), np.triu(np.ones((3, 3)), 1) - np.tril(np.ones((3, 3)), -1))
    one = jc.orthogonal(np.asarray([1.0]), 2)
    np.testing.assert_allclose(one, [[0.0, 1.0], [-1.0, 0.0]], rtol=0, atol=1e-15)
    assert jc.JointPrior.orthogonal(one, 0.5).check().dims == (2, 2)
    with pytest.raises(jc.ArgumentError, match=r"mask holds 2"):
        jc.kl_divergence(PRIOR, MEANS, LOG_VARS, 2 * np.ones(3))
