"""Rows of tables under a fitted model, as the figures take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..figures.sample import Sample
from ..predicting import Predicting
from ..views.checking import checked
from ..views.opening import open_views


def sample_of(model: Predicting, views: Mapping[str, Any], observed: np.ndarray, ids: Sequence[Any] | None) -> Sample:
    """The rows of views, checked, under a fitted model."""
    fitted = model._fitted
    opened = open_views(views, observed, names=fitted.view_names, columns=fitted.columns)
    impossible = model._impossible() if model.impossible == "missing" else None
    data = checked(opened, missing="nan", entries=fitted.model.entries, leaving_out=impossible)
    return Sample.of(fitted, model.predictor(), data, ids)


def sample_of_known(model: Predicting, known: Sequence[np.ndarray]) -> Sample:
    """Rows of each view (R, p), numbers and codes, those with any view at all."""
    observed = np.stack([~np.isnan(table).all(axis=1) for table in known], axis=1)
    some = observed.any(axis=1)
    tables = [table[some] for table in known]
    return sample_of(model, dict(zip(model.view_names_, tables, strict=True)), observed[some], None)
