"""Whether intervals hold what they promise: each view hidden from the rows that have it and another, K draws in its place.

Where the truth and the draws are alike, the truth lies between the k-th smallest and the k-th largest of K draws with
probability 1 - 2k / (K + 1), for continuous values. K = 39 gives 5 %, 10 %, ..., 95 %. Categories, zeros and ones are left out,
and columns with one value only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .sample import Sample, measured, varying

DRAWS = 39
LEVELS = np.array([1.0 - 2.0 * k / (DRAWS + 1.0) for k in range(DRAWS // 2, 0, -1)])


@dataclass(frozen=True)
class Calibration:
    """levels (L,): promised; found (M, L): the part of the hidden values inside their interval, NaN for a view without
    measurements; cells (M,): of how many values."""

    names: tuple[str, ...]
    levels: np.ndarray
    found: np.ndarray
    cells: np.ndarray

    @property
    def at_95(self) -> np.ndarray:
        """(M,): what the 95 % intervals hold."""
        return np.asarray(self.found[:, -1])


def calibration(sample: Sample) -> Calibration:
    """Of the views' measurements and counts."""
    M, observed = len(sample.names), sample.observed
    found, cells = np.full((M, len(LEVELS)), np.nan), np.zeros(M, dtype=int)
    for j, columns in enumerate(sample.columns):
        have = np.flatnonzero(observed[:, j] & (observed.sum(axis=1) > 1))
        at = measured(columns) & varying(sample.table(j)[have])
        if not have.size or not at.any():
            continue
        part, seen = sample.rows(have), observed[have].copy()
        seen[:, j] = False
        truth = part.table(j)[:, at]
        below, up_to = np.zeros(truth.shape, dtype=int), np.zeros(truth.shape, dtype=int)
        whole = np.ones_like(seen)
        whole[:, j] = False
        for _, _, rows, values in part.draws(seen, DRAWS, whole=whole):
            below[rows] += (values[..., at] < truth[rows]).sum(axis=0)
            up_to[rows] += (values[..., at] <= truth[rows]).sum(axis=0)
        known = ~np.isnan(truth)
        found[j], cells[j] = coverage(below[known], up_to[known]), known.sum()
    return Calibration(sample.names, LEVELS, found, cells)


def coverage(below: np.ndarray, up_to: np.ndarray) -> np.ndarray:
    """At each of LEVELS, the part of the values (n,) inside. below, up_to: how many of DRAWS are smaller; smaller or equal."""
    ks = range(DRAWS // 2, 0, -1)
    return np.array([np.mean((up_to >= k) & (below <= DRAWS - k)) for k in ks]) if below.size else np.full(len(LEVELS), np.nan)
