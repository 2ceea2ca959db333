"""A fit: from checked views to a Fitted of no steps, then steps, records, evaluations and checkpoints, then the report."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from . import memory
from .engines import Engine, limited
from .errors import CheckpointError, ConfigError
from .files import saving
from .files.saving import Progress
from .fitted import Fitted
from .inference.calibration import calibrated
from .inference.latent_report import diagnose
from .inference.predictor import Predictor
from .option_values import member_seed, seed_of
from .options import Options
from .planning import engine_of, model_of, plan_of, warn_of_idle_latents, with_networks
from .processes import share
from .training.batches import Batches
from .training.callbacks import Callback, Run, StopTraining, listening
from .training.divergence import check_finite
from .training.early_stopping import HeldOut
from .training.history import Recorder
from .training.loop import Training, alone, together, train
from .training.plan import Plan
from .training.watching import Watch
from .versions import versions
from .views.connected import warn_of_strangers
from .views.opening import Opened
from .views.reading import Views, checked
from .views.sentinels import warn_of_sentinels
from .views.slices import Slices
from .views.survey import Survey
from .views.units import Scaled


class File(NamedTuple):
    """Where a training is kept, and after how many steps each."""

    path: str | os.PathLike[str]
    every: int


def begin(options: Options, opened: Opened, missing: str, slices: Slices | None) -> tuple[Fitted, Plan, Views]:
    """The model, the plan, the views read and checked, and their scaling, before any step. Raises ConfigError, ViewError."""
    seed, model = seed_of(options.seed), model_of(options, opened.columns, opened.names, len(opened.observed))
    plan = plan_of(options, model, len(opened.observed), opened.names, seed)
    memory.check(model, min(plan.batch_size, len(opened.observed)), options.dtype)
    survey = Survey(opened, model.likelihoods)
    data = checked(opened, missing=missing, entries=options.entries, visit=survey)
    scaling = survey.scaling()
    warn_of_idle_latents(options, model, data.names)
    survey.warn_of_constant_columns()
    warn_of_sentinels(data, survey.ends)
    if model.prior != "independent":
        warn_of_strangers(data.observed, data.names)
    return Fitted(options, seed, model, data.names, data.columns, scaling, data.index_name, slices), plan, data


class Begun(NamedTuple):
    """What ``begin`` made, with the file and the listeners of its training."""

    start: Fitted
    data: Views
    plan: Plan
    file: File | None
    listeners: Sequence[Callback]


def run(begun: Begun) -> tuple[Fitted, Predictor]:
    """Train what has begun, of an ensemble every model. Raises CheckpointError, ViewError, TrainingDiverged (``JPVAE.fit``).

    An ensemble's file holds the first model's training; those of the others lie beside it until all have ended, and their
    parameters then go into the one file.
    """
    count, file = begun.start.options.ensemble, begun.file
    ended = saving.read(file.path).others if count > 1 and file is not None and os.path.exists(file.path) else ()
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
    return Begun(replace(begun.start, seed=seed), begun.data, replace(begun.plan, seed=seed), beside, ())


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
        trainings = [_trained(backend, *one) for one in every]
        return together(backend, trainings) if len(every) > 1 else [alone(backend, trainings[0])]


def _together(backend: Engine, start: Fitted, fingerprint: int | None) -> Callable[[bool], bool]:
    """How the processes of a group agree. Raises ConfigError where the engine cannot train in several, or what they were given
    differs."""
    any_of: Callable[[bool], bool] | None = getattr(backend, "any_of", None)
    agree: Callable[[int], bool] | None = getattr(backend, "agree", None)
    if any_of is None or agree is None:
        raise ConfigError(f"backend is {start.options.backend!r}, which trains in one process; expected 'torch' in several")
    identity = saving.identity(start)
    del identity["options"]["device"]
    if not agree(zlib.crc32(json.dumps(identity).encode(), fingerprint or 0)):
        raise ConfigError("the processes were given different data or options; expected the same in all of them")
    return any_of


def _trained(
    backend: Engine, start: Fitted, data: Views, plan: Plan, file: File | None, listeners: Sequence[Callback]
) -> Training[tuple[Fitted, Predictor]]:
    """A training (loop.py) from what ``begin`` made to the fit."""
    options, model = start.options, start.model
    views = [Scaled(data, i, units, options.dtype) for i, units in enumerate(start.units)]
    (rank, ranks), mapped = share(), any(view.mapped for view in views)
    held = [view if view.mapped else view[:] for view in views]
    batches = Batches(held, data.observed, model, plan, data.names, (rank, ranks), data.index)
    # A pass over what is mapped finds now, not in the training, what does not fit.
    fingerprint = batches.fingerprint() if file or mapped or ranks > 1 else None
    any_of: Callable[[bool], bool] = bool
    if ranks > 1:
        any_of = _together(backend, start, fingerprint)
    start, progress = saving.resume(start, file.path if file else None, fingerprint, plan.steps)
    start = replace(start, parameters=with_networks(backend, model, start.parameters, start.seed), versions=versions())
    try:
        state = backend.start(start.parameters, progress.optimizer)
    except KeyError as error:
        if file is None or progress.optimizer is None:
            raise
        raise CheckpointError(
            f"checkpoint {str(file.path)!r} belongs to a different training run: it has another optimiser's state, without "
            f"{error}. Choose another path, or delete the file to start over."
        ) from error

    def on_log(entry: dict[str, Any]) -> None:
        for one in listeners:
            one.on_log(entry)

    record = Recorder(plan, start.history, progress.window, on_log)
    held_out = HeldOut(backend, batches, options.patience, progress.best) if options.early_stopping else None
    watch = held_out or Watch(backend, batches)

    def finite_arrays(done: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        parameters, optimizer = backend.to_arrays(state)
        check_finite(parameters | optimizer, done, data.names)
        return parameters, optimizer

    def write(fitted: Fitted, done: int, parameters: dict[str, np.ndarray], optimizer: dict[str, np.ndarray]) -> None:
        if file is not None and rank == 0:
            with suppress(OSError):  # a folder that somebody has removed since is made again: better than to lose the training
                os.makedirs(os.path.dirname(os.path.realpath(file.path)), exist_ok=True)
            stand = Progress(done, optimizer, held_out.best if held_out else None, record.window, kept)
            saving.write(
                replace(fitted, parameters=parameters, history=tuple(record.history)), file.path, stand, fingerprint=fingerprint
            )

    def on_step(step: int, report: dict[str, Any]) -> None:
        done, stop = step + 1, False
        found = watch.after(done, state)
        try:
            record(step, report, found)
            for one in listeners:
                one.on_step(done, report)
        except StopTraining:
            stop = True
        if any_of(stop):
            raise StopTraining
        if file is not None and done % file.every == 0 and done < plan.steps:
            write(start, done, *finite_arrays(done))
        if held_out and held_out.exhausted:
            raise StopTraining

    done, middle, stopped = progress.step, plan.calibration.steps if plan.calibration else 0, False
    kept, rows = progress.calibrated, batches.calibrating
    view = Run(options, start.seed, model, start.view_names, start.columns, start.history)
    with listening(listeners, view, done, plan.steps):
        if done <= middle and plan.calibration:
            done, stopped = yield from train(state, batches, first=done, last=middle, on_step=on_step)
            if not stopped:
                finite_arrays(done)
                halfway = Predictor(backend, model, backend.parameters(state), start.seed)
                kept = calibrated(halfway, [view[rows] for view in batches.views], data.observed[rows])
        if not (stopped or (held_out and held_out.exhausted)):
            done, _ = yield from train(state, batches, first=done, on_step=on_step)
        with suppress(StopTraining):  # it has come already
            record.close(done)
    parameters, optimizer = finite_arrays(done)
    chosen = {**(held_out.best.parameters if held_out and held_out.best else {}), **kept}  # in place of the last step's
    best = {**parameters, **chosen}
    native = {**backend.parameters(state), **{name: backend.asarray(x) for name, x in chosen.items()}}
    predictor = Predictor(backend, model, native, start.seed)
    moments = None
    if data.observed.all(axis=1).sum() > sum(model.latent_dims):  # fewer rows have a singular covariance
        found = predictor.training_moments(batches.views, data.observed)
        moments = (found.mean, found.covariance)
    report = diagnose(predictor, batches.views, data.observed, data.names)
    fitted = replace(start, parameters=best, steps=done, history=tuple(record.history), moments=moments, report=report)
    write(fitted, done, parameters, optimizer)
    return fitted, predictor
