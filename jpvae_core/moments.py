"""Streaming mean and covariance: one pass, float64 accumulation, mergeable (Chan, Golub and LeVeque 1983).

n = n_a + n_b,  delta = mean_b - mean_a,  mean = mean_a + delta n_b/n,  S = S_a + S_b + delta delta^T n_a n_b/n
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._array_api import Array
from ._checks import check_dense, dtype_name, values_of
from ._named import one_library, shown
from ._xp import library_of
from .errors import ArgumentError, DtypeError, ShapeError


class Moments:
    """Accumulates rows (batch after batch) into their mean and sample covariance, in float64 NumPy.

    Sums of centred products are merged batch by batch, so means of 1e6 with unit variances lose nothing that the data
    had; the rows' library and dtype do not matter. Feed training latents to it, then ``condition_gaussian`` is Eq. 12.
    Error: with B rows, entries up to X and deviations up to D, the mean is off by at most (B/2 + 1) X eps, the
    covariance by [(B/2 + 2) D^2 + (2B + 4) D X + (B X)^2 eps] eps.

    Attributes
    ----------
    count : int
        The number of rows so far.

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> moments = jc.Moments()
    >>> for batch in (np.asarray([[1.0, 2.0], [3.0, 5.0]]), np.asarray([[5.0, 2.0]])):
    ...     _ = moments.update(batch)
    >>> moments.mean
    array([3., 3.])
    >>> moments.covariance
    array([[4., 0.],
           [0., 3.]])
    >>> moments.merge(jc.Moments().update(np.zeros((1, 2)))).count
    4
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: np.ndarray[Any, Any] | None = None
        self._scatter: np.ndarray[Any, Any] | None = None

    def update(self, rows: Array) -> Moments:
        """Add rows.

        Parameters
        ----------
        rows : array (B, n)
            Real numbers of any library; B may be 0.

        Returns
        -------
        Moments
            Itself.

        Raises
        ------
        ShapeError
            If rows has another number of columns than earlier batches, or is not (B, n).
        DtypeError, LibraryError
        """
        one_library(rows=rows)
        if library_of(rows) == "torch":
            check_dense("rows", rows)
        if not dtype_name(rows.dtype).startswith(("float", "bfloat", "int", "uint", "bool")):
            raise DtypeError(f"rows has dtype {rows.dtype}; expected real numbers")
        if rows.ndim != 2:
            raise ShapeError(f"rows has shape {tuple(rows.shape)}; expected (B, n)")
        values = values_of("rows", rows)
        if values.shape[0] == 0:
            return self
        batch = Moments()
        batch.count = values.shape[0]
        batch._mean = values.mean(axis=0)
        centred = values - batch._mean
        batch._scatter = centred.T @ centred
        return self.merge(batch)

    def merge(self, other: Moments) -> Moments:
        """Add everything that ``other`` has seen, as if its rows had come here.

        Parameters
        ----------
        other : Moments

        Returns
        -------
        Moments
            Itself.

        Raises
        ------
        ShapeError, ArgumentError
        """
        if not isinstance(other, Moments):
            raise ArgumentError(f"other is {shown(other)}; expected a Moments")
        if other._mean is None or other._scatter is None:
            return self
        if self._mean is None or self._scatter is None:
            self.count, self._mean, self._scatter = other.count, other._mean.copy(), other._scatter.copy()
            return self
        if self._mean.shape != other._mean.shape:
            raise ShapeError(f"rows have {other._mean.size} columns; expected {self._mean.size}, as earlier rows had")
        total = self.count + other.count
        delta = other._mean - self._mean
        self._mean = self._mean + delta * (other.count / total)
        self._scatter = self._scatter + other._scatter + np.outer(delta, delta) * (self.count * other.count / total)
        self.count = total
        return self

    @property
    def mean(self) -> np.ndarray[Any, Any]:
        """The mean of all rows so far, (n,), float64. Raises ValueError before the first row."""
        if self._mean is None:
            raise ValueError("Moments has seen no rows; call update(rows) with at least one row first")
        return self._mean

    @property
    def covariance(self) -> np.ndarray[Any, Any]:
        """The unbiased sample covariance (divisor count - 1), (n, n), float64. Raises ValueError before the second row."""
        if self._scatter is None or self.count < 2:
            raise ValueError(f"Moments has seen {self.count} rows; a covariance needs at least two")
        return self._scatter / (self.count - 1)
