"""Gaussian: the decoder gives means, each feature has its own learned variance. Data are standardised inside.

log p = -((x - mean)^2 / var + log var + log 2 pi) / 2

Range: |x - mean| up to 1e12 (of a standardised x), log var from -30 to 30.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jpvae_core._array_api import X, of_kind

from .by_column import observed_moments, over_rows
from .family import Floats, Likelihood


class Gaussian(Likelihood):
    """Real entries."""

    name = "gaussian"

    def parameters(self, features: int) -> dict[str, Floats]:
        """A log-variance per feature, from 0: data are standardised."""
        return {"log_var": np.zeros(features)}

    def normal_noise(self, features: int) -> dict[str, np.ndarray]:
        """Every column's."""
        return self.own_columns(features)

    def scaling(self, values: Floats, observed: np.ndarray) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the observed cells; a constant column keeps scale 1."""
        return observed_moments(values, observed)

    def log_prob(self, xp: Any, outputs: X, x: X, own: Mapping[str, X]) -> X:
        """-((x - mean)^2 / var + log var + log 2 pi) / 2 per entry."""
        residual, log_var = x - outputs, own["log_var"]
        twice = residual * residual * xp.exp(-log_var) + log_var + math.log(2.0 * math.pi)
        return of_kind(outputs, -0.5 * twice)

    def log_prob_vjp(self, xp: Any, outputs: X, x: X, own: Mapping[str, X], cotangent: X) -> tuple[X, dict[str, X]]:
        """r = x - mean: d/d(mean) = r/var; d/d(log var) = (r^2/var - 1)/2, summed over the rows, which all share it."""
        residual = x - outputs
        slope = residual * xp.exp(-own["log_var"])  # r/var
        return cotangent * slope, {"log_var": over_rows(xp, 0.5 * cotangent * (residual * slope - 1.0))}

    def mean(self, xp: Any, outputs: X, x: X | None = None) -> X:
        """The decoder's output."""
        return outputs

    def variance(self, mean: Floats, own: Mapping[str, Floats]) -> Floats:
        """The learned variance."""
        return np.full_like(mean, np.exp(own["log_var"]))

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """Mean plus noise of the learned variance."""
        drawn: Floats = mean + np.exp(0.5 * own["log_var"]) * rng.standard_normal(mean.shape, dtype=mean.dtype)
        return drawn
