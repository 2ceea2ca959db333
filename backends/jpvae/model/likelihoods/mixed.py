"""Mixed: a view whose columns are of several families, side by side; everything is done part by part and put together.

A part's own parameters are called <number of the part>.<name>. Its target is its own columns of the mixed target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from jpvae_core._array_api import X, of_kind

from .family import Floats, Likelihood


class Mixed(Likelihood):
    """parts: families with the number of their model columns, in the order of the columns."""

    name = "mixed"

    def __init__(self, parts: Sequence[tuple[Likelihood, int]]) -> None:
        families, widths = zip(*parts, strict=True)
        self.width = sum(widths)
        self.parts: tuple[Likelihood, ...] = families
        self._columns = [slice(a, b) for a, b in pairwise(accumulate(widths, initial=0))]
        self._widths = [n + family.extra(n) for family, n in parts]
        self._targets = [slice(a, b) for a, b in pairwise(accumulate(self._widths, initial=0))]

    def _own(self, k: int, own: Mapping[str, Any]) -> dict[str, Any]:
        return {name.removeprefix(f"{k}."): value for name, value in own.items() if name.startswith(f"{k}.")}

    def _parts(self) -> Iterator[tuple[int, Likelihood, slice, slice]]:
        return zip(range(len(self.parts)), self.parts, self._columns, self._targets, strict=True)

    def _joined(self, of_part: Callable[[Likelihood, slice, slice], Floats], axis: int = -1) -> Floats:
        return np.concatenate([of_part(family, columns, target) for _, family, columns, target in self._parts()], axis=axis)

    def extra(self, features: int) -> int:
        """All that the parts need."""
        return sum(self._widths) - features

    def variables(self, features: int) -> np.ndarray:
        """The parts' own, numbered on."""
        found: list[np.ndarray] = []
        for _, family, columns, _ in self._parts():
            first = found[-1][-1] + 1 if found else 0
            found.append(first + family.variables(columns.stop - columns.start))
        return np.concatenate(found)

    def parameters(self, features: int) -> dict[str, Floats]:
        """Those of all parts."""
        named: dict[str, Floats] = {}
        for k, family, columns, _ in self._parts():
            named |= {f"{k}.{name}": v for name, v in family.parameters(columns.stop - columns.start).items()}
        return named

    def own_columns(self, features: int) -> dict[str, np.ndarray]:
        """Those of all parts."""
        return self._placed(lambda family, features: family.own_columns(features))

    def normal_noise(self, features: int) -> dict[str, np.ndarray]:
        """Those of all parts."""
        return self._placed(lambda family, features: family.normal_noise(features))

    def of_levels(self, features: int) -> np.ndarray:
        """Those of all parts."""
        return np.concatenate([family.of_levels(c.stop - c.start) for _, family, c, _ in self._parts()])

    def _placed(self, of_part: Callable[[Likelihood, int], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        for k, family, columns, _ in self._parts():
            own = of_part(family, columns.stop - columns.start)
            found |= {f"{k}.{name}": columns.start + at for name, at in own.items()}
        return found

    def cells(self, targets: Floats, features: int) -> tuple[Floats, np.ndarray]:
        """Part by part."""
        parts = [family.cells(targets[:, t], c.stop - c.start) for _, family, c, t in self._parts()]
        values, known = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
        return values, known

    def valid(self, values: Floats) -> np.ndarray:
        """Part by part."""
        return np.concatenate([family.valid(values[:, columns]) for _, family, columns, _ in self._parts()], axis=1)

    def expected(self, column: int) -> str:
        """The column's part's."""
        return next(family.expected(column - columns.start) for _, family, columns, _ in self._parts() if column < columns.stop)

    def scaling(self, values: Floats, observed: np.ndarray) -> tuple[Floats, Floats]:
        """Part by part."""
        pairs = [family.scaling(values[:, columns], observed) for _, family, columns, _ in self._parts()]
        location, scale = (np.concatenate(part) for part in zip(*pairs, strict=True))
        return location, scale

    def targets(self, values: Floats, location: Floats, scale: Floats) -> Floats:
        """Part by part."""
        return self._joined(lambda family, c, _: family.targets(values[:, c], location[c], scale[c]))

    def inputs(self, targets: Floats, location: Floats, scale: Floats) -> Floats:
        """Part by part."""
        return self._joined(lambda family, c, t: family.inputs(targets[:, t], location[c], scale[c]))

    def to_data(self, mean: Floats, location: Floats, scale: Floats) -> Floats:
        """Part by part."""
        return self._joined(lambda family, c, _: family.to_data(mean[..., c], location[c], scale[c]))

    def std_to_data(self, std: Floats, scale: Floats) -> Floats:
        """Part by part."""
        return self._joined(lambda family, c, _: family.std_to_data(std[..., c], scale[c]))

    def log_units(self, scale: Floats) -> Floats:
        """Part by part."""
        return self._joined(lambda family, c, _: family.log_units(scale[c]))

    def initial_outputs(self, location: Floats, scale: Floats) -> Floats:
        """Part by part."""
        return self._joined(lambda family, c, _: family.initial_outputs(location[c], scale[c]))

    def log_prob(self, xp: Any, outputs: X, x: X, own: Mapping[str, X]) -> X:
        """Part by part."""
        parts = [family.log_prob(xp, outputs[..., c], x[..., t], self._own(k, own)) for k, family, c, t in self._parts()]
        return of_kind(outputs, xp.concat(parts, axis=-1))

    def log_prob_vjp(self, xp: Any, outputs: X, x: X, own: Mapping[str, X], cotangent: X) -> tuple[X, dict[str, X]]:
        """Part by part."""
        bars: list[X] = []
        own_bars: dict[str, X] = {}
        for k, family, c, t in self._parts():
            part = cotangent if cotangent.shape[-1] == 1 else cotangent[..., c]
            bar, own_bar = family.log_prob_vjp(xp, outputs[..., c], x[..., t], self._own(k, own), part)
            bars.append(bar)
            own_bars |= {f"{k}.{name}": v for name, v in own_bar.items()}
        return xp.concat(bars, axis=-1), own_bars

    def mean(self, xp: Any, outputs: X, x: X | None = None) -> X:
        """Part by part."""
        means = [family.mean(xp, outputs[..., c], None if x is None else x[..., t]) for _, family, c, t in self._parts()]
        return of_kind(outputs, xp.concat(means, axis=-1))

    def variance(self, mean: Floats, own: Mapping[str, Floats]) -> Floats:
        """Part by part."""
        parts = [family.variance(mean[..., c], self._own(k, own)) for k, family, c, _ in self._parts()]
        return np.concatenate(parts, axis=-1)

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """Part by part."""
        drawn = [family.draw(mean[..., c], self._own(k, own), rng) for k, family, c, _ in self._parts()]
        return np.concatenate(drawn, axis=-1)

    def draw_many(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """Part by part."""
        drawn = [family.draw_many(mean[..., c], self._own(k, own), rng) for k, family, c, _ in self._parts()]
        return np.concatenate(drawn, axis=-1)
