"""Categorical: groups of K one-hot columns, one group per variable; the decoder gives logits l.

log p_k = l_k - log sum_j e^{l_j}    over the group,    log p(x) = sum_k x_k log p_k: column k's entry is x_k log p_k
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .family import Array, Floats, Likelihood


class Categorical(Likelihood):
    """Groups of ``levels`` columns, side by side; levels None: all columns are one group."""

    name = "categorical"
    expects = (
        "a one-hot group expects zeros and ones (or probabilities) that add up to 1 in every row. Give a coded column its own "
        'entry, likelihood={view: {column: "categorical"}}.'
    )

    def __init__(self, levels: int | None = None) -> None:
        self.levels = levels

    def variables(self, features: int) -> np.ndarray:
        """One per group."""
        return np.arange(features) // (self.levels or features)

    def valid(self, values: Floats) -> np.ndarray:
        """In [0, 1], with groups that add up to 1; a group is there or left out as a whole."""
        groups = self._grouped(np, values)
        total = groups.sum(axis=-1, keepdims=True)
        whole = (np.abs(total - 1.0) <= 1e-6) | np.isnan(groups).all(axis=-1, keepdims=True)
        return ((groups >= 0) & (groups <= 1) & whole).reshape(values.shape)

    def log_prob(self, xp: Any, outputs: Array, x: Array, own: Mapping[str, Array]) -> Array:
        """x_k log p_k."""
        logits = self._grouped(xp, outputs)
        shifted = logits - xp.max(logits, axis=-1, keepdims=True)
        log_p = shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))
        return x * xp.reshape(log_p, outputs.shape)

    def log_prob_vjp(
        self, xp: Any, outputs: Array, x: Array, own: Mapping[str, Array], cotangent: Array
    ) -> tuple[Array, dict[str, Array]]:
        """With weighted counts n_k = cotangent_k x_k: d/dl_j = n_j - p_j sum_k n_k."""
        n = self._grouped(xp, cotangent * x + 0.0 * outputs)
        p = self._grouped(xp, self.mean(xp, outputs))
        return xp.reshape(n - p * xp.sum(n, axis=-1, keepdims=True), outputs.shape), {}

    def mean(self, xp: Any, outputs: Array, x: Array | None = None) -> Array:
        """The probabilities p_k."""
        logits = self._grouped(xp, outputs)
        e = xp.exp(logits - xp.max(logits, axis=-1, keepdims=True))
        return xp.reshape(e / xp.sum(e, axis=-1, keepdims=True), outputs.shape)

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """One level per group, one-hot: the first k with p_1 + ... + p_k above a uniform number."""
        p = self._grouped(np, mean)
        reached = np.cumsum(p, axis=-1)
        u = rng.random((*p.shape[:-1], 1)) * reached[..., -1:]  # the last sum is 1 but for rounding
        level = np.argmax(reached > u, axis=-1)
        return (np.arange(p.shape[-1]) == level[..., None]).astype(mean.dtype).reshape(mean.shape)

    def _grouped(self, xp: Any, values: Array) -> Array:
        """(..., G K) -> (..., G, K)."""
        K = self.levels or values.shape[-1]
        return xp.reshape(values, (*values.shape[:-1], values.shape[-1] // K, K))
