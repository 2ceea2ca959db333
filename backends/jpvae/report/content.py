"""Everything that a report shows, computed; nothing of how it looks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import JPVAEWarning
from ..figures.calibration import Calibration, calibration
from ..figures.correlations import Correlations, correlations
from ..figures.cross_view import CrossView, cross_view, from_all_others, mean_of
from ..figures.distributions import Column, distributions
from ..figures.latent_map import LatentMap, latent_map
from ..figures.patterns import Patterns, patterns
from ..figures.sample import Sample
from ..figures.subjects import Subject, subjects
from ..figures.training import Training, training
from ..inference.inspection import prior_of
from ..predicting import Predicting
from .cautions import Caution, cautions
from .evaluated import Evaluated
from .provenance import Provenance
from .rivals import Rivals, rivals
from .samples import sample_of, sample_of_known
from .verdicts import Verdict, verdicts


@dataclass(frozen=True)
class Content:
    """sample: the subjects that the figures are about. held_out: how many subjects that no training saw cross and calibration
    are computed on, None where the sample's own; on_trained: R^2 of each view from all others on subjects of that training."""

    name: str
    sample: Sample
    likelihoods: Mapping[str, list[tuple[str, str]]]
    steps: int
    patterns: Patterns
    training: Training
    cross: CrossView
    on_trained: list[float] | None
    calibration: Calibration
    held_out: int | None
    rivals: Rivals | None
    verdicts: list[Verdict]
    columns: list[Column]
    map: LatentMap
    correlations: Correlations
    subjects: list[Subject]
    cautions: list[Caution]
    provenance: Provenance


def content(
    name: str,
    model: Predicting,
    views: Mapping[str, Any],
    observed: np.ndarray,
    *,
    ids: Sequence[Any] | None,
    made: Provenance,
    evaluated: Evaluated | None = None,
    untested: str | None = None,
    most_subjects: int = 30,
) -> Content:
    """Of a fitted model on views (N, p) as ``fit`` takes them. name: of the model; ids: of the rows, None for their numbers;
    untested: why there is no evaluation although one was wanted."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", JPVAEWarning)
        sample = sample_of(model, views, observed, ids)
        tested = sample if evaluated is None else sample_of_known(evaluated.model, evaluated.held_out)
        means = None if evaluated is None else _means(tested, evaluated.trained)
        cross, intervals = cross_view(tested, means), calibration(tested)
        on_trained = None if evaluated is None else _shares(sample_of_known(evaluated.model, evaluated.trained), means)
        columns, where, single = distributions(sample), latent_map(sample), subjects(sample, most_subjects)
    used = {} if model.report_ is None else {view: found["kl"] for view, found in model.report_.views.items()}
    prior = prior_of(model.model_, model.parameters_)
    has, curve = patterns(observed, model.view_names_), training(model.history_, early_stopping=model.early_stopping)
    compared = None if evaluated is None else rivals(evaluated.result)
    held_out = None if evaluated is None else len(tested.observed)
    known = cautions(
        has,
        observed.T.astype(int) @ observed.astype(int),
        curve,
        cross,
        intervals,
        columns,
        on_trained=on_trained,
        latents=model.report_,
        rivals=compared,
        held_out=held_out,
        untested=untested,
        warned=[str(warning.message) for warning in caught],
    )
    return Content(
        name,
        sample,
        model.inferred_,
        model.n_iter_,
        has,
        curve,
        cross,
        on_trained,
        intervals,
        held_out,
        compared,
        verdicts(cross, intervals, compared, tested=evaluated is not None),
        columns,
        where,
        correlations(prior, model.view_names_, used),
        single,
        known,
        made,
    )


def _shares(sample: Sample, means: Sequence[np.ndarray] | None) -> list[float]:
    """R^2 of each view from all others."""
    return [mean_of(values) for values in from_all_others(sample, means)[0]]


def _means(sample: Sample, trained: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Of each view's model columns, over the rows of the training (R, p): what filling column means would fill."""
    found = []
    for units, table in zip(sample.units, trained, strict=True):
        values = units.known(np.asarray(table, np.float64), ~np.isnan(table).all(axis=1))
        known = ~np.isnan(values)
        rows = known.sum(axis=0)
        found.append(np.where(rows > 0, np.where(known, values, 0.0).sum(axis=0) / np.maximum(rows, 1), np.nan))
    return found
