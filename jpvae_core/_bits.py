"""The mask's one door: outside a ``mask`` (M,) or (..., B, M) of any dtype; inside ``bits``, 0.0 or 1.0, (..., B, 1) a view."""

from __future__ import annotations

from collections.abc import Sequence

from ._array_api import Array, Namespace, X
from ._checks import check_mask


def keep(xp: Namespace, bit: Array, x: X) -> X:
    """x where its view is observed, else exactly 0 (also where x is NaN), with gradient 0 there."""
    return xp.where(bit > 0.0, x, xp.zeros_like(x))


def bits_of(xp: Namespace, mask: Array, *groups: Sequence[X]) -> tuple[list[Array], list[list[X]]]:
    """The checked mask's bits ((1, 1) for one pattern of all rows), and the groups with their missing views set to 0.

    groups: each one array (..., B, n_i) per view, checked and of one shape.
    """
    like = groups[0][0]
    check_mask(mask, like, len(groups[0]))
    table = mask if mask.ndim > 1 else mask[None, :]
    bits = [xp.astype(xp.astype(table[..., i : i + 1], xp.bool), like.dtype) for i in range(mask.shape[-1])]
    return bits, [[keep(xp, b, x) for b, x in zip(bits, rows, strict=True)] for rows in groups]
