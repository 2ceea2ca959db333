"""Counts: x_c with rate lambda_c = s e^{b tanh(o_c / b)}, o the decoder's outputs, s the row's size factor, b = 30.

    s = (sum of the row's counts) / (sum of the typical counts t_c of the same columns),    so that s = 1 for a typical row

t is the mean profile of the training rows, scaled so that their median s is 1: without empty cells s is the row's total over
the median total. A row without any count is taken to have one; a missing row has s = 1, and so has what is imputed there. The
encoder reads log(1 + x/s), standardised. The bound b leaves rates from e^-30 to e^30, with a slope near 1 where data are, and
lets no step of training overflow a float32, squares included. Decoders start at the typical counts. The slope 1 - tanh^2
comes from e^-2|o|/b, for near its ends tanh has lost it (autograd's is off by eps). Range: counts up to 1e12, every finite
output, |log s| <= 30.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from jpvae_core._array_api import X, of_kind

from .by_column import observed_moments, over_rows
from .family import Floats, Likelihood

_BOUND = 30.0
_LARGEST = 1e12  # count: e^27.6, within the bound's reach


class CountDistribution(Protocol):
    """A distribution on 0, 1, 2, ... by its log-rate m: see poisson.py, negative_binomial.py."""

    name: str

    def parameters(self, features: int) -> dict[str, Floats]:
        """As of a likelihood."""

    def log_pmf(self, xp: Any, x: X, m: X, own: Mapping[str, X]) -> X:
        """log p(x) with mean e^m."""

    def slopes(self, xp: Any, x: X, m: X, own: Mapping[str, X]) -> tuple[X, dict[str, X]]:
        """d log p/dm, and d log p/d(own) per entry."""

    def variance(self, mean: Floats, own: Mapping[str, Floats]) -> Floats:
        """The variance with this mean."""

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> np.ndarray:
        """Draws with this mean."""


class Counts(Likelihood):
    """Counts of a distribution; sized: rows have size factors (else s = 1). The target: the counts, then log s."""

    expects = 'a count likelihood expects whole numbers of at least 0, up to 1e12. Use likelihood="gaussian" for measurements.'

    def __init__(self, distribution: CountDistribution, *, sized: bool) -> None:
        self.distribution, self.sized = distribution, sized
        self.name = distribution.name + ("" if sized else "_unscaled")

    def extra(self, features: int) -> int:
        """One column: log s."""
        return 1

    def parameters(self, features: int) -> dict[str, Floats]:
        """The distribution's."""
        return self.distribution.parameters(features)

    def valid(self, values: Floats) -> np.ndarray:
        """Whole, not negative, and not beyond the rates."""
        valid: np.ndarray = (values >= 0) & (values == np.floor(values)) & (values <= _LARGEST)
        return valid

    def scaling(self, values: Floats, observed: np.ndarray) -> tuple[Floats, Floats]:
        """log(1 + t), and the deviation of log(1 + x/s): of the encoder's input. (t is expm1 of the first.)"""
        typical, _ = observed_moments(values, observed)
        if self.sized:
            sizes = np.exp(_log_sizes(values[observed].astype(np.float64), typical))
            typical = typical * np.median(sizes)
        location = np.log1p(typical)
        targets = self.targets(values, location, np.ones_like(location))
        _, scale = observed_moments(np.log1p(targets[:, :-1] * np.exp(-targets[:, -1:])), observed)
        return location, np.where(scale > 1e-6, scale, 1.0)  # rows that differ in depth alone differ by rounding here

    def targets(self, values: Floats, location: Floats, scale: Floats) -> Floats:
        """The counts, and log s: (R, c) -> (R, c + 1)."""
        log_s = _log_sizes(values, np.expm1(location)) if self.sized else np.zeros((len(values), 1))
        return np.concatenate([values, log_s.astype(values.dtype)], axis=1)

    def inputs(self, targets: Floats, location: Floats, scale: Floats) -> Floats:
        """(log(1 + x/s) - location) / scale."""
        return (np.log1p(targets[:, :-1] * np.exp(-targets[:, -1:])) - location) / scale

    def to_data(self, mean: Floats, location: Floats, scale: Floats) -> Floats:
        """The same: counts are modelled as they are."""
        return mean

    def std_to_data(self, std: Floats, scale: Floats) -> Floats:
        """The same."""
        return std

    def log_units(self, scale: Floats) -> Floats:
        """0."""
        return np.zeros_like(scale)

    def initial_outputs(self, location: Floats, scale: Floats) -> Floats:
        """o with e^{b tanh(o / b)} = t; a column of zeros starts at a thousandth of a count."""
        return _BOUND * np.arctanh(np.log(np.maximum(np.expm1(location), 1e-3)) / _BOUND)

    def log_prob(self, xp: Any, outputs: X, x: X, own: Mapping[str, X]) -> X:
        """The distribution's log p(x), in nats."""
        return self.distribution.log_pmf(xp, of_kind(x, x[..., :-1]), _log_rate(xp, outputs, x), own)

    def log_prob_vjp(self, xp: Any, outputs: X, x: X, own: Mapping[str, X], cotangent: X) -> tuple[X, dict[str, X]]:
        """The distribution's slopes; d(log lambda)/do = 1 - tanh^2."""
        slope, own_slopes = self.distribution.slopes(xp, of_kind(x, x[..., :-1]), _log_rate(xp, outputs, x), own)
        e = xp.exp(-2.0 / _BOUND * xp.abs(outputs))
        bounded = 4.0 * e / ((1.0 + e) * (1.0 + e))
        own_bars = {k: of_kind(v, over_rows(xp, cotangent * v)) for k, v in own_slopes.items()}
        return of_kind(outputs, cotangent * slope * bounded), own_bars

    def mean(self, xp: Any, outputs: X, x: X | None = None) -> X:
        """lambda, at the row's size factor, or 1."""
        return of_kind(outputs, xp.exp(_log_rate(xp, outputs, x)))

    def variance(self, mean: Floats, own: Mapping[str, Floats]) -> Floats:
        """The distribution's, of a row with this mean."""
        return self.distribution.variance(mean, own)

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """Whole numbers. How many random numbers a Poisson draw takes depends on its mean: a generator for each row, so that no
        row's draw depends on the others'."""
        result = np.empty_like(mean)
        for row, key in np.ndenumerate(rng.integers(2**63, size=mean.shape[:-1])):
            result[row] = self.distribution.draw(mean[row], own, np.random.Generator(np.random.Philox(key=int(key))))
        return result

    def draw_many(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """All at once: a generator for each row takes a hundred times as long."""
        return self.distribution.draw(mean, own, rng).astype(mean.dtype, copy=False)


def _log_rate(xp: Any, outputs: X, x: X | None) -> X:
    log_rate = _BOUND * xp.tanh(outputs / _BOUND)
    return of_kind(outputs, log_rate if x is None else log_rate + x[..., -1:])


def _log_sizes(values: Floats, typical: Floats) -> Floats:
    """log s (R, 1) of counts (R, c), NaN where not observed, given the typical counts (c,)."""
    known = ~np.isnan(values)
    expected = (known * typical).sum(axis=1, keepdims=True)
    total = np.maximum(np.where(known, values, 0.0).sum(axis=1, keepdims=True, dtype=np.float64), 1.0)
    log_sizes: Floats = np.log(total) - np.log(np.where(expected > 0, expected, total))  # 0 where nothing is expected
    return log_sizes
