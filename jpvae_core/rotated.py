"""Rotated coordinates y_i = Q_i^T z_i of a semi-orthogonal frame Q_i (n_i x d), in which the directions are independent."""

from __future__ import annotations

from ._array_api import Array, Namespace
from ._xp import eye_like

Frame = Array | None  # None is the identity: no product to compute


def rotate(x: Array, frame: Frame) -> Array:
    """Rows z (..., B, n) -> their frame coordinates Q^T z (..., B, d)."""
    return x if frame is None else x @ frame


def expand(xp: Namespace, y: Array, frame: Frame) -> Array:
    """Frame coordinates y (..., B, d) -> Q y (..., B, n)."""
    return y if frame is None else y @ xp.matrix_transpose(frame)


def dense(xp: Namespace, like: Array, n: int, frame: Frame, d: int) -> Array:
    """The frame as an array (..., n, d). (Of independent views d = 0: they share no direction.)"""
    return eye_like(xp, like, n, d) if frame is None else frame


def sandwich(xp: Namespace, left: Array, diagonal: Array, right: Array) -> Array:
    """Q_i diag(c) Q_j^T: (..., n_i, d), (..., d), (..., n_j, d) -> (..., n_i, n_j)."""
    return (left * diagonal[..., None, :]) @ xp.matrix_transpose(right)


def square(frame: Frame) -> bool:
    """True where the frame is an orthogonal matrix, so that its complement is empty."""
    return frame is None or frame.shape[-1] == frame.shape[-2]


def joint_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that a and b broadcast to (plain integers, so that compilers trace through it)."""
    size = max(len(a), len(b))
    a, b = (1,) * (size - len(a)) + a, (1,) * (size - len(b)) + b
    return tuple(n if m == 1 else m for m, n in zip(a, b, strict=True))
