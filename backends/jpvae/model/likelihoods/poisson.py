"""Poisson: log p(x) = x m - e^m - log x!, with mean e^m. With d = m - log x and the rest T of log x! (gamma.py), x >= 1,

    log p = x (d - (e^d - 1)) - T,    and log p(0) = -e^m

whose terms are small where the mean is near x, however large both are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jpvae_core._array_api import X, of_kind

from .family import Floats
from .gamma import log_factorial_rest


class Poisson:
    """Counts whose variance is their mean."""

    name = "poisson"

    def parameters(self, features: int) -> dict[str, Floats]:
        """None."""
        return {}

    def log_pmf(self, xp: Any, x: X, m: X, own: Mapping[str, X]) -> X:
        """x (d - (e^d - 1)) - T."""
        counted, there = xp.maximum(x, xp.ones_like(x)), xp.minimum(x, xp.ones_like(x))
        d = m - xp.log(counted)
        of_some = counted * (d - xp.expm1(d)) - log_factorial_rest(xp, counted)
        return of_kind(x, there * of_some - (1.0 - there) * xp.exp(m))

    def slopes(self, xp: Any, x: X, m: X, own: Mapping[str, X]) -> tuple[X, dict[str, X]]:
        """d/dm = x - e^m."""
        return x - xp.exp(m), {}

    def variance(self, mean: Floats, own: Mapping[str, Floats]) -> Floats:
        """The mean."""
        return mean

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> np.ndarray:
        """Poisson draws."""
        return poisson_draws(mean, rng)


def poisson_draws(rate: Floats, rng: np.random.Generator) -> np.ndarray:
    """Draws with these rates. NumPy draws int64; beyond 1e18, the deviation is below 1e-9 of the rate, which stands for it."""
    return np.where(rate > 1e18, rate, rng.poisson(np.minimum(rate, 1e18)))
