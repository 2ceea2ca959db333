"""Bernoulli: entries x in [0, 1]; the decoder gives logits l, log p = x l - log(1 + e^l). Finite for every finite logit."""

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
        """x l - log(1 + e^l) per entry; logaddexp, because a softplus that switches to l loses digits."""
        return x * outputs - xp.logaddexp(outputs, xp.zeros_like(outputs))

    def log_prob_vjp(
        self, xp: Any, outputs: Array, x: Array, own: Mapping[str, Array], cotangent: Array
    ) -> tuple[Array, dict[str, Array]]:
        """d(x l - log(1 + e^l))/dl = x - e^l/(1 + e^l), the data less their mean."""
        return cotangent * (x - self.mean(xp, outputs)), {}

    def mean(self, xp: Any, outputs: Array, x: Array | None = None) -> Array:
        """The probability of a one, by a form that overflows for no logit."""
        return 0.5 * (1.0 + xp.tanh(0.5 * outputs))

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """Zeros and ones."""
        return (rng.random(mean.shape) < mean).astype(mean.dtype)
