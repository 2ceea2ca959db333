"""``model.plot``: the figures of a fitted model, each a matplotlib axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ConfigError, NotFitted
from ..fitted import Fitted
from ..inference.inspection import prior_of
from ..inference.predictor import Predictor
from ..views.reading import Views
from . import axes
from .calibration import calibration
from .correlations import correlations
from .cross_view import cross_view
from .distributions import levels_of, view_distributions
from .latent_map import latent_map
from .patterns import Pattern, Patterns, patterns
from .sample import Sample
from .subjects import view_of
from .training import training


class Plots:
    """Figures of a fitted model, made by ``model.plot``; each method returns a matplotlib axis.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> axis = model.plot.cross_view([rna, protein], mask)
    >>> axis.get_xlabel()
    'view that is filled'
    >>> axes = [model.plot.patterns(), model.plot.training(), model.plot.correlations()]
    >>> axes += [model.plot.calibration([rna, protein], mask), model.plot.latents([rna, protein], mask)]
    >>> axes += [model.plot.distribution([rna, protein], mask, view="view1", column=0)]
    >>> axes += [model.plot.subject([rna, protein], mask, row=1, view="view1")]
    >>> plt.close("all")
    """

    def __init__(self, fitted: Fitted, predictor: Predictor, read: Callable[[Any, Any], Views]) -> None:
        self._fitted, self._predictor, self._read = fitted, predictor, read

    def patterns(self, views: Any = None, mask: Any = None, *, ax: Any = None) -> Any:
        """Which views the subjects have.

        Parameters
        ----------
        views, mask : as for ``impute``, or None
            None: the subjects of the training.
        ax : Axes, or None
            Where to draw; None: on a new figure.

        Returns
        -------
        Axes

        Raises
        ------
        NotFitted
            If no views are given and the model's file does not have the patterns of its training.
        """
        names, report = self._fitted.view_names, self._fitted.report
        if views is not None:
            found = patterns(self._read(views, mask).observed, names)
        elif report is None or not report.patterns:
            raise NotFitted("this model's file does not have the patterns of its training; expected views and a mask")
        else:
            shown = tuple(Pattern(has, rows) for has, rows in report.patterns)
            totals = tuple(sum(p.rows for p in shown if p.has[j]) for j in range(len(names)))
            found = Patterns(names, report.rows, totals, shown, (0, report.rows - sum(p.rows for p in shown)))
        return axes.draw_patterns(found, axes.new_axis(ax))

    def training(self, *, ax: Any = None) -> Any:
        """The loss over the steps, and that of held-out rows, in nats per row.

        Parameters
        ----------
        ax : Axes, or None
            Where to draw; None: on a new figure.

        Returns
        -------
        Axes
        """
        return axes.draw_training(
            training(self._fitted.history, early_stopping=self._fitted.options.early_stopping), axes.new_axis(ax)
        )

    def correlations(self, *, ax: Any = None) -> Any:
        """The heat map of the correlations between the views' latents.

        Parameters
        ----------
        ax : Axes, or None
            Where to draw; None: on a new figure.

        Returns
        -------
        Axes
        """
        report = self._fitted.report
        used = {} if report is None else {name: view["kl"] for name, view in report.views.items()}
        found = correlations(prior_of(self._fitted.model, self._fitted.parameters), self._fitted.view_names, used)
        return axes.draw_correlations(found, axes.new_axis(ax, (7.6, 6.4)))

    def cross_view(self, views: Any, mask: Any = None, *, ax: Any = None) -> Any:
        """R^2 of each view filled from each other view, and from all others.

        Parameters
        ----------
        views, mask : as for ``impute``
        ax : Axes, or None
            Where to draw; None: on a new figure.

        Returns
        -------
        Axes
        """
        return axes.draw_cross_view(cross_view(self._sample(views, mask)), axes.new_axis(ax))

    def calibration(self, views: Any, mask: Any = None, *, ax: Any = None) -> Any:
        """How many true values lie inside intervals, against how many should; use rows that the model was not trained on.

        Parameters
        ----------
        views, mask : as for ``impute``
        ax : Axes, or None
            Where to draw; None: on a new figure.

        Returns
        -------
        Axes
        """
        return axes.draw_calibration(calibration(self._sample(views, mask)), axes.new_axis(ax, (5.0, 5.0)))

    def latents(self, views: Any, mask: Any = None, *, colour: tuple[str, str | int] | None = None, ax: Any = None) -> Any:
        """The subjects on the plane in which their latents vary most.

        Parameters
        ----------
        views, mask : as for ``impute``
        colour : (view, column), or None
            By whose values to colour them; a category has a marker and a legend.
        ax : Axes, or None
            Where to draw; None: on a new figure.

        Returns
        -------
        Axes

        Raises
        ------
        ConfigError
            If there is no such view or column.
        """
        sample, values, label, levels = self._sample(views, mask), None, "", None
        if colour is not None:
            j, k = self._column(*colour)
            values, label = sample.table(j)[:, k], f"{colour[0]}: {colour[1]}"
            levels = levels_of(sample.columns[j], k)
        return axes.draw_latents(latent_map(sample), axes.new_axis(ax), values, label, levels)

    def distribution(self, views: Any, mask: Any = None, *, view: str, column: str | int, ax: Any = None) -> Any:
        """One column's observed values beside draws for its missing ones.

        Parameters
        ----------
        views, mask : as for ``impute``
        view : str
        column : str or int
        ax : Axes, or None
            Where to draw; None: on a new figure.

        Returns
        -------
        Axes

        Raises
        ------
        ConfigError
            If there is no such view or column.
        """
        j, k = self._column(view, column)
        found = view_distributions(self._sample(views, mask), j)[k]
        return axes.draw_distribution(found, axes.new_axis(ax, (6.4, max(4.0, 1.0 + 0.35 * len(found.labels)))))

    def subject(self, views: Any, mask: Any = None, *, row: int, view: str, ax: Any = None) -> Any:
        """One view of one row, filled from the row's other views, with 95 % intervals and the truth where it is known.

        Parameters
        ----------
        views, mask : as for ``impute``
        row : int
            The row's position.
        view : str
        ax : Axes, or None
            Where to draw; None: on a new figure.

        Returns
        -------
        Axes

        Raises
        ------
        ConfigError
            If there is no such view or row, or the row has no other view to fill it from.
        """
        data, j = self._read(views, mask), self._view(view)
        if not 0 <= row < len(data.observed):
            raise ConfigError(f"row is {row}; expected the position of a row, from 0 to {len(data.observed) - 1}")
        sample = Sample.of(self._fitted, self._predictor, data, always=row)
        at = sample.ids.index(f"row {row}")
        shown = view_of(sample, j, np.array([at]))[0]
        if shown is None:
            raise ConfigError(f"row {row} has no view but {view!r}; expected a row with another view to fill it from")
        return axes.draw_subject(shown, axes.new_axis(ax))

    def _sample(self, views: Any, mask: Any) -> Sample:
        return Sample.of(self._fitted, self._predictor, self._read(views, mask))

    def _view(self, view: str) -> int:
        if view not in self._fitted.view_names:
            raise ConfigError(f"view is {view!r}; expected one of {list(self._fitted.view_names)}")
        return self._fitted.view_names.index(view)

    def _column(self, view: str, column: str | int) -> tuple[int, int]:
        j = self._view(view)
        titles = [self._fitted.columns[j].title(k) for k in range(self._fitted.columns[j].count)]
        if column not in titles:
            raise ConfigError(f"column is {column!r}; expected one of view {view!r}: {titles[:20]}")
        return j, titles.index(column)
