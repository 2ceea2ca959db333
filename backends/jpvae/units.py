"""Views in the model's units, (data - location) / scale in the engine's dtype, made as they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .errors import ViewError
from .views import Views


@dataclass(frozen=True)
class Scaled:
    """One of the views. location, scale: (c,), of the fit."""

    data: Views
    view: int
    location: np.ndarray
    scale: np.ndarray
    dtype: str

    def __getitem__(self, rows: slice) -> np.ndarray:
        """(R, c) in ``dtype``, zeros where missing. Raises ViewError naming the first value that ``dtype`` cannot hold."""
        values = self.data.read(self.view, rows)
        scaled = values
        if self.location.any() or (self.scale != 1).any():
            scaled = np.where(self.data.observed[rows, self.view, None], (values - self.location) / self.scale, 0.0)
        with np.errstate(over="ignore"):
            scaled = scaled.astype(self.dtype, copy=False)
        if not np.isfinite(scaled).all():
            row, column = (int(k) for k in np.argwhere(~np.isfinite(scaled))[0])
            raise ViewError(
                f"view {self.data.names[self.view]!r}, row {(rows.start or 0) + row}, column {column} is "
                f"{values[row, column]:g}, beyond {self.dtype} once scaled by {self.scale[column]:g}; rescale the column, or "
                "take dtype='float64'"
            )
        return scaled


def overflow_is_found() -> np.errstate:
    """No warnings of overflow where ``check_imputed`` sees the results."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


def check_imputed(views: Sequence[Scaled], view: int, rows: np.ndarray, values: np.ndarray) -> None:
    """Raise ViewError where an imputation of ``view`` is not finite, naming its row and what drove it there.

    rows (R,): in the data; values (..., R, c), in the model's units.
    """
    finite = np.isfinite(values).reshape(-1, len(rows), values.shape[-1]).all(axis=(0, 2))
    if finite.all():
        return
    row, names = int(rows[np.argmin(finite)]), views[0].data.names
    sizes = [float(np.abs(v[row : row + 1]).max()) for v in views]  # 0 where missing
    largest = int(np.argmax(sizes))
    column = int(np.abs(views[largest][row : row + 1]).argmax())
    raise ViewError(
        f"view {names[view]!r}, row {row} cannot be imputed: the result is no finite number, because view {names[largest]!r}, "
        f"column {column} of that row is {sizes[largest]:.3g} times its scale away from its mean in training. Correct that "
        "value, or mark that view missing in the row."
    )
