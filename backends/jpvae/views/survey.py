"""What a fit learns of its views before it trains: that every value suits its likelihood, location and scale, constants."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from ..errors import JPVAEWarning, ViewError
from ..model.likelihoods import Likelihood
from . import dataframes as frames
from .reading import Views, blocks


def check_values(likelihoods: Sequence[Likelihood], data: Views) -> None:
    """Every view's values suit its likelihood. Raises ViewError naming the first that does not."""
    for i, (likelihood, columns) in enumerate(zip(likelihoods, data.columns, strict=True)):
        titles = [columns.title(j) for j in columns.sources]
        for rows in blocks(len(data.observed)):
            values, seen, called = data.read(i, rows), data.observed[rows, i], frames.row_titles(data.index, rows)
            columns.check(values, seen, data.names[i], called)
            likelihood.check(columns.encode(values), seen, data.names[i], called, titles)


def scaling_of(likelihoods: Sequence[Likelihood], data: Views) -> list[tuple[np.ndarray, np.ndarray]]:
    """Location and scale (c_i,) of each view, after its values were checked against its likelihood. Raises ViewError."""
    check_values(likelihoods, data)
    scaling = []
    for i, (likelihood, columns) in enumerate(zip(likelihoods, data.columns, strict=True)):
        with np.errstate(over="ignore", invalid="ignore"):
            location, scale = likelihood.scaling(columns.encode(data.read(i)), data.observed[:, i])
        for column in np.flatnonzero(~(np.isfinite(location) & np.isfinite(scale))):
            title = columns.title(columns.sources[column])
            raise ViewError(f"view {data.names[i]!r}, column {title!r} is too large to have a variance; rescale the column")
        scaling.append((location, scale))
    return scaling


def warn_of_constant_columns(data: Views) -> None:
    """Warn of measured columns that never vary: there is nothing to learn, and their density rises without bound."""
    for i, columns in enumerate(data.columns):
        values = data.read(i)[data.observed[:, i]]
        measured = [j for group in columns.groups if group.likelihood in ("gaussian", "student_t") for j in group.columns]
        cells = ((j, values[~np.isnan(values[:, j]), j]) for j in measured)
        constant = [columns.title(j) for j, x in cells if x.size > 1 and x.min() == x.max()]
        if constant:
            some = ", ".join(f"{title!r}" for title in constant[:5]) + (", ..." if len(constant) > 5 else "")
            warnings.warn(
                f"view {data.names[i]!r} has {len(constant)} constant columns ({some}): they tell nothing, and each adds more "
                "nats to score the longer the training; leave them out",
                JPVAEWarning,
                stacklevel=3,
            )
