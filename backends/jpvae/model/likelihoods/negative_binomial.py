"""Negative binomial: counts with mean mu = e^m and variance mu + phi mu^2; log phi is learned per feature. With r = 1/phi,

    log p(x) = log G(x + r) - log G(r) - log x! - r log(1 + mu/r) - x log(1 + r/mu)

As phi goes to 0 it is the Poisson distribution, and log G(x + r) - log G(r) is a difference of large numbers: in float32, at
phi = e^-12, the slope in log phi would have the wrong sign. Loader's form has no such difference. With t = phi mu and

    v = (mu/x - 1)/(1 + t),    w = (x - mu)/(r + mu) = phi (x - mu)/(1 + t),    k(u) = log(1 + u) - u (gamma.py: about -u^2/2)

    log p(x) = r k(w) + x k(v) - log(1 + phi x)/2 + delta(r + x) - delta(r) - T(x)    x >= 1
    log p(0) = r log(1 + w) = r k(w) - mu/(1 + t)

because r log((r + x)/(r + mu)) + x log((r + x) mu / (x (r + mu))) is r log(1 + w) + x log(1 + v), and r w + x v = 0. Every term
with phi goes to 0 with it, one by one, and the slopes are d/dm = (x - mu)/(1 + t) and

    d/d(log phi) = -r k(w) - phi x/(1 + phi x)/2 - r (delta'(r + x) - delta'(r))

The terms of the last one are of size 1 where r < 8, and their sum may be far smaller: for x >= 1 it is right to (2 + 20 r) eps
there, to eps/r beyond, in absolute value, besides what a rounding of m or log phi moves it by. At x = 1 and a tiny mean the
truth is about -phi mu, so that in float32 what one reads there, up to 4e-6, is rounding.

Range: log phi from -30 to 10, phi mu up to e^40, and every count and log-rate that counts.py lets through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jpvae_core._array_api import X, of_kind

from .family import Floats
from .gamma import log1p_rest, log_factorial_rest, stirling_error_rise, stirling_error_rise_slope
from .poisson import poisson_draws


class NegativeBinomial:
    """Counts that vary more than their mean: sequencing reads, visits."""

    name = "negative_binomial"

    def parameters(self, features: int) -> dict[str, Floats]:
        """log phi per feature, from log 1/e: of the size that sequencing data have."""
        return {"log_dispersion": np.full(features, -1.0)}

    def log_pmf(self, xp: Any, x: X, m: X, own: Mapping[str, X]) -> X:
        """The log-probability above."""
        phi, r = xp.exp(own["log_dispersion"]), xp.exp(-own["log_dispersion"])
        mu = xp.exp(m)
        t, n = phi * mu, phi * x
        counted, there = xp.maximum(x, xp.ones_like(x)), xp.minimum(x, xp.ones_like(x))
        apart, of_x = (x - mu) / (1.0 + t), xp.log1p(n)
        log_w = of_x - xp.log1p(t)  # log(1 + w); log(1 + v) is this and m - log x
        main = r * log1p_rest(xp, phi * apart, log_w) + x * log1p_rest(xp, -apart / counted, log_w + m - xp.log(counted))
        rest = stirling_error_rise(xp, r, x) - 0.5 * of_x - there * log_factorial_rest(xp, counted)
        return of_kind(x, main + rest - (1.0 - there) * (mu / (1.0 + t)))

    def slopes(self, xp: Any, x: X, m: X, own: Mapping[str, X]) -> tuple[X, dict[str, X]]:
        """d/dm and d/d(log phi) as above."""
        phi, r = xp.exp(own["log_dispersion"]), xp.exp(-own["log_dispersion"])
        mu = xp.exp(m)
        t, n = phi * mu, phi * x
        in_m = (x - mu) / (1.0 + t)
        in_phi = -r * log1p_rest(xp, phi * in_m, xp.log1p(n) - xp.log1p(t)) - 0.5 * n / (1.0 + n)
        return in_m, {"log_dispersion": in_phi - r * stirling_error_rise_slope(xp, r, x)}

    def variance(self, mean: Floats, own: Mapping[str, Floats]) -> Floats:
        """mu + phi mu^2."""
        return mean + np.exp(own["log_dispersion"]) * mean * mean

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> np.ndarray:
        """Poisson draws whose rates are gamma draws with mean mu and variance phi mu^2."""
        phi = np.exp(own["log_dispersion"].astype(np.float64))
        return poisson_draws(mean * rng.gamma(np.broadcast_to(1.0 / phi, mean.shape), phi), rng)
