"""Bernoulli: entries x in [0, 1]; the decoder gives logits l, and

    log p = -x log(1 + e^-l) - (1 - x) log(1 + e^l) = x l - log(1 + e^l)

The first form keeps the digits of a probability near 1: for x = 1 at l = 20, log p is -2e-9, which x l - log(1 + e^l) rounds to
0 in float32, its slope too. Range: every finite logit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jpvae_core._array_api import X, of_kind

from .family import Floats, Likelihood


class Bernoulli(Likelihood):
    """Zeros and ones, or probabilities between them."""

    name = "bernoulli"
    expects = (
        "a Bernoulli likelihood expects values in [0, 1]. Scale the view (x / 255 for bytes), binarise it, or use "
        'likelihood="gaussian".'
    )

    def of_levels(self, features: int) -> np.ndarray:
        """All."""
        return np.ones(features, dtype=np.bool_)

    def valid(self, values: Floats) -> np.ndarray:
        """In [0, 1]."""
        return (values >= 0) & (values <= 1)

    def log_prob(self, xp: Any, outputs: X, x: X, own: Mapping[str, X]) -> X:
        """l (x - h) - log(1 + e^-|l|), h = 1 where l > 0, else 0: autograd's slope of the first term is 0 where x is h.

        -|l| is l - h l - h l: at l = 0 its slope is 1, and the whole's is x - 1/2, as it should be.
        """
        h = xp.astype(outputs > 0, outputs.dtype)
        return of_kind(outputs, outputs * (x - h) - xp.log1p(xp.exp(outputs - h * outputs - h * outputs)))

    def log_prob_vjp(self, xp: Any, outputs: X, x: X, own: Mapping[str, X], cotangent: X) -> tuple[X, dict[str, X]]:
        """d log p/dl = x (1 - p) - (1 - x) p, the data less their mean, with p and 1 - p each to a few eps of itself."""
        size = xp.abs(outputs)
        one, zero = xp.exp(0.5 * (outputs - size)), xp.exp(-0.5 * (outputs + size))  # p and 1 - p, times 1 + e^-|l|
        return cotangent * ((x * zero - (1.0 - x) * one) / (1.0 + xp.exp(-size))), {}

    def mean(self, xp: Any, outputs: X, x: X | None = None) -> X:
        """The probability of a one, 1/(1 + e^-l) or e^l/(1 + e^l): no exponential overflows; rare events keep their digits."""
        size = xp.abs(outputs)
        return of_kind(outputs, xp.exp(0.5 * (outputs - size)) / (1.0 + xp.exp(-size)))

    def variance(self, mean: Floats, own: Mapping[str, Floats]) -> Floats:
        """p (1 - p), of zeros and ones."""
        return mean * (1.0 - mean)

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """Zeros and ones."""
        return (rng.random(mean.shape) < mean).astype(mean.dtype)
