"""Negative binomial: counts with mean mu = e^m and variance mu + phi mu^2; log phi is learned per feature. With r = 1/phi,

    log p(x) = log G(x + r) - log G(r) - log x! - r log(1 + mu/r) - x log(1 + r/mu)

As phi goes to 0 it is the Poisson distribution, and log G(x + r) - log G(r) is a difference of large numbers: in float32, at
phi = e^-12, the slope in log phi would have the wrong sign. Loader's form has no such difference. With t = phi mu and

    v = (mu/x - 1)/(1 + t),    w = (x - mu)/(r + mu) = -phi x v,    k(u) = log(1 + u) - u (gamma.py: about -u^2/2)

    log p(x) = r k(w) + x k(v) - log(1 + phi x)/2 + delta(r + x) - delta(r) - T(x)    x >= 1
    log p(0) = -r log(1 + t) = -mu - r k(t)

because r log((r + x)/(r + mu)) + x log((r + x) mu / (x (r + mu))) is r log(1 + w) + x log(1 + v), and r w + x v = 0. Every term
with phi goes to 0 with it, one by one, and the slopes are d/dm = -x v = (x - mu)/(1 + t) and

    d/d(log phi) = -r k(w) - phi x/(1 + phi x)/2 - r (delta'(r + x) - delta'(r))

Range: log phi from -30 to 10, phi mu up to e^40, and every count and log-rate that counts.py lets through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .family import Array, Floats
from .gamma import log1p_rest, log_factorial_rest, stirling_error, stirling_error_slope
from .poisson import poisson_draws


class NegativeBinomial:
    """Counts that vary more than their mean: sequencing reads, visits."""

    name = "negative_binomial"

    def parameters(self, features: int) -> dict[str, Floats]:
        """log phi per feature, from log 1/e: of the size that sequencing data have."""
        return {"log_dispersion": np.full(features, -1.0)}

    def log_pmf(self, xp: Any, x: Array, m: Array, own: Mapping[str, Array]) -> Array:
        """The log-probability above."""
        phi, r = xp.exp(own["log_dispersion"]), xp.exp(-own["log_dispersion"])
        mu = xp.exp(m)
        t = phi * mu
        counted = xp.maximum(x, xp.ones_like(x))
        d = m - xp.log(counted)
        v = xp.expm1(d) / (1.0 + t)
        of_x, of_mu = xp.log1p(phi * counted), xp.log1p(t)
        main = r * log1p_rest(xp, -(phi * counted) * v, of_x - of_mu) + counted * log1p_rest(xp, v, of_x - of_mu + d)
        rest = stirling_error(xp, r + counted) - stirling_error(xp, r) - 0.5 * of_x - log_factorial_rest(xp, counted)
        none = xp.where(t < 0.25, -mu - r * log1p_rest(xp, t), -r * of_mu)
        return xp.where(x > 0, main + rest, none)

    def slopes(self, xp: Any, x: Array, m: Array, own: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
        """d/dm and d/d(log phi) as above; at x = 0, w = -t/(1 + t)."""
        phi, r = xp.exp(own["log_dispersion"]), xp.exp(-own["log_dispersion"])
        mu = xp.exp(m)
        t, n = phi * mu, phi * x
        in_m = (x - mu) / (1.0 + t)
        in_phi = -r * log1p_rest(xp, phi * in_m, xp.log1p(n) - xp.log1p(t)) - 0.5 * n / (1.0 + n)
        return in_m, {"log_dispersion": in_phi - r * (stirling_error_slope(xp, r + x) - stirling_error_slope(xp, r))}

    def variance(self, mean: Floats, own: Mapping[str, Floats]) -> Floats:
        """mu + phi mu^2."""
        return mean + np.exp(own["log_dispersion"]) * mean * mean

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> np.ndarray:
        """Poisson draws whose rates are gamma draws with mean mu and variance phi mu^2."""
        phi = np.exp(own["log_dispersion"].astype(np.float64))
        return poisson_draws(mean * rng.gamma(np.broadcast_to(1.0 / phi, mean.shape), phi), rng)
