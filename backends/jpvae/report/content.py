"""Everything that a report shows, computed; nothing of how it looks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import JPVAEWarning
from ..estimator import JPVAE
from ..figures.calibration import Calibration, calibration
from ..figures.correlations import Correlations, correlations
from ..figures.cross_view import CrossView, cross_view
from ..figures.distributions import Column, distributions
from ..figures.latent_map import LatentMap, latent_map
from ..figures.patterns import Patterns, patterns
from ..figures.sample import Sample
from ..figures.subjects import Subject, subjects
from ..figures.training import Training, training
from ..inference.inspection import prior_of
from ..views.opening import open_views
from ..views.reading import checked
from .cautions import Caution, cautions
from .evaluated import Evaluated
from .provenance import Provenance
from .rivals import Rivals, rivals


@dataclass(frozen=True)
class Content:
    """sample: the subjects that the figures are about. held_out: how many subjects that no training saw cross and calibration
    are computed on, None where the sample's own."""

    name: str
    sample: Sample
    likelihoods: Mapping[str, list[tuple[str, str]]]
    options: Mapping[str, Any]
    steps: int
    patterns: Patterns
    training: Training
    cross: CrossView
    calibration: Calibration
    held_out: int | None
    rivals: Rivals | None
    columns: list[Column]
    map: LatentMap
    correlations: Correlations
    subjects: list[Subject]
    cautions: list[Caution]
    provenance: Provenance


OPTIONS = ("prior", "posterior", "latent_dims", "hidden", "objective", "batch_size", "learning_rate", "weight_decay", "dtype")


def content(
    name: str,
    model: JPVAE,
    views: Mapping[str, Any],
    observed: np.ndarray,
    *,
    ids: Sequence[Any] | None,
    made: Provenance,
    evaluated: Evaluated | None = None,
    most_subjects: int = 30,
) -> Content:
    """Of a fitted model on views (N, p) as ``fit`` takes them. name: of the model; ids: of the rows, None for their numbers."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", JPVAEWarning)
        sample = sample_of(model, views, observed, ids)
        tested = sample if evaluated is None else sample_of(evaluated.model, *_as_views(evaluated), None)
        cross, intervals = cross_view(tested), calibration(tested)
        columns, where, single = distributions(sample), latent_map(sample), subjects(sample, most_subjects)
    used = {} if model.report_ is None else {view: found["kl"] for view, found in model.report_.views.items()}
    prior = prior_of(model.model_, model.parameters_)
    has, curve = patterns(observed, model.view_names_), training(model.history_)
    compared = None if evaluated is None else rivals(evaluated.result)
    held_out = None if evaluated is None else len(tested.observed)
    known = cautions(
        has,
        curve,
        cross,
        intervals,
        columns,
        latents=model.report_,
        rivals=compared,
        held_out=held_out,
        warned=[str(warning.message) for warning in caught],
    )
    return Content(
        name,
        sample,
        model.inferred_,
        {option: getattr(model, option) for option in OPTIONS}
        | {"latent_dims": model.model_.latent_dims, "hidden": model.model_.hidden, "seed": model.seed_},
        model.n_iter_,
        has,
        curve,
        cross,
        intervals,
        held_out,
        compared,
        columns,
        where,
        correlations(prior, model.view_names_, used),
        single,
        known,
        made,
    )


def sample_of(model: JPVAE, views: Mapping[str, Any], observed: np.ndarray, ids: Sequence[Any] | None) -> Sample:
    """The rows of views, checked, under a fitted model."""
    fitted = model._fitted
    opened = open_views(views, observed, names=fitted.view_names, columns=fitted.columns)
    impossible = model._impossible() if model.impossible == "missing" else None
    data = checked(opened, missing="nan", entries=fitted.model.entries, leaving_out=impossible)
    return Sample.of(fitted, model.predictor(), data, ids)


def _as_views(evaluated: Evaluated) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Rows with any view at all."""
    observed = np.stack([~np.isnan(table).all(axis=1) for table in evaluated.held_out], axis=1)
    some = observed.any(axis=1)
    tables = [table[some] for table in evaluated.held_out]
    return dict(zip(evaluated.model.view_names_, tables, strict=True)), observed[some]
