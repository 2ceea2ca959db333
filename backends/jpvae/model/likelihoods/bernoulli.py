"""Bernoulli: entries x in [0, 1]; the decoder gives logits l, and

    log p = -x log(1 + e^-l) - (1 - x) log(1 + e^l) = x l - log(1 + e^l)

The first form keeps the digits of a rare event's probability: of x = 1 at l = 20, log p is -2e-9, which x l - log(1 + e^l)
rounds to 0 in float32, its slope too. Range: every finite logit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .family import Array, Floats, Likelihood


class Bernoulli(Likelihood):
    """Zeros and ones, or probabilities between them."""

    name = "bernoulli"
    expects = (
        "a Bernoulli likelihood expects values in [0, 1]. Scale the view (x / 255 for bytes), binarise it, or use "
        'likelihood="gaussian".'
    )

    def valid(self, values: Floats) -> np.ndarray:
        """In [0, 1]."""
        return (values >= 0) & (values <= 1)

    def log_prob(self, xp: Any, outputs: Array, x: Array, own: Mapping[str, Array]) -> Array:
        """-x softplus(-l) - (1 - x) softplus(l) per entry; softplus(l) is max(l, 0) + log(1 + e^-|l|)."""
        positive, zero = outputs >= 0, xp.zeros_like(outputs)  # not max and abs, whose slopes at 0 are none of softplus
        rest = xp.log1p(xp.exp(xp.where(positive, -outputs, outputs)))
        below, above = xp.where(positive, zero, -outputs), xp.where(positive, outputs, zero)
        return -x * (below + rest) - (1.0 - x) * (above + rest)

    def log_prob_vjp(
        self, xp: Any, outputs: Array, x: Array, own: Mapping[str, Array], cotangent: Array
    ) -> tuple[Array, dict[str, Array]]:
        """d log p/dl = x (1 - p) - (1 - x) p, the data less their mean, with p and 1 - p each to a few eps of itself."""
        return cotangent * (x * self.mean(xp, -outputs) - (1.0 - x) * self.mean(xp, outputs)), {}

    def mean(self, xp: Any, outputs: Array, x: Array | None = None) -> Array:
        """The probability of a one, 1/(1 + e^-l) or e^l/(1 + e^l): no exponential overflows; rare events keep their digits."""
        e = xp.exp(-xp.abs(outputs))
        return xp.where(outputs >= 0, xp.ones_like(e), e) / (1.0 + e)

    def variance(self, mean: Floats, own: Mapping[str, Floats]) -> Floats:
        """p (1 - p), of zeros and ones."""
        return mean * (1.0 - mean)

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """Zeros and ones."""
        return (rng.random(mean.shape) < mean).astype(mean.dtype)
