"""Views in the model's units, (data - location) / scale in the engine's dtype, made as they are asked for."""

from __future__ import annotations

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
