"""Poisson: log p(x) = x m - e^m - log x!, with mean e^m."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .family import Array, Floats
from .gamma import log_gamma


class Poisson:
    """Counts whose variance is their mean."""

    name = "poisson"

    def parameters(self, features: int) -> dict[str, Floats]:
        """None."""
        return {}

    def log_pmf(self, xp: Any, x: Array, m: Array, own: Mapping[str, Array]) -> Array:
        """x m - e^m - log x!"""
        return x * m - xp.exp(m) - log_gamma(xp, x + 1.0)

    def slopes(self, xp: Any, x: Array, m: Array, own: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
        """d/dm = x - e^m."""
        return x - xp.exp(m), {}

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> np.ndarray:
        """Poisson draws."""
        return rng.poisson(mean)
