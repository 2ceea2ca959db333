"""Marginal: any family with single entries missing. The entries of a row are independent given z, so leaving some out is

    log p(x_seen | z) = sum_c b_c log p(x_c | z),    b_c = 1 where the cell was observed, else 0

The target is the family's own, then the bits b (w + c columns). The encoder reads 0 where b is 0, a standardised mean, and
(``bits``) the b themselves beside it: an encoder that reads 0 cannot know what it did not see.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jpvae_core._array_api import X, of_kind

from .family import Floats, Likelihood


class Marginal(Likelihood):
    """``family`` with cells left out."""

    def __init__(self, family: Likelihood, *, bits: bool = True) -> None:
        self.family, self.name, self.width, self.bits = family, family.name, family.width, bits

    def variables(self, features: int) -> np.ndarray:
        """The family's."""
        return self.family.variables(features)

    def extra(self, features: int) -> int:
        """The family's, and a bit per feature."""
        return self.family.extra(features) + features

    def parameters(self, features: int) -> dict[str, Floats]:
        """The family's."""
        return self.family.parameters(features)

    def own_columns(self, features: int) -> dict[str, np.ndarray]:
        """The family's."""
        return self.family.own_columns(features)

    def normal_noise(self, features: int) -> dict[str, np.ndarray]:
        """The family's."""
        return self.family.normal_noise(features)

    def of_levels(self, features: int) -> np.ndarray:
        """The family's."""
        return self.family.of_levels(features)

    def cells(self, targets: Floats, features: int) -> tuple[Floats, np.ndarray]:
        """The family's, and the bits."""
        values, known = self.family.cells(targets[:, :-features], features)
        return values, known & (targets[:, -features:] > 0)

    def valid(self, values: Floats) -> np.ndarray:
        """The family's."""
        return self.family.valid(values)

    def expected(self, column: int) -> str:
        """The family's."""
        return self.family.expected(column)

    def scaling(self, values: Floats, observed: np.ndarray) -> tuple[Floats, Floats]:
        """The family's, of the cells that were observed."""
        return self.family.scaling(values, observed)

    def targets(self, values: Floats, location: Floats, scale: Floats) -> Floats:
        """The family's target, then 1 where there is a value and 0 where there is none."""
        bits = (~np.isnan(values)).astype(values.dtype)
        return np.concatenate([self.family.targets(values, location, scale), bits], axis=1)

    def inputs(self, targets: Floats, location: Floats, scale: Floats) -> Floats:
        """The family's, 0 where there is no value; then the bits."""
        c = len(location)
        inputs = self.family.inputs(targets[:, :-c], location, scale)
        if not self.bits:
            return inputs
        bits = targets[:, -c:]
        return np.concatenate([np.where(bits > 0, inputs, 0), bits], axis=1)

    def to_data(self, mean: Floats, location: Floats, scale: Floats) -> Floats:
        """The family's."""
        return self.family.to_data(mean, location, scale)

    def std_to_data(self, std: Floats, scale: Floats) -> Floats:
        """The family's."""
        return self.family.std_to_data(std, scale)

    def log_units(self, scale: Floats) -> Floats:
        """The family's."""
        return self.family.log_units(scale)

    def initial_outputs(self, location: Floats, scale: Floats) -> Floats:
        """The family's."""
        return self.family.initial_outputs(location, scale)

    def log_prob(self, xp: Any, outputs: X, x: X, own: Mapping[str, X]) -> X:
        """b log p."""
        entries, b = self._parts(outputs, x)
        return of_kind(x, b * self.family.log_prob(xp, outputs, entries, own))

    def log_prob_vjp(self, xp: Any, outputs: X, x: X, own: Mapping[str, X], cotangent: X) -> tuple[X, dict[str, X]]:
        """The family's, with the cotangent b times what it was."""
        entries, b = self._parts(outputs, x)
        return self.family.log_prob_vjp(xp, outputs, entries, own, of_kind(x, cotangent * b))

    def mean(self, xp: Any, outputs: X, x: X | None = None) -> X:
        """The family's."""
        return self.family.mean(xp, outputs, None if x is None else self._parts(outputs, x)[0])

    def _parts(self, outputs: X, x: X) -> tuple[X, X]:
        """The family's entries, and b of every column."""
        c = outputs.shape[-1]
        return of_kind(x, x[..., :-c]), of_kind(x, x[..., -c:])

    def variance(self, mean: Floats, own: Mapping[str, Floats]) -> Floats:
        """The family's."""
        return self.family.variance(mean, own)

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """The family's."""
        return self.family.draw(mean, own, rng)

    def draw_many(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """The family's."""
        return self.family.draw_many(mean, own, rng)
