"""The rotation of free entries in eager PyTorch on the CPU, ``cayley(skew(params, n))``, as one ``autograd.Function``.

Its gradient needs no second solve: with M = (I - A)^{-1} = (Q + I)/2 it is that of vjp.py, from Q alone. A second derivative is
that of the operations in skew.py and cayley.py.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch


def rotation(params: Any, n: int, plain: Callable[[Any], Any]) -> Any:
    """Q (..., n, n). params: (..., n(n-1)/2), n > 1; plain: the same by skew.py and cayley.py."""
    if not torch.is_grad_enabled():
        return _value(params, *_constants(params, n))
    function: Any = _Rotation.apply
    return function(params, n, plain)


def _constants(like: Any, n: int) -> tuple[Any, Any]:
    """The places of the strict upper triangle in a matrix read row by row, and the identity."""
    places, identity = _in_numpy(n, "float32" if like.dtype == torch.float32 else "float64")
    return torch.from_numpy(places), torch.from_numpy(identity)


@functools.cache
def _in_numpy(n: int, dtype: str) -> tuple[Any, Any]:
    """Kept as NumPy's: a tensor would belong to the mode (fake, inference) that it was made in."""
    i, j = np.triu_indices(n, 1)
    return (i * n + j).astype(np.int64), np.eye(n, dtype=dtype)


def _value(params: Any, upper: Any, identity: Any) -> Any:
    """(I - A)^{-1} (I + A), where I - A is the transpose of I + A, and never singular."""
    lead, n = params.shape[:-1], len(identity)
    half = params.new_zeros((*lead, n * n)).index_copy_(-1, upper, params).view(*lead, n, n)
    columns = torch.add(identity, half).sub_(half.mT)
    return torch.linalg.solve_ex(columns.mT, columns)[0]


class _Rotation(torch.autograd.Function):
    """``_value`` and its gradient."""

    @staticmethod
    def forward(ctx: Any, params: Any, n: int, plain: Callable[[Any], Any]) -> Any:
        ctx.constants, ctx.plain = _constants(params, n), plain
        Q = _value(params, *ctx.constants)
        ctx.save_for_backward(params, Q)
        return Q

    @staticmethod
    def backward(ctx: Any, *bars: Any) -> tuple[Any, ...]:
        (params, Q), (bar,), (upper, identity) = ctx.saved_tensors, bars, ctx.constants
        if torch.is_grad_enabled():
            x = params.view_as(params)
            return *torch.autograd.grad(ctx.plain(x), [x], bar, create_graph=True), None, None
        twice = Q.mT + identity  # 2 M^T
        V = twice @ bar @ twice  # 2 A_bar
        return 0.5 * torch.sub(V, V.mT).reshape(*Q.shape[:-2], -1).index_select(-1, upper), None, None
