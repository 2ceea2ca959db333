"""JAX pytrees: a prior, its coupling and a fused posterior as arguments and results of jit, scan carries, vmap axes.

A class says beside its definition which of its fields hold arrays (the leaves) and which are static. JAX learns it when the
first JAX array is met (``namespace``), or when this package is imported after JAX: nothing here imports JAX by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

C = TypeVar("C", bound=type)

_WAITING: list[tuple[type, tuple[str, ...], tuple[str, ...]]] = []  # the classes that JAX has not heard of yet


def pytree(*, data: tuple[str, ...], meta: tuple[str, ...] = ()) -> Callable[[C], C]:
    """A dataclass whose fields ``data`` hold arrays, or trees of them, and whose fields ``meta`` are static and hashable."""

    def noted(cls: C) -> C:
        _WAITING.append((cls, data, meta))
        return cls

    return noted


def register_jax() -> None:
    """Register ``JointPrior``, the couplings, ``Fused`` and ``FusedInFrames`` as JAX pytrees. Calling it again does nothing.

    It happens by itself with the first JAX array that any function here is given, and at import where JAX is imported
    first. Call it where neither comes in time: for priors of independent views or of NumPy arrays that enter ``jax.jit``
    before any JAX array was seen. A vmap axis needs leading axes on every array of the prior (a stack of models).

    Raises
    ------
    ImportError
        Without JAX.

    Examples
    --------
    >>> import jax, numpy as np, jpvae_core as jc
    >>> jc.register_jax()
    >>> prior = jc.JointPrior.orthogonal(np.eye(2), 0.5)
    >>> len(jax.tree.leaves(prior))  # the rotation, and the correlation with its three ratios
    5
    """
    if _WAITING:
        import jax

        while _WAITING:
            cls, data, meta = _WAITING.pop()
            jax.tree_util.register_dataclass(cls, data_fields=list(data), meta_fields=list(meta))
