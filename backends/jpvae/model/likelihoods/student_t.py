"""Student-t with nu = 4 degrees of freedom: measurements with outliers. Each feature has its own learned scale sigma.

    r = (x - mean) / sigma
    log p = log G((nu + 1)/2) - log G(nu/2) - log(nu pi)/2 - log sigma - (nu + 1)/2 log(1 + r^2 / nu)

The encoder reads arsinh(x) of a standardised x, which is x near 0 and 28 at 1e12: read as it is, one outlier of 1,000
deviations would give its row a posterior that no float can hold.

A far point pulls at the mean with (nu + 1) r / (nu + r^2), which falls off as 1/r. nu is fixed at 4, the choice of Lange,
Little and Taylor (JASA 84, 1989): a likelihood that is to be robust should not be taught by the outliers how robust to be.

Range: |x - mean| up to 1e12 (of a standardised x), log sigma from -30 to 30; r^2 need not be a float32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jpvae_core._array_api import X, of_kind

from .by_column import observed_moments, over_rows
from .family import Floats, Likelihood

_NU = 4.0
_CONSTANT = math.lgamma((_NU + 1.0) / 2.0) - math.lgamma(_NU / 2.0) - 0.5 * math.log(_NU * math.pi)
_DEVIATIONS_PER_MAD = 1.4826022185056018  # 1 / Phi^-1(3/4): of a normal distribution, the deviation is so many MADs


class StudentT(Likelihood):
    """Real entries with heavy tails."""

    name = "student_t"

    def parameters(self, features: int) -> dict[str, Floats]:
        """A log-scale per feature, from 0: data are standardised."""
        return {"log_scale": np.zeros(features)}

    def scaling(self, values: Floats, observed: np.ndarray) -> tuple[Floats, Floats]:
        """Median and 1.4826 MAD of the observed cells, which outliers hardly move.

        Where more than half of a column is one number its MAD is 0: there the standard deviation, and 1 where it is constant.
        """
        _, deviation = observed_moments(values, observed)
        rows = values[observed].astype(np.float64)
        median = np.nanmedian(rows, axis=0)
        mad = _DEVIATIONS_PER_MAD * np.nanmedian(np.abs(rows - median), axis=0)
        return median, np.where(mad > 0, mad, deviation)

    def inputs(self, targets: Floats, location: Floats, scale: Floats) -> Floats:
        """arsinh(x)."""
        return np.arcsinh(targets)

    def log_prob(self, xp: Any, outputs: X, x: X, own: Mapping[str, X]) -> X:
        """The log-density above."""
        half = xp.abs(0.5 * (x - outputs) * xp.exp(-own["log_scale"]))  # |r| / sqrt(nu)
        one = xp.ones_like(half)
        large, small = xp.maximum(half, one), xp.minimum(half, one)
        ratio = small / large  # 1 + h^2 is large^2 (1 + ratio^2), and h^2 may overflow
        log_root = 0.5 * xp.log1p(ratio * ratio) + xp.log(large)
        return of_kind(outputs, _CONSTANT - own["log_scale"] - (_NU + 1.0) * log_root)

    def log_prob_vjp(self, xp: Any, outputs: X, x: X, own: Mapping[str, X], cotangent: X) -> tuple[X, dict[str, X]]:
        """w = (nu + 1)/(nu + r^2): d/d(mean) = w r / sigma, d/d(log sigma) = w r^2 - 1; without r^2, which may overflow."""
        per_unit = xp.exp(-own["log_scale"])
        r = (x - outputs) * per_unit
        large = xp.maximum(xp.abs(r), xp.ones_like(r))
        s, per = r / large, 1.0 / large
        square = s * s * large  # r^2 over large, as is all below
        below = _NU * per + square
        in_scale = _NU * (square - per) / below
        return cotangent * ((_NU + 1.0) * s / below) * per_unit, {"log_scale": over_rows(xp, cotangent * in_scale)}

    def mean(self, xp: Any, outputs: X, x: X | None = None) -> X:
        """The decoder's output."""
        return outputs

    def variance(self, mean: Floats, own: Mapping[str, Floats]) -> Floats:
        """sigma^2 nu/(nu - 2), finite because nu is 4."""
        return np.full_like(mean, _NU / (_NU - 2.0) * np.exp(2.0 * own["log_scale"]))

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """Mean plus noise of the learned scale."""
        drawn: Floats = mean + np.exp(own["log_scale"]) * np.asarray(rng.standard_t(_NU, mean.shape), mean.dtype)
        return drawn
