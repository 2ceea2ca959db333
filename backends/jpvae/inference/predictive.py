"""What held-out rows correct in the predictions of a missing view: how far these are trusted, and the tails of their errors.

Slope. The regression of what is hidden on what was predicted has a slope b below 1 where a model knows its rows by heart (the
calibration slope, Copas 1983). Latents of the missing view are then drawn as if the others predicted it only b times as well,

    z' = b z + sqrt(1 - b^2) eps,    eps ~ N(0, I)        z ~ q(z | x_O): b = 1, as the model says; b = 0, the prior

Tails. Around its mean c a missing value is not normal but a scale mixture of normals,

    x' = c + w (x - c),    w^2 = (nu - 2)/chi^2_nu        x ~ p(x | z'): c, what is not known of z', and x's own noise

which is Student's t with nu degrees of freedom where x is normal. E w^2 = 1, so means and standard deviations stay. There is
one w for a row's draw, so that correlations stay: chi^2_nu is the sum of the first nu of some squares that all views share.

Slope of the others. Categories, counts and whatever else has no normal noise can deserve less trust than the numbers beside
them, or more: they are decoded from latents with a slope of their own and the same eps.

All are learned by calibration.py, and are arrays of one number beside the parameters: predictive.<view>.slope,
predictive.<view>.degrees_of_freedom and predictive.<view>.slope_of_others, absent where they are 1, infinite, and the first or
of no columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

HEAD = "predictive."
PARTS = ("slope", "degrees_of_freedom", "slope_of_others")
DEGREES = (math.inf, 20, 10, 7, 5)  # of which the fourth moment is finite: draws show their own variance
Sums = tuple[np.ndarray, np.ndarray]
SQUARES = 20  # of normal numbers, for w
_FEWEST = 6  # rows for a slope


class Predictive(NamedTuple):
    """Of one view."""

    slope: float = 1.0
    degrees_of_freedom: float = math.inf
    slope_of_others: float | None = None

    @property
    def slopes(self) -> tuple[float, float]:
        """Of columns with normal noise, and of the others."""
        return self.slope, self.slope if self.slope_of_others is None else self.slope_of_others

    @classmethod
    def of(cls, parameters: Mapping[str, Any], view: int) -> Predictive:
        """From a model's parameters, as NumPy arrays."""
        kept = {part: parameters[name] for part in PARTS if (name := f"{HEAD}{view}.{part}") in parameters}
        return cls(**{part: float(value[0]) for part, value in kept.items()})

    def arrays(self, view: int) -> dict[str, np.ndarray]:
        """What ``of`` reads."""
        given = {part: value for part, value in self._asdict().items() if value != self._field_defaults[part]}
        if self.slope_of_others == self.slope:
            del given["slope_of_others"]
        return {f"{HEAD}{view}.{part}": np.array([float(value)]) for part, value in given.items()}

    def factors(self, normals: np.ndarray) -> np.ndarray:
        """w (...) from standard normals (..., SQUARES)."""
        nu = int(self.degrees_of_freedom)
        factors: np.ndarray = np.sqrt((nu - 2.0) / np.sum(normals[..., :nu] ** 2, axis=-1))
        return factors


def plausible(part: str, value: np.ndarray) -> bool:
    """Whether an array from a file can be that part."""
    if part == "degrees_of_freedom":
        return bool(np.isin(value, DEGREES[1:]).all())
    return bool((value >= 0).all() and (value <= 1).all())


def log_density(squares: np.ndarray, variance: np.ndarray, degrees_of_freedom: float) -> np.ndarray:
    """Of Student's t, (x - mean)^2 = ``squares``, scaled to have this variance; the normal's where nu is infinite."""
    nu = degrees_of_freedom
    if nu == math.inf:
        return np.asarray(-0.5 * (squares / variance + np.log(variance) + math.log(2.0 * math.pi)))
    constant = math.lgamma((nu + 1.0) / 2.0) - math.lgamma(nu / 2.0) - 0.5 * math.log((nu - 2.0) * math.pi)
    return np.asarray(constant - 0.5 * np.log(variance) - (nu + 1.0) / 2.0 * np.log1p(squares / ((nu - 2.0) * variance)))


def sums(predicted: np.ndarray, truth: np.ndarray, known: np.ndarray) -> Sums:
    """Of rows (R, c) of standardised columns: sum_c m x and sum_c m^2 over the known cells, m predicted and x true, of the rows
    that have any."""
    with_truth = known.any(axis=1)
    products, squares = ((known * predicted * other).sum(axis=1)[with_truth] for other in (truth, predicted))
    return products, squares


def slopes(views: Sequence[Sums]) -> list[float]:
    """b of each view from its rows' ``sums``; of a view with few rows that of all views together, as if their columns were as
    predictable; 1 where they are few together, and where nothing is predicted."""
    told = [(products, squares) for products, squares in views if squares.sum() > 0]
    together = (
        tuple(np.concatenate([part[k] / part[1].mean() for part in told]) for k in range(2)) if told else (np.zeros(0),) * 2
    )
    return [_slope(*(part if len(part[0]) >= _FEWEST else together)) for part in views]


def _slope(products: np.ndarray, squares: np.ndarray) -> float:
    """The estimate and two standard errors (rows are independent, their cells are not), between 0 and 1: the model is believed
    until it is shown wrong."""
    rows = len(products)
    if rows < _FEWEST or not squares.sum() > 0:
        return 1.0
    found = products.sum() / squares.sum()
    error = math.sqrt(rows / (rows - 1.0) * np.sum((products - found * squares) ** 2)) / squares.sum()
    return float(min(1.0, max(0.0, found + 2.0 * error)))
