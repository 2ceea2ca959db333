"""All that a fit leaves: what the estimator's attributes, its predictions and its files are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .inference.latent_report import LatentReport
from .model.model import Model
from .options import Options
from .views.columns import Columns
from .views.slices import Slices
from .views.units import Units

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Fitted:
    """A model with its parameters and the way between it and the tables. A fit begins with one of no steps and no parameters.

    seed: the integer that was used.  columns: of each view's table.  scaling: location and scale (c_i,) of each view.
    slices: of one wide matrix, which columns are whose; None where the views come as tables of their own.
    metadata: what the caller keeps with the model, plain JSON.  versions: of what computed it, by name.  steps: that were made.
    history: the records of training.  moments: mean and covariance of the training latents, None where too few rows have every
    view.  report: which latents are used, None before the end of a training.  others: parameters of an ensemble's other models.
    """

    options: Options
    seed: int
    model: Model
    view_names: tuple[str, ...]
    columns: tuple[Columns, ...]
    scaling: Sequence[tuple[np.ndarray, np.ndarray]]
    index_name: str | None = None
    slices: Slices | None = None
    parameters: Arrays = field(default_factory=dict)
    steps: int = 0
    history: tuple[dict[str, Any], ...] = ()
    moments: tuple[np.ndarray, np.ndarray] | None = None
    report: LatentReport | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[Arrays, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def units(self) -> list[Units]:
        """Each view's way between its table and the model."""
        parts = zip(self.view_names, self.columns, self.model.likelihoods, self.scaling, strict=True)
        return [Units(name, columns, family, *pair) for name, columns, family, pair in parts]

    def attributes(self) -> dict[str, Any]:
        """The estimator's fitted attributes by name; those of one wide matrix only where there is one."""
        found = {
            "seed_": self.seed,
            "model_": self.model,
            "view_names_": self.view_names,
            "table_columns_": self.columns,
            "scaling_": self.scaling,
            "index_name_": self.index_name,
            "metadata_": dict(self.metadata),
            "versions_": dict(self.versions),
            "parameters_": dict(self.parameters),
            "n_iter_": self.steps,
            "history_": list(self.history),
            "moments_": self.moments,
            "report_": self.report,
        }
        if self.slices is not None:
            found |= {"view_columns_": self.slices.positions, "n_features_in_": self.slices.count}
            if self.slices.names is not None:
                found["feature_names_in_"] = np.asarray(self.slices.names, dtype=object)
        return found
