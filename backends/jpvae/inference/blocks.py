"""Rows of views, and a block of them with what its views' encoders gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..engines import Array
from ..views.units import Prepared, prepared
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


class Remembered:
    """A view some of whose rows are read at once, and from then on held."""

    def __init__(self, view: Rows, places: np.ndarray) -> None:
        """places: of these rows, each once, in order."""
        self.view, self.places, self.held = view, places, prepared(view[places])

    def __getitem__(self, rows: np.ndarray) -> Prepared:
        at = np.minimum(np.searchsorted(self.places, rows), len(self.places) - 1)
        here = self.places[at] == rows
        if here.all():
            return self.held[at]
        other = prepared(self.view[rows[~here]])
        inputs = _together(here, self.held.inputs[at[here]], other.inputs)
        same = other.targets is other.inputs
        return Prepared(inputs, inputs if same else _together(here, self.held.targets[at[here]], other.targets))


def _together(here: np.ndarray, some: np.ndarray, others: np.ndarray) -> np.ndarray:
    made = np.empty((len(here), *some.shape[1:]), some.dtype)
    made[here], made[~here] = some, others
    return made


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
        return int(self.rows.stop - self.rows.start)
