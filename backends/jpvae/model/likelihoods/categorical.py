"""Categorical: groups of K one-hot columns, one group per variable; the decoder gives logits l.

log p_k = l_k - log sum_j e^{l_j}    over the group,    log p(x) = sum_k x_k log p_k: column k's entry is x_k log p_k

With t the largest logit's place and R = sum_{j != t} e^{l_j - l_t}, log p_k = l_k - l_t - log(1 + R): for a nearly certain
level, log p_t = -log(1 + R) and 1 - p_t = R/(1 + R) keep their digits. Range: every finite logit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jpvae_core._array_api import X, of_kind

from .family import Floats, Likelihood


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

    def of_levels(self, features: int) -> np.ndarray:
        """All."""
        return np.ones(features, dtype=np.bool_)

    def valid(self, values: Floats) -> np.ndarray:
        """In [0, 1], with groups that add up to 1, and so are there as a whole."""
        groups = self._grouped(np, values)
        total = groups.sum(axis=-1, keepdims=True)
        whole = np.abs(total - 1.0) <= 1e-6
        valid: np.ndarray = ((groups >= 0) & (groups <= 1) & whole).reshape(values.shape)
        return valid

    def log_prob(self, xp: Any, outputs: X, x: X, own: Mapping[str, X]) -> X:
        """x_k log p_k."""
        _, shifted, _, rest = self._largest(xp, outputs)
        return of_kind(outputs, x * xp.reshape(shifted - xp.log1p(rest), outputs.shape))

    def log_prob_vjp(self, xp: Any, outputs: X, x: X, own: Mapping[str, X], cotangent: X) -> tuple[X, dict[str, X]]:
        """With weighted counts n_k = cotangent_k x_k: d/dl_j = n_j (1 - p_j) - p_j sum_{k != j} n_k."""
        top, _, e, rest = self._largest(xp, outputs)
        n = self._grouped(xp, cotangent * x + xp.zeros_like(outputs))
        p = e / (1.0 + rest)
        others = top * (rest / (1.0 + rest)) + (1.0 - top) * (1.0 - p)
        return xp.reshape(n * others - p * (xp.sum(n, axis=-1, keepdims=True) - n), outputs.shape), {}

    def mean(self, xp: Any, outputs: X, x: X | None = None) -> X:
        """The probabilities p_k."""
        _, _, e, rest = self._largest(xp, outputs)
        return of_kind(outputs, xp.reshape(e / (1.0 + rest), outputs.shape))

    def variance(self, mean: Floats, own: Mapping[str, Floats]) -> Floats:
        """p_k (1 - p_k), of column k's zeros and ones."""
        return mean * (1.0 - mean)

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """One level per group, one-hot: the first k with p_1 + ... + p_k above a uniform number."""
        p = self._grouped(np, mean)
        reached = np.cumsum(p, axis=-1)
        u = rng.random((*p.shape[:-1], 1)) * reached[..., -1:]  # the last sum is 1 but for rounding
        level = np.argmax(reached > u, axis=-1)
        drawn: Floats = (np.arange(p.shape[-1]) == level[..., None]).astype(mean.dtype).reshape(mean.shape)
        return drawn

    def _largest(self, xp: Any, outputs: X) -> tuple[X, X, X, X]:
        """Of each group: which columns are the largest (0 or 1), l - l_t, its exponential, and R (..., G, 1).

        Equal ones each add 1 to R but for one of them, and autograd's slope of max, shared among them, is right for all.
        """
        logits = self._grouped(xp, outputs)
        shifted = logits - xp.max(logits, axis=-1, keepdims=True)
        e = xp.exp(shifted)
        top = xp.astype(shifted == 0.0, e.dtype)
        equal = xp.sum(top, axis=-1, keepdims=True)
        rest = xp.sum(e * (1.0 - top), axis=-1, keepdims=True) + (equal - 1.0)
        # Where one is the largest alone, l_t - l_t is 0, as is its slope: autograd would add rounding errors to it.
        return top, shifted * (1.0 - top * xp.astype(equal == 1.0, e.dtype)), e, rest

    def _grouped(self, xp: Any, values: X) -> X:
        """(..., G K) -> (..., G, K)."""
        K = self.levels or values.shape[-1]
        return of_kind(values, xp.reshape(values, (*values.shape[:-1], values.shape[-1] // K, K)))
