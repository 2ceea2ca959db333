"""A fit: from checked views to a Fitted of no steps, then the training's course, of an ensemble every model's."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from . import memory
from .course import Begun, Course, File
from .engines import limited
from .errors import ConfigError, ViewError
from .files import saving
from .fitted import Arrays, Fitted
from .inference.predictor import Predictor
from .option_values import member_seed, seed_of
from .options import Options
from .planning import engine_of, model_of, plan_of, warn_of_idle_latents, weighs_levels
from .processes import share
from .training.loop import alone, together
from .training.nonlinearity import CURVED, explained_by_lines, gain_of_curves, most_rows
from .training.plan import Plan
from .views.checking import checked
from .views.connected import warn_of_strangers
from .views.opening import Opened, glances, learned
from .views.reading import Views, blocks
from .views.sentinels import warn_of_sentinels
from .views.slices import Slices
from .views.survey import Survey
from .views.units import Scaled


class Beginning(NamedTuple):
    """The model, the plan, the views read and checked, and their scaling, before any step; the data's fingerprint, or None."""

    start: Fitted
    plan: Plan
    data: Views
    fingerprint: str | None


class _Misjudged(ViewError):
    """The columns that a table's first rows show are not those of all its rows."""


def begin(options: Options, opened: Opened, missing: str, slices: Slices | None, *, kept: bool) -> Beginning:
    """Before any step. opened: without columns; kept: whether a fingerprint is asked for: the training has a file, or several
    processes. Raises ConfigError, ViewError.

    Each row is read once. Likelihoods that are to be inferred of a large memory-mapped table are taken from its first rows, and
    confirmed once all were read; if these show others, or anything is wrong, all starts over and infers them first.
    """
    glanced = glances(opened, options.likelihood)
    begun = _begun_at_a_glance(options, opened, glanced, missing, slices, kept) if any(glanced) else None
    return begun or _begun(options, learned(opened, options.likelihood), missing, slices, kept)


def _begun_at_a_glance(
    options: Options, opened: Opened, glanced: tuple[bool, ...], missing: str, slices: Slices | None, kept: bool
) -> Beginning | None:
    fresh = replace(opened, observed=opened.observed.copy())
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        try:
            begun = _begun(options, learned(fresh, options.likelihood, glanced), missing, slices, kept)
        except (ViewError, ConfigError):  # of a guess, or to be raised again
            return None
    for one in found:
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return begun


def _begun(options: Options, opened: Opened, missing: str, slices: Slices | None, kept: bool) -> Beginning:
    seed, model = seed_of(options.seed), model_of(options, opened.columns, opened.names, len(opened.observed))
    plan = plan_of(options, model, len(opened.observed), opened.names, seed)
    memory.check(model, min(plan.batch_size, len(opened.observed)), options.dtype)
    survey = Survey(opened, model.likelihoods, summing=kept)
    data = checked(opened, missing=missing, entries=options.entries, visit=survey)
    if not survey.guessed_right():
        raise _Misjudged("the columns were misjudged")
    scaling = survey.scaling()
    warn_of_idle_latents(options, model, data.names)
    survey.warn_of_constant_columns()
    warn_of_sentinels(data, survey.ends)
    if model.joint.couples:
        warn_of_strangers(data.observed, data.names)
    start = Fitted(options, seed, model, data.names, data.columns, scaling, data.index_name, slices)
    for i, units in enumerate(start.units):
        view = Scaled(data, i, units, options.dtype)
        if view.mapped and not survey.fits(units, i, options.dtype):  # now, not in the training; others are held and so checked
            for rows in blocks(len(data.observed)):
                view[rows]
    if related := _related(start, data):
        plan = plan_of(options, model, len(opened.observed), opened.names, seed, **related)
    return Beginning(start, plan, data, survey.fingerprint(data.observed, scaling) if kept else None)


def _related(start: Fitted, data: Views) -> dict[str, Any]:
    """How the views are related, as far as the training would heed it (``plan_of``): of some rows that have every view."""
    options, joint = start.options, start.model.joint
    curves = options.cross_weight == "auto" and options.objective == "subset" and joint.couples
    lines = weighs_levels(options, start.model, len(data.observed))
    if not (curves or lines):
        return {}
    whole = np.flatnonzero(data.observed.all(axis=1))
    rows = np.sort(np.random.default_rng(0).permutation(whole)[: most_rows(start.model.views)])
    tables = []
    for i, (units, family) in enumerate(zip(start.units, start.model.likelihoods, strict=True)):
        view, c = Scaled(data, i, units, "float64")[rows], start.model.features[i]
        known = family.cells(view.targets.astype(np.float64), c)[1]
        tables.append(np.where(known, view.inputs[:, :c], np.nan))
    return {
        "bent": curves and gain_of_curves(tables) > CURVED,
        "explained": explained_by_lines(tables) if lines else None,
    }


def run(begun: Begun) -> tuple[Fitted, Predictor]:
    """Train what has begun, of an ensemble every model. Raises CheckpointError, ViewError, TrainingDiverged (``JPVAE.fit``)."""
    return run_each([begun])[0]


def run_each(every: Sequence[Begun]) -> list[tuple[Fitted, Predictor]]:
    """Train all that have begun, of ensembles every model, as one stacked program where the engine has such.

    An ensemble's file holds the first model's training; those of the others lie beside it until all have ended, and their
    parameters then go into the one file.
    """
    ended = [_others_in_file(begun) for begun in every]
    members = [
        [_member(begun, k) for k in range(1 if others else begun.start.options.ensemble)]
        for begun, others in zip(every, ended, strict=True)
    ]
    found = iter(_run_together([one for each in members for one in each]))
    return [_whole(each, [next(found) for _ in each], others) for each, others in zip(members, ended, strict=True)]


def _others_in_file(begun: Begun) -> tuple[Arrays, ...]:
    """Of an ensemble whose training has ended: the parameters of all models but the first."""
    file, options = begun.file, begun.start.options
    if options.ensemble == 1 or file is None or not os.path.exists(file.path):
        return ()
    return saving.read(file.path, backend=options.backend).others


def _whole(
    members: Sequence[Begun], found: Sequence[tuple[Fitted, Predictor]], ended: tuple[Arrays, ...]
) -> tuple[Fitted, Predictor]:
    """One model of the members' trainings; ended: the others' parameters, where a file had them."""
    (fitted, predictor), *rest = found
    others, file = ended or tuple(each.parameters for each, _ in rest), members[0].file
    if not others:
        return fitted, predictor
    natives = [{name: predictor.engine.asarray(x) for name, x in p.items()} for p in others]
    if file is not None and not ended and share()[0] == 0:
        saving.add_members(file.path, others)
        for each in members[1:]:
            if each.file is not None:
                os.unlink(each.file.path)
    whole = Predictor(predictor.engine, fitted.model, predictor.p, fitted.seed, natives)
    return replace(fitted, others=others), whole


def _member(begun: Begun, k: int) -> Begun:
    """The training of an ensemble's k-th model; only the first one's is listened to and reported on."""
    if k == 0:
        return begun
    seed, file = member_seed(begun.start.seed, k), begun.file
    beside = None if file is None else File(f"{os.fspath(file.path)}.member-{k}", file.every)
    start, plan = replace(begun.start, seed=seed), replace(begun.plan, seed=seed)
    return begun._replace(start=start, plan=plan, file=beside, listeners=(), reported=False)


def _run_together(every: Sequence[Begun]) -> list[tuple[Fitted, Predictor]]:
    """``run`` each, several as one stacked program where the engine has such. All must have one model, on one engine."""
    for one in every:
        if one.file is not None:
            saving.check_families(one.start)
    first = every[0]
    if any(one.start.model != first.start.model for one in every):
        raise ConfigError("models that are trained together must be alike but for their seeds")
    backend = engine_of(first.start.options, first.start.model, first.start.view_names)
    with limited(backend, first.plan.batch_size * len(every)):
        trainings = [Course(backend, one).steps() for one in every]
        return together(backend, trainings) if len(every) > 1 else [alone(backend, trainings[0])]
