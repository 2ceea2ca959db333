"""Negative binomial: counts with mean mu = e^m and variance mu + phi mu^2; log phi is learned per feature. With r = 1/phi,

    log p(x) = log G(x + r) - log G(r) - log x! - r log(1 + mu/r) - x log(1 + r/mu)

As phi goes to 0 it is the Poisson distribution. With R and T what gamma.py leaves of its two first terms and of the third,

    log p(x) = x [log(1 + (r - 1)/(x + 9)) - log(1 + r/mu)] + 9 + R - T - r log(1 + mu/r)

because log(x + r + 8) - log(x + 9) = log(1 + (r - 1)/(x + 9)): counts may be large, and phi small, at no loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .family import Array, Floats
from .gamma import digamma_rise, log_factorial_rest, log_gamma_rise_rest


class NegativeBinomial:
    """Counts that vary more than their mean: sequencing reads, visits."""

    name = "negative_binomial"

    def parameters(self, features: int) -> dict[str, Floats]:
        """log phi per feature, from log 1/e: of the size that sequencing data have."""
        return {"log_dispersion": np.full(features, -1.0)}

    def log_pmf(self, xp: Any, x: Array, m: Array, own: Mapping[str, Array]) -> Array:
        """The log-probability above; log(1 + r/mu) is softplus(log r - m), and log(1 + mu/r) softplus(m - log r)."""
        log_r = -own["log_dispersion"]
        r = xp.exp(log_r)
        ratio = m - log_r
        large = x * (xp.log1p((r - 1.0) / (x + 9.0)) - _softplus(xp, -ratio)) - r * _softplus(xp, ratio)
        return large + 9.0 + log_gamma_rise_rest(xp, r, x) - log_factorial_rest(xp, x)

    def slopes(self, xp: Any, x: Array, m: Array, own: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
        """With q = mu/(r + mu): d/dm = x (1 - q) - r q.

        d/dr = psi(x + r) - psi(r) - log(1 + mu/r) + q - x/(r + mu), and d/d(log phi) = -r d/dr.
        """
        log_r = -own["log_dispersion"]
        r = xp.exp(log_r)
        ratio = m - log_r
        minus_log_rest = _softplus(xp, ratio)
        q, rest = xp.exp(-_softplus(xp, -ratio)), xp.exp(-minus_log_rest)
        in_r = digamma_rise(xp, r, x) - minus_log_rest + q - x / (r + xp.exp(m))
        return x * rest - r * q, {"log_dispersion": -r * in_r}

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> np.ndarray:
        """Poisson draws whose rates are gamma draws with mean mu and variance phi mu^2."""
        phi = np.exp(own["log_dispersion"].astype(np.float64))
        return rng.poisson(mean * rng.gamma(np.broadcast_to(1.0 / phi, mean.shape), phi))


def _softplus(xp: Any, t: Array) -> Array:
    """log(1 + e^t)."""
    return xp.logaddexp(t, xp.zeros_like(t))
