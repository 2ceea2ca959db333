"""What a fitted model does with tables, without scikit-learn, whose import takes as long as filling a small table.

``JPVAE`` is this and what it needs to be fitted. A process that only fills loads this.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import NotFitted
from .files.model_files import ModelFiles
from .fitted import Fitted
from .inference.generation import Generation
from .inference.imputations import Imputations
from .inference.predictor import Predictor
from .inference.probabilities import Probabilities
from .inference.scores import Scores
from .inference.threads import with_its_threads
from .model.model import Model
from .options import Missing
from .reading import Reading
from .views.columns import Columns
from .views.inferring import families


class Predicting(Reading, Imputations, Probabilities, Generation, Scores, ModelFiles):
    """A model that was fitted, with the options of the fit under their names. ``Predicting.load(path)`` makes one."""

    _not_fitted: type[NotFitted] = NotFitted
    dtype: Any
    early_stopping: bool
    versions_: dict[str, str]
    seed_: int
    model_: Model
    view_names_: tuple[str, ...]
    table_columns_: tuple[Columns, ...]
    index_name_: str | None
    metadata_: dict[str, Any]
    parameters_: dict[str, np.ndarray]
    n_iter_: int
    history_: list[dict[str, Any]]
    moments_: tuple[np.ndarray, np.ndarray] | None
    _predictor: Predictor
    report_: Any  # a LatentReport, None before the end of a training

    def __init__(self, **options: Any) -> None:
        vars(self).update(options)

    @with_its_threads
    def transform(self, views: Any, mask: Any = None, *, missing: Missing | None = None) -> np.ndarray:
        """Latents: posterior means of the observed views, their conditional means for the missing ones.

        Parameters
        ----------
        views, mask
            As for ``fit``, any mix of patterns; views by name may be left out, in a list they are None.
        missing : {"error", "nan"}, optional
            In place of the option of that name.

        Returns
        -------
        (N, sum n_i) ndarray
            The views' latents side by side.

        Raises
        ------
        NotFitted, ViewError
            As ``impute`` does.

        Examples
        --------
        >>> model.transform([rna, None]).shape
        (300, 4)
        """
        data, scaled, predictor, _ = self._read(views, mask, missing)
        parts = []
        for block in predictor.blocks(scaled, data.observed, drawing=False):
            latents = predictor.conditional_latents(block)
            parts.append(np.concatenate([predictor.engine.numpy(z)[: block.size] for z in latents], axis=-1))
        return np.concatenate(parts)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of ``transform``'s columns.

        Parameters
        ----------
        input_features : ignored
            For scikit-learn's sake.

        Returns
        -------
        ndarray of str
            <view>_latent<k>.

        Examples
        --------
        >>> model.get_feature_names_out().tolist()
        ['view0_latent0', 'view0_latent1', 'view1_latent0', 'view1_latent1']
        """
        dims = self.predictor().model.latent_dims
        sizes = zip(self.view_names_, dims, strict=True)
        return np.asarray([f"{name}_latent{k}" for name, n in sizes for k in range(n)], dtype=object)

    def predictor(self) -> Predictor:
        """The fitted model with its parameters, for measures and experiments.

        Returns
        -------
        Predictor
            What encodes, draws and decodes blocks of rows.

        Raises
        ------
        NotFitted
            Before ``fit``.

        Examples
        --------
        >>> model.predictor().prior.dims
        (2, 2)
        """
        if not hasattr(self, "_predictor"):
            raise self._not_fitted("this JPVAE has no parameters yet; call fit(views) first, or JPVAE.load(path)")
        return self._predictor

    def training_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of the training latents (one posterior sample per row that had every view).

        Returns
        -------
        mean : (sum n_i,) ndarray
        covariance : (sum n_i, sum n_i) ndarray
            Both float64.

        Raises
        ------
        NotFitted
            Before ``fit``, or where no more rows than latents had every view.

        Examples
        --------
        >>> [part.shape for part in model.training_moments()]
        [(4,), (4, 4)]
        """
        self.predictor()
        if self.moments_ is None:
            raise NotFitted("moments='training' needs more rows with every view in training than latents; use moments='prior'")
        return self.moments_

    def _become(self, fitted: Fitted, predictor: Predictor) -> None:
        """Take over what a fit left, and nothing of an earlier one."""
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)
        for name, value in {**fitted.attributes(), "_fitted": fitted, "_predictor": predictor}.items():
            setattr(self, name, value)

    @property
    def columns_(self) -> dict[str, tuple[str | int, ...] | None]:
        """Each view's column names, None where it came as an array."""
        return {view: columns.names for view, columns in zip(self.view_names_, self.table_columns_, strict=True)}

    @property
    def levels_(self) -> dict[str, tuple[str, ...]]:
        """Each view's columns of ``impute_probabilities``: "column=level" of every level of its coded and text categories."""
        return {view: columns.level_titles for view, columns in zip(self.view_names_, self.table_columns_, strict=True)}

    @property
    def inferred_(self) -> dict[str, list[tuple[str, str]]]:
        """Each view's families with the columns that have them, as they were said or inferred."""
        return families(self.view_names_, self.table_columns_)
