"""Rows of views, and a block of them with what its views' encoders gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..engines import Array
from ..views.units import Prepared
from .noise import Keys


class Rows(Protocol):
    """A view, as an array or made as it is asked for: view[rows] is (R, c_i), or what units.py prepared of it."""

    def __getitem__(self, rows: Any, /) -> np.ndarray | Prepared: ...


@dataclass(frozen=True)
class Chosen:
    """Some rows of a view, by their places in it."""

    view: Rows
    places: np.ndarray

    def __getitem__(self, rows: Any) -> np.ndarray | Prepared:
        return self.view[self.places[rows]]


@dataclass(frozen=True)
class Block:
    """A block of rows as native arrays: views (R, w_i), the likelihoods' targets; observed (R, M); posteriors (R, n_i)."""

    rows: slice  # of the whole data; the block's first rows.stop - rows.start rows are real, the rest padding
    views: tuple[Array, ...]
    observed: Array
    means: tuple[Array, ...]
    log_vars: tuple[Array, ...]
    keys: Keys | None  # of the real rows: what their noise depends on; None where nothing is to be drawn
    occurrences: np.ndarray | None

    @property
    def size(self) -> int:
        """How many rows are real."""
        return self.rows.stop - self.rows.start
