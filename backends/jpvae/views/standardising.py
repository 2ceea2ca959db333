"""A view's location and scale from rows that come block by block: of a large table piece by piece, then of the pieces together.

Of pieces k with n_k observed cells of a column, locations m_k and scales s_k, n = sum n_k:

    m = sum n_k m_k / n        s^2 = sum n_k (s_k^2 + (m_k - m)^2) / n        s_k = 0 where the piece has one value only

which for means and standard deviations is exact (Chan, Golub and LeVeque 1983); for medians and the like it is between those of
the pieces. Where all pieces agree on both (zeros and ones have no units: 0 and 1) these are kept as they are.
"""

from __future__ import annotations

import warnings

import numpy as np

from ..errors import ConfigError
from ..model.likelihoods import Likelihood
from .pieces import Gathered


class Standardiser:
    """Takes the blocks of a table of so many rows, of so many model columns."""

    def __init__(self, likelihood: Likelihood, rows: int, columns: int) -> None:
        self.likelihood = likelihood
        self.add = Gathered(rows, columns, self._take).add  # of values (R, c), NaN where a cell is left out; observed (R,)
        self._found: list[np.ndarray] = []  # of each piece (4, c): cells, whether they vary, location, scale

    def _take(self, values: np.ndarray, observed: np.ndarray) -> None:
        with np.errstate(over="ignore", invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of nothing: in a piece; of a whole column it is refused later
            location, scale = self.likelihood.scaling(values, observed)
        shape = values.shape[1:]
        if np.shape(location) != shape or np.shape(scale) != shape or np.any(np.asarray(scale) <= 0.0):
            raise ConfigError(
                f"likelihood {type(self.likelihood).__name__} gives the location {location!r:.80} and the scale {scale!r:.80}; "
                f"expected arrays of shape {shape}, and positive scales, of its method scaling"
            )
        there = values[observed]
        known = ~np.isnan(there)
        low, high = (pick.reduce(there, axis=0, initial=end) for pick, end in ((np.fmin, np.inf), (np.fmax, -np.inf)))
        self._found.append(np.stack([known.sum(axis=0), low < high, location, scale]))

    def scaling(self) -> tuple[np.ndarray, np.ndarray]:
        """Location and scale (c,), float64."""
        n, varies, locations, scales = np.stack(self._found, axis=1)
        if len(n) == 1:
            return locations[0], scales[0]
        some = n > 0
        same = [(np.where(some, x, -np.inf).max(axis=0) == np.where(some, x, np.inf).min(axis=0)) for x in (locations, scales)]
        with np.errstate(over="ignore", invalid="ignore"):
            share = n / np.maximum(n.sum(axis=0), 1)
            m, s = np.where(some, locations, 0.0), np.where(some & (varies > 0), scales, 0.0)
            first = np.argmax(some, axis=0), np.arange(n.shape[1])
            location = np.where(same[0], locations[first], (share * m).sum(axis=0))
            variance = (share * (s**2 + np.where(some, m - location, 0.0) ** 2)).sum(axis=0)
        scale = np.where(same[0] & same[1], scales[first], np.sqrt(variance))
        return location, np.where(scale > 0, scale, 1.0)
