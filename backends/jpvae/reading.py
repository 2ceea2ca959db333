"""How the estimator reads what it is handed: views in a list or dict, or one wide matrix. A part of JPVAE."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .errors import ConfigError, ViewError
from .fitted import Fitted
from .inference.predictor import Predictor
from .option_values import at_least, seed_of
from .views.checking import Copies, Kept, checked, streamed
from .views.dataframes import identities, row_titles
from .views.far import Far
from .views.impossible import Impossible
from .views.opening import open_views
from .views.reading import Views, Visitor, impossible_rows
from .views.slices import Slices
from .views.survey import Survey
from .views.units import Scaled


class Reading:
    """The reading methods of the estimator, which has its options, ``_fitted`` and ``predictor``."""

    view_slices: Any
    missing: Any
    impossible: Any
    _fitted: Fitted
    predictor: Any

    def find_impossible(self, views: Any, mask: Any = None) -> np.ndarray:
        """Which rows of each view hold a value that the fit's likelihoods cannot have.

        Parameters
        ----------
        views, mask
            As for ``fit``.

        Returns
        -------
        (N, M) ndarray of bool
            True where there is one.

        Raises
        ------
        NotFitted, ViewError
            Before ``fit``; where the views are not those of the fit.

        Examples
        --------
        >>> int(model.find_impossible([rna, protein], mask).sum())  # a Gaussian may have any value
        0
        """
        self.predictor()
        if self._is_matrix(views):
            (views, _), mask = self._cut(views, mask), None
        opened = open_views(
            views, mask, names=self._fitted.view_names, columns=self._fitted.columns, layer=self._fitted.options.layer
        )
        return impossible_rows(opened, self._impossible())

    def _read(
        self,
        views: Any,
        mask: Any,
        missing: str | None,
        *,
        seed: int | None = None,
        copies: Copies | None = None,
        also: Visitor | None = None,
    ) -> tuple[Views, list[Scaled], Predictor, Callable[..., Any]]:
        """The views in the data's units and in the model's, every value checked; the predictor; results in the views' form.

        Every table is read once. copies: what takes its values meanwhile; of ``Kept`` all else is read then. Without them
        memory-mapped tables are checked as the views in the model's units are read block by block, and which rows have which is
        true of the rows that were read. also: what else visits every block of rows.
        """
        predictor, join, fitted = self.predictor(), None, self._fitted
        if self._is_matrix(views):
            (views, slices), matrix, mask = self._cut(views, mask), views, None

            def join(made: Mapping[str, Any]) -> Any:
                return slices.join(made, matrix)

        opened = open_views(views, mask, names=fitted.view_names, columns=fitted.columns, layer=fitted.options.layer)
        survey, units, dtype = Survey(opened, fitted.model.likelihoods), fitted.units, fitted.options.dtype

        if also is not None:
            also.begin(len(opened.observed))

        def visit(view: int, rows: slice, values: np.ndarray, observed: np.ndarray) -> None:
            survey(view, rows, values, observed)
            if also is not None:
                also(view, rows, values, observed)

        def visit_and_scale(view: int, rows: slice, values: np.ndarray, observed: np.ndarray) -> None:
            visit(view, rows, values, observed)
            units[view].prepare(values, observed, dtype, row_titles(opened.index, rows, len(opened.observed)))

        missing = self.missing if missing is None else missing
        entries = fitted.model.entries  # the fit's: the option may have been set to another since
        if self.impossible not in ("error", "missing"):
            raise ConfigError(f"impossible is {self.impossible!r}; expected 'error' or 'missing'")
        leaving_out = self._impossible() if self.impossible == "missing" else None
        how: dict[str, Any] = {"missing": missing, "entries": entries, "leaving_out": leaving_out}
        how["far"] = lambda: [Far(fitted.model, each, i) for i, each in enumerate(units)]
        if copies is None:
            data = streamed(opened, visit_whole=visit_and_scale, visit_block=visit, **how)
        else:
            data = checked(opened, copies=copies, visit=visit_and_scale, **how)
        if isinstance(copies, Kept):
            data = replace(data, tables=tuple(copies.tables), leaving_out=None)
        scaled = [Scaled(data, i, each, dtype) for i, each in enumerate(units)]

        def give_back(results: Sequence[Any], *kind: str) -> Any:
            given = data.give_back(results, *kind)
            return given if join is None else join(given)

        seed = None if seed is None else seed_of(at_least("seed", seed, 0))
        return data, scaled, predictor.for_rows(identities(data.index), seed), give_back

    def _impossible(self) -> tuple[Impossible, ...]:
        fitted = self._fitted
        cells = fitted.model.entries == "marginalise"
        return tuple(Impossible(c, f, cells) for c, f in zip(fitted.columns, fitted.model.likelihoods, strict=True))

    def _learn_slices(self, X: Any, y: Any) -> tuple[dict[str, Any], Slices]:
        """The views of the matrix X to fit to, and which columns are whose. Raises ViewError, ConfigError and ValueError."""
        if isinstance(X, Mapping) and not hasattr(X, "shape"):  # (one of SciPy's sparse matrices is a dict)
            raise ViewError(
                "view_slices is set and X is a dict; expected one (N, C) matrix, or view_slices=None for views by name"
            )
        if isinstance(X, list | tuple) and any(len(getattr(part, "shape", ())) == 2 for part in X):
            raise ViewError("view_slices is set and X is a list of tables; expected one (N, C) matrix, or view_slices=None")
        from sklearn.utils.validation import validate_data

        estimator: Any = type(self)
        frame, scratch = hasattr(X, "iloc"), estimator(view_slices=self.view_slices)  # scikit-learn sets attributes
        X = validate_data(scratch, X, reset=True, skip_check_array=frame, ensure_all_finite=False)
        slices = Slices.of(self.view_slices, scratch.n_features_in_, getattr(scratch, "feature_names_in_", None))
        slices.check_y(y, len(X))
        return slices.cut(X), slices

    def _is_matrix(self, views: Any) -> bool:
        return self._fitted.slices is not None and not isinstance(views, Mapping)

    def _cut(self, X: Any, y: Any) -> tuple[dict[str, Any], Slices]:
        """The views of another matrix than the fit's, a DataFrame's found by name in any order."""
        learned: Any = self._fitted.slices  # there are some (``_is_matrix``)
        slices = learned.in_order_of(X)
        if slices is None:
            from sklearn.utils.validation import validate_data

            slices = learned
            X = validate_data(self, X, reset=False, skip_check_array=hasattr(X, "iloc"), ensure_all_finite=False)
        slices.check_y(y, len(X))
        return slices.cut(X), slices
