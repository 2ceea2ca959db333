"""Sums and products over the axis of views, (..., M, d), that neither cancel nor overflow on the way (loadings.py)."""

from __future__ import annotations

from collections.abc import Iterable

from ._array_api import Array, Namespace
from ._xp import asarray_like, eye_like


def stack(xp: Namespace, rows: Iterable[Array]) -> Array:
    """M arrays (..., B, d) as one (..., B, M, d)."""
    return xp.stack(xp.broadcast_arrays(*rows), axis=-2)


def differences(a: Array, m: Array) -> Array:
    """D_ij = a_j m_i - a_i m_j: (..., M, d)  ->  (..., M, M, d). (Compilers that fuse give no exact 0 for i = j.)"""
    return a[..., None, :, :] * m[..., :, None, :] - a[..., :, None, :] * m[..., None, :, :]


def off(xp: Namespace, x: Array) -> Array:
    """(M, M, 1): 1 off the diagonal, 0 on it. x: (..., M, d)."""
    return (1.0 - eye_like(xp, x, x.shape[-2]))[..., None]


def others(xp: Namespace, x: Array) -> Array:
    """Per view the sum over the other views, without a subtraction: (..., M, d) -> (..., M, d)."""
    return xp.sum(off(xp, x) * x[..., None, :, :], axis=-2)


def before_each(xp: Namespace, x: Array) -> Array:
    """Per view the sum over the views before it: (..., M, d) -> (..., M, d)."""
    views = range(x.shape[-2])
    below = asarray_like(xp, x, [[float(j < i) for j in views] for i in views])
    return xp.sum(below[..., None] * x[..., None, :, :], axis=-2)


def over(xp: Namespace, x: Array, y: Array, tau: Array) -> Array:
    """x y / tau for positive x, y <= tau."""
    return xp.minimum(x, y) * (xp.maximum(x, y) / tau)


def products(xp: Namespace, x: Array, tau: Array) -> Array:
    """All x_i x_j/tau, the larger factor first: neither overflow nor a zero that is amplified afterwards.

    x >= 0: (..., M, d)  ->  (..., M, M, d).
    """
    left, right = x[..., :, None, :], x[..., None, :, :]
    return xp.minimum(left, right) * (xp.maximum(left, right) / tau[..., None, :, :])


def unstack(x: Array) -> tuple[Array, ...]:
    """One array per view. (NumPy 2.0 has no unstack.)"""
    return tuple(x[..., i, :] for i in range(x.shape[-2]))
