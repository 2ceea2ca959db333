"""Likelihoods p(x | z) of one view, written once over the array API so that every engine shares them.

A likelihood turns a decoder's outputs (..., B, c) into log-probabilities and means. It may own parameters per feature
(Gaussian: a log-variance), which the model keeps under ``likelihood.<view>.<name>``. To add one: write a class with these
methods, enter it in LIKELIHOODS, and add it to the table of proofs_tests/test_likelihoods.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from .errors import ConfigError, ViewError

Array = Any
Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]


class Likelihood(Protocol):
    """What the model, the engines and the estimator need of a likelihood."""

    name: str

    def parameters(self, features: int) -> dict[str, Floats]:
        """Initial values of the likelihood's own parameters, by name."""

    def check(self, values: Floats, observed: np.ndarray, view: str, first: int = 0) -> None:
        """Raise ViewError, naming the view, row and column of the first value that cannot have this likelihood.

        values (R, c): rows of the view from row ``first`` on; observed (R,) bool.
        """

    def scaling(self, values: Floats, observed: np.ndarray) -> tuple[Floats, Floats]:
        """Location and scale (c,) that bring the view into the model's units: model = (data - location) / scale."""

    def log_prob(self, xp: Any, outputs: Array, x: Array, own: Mapping[str, Array]) -> Array:
        """log p(x | z) of every entry, in nats of the model's units: outputs (..., B, c), x (B, c) -> (..., B, c)."""

    def log_prob_vjp(
        self, xp: Any, outputs: Array, x: Array, own: Mapping[str, Array], cotangent: Array
    ) -> tuple[Array, dict[str, Array]]:
        """For engines without autograd: sum of cotangent * log_prob, differentiated in ``outputs`` and in each of ``own``.

        outputs (..., B, c), x (B, c), cotangent (..., B, c) or (..., B, 1) -> outputs_bar (..., B, c), own_bar, shaped as own.
        """

    def mean(self, xp: Any, outputs: Array) -> Array:
        """E[x | z] in the model's units: (..., B, c) -> (..., B, c)."""

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """One draw of x given its mean: (..., B, c) -> (..., B, c), in the model's units."""


class Bernoulli:
    """Entries in [0, 1]; the decoder gives logits l: log p = x l - log(1 + e^l). Finite for every finite logit."""

    name = "bernoulli"

    def parameters(self, features: int) -> dict[str, Floats]:
        """None."""
        return {}

    def check(self, values: Floats, observed: np.ndarray, view: str, first: int = 0) -> None:
        """Entries of observed rows must lie in [0, 1]."""
        bad = ((values < 0) | (values > 1)) & observed[:, None]
        if bad.any():
            row, column = (int(k) for k in np.argwhere(bad)[0])
            raise ViewError(
                f"view {view!r}, row {first + row}, column {column} is {values[row, column]:g}; a Bernoulli likelihood expects "
                'values in [0, 1]. Scale the view (x / 255 for bytes), binarise it, or use likelihood="gaussian".'
            )

    def scaling(self, values: Floats, observed: np.ndarray) -> tuple[Floats, Floats]:
        """None: probabilities have no units."""
        return np.zeros(values.shape[1]), np.ones(values.shape[1])

    def log_prob(self, xp: Any, outputs: Array, x: Array, own: Mapping[str, Array]) -> Array:
        """x l - log(1 + e^l) per entry; logaddexp, because a softplus that switches to l loses digits."""
        return x * outputs - xp.logaddexp(outputs, xp.zeros_like(outputs))

    def log_prob_vjp(
        self, xp: Any, outputs: Array, x: Array, own: Mapping[str, Array], cotangent: Array
    ) -> tuple[Array, dict[str, Array]]:
        """d(x l - log(1 + e^l))/dl = x - e^l/(1 + e^l), the data less their mean."""
        return cotangent * (x - self.mean(xp, outputs)), {}

    def mean(self, xp: Any, outputs: Array) -> Array:
        """The probability of a one, by a form that overflows for no logit."""
        return 0.5 * (1.0 + xp.tanh(0.5 * outputs))

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """Zeros and ones."""
        return (rng.random(mean.shape) < mean).astype(mean.dtype)


class Gaussian:
    """Real entries; the decoder gives means, each feature has its own learned variance. Standardised inside."""

    name = "gaussian"

    def parameters(self, features: int) -> dict[str, Floats]:
        """A log-variance per feature, from 0: data are standardised."""
        return {"log_var": np.zeros(features)}

    def check(self, values: Floats, observed: np.ndarray, view: str, first: int = 0) -> None:
        """Every finite value will do."""

    def scaling(self, values: Floats, observed: np.ndarray) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the observed rows; a constant column keeps scale 1."""
        rows = values[observed].astype(np.float64)
        scale = rows.std(axis=0)
        varies = (rows != rows[0]).any(axis=0)  # where nothing does, the deviation may be a rounding error instead of 0
        return rows.mean(axis=0), np.where(varies & (scale > 0), scale, 1.0)

    def log_prob(self, xp: Any, outputs: Array, x: Array, own: Mapping[str, Array]) -> Array:
        """-((x - mean)^2 / var + log var + log 2 pi) / 2 per entry."""
        residual, log_var = x - outputs, own["log_var"]
        return -0.5 * (residual * residual * xp.exp(-log_var) + log_var + math.log(2.0 * math.pi))

    def log_prob_vjp(
        self, xp: Any, outputs: Array, x: Array, own: Mapping[str, Array], cotangent: Array
    ) -> tuple[Array, dict[str, Array]]:
        """r = x - mean: d/d(mean) = r/var; d/d(log var) = (r^2/var - 1)/2, summed over the rows, which all share it."""
        residual = x - outputs
        slope = residual * xp.exp(-own["log_var"])  # r/var
        per_entry = 0.5 * cotangent * (residual * slope - 1.0)
        return cotangent * slope, {"log_var": xp.sum(per_entry, axis=tuple(range(per_entry.ndim - 1)))}

    def mean(self, xp: Any, outputs: Array) -> Array:
        """The decoder's output."""
        return outputs

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """Mean plus noise of the learned variance."""
        return mean + np.exp(0.5 * own["log_var"]) * rng.standard_normal(mean.shape, dtype=mean.dtype)


LIKELIHOODS: dict[str, type[Likelihood]] = {"bernoulli": Bernoulli, "gaussian": Gaussian}


def likelihood(name: str) -> Likelihood:
    """The likelihood of that name. Raises ConfigError for an unknown one."""
    if name not in LIKELIHOODS:
        raise ConfigError(f"likelihood is {name!r}; expected one of {sorted(LIKELIHOODS)} (one for all views, or one per view)")
    return LIKELIHOODS[name]()
