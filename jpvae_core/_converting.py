"""Arrays brought to another dtype, another device or another library: what ``JointPrior.to`` does to each of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._array_api import Array, Namespace
from ._xp import asarray_like, device, library_of, namespace, to_numpy
from .errors import ArgumentError, DtypeError


def converter(xp: Namespace, mine: Array, like: Array | None, dtype: Any, where: Any) -> Callable[[Array], Array]:
    """What brings the arrays of ``mine``'s library to like's library, dtype and device, or to a dtype and a device by name.

    What is too large for the new dtype stops short of its largest number, at exp of the largest logit (bounds.py).
    """
    if like is not None:
        if library_of(like) != library_of(mine):
            target = namespace(like)
            return lambda x: asarray_like(target, like, to_numpy(x))
        dtype, where = like.dtype, device(like)
    if dtype is not None:
        dtype = getattr(xp, wide_name(dtype))
    if where is not None and library_of(mine) == "torch":
        where = _torch_device(where)

    def convert(x: Any) -> Any:
        if dtype is not None and x.dtype != dtype:
            most = 0.997 * float(xp.finfo(dtype).max)
            x = xp.astype(xp.clip(x, -most, most) if float(xp.finfo(x.dtype).max) > most else x, dtype)
        if where is not None:
            from array_api_compat import to_device

            try:
                x = to_device(x, where)
            except (TypeError, ValueError) as error:
                raise ArgumentError(f"device is {where!r}; expected one of {library_of(x)}'s: {error}") from error
        return x

    return convert


def wide_name(dtype: Any) -> str:
    """ "float32" or "float64", of a name or of any library's dtype."""
    text = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    name = str(text).rpartition(".")[2]
    if name not in ("float32", "float64"):
        raise DtypeError(f"dtype is {dtype!r}; expected 'float32' or 'float64', or the library's own name of one of them")
    return name


def _torch_device(where: Any) -> Any:
    import torch

    try:
        return torch.device(where)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ArgumentError(f"device is {where!r}; expected one of torch's, as 'cpu' or 'cuda:0'") from error
