"""A fit: from checked views to a Fitted of no steps, then the training's course, of an ensemble every model's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from . import memory
from .course import Begun, Course, File
from .engines import limited
from .errors import ConfigError
from .files import saving
from .fitted import Arrays, Fitted
from .inference.predictor import Predictor
from .option_values import member_seed, seed_of
from .options import Options
from .planning import engine_of, model_of, plan_of, warn_of_idle_latents
from .processes import share
from .training.loop import alone, together
from .training.plan import Plan
from .views.checking import checked
from .views.connected import warn_of_strangers
from .views.opening import Opened
from .views.reading import Views, blocks
from .views.sentinels import warn_of_sentinels
from .views.slices import Slices
from .views.survey import Survey
from .views.units import Scaled


def begin(
    options: Options, opened: Opened, missing: str, slices: Slices | None, *, kept: bool
) -> tuple[Fitted, Plan, Views, str | None]:
    """The model, the plan, the views read and checked, and their scaling, before any step; and, where the training is ``kept``
    in a file or shared by processes, the data's fingerprint. Each row is read once for that. Raises ConfigError, ViewError."""
    seed, model = seed_of(options.seed), model_of(options, opened.columns, opened.names, len(opened.observed))
    plan = plan_of(options, model, len(opened.observed), opened.names, seed)
    memory.check(model, min(plan.batch_size, len(opened.observed)), options.dtype)
    survey = Survey(opened, model.likelihoods, summing=kept)
    data = checked(opened, missing=missing, entries=options.entries, visit=survey)
    scaling = survey.scaling()
    warn_of_idle_latents(options, model, data.names)
    survey.warn_of_constant_columns()
    warn_of_sentinels(data, survey.ends)
    if model.prior != "independent":
        warn_of_strangers(data.observed, data.names)
    start = Fitted(options, seed, model, data.names, data.columns, scaling, data.index_name, slices)
    for i, units in enumerate(start.units):
        view = Scaled(data, i, units, options.dtype)
        if view.mapped and not survey.fits(units, i, options.dtype):  # now, not in the training; others are held and so checked
            for rows in blocks(len(data.observed)):
                view[rows]
    return start, plan, data, survey.fingerprint(data.observed, scaling) if kept else None


def run(begun: Begun) -> tuple[Fitted, Predictor]:
    """Train what has begun, of an ensemble every model. Raises CheckpointError, ViewError, TrainingDiverged (``JPVAE.fit``).

    An ensemble's file holds the first model's training; those of the others lie beside it until all have ended, and their
    parameters then go into the one file.
    """
    count, file = begun.start.options.ensemble, begun.file
    ended: tuple[Arrays, ...] = ()
    if count > 1 and file is not None and os.path.exists(file.path):
        ended = saving.read(file.path, backend=begun.start.options.backend).others
    every = [_member(begun, k) for k in range(1 if ended else count)]
    (fitted, predictor), *rest = run_together(every)
    if count == 1:
        return fitted, predictor
    others = ended or tuple(each.parameters for each, _ in rest)
    natives = [{name: predictor.engine.asarray(x) for name, x in p.items()} for p in others]
    if file is not None and not ended and share()[0] == 0:
        saving.add_members(file.path, others)
        for each in every[1:]:
            if each.file is not None:
                os.unlink(each.file.path)
    whole = Predictor(predictor.engine, fitted.model, predictor.p, fitted.seed, natives)
    return replace(fitted, others=others), whole


def _member(begun: Begun, k: int) -> Begun:
    """The training of an ensemble's k-th model; only the first one's is listened to."""
    if k == 0:
        return begun
    seed, file = member_seed(begun.start.seed, k), begun.file
    beside = None if file is None else File(f"{os.fspath(file.path)}.member-{k}", file.every)
    start, plan = replace(begun.start, seed=seed), replace(begun.plan, seed=seed)
    return begun._replace(start=start, plan=plan, file=beside, listeners=())


def run_together(every: Sequence[Begun]) -> list[tuple[Fitted, Predictor]]:
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
