"""A view on its way from the table to the model and back.

    table (R, p) -> columns (R, c) -> target (R, w) -> encoder's input (R, c)    made as it is asked for, in the engine's dtype
    mean or draw (..., c) in the target's units -> data units -> table (..., p)

Where nothing was observed all of them are 0: a standardised mean to the encoder, and to the likelihood what it leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ViewError
from ..model.likelihoods import Likelihood
from .columns import Columns
from .memory_map import is_mapped
from .reading import Views, known_rows


@dataclass(frozen=True)
class Prepared:
    """Rows of a view: inputs (R, c) of the encoder, targets (R, w) of the likelihood; one array where they agree."""

    inputs: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: Any) -> Prepared:
        inputs = self.inputs[rows]
        return Prepared(inputs, inputs if self.targets is self.inputs else self.targets[rows])


def prepared(view: np.ndarray | Prepared) -> Prepared:
    """Rows of a view; a bare array is both."""
    return view if isinstance(view, Prepared) else Prepared(view, view)


@dataclass(frozen=True)
class Units:
    """Of one view: its name, its columns, its likelihood, and location and scale (c,) of the fit."""

    view: str
    columns: Columns
    likelihood: Likelihood
    location: np.ndarray
    scale: np.ndarray

    def to_table(self, mean: np.ndarray) -> np.ndarray:
        """A mean or a draw (..., c) -> (..., p) in the data's units."""
        return self.columns.decode(self.likelihood.to_data(mean, self.location, self.scale))

    def std_to_table(self, std: np.ndarray) -> np.ndarray:
        """Standard deviations (..., c) -> (..., p) in the data's units; NaN for a coded category."""
        return self.columns.decode_std(self.likelihood.std_to_data(std, self.scale))

    def probabilities(self, mean: np.ndarray) -> np.ndarray:
        """A mean (..., c) -> the probabilities (..., L) of the coded categories' levels, called ``columns.level_titles``."""
        return self.columns.probabilities(self.likelihood.to_data(mean, self.location, self.scale))

    def known(self, values: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Rows of the table (R, p) -> model columns (R, c) in the data's units, NaN where not observed (R,)."""
        return self.columns.encode(known_rows(values, observed, values.dtype, np.nan))

    def prepare(self, values: np.ndarray, observed: np.ndarray, dtype: str, called: Sequence[Any]) -> Prepared:
        """Rows of the table (R, p), which are ``called`` so, in ``dtype``. Raises ViewError naming the first value that
        ``dtype`` cannot hold."""
        targets = self.likelihood.targets(self.known(values, observed), self.location, self.scale)
        inputs = self.likelihood.inputs(targets, self.location, self.scale)
        held = self._held(inputs, values, dtype, called)
        return Prepared(held, held if targets is inputs else self._held(targets, values, dtype, called))

    def log_units(self, values: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Rows of the table (R, p) -> (R,): a row's log-density in the data's units is less than in the target's by this."""
        per_column = self.likelihood.log_units(self.scale)
        if not per_column.any():
            return np.zeros(len(observed))
        nats: np.ndarray = ~np.isnan(self.known(values, observed)) @ per_column
        return nats

    def _held(self, made: np.ndarray, values: np.ndarray, dtype: str, called: Sequence[Any]) -> np.ndarray:
        with np.errstate(over="ignore"):
            held = made.astype(dtype, copy=False)
        if np.isfinite(held).all():
            return held
        held = np.where(np.isnan(made), held.dtype.type(0), held)
        if not np.isfinite(held).all():
            row, column = (int(k) for k in np.argwhere(~np.isfinite(held))[0])
            source, scale = self.columns.sources[column], self.scale[column]
            raise ViewError(
                f"view {self.view!r}, row {called[row]}, column {self.columns.title(source)!r} is {values[row, source]:g}, "
                f"beyond {dtype} once scaled by {scale:g}; rescale the column, or take dtype='float64'"
            )
        return held


@dataclass(frozen=True)
class Scaled:
    """One of the views, row by row as it is asked for."""

    data: Views
    view: int
    units: Units
    dtype: str

    def __getitem__(self, rows: slice | np.ndarray) -> Prepared:
        """Rows, a slice or places, in ``dtype``. Raises ViewError naming the first value that ``dtype`` cannot hold."""
        values, observed = self.data.read(self.view, rows), self.data.observed[rows, self.view]
        try:
            return self.units.prepare(values, observed, self.dtype, self.data.titles(rows))
        except ViewError:
            self.data.complain()
            raise

    @property
    def mapped(self) -> bool:
        """Whether the table is a memory-mapped file, whose rows are better left there."""
        return is_mapped(self.data.tables[self.view])


def overflow_is_found() -> np.errstate:
    """No warnings of overflow where ``check_imputed`` sees the results."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


def check_imputed(views: Sequence[Scaled], view: int, rows: np.ndarray, values: np.ndarray) -> None:
    """Raise ViewError where an imputation of ``view`` is not finite, naming its row and what drove it there.

    rows (R,): in the data; values (..., R, c), in the target's units.
    """
    finite = np.isfinite(values).reshape(-1, len(rows), values.shape[-1]).all(axis=(0, 2))
    if finite.all():
        return
    row, data = int(rows[np.argmin(finite)]), views[view].data
    called = data.titles(np.array([row]))[0]
    inputs = [np.abs(v[np.array([row])].inputs[0][: len(v.units.location)]) for v in views]  # 0 where missing
    largest = int(np.argmax([x.max() for x in inputs]))
    columns, column = views[largest].units.columns, int(inputs[largest].argmax())
    raise ViewError(
        f"view {data.names[view]!r}, row {called} cannot be imputed: the result is not finite, because view "
        f"{data.names[largest]!r}, "
        f"column {columns.title(columns.sources[column])!r} of that row is {inputs[largest][column]:.3g} times its scale away "
        "from its mean in training. Correct that value, or mark that view missing in the row."
    )


class LogUnits:
    """A visit of every block of rows (reading.py): what to take from each view's log-density in the target's units for that in
    the data's."""

    def __init__(self, units: Sequence[Units]) -> None:
        self._units = units
        self._found: np.ndarray = np.empty((len(units), 0))

    def begin(self, rows: int) -> None:
        """Of so many rows."""
        self._found = np.zeros((len(self._units), rows))

    def __call__(self, view: int, rows: slice, values: np.ndarray, observed: np.ndarray) -> None:
        """values (R, p), observed (R,)."""
        self._found[view, rows] = self._units[view].log_units(values, observed)

    def of(self, view: int) -> np.ndarray:
        """(N,) nats, 0 where the view is missing."""
        nats: np.ndarray = self._found[view]
        return nats

    @property
    def total(self) -> np.ndarray:
        """(N,): of all views."""
        nats: np.ndarray = self._found.sum(axis=0)
        return nats


class KnownLevels:
    """A visit of every block of rows: the probabilities of the levels of the categories that are observed, 0 and 1."""

    def __init__(self, units: Sequence[Units]) -> None:
        self._units, self.of = units, list[np.ndarray]()

    def begin(self, rows: int) -> None:
        """``of``: for each view (N, L), NaN where nothing is observed."""
        self.of = [np.full((rows, len(units.columns.level_titles)), np.nan) for units in self._units]

    def __call__(self, view: int, rows: slice, values: np.ndarray, observed: np.ndarray) -> None:
        """values (R, p), observed (R,)."""
        units = self._units[view]
        self.of[view][rows] = units.columns.probabilities(units.known(values, observed))
