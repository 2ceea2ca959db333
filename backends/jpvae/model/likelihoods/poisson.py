"""Poisson: log p(x) = x m - e^m - log x!, with mean e^m. With Z = x + 9, d = m - log Z and the rest T of log x! (gamma.py),

    log p = x d - Z (e^d - 1) - T

whose terms are small where the mean is near x, however large both are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .family import Array, Floats
from .gamma import log_factorial_rest


class Poisson:
    """Counts whose variance is their mean."""

    name = "poisson"

    def parameters(self, features: int) -> dict[str, Floats]:
        """None."""
        return {}

    def log_pmf(self, xp: Any, x: Array, m: Array, own: Mapping[str, Array]) -> Array:
        """x d - Z (e^d - 1) - T."""
        Z = x + 9.0
        d = m - xp.log(Z)
        return x * d - Z * xp.expm1(d) - log_factorial_rest(xp, x)

    def slopes(self, xp: Any, x: Array, m: Array, own: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
        """d/dm = x - e^m."""
        return x - xp.exp(m), {}

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> np.ndarray:
        """Poisson draws."""
        return rng.poisson(mean)
