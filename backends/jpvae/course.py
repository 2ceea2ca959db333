"""The course of one training: from what was begun over its steps, records, evaluations and checkpoints to the fit."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from .engines import Engine
from .errors import CheckpointError, ConfigError
from .files import saving
from .files.saving import Progress
from .fitted import Arrays, Fitted
from .inference.blocks import Remembered
from .inference.calibration import LeftOut, calibrated
from .inference.latent_report import diagnose, places
from .inference.overfitting import SHARES, confirmed_share, with_share
from .inference.predictor import Predictor
from .inference.regression import training_moments
from .model.likelihoods import names_in
from .model.likelihoods.registry import source_of, title
from .model.model import Model
from .options import Options
from .planning import decay_after, starts_at_factor_analysis, with_networks
from .processes import share
from .training.batches import Batches
from .training.callbacks import Callback, Run, StopTraining, listening
from .training.divergence import check_finite
from .training.early_stopping import HeldOut
from .training.history import Recorder
from .training.loop import Training, train
from .training.plan import Plan
from .training.starting import MOST_ROWS, at_factor_analysis
from .training.watching import Watch
from .versions import versions
from .views.reading import Views
from .views.units import Scaled


class File(NamedTuple):
    """Where a training is kept, and after how many steps each."""

    path: str | os.PathLike[str]
    every: int


class Begun(NamedTuple):
    """A fit before its first step: the model, the views as they were read, the plan, the file and the listeners; the views'
    fingerprint where there is a file, or several processes; and whether its end is reported on, which reads rows once more."""

    start: Fitted
    data: Views
    plan: Plan
    file: File | None
    listeners: Sequence[Callback]
    fingerprint: str | None = None
    reported: bool = True


class Course:
    """What ``begun`` becomes on an engine: made where its file stands, or at the first step; ``steps`` then trains it.

    Raises CheckpointError for another training's file, ViewError for values that do not fit, ConfigError where processes that
    train together were given different things.
    """

    def __init__(self, backend: Engine, begun: Begun) -> None:
        start, data, plan, self.file, self.listeners, self.fingerprint, self.reported = begun
        self.backend, self.model, self.data, self.plan = backend, start.model, data, plan
        views = [Scaled(data, i, units, start.options.dtype) for i, units in enumerate(start.units)]
        self.rank, ranks = share()
        held = [view if view.mapped else view[:] for view in views]
        self.batches = Batches(
            held, self.data.observed, self.model, self.plan, self.data.names, (self.rank, ranks), self.data.index
        )
        self.any_of: Callable[[bool], bool] = _together(backend, start, self.fingerprint, plan) if ranks > 1 else bool
        path = self.file.path if self.file else None
        start, progress = saving.resume(start, path, self.fingerprint, self.plan.steps, self.batches.former_fingerprint)
        self.model = self.batches.model = start.model  # as far as it reads, that of the file
        parameters: Arrays = with_networks(backend, self.model, start.parameters, start.seed)
        if progress.step == 0:
            parameters = self._first_parameters(parameters, start.options, self.batches)
        self.start = replace(start, parameters=parameters, versions=versions())
        self.state = self._state(progress)
        _check_arrays(backend.to_arrays(self.state)[0], self.start.parameters, self.model)
        self._check_families()
        self.done, self.calibrated, self.weight_decay = progress.step, progress.calibrated, progress.weight_decay
        self.record = Recorder(plan, start.history, progress.window, self._on_log)
        early = start.options.early_stopping
        self.held_out = HeldOut(backend, self.batches, start.options.patience, progress.best) if early else None
        self.watch = self.held_out or Watch(backend, self.batches)

    def steps(self) -> Training[tuple[Fitted, Predictor]]:
        """Train (loop.py): up to where the calibration is due, then to the end; then what there is to report."""
        start, middle, stopped = self.start, self.plan.calibration.steps if self.plan.calibration else 0, False
        view = Run(start.options, start.seed, self.model, start.view_names, start.columns, start.history)
        with listening(self.listeners, view, self.done, self.plan.steps):
            if self.done <= middle and self.plan.calibration:
                self.done, stopped = yield from train(
                    self.state, self.batches, first=self.done, last=middle, on_step=self._on_step
                )
                if not stopped:
                    stopped = yield from self._calibrate(middle, self.plan.calibration.folds)
            if not (stopped or (self.held_out and self.held_out.exhausted)):
                self.done, _ = yield from train(
                    self.state, self.batches, first=self.done, on_step=self._on_step, weight_decay=self.weight_decay
                )
            with suppress(StopTraining):  # it has come already
                self.record.close(self.done)
        return self._ended()

    def _state(self, progress: Progress) -> Any:
        try:
            return self.backend.start(self.start.parameters, progress.optimizer)
        except KeyError as error:
            if self.file is None or progress.optimizer is None:
                raise
            raise CheckpointError(
                f"checkpoint {str(self.file.path)!r} belongs to a different training run: it has another optimiser's state, "
                f"without {error}. Choose another path, or delete the file to start over."
            ) from error

    def _check_families(self) -> None:
        """Raise ConfigError where log p of a likelihood from elsewhere has another shape than a number per row and variable."""
        p = self.backend.parameters(self.state)
        for i, family in enumerate(self.model.likelihoods):
            names = names_in(self.model.likelihood_names[i])
            if any(source_of(name) is not None for name in names):
                batch = self.batches.at(0).inputs(self.backend.asarray)
                x, c = batch.targets[i], self.model.features[i]
                outputs = self.backend.asarray(np.zeros((x.shape[0], c)))
                with np.errstate(all="ignore"):
                    found = family.log_prob(self.backend.xp, outputs, x, self.model.own_parameters(p, i))
                shape, wanted = tuple(getattr(found, "shape", ())), (x.shape[0], len(set(family.variables(c).tolist())))
                if shape != wanted:
                    raise ConfigError(
                        f"likelihood {' and '.join(map(title, names))} gives a log_prob of shape {shape} for outputs of shape "
                        f"{(x.shape[0], c)}; expected {wanted}: a number per row and variable"
                    )

    def _on_log(self, entry: dict[str, Any]) -> None:
        for one in self.listeners:
            one.on_log(_copied(entry))

    def _on_step(self, step: int, report: dict[str, Any]) -> None:
        done, stop = step + 1, False
        found = self.watch.after(done, self.state)
        try:
            self.record(step, report, found)
            for one in self.listeners:
                one.on_step(done, _copied(report))
        except StopTraining:
            stop = True
        if self.any_of(stop):
            raise StopTraining
        if self.file is not None and done % self.file.every == 0 and done < self.plan.steps:
            self._write(self.start, done, *self._finite_arrays(done))
        if self.held_out and self.held_out.exhausted:
            raise StopTraining

    def _finite_arrays(self, done: int) -> tuple[Arrays, Arrays]:
        parameters, optimizer = self.backend.to_arrays(self.state)
        check_finite(parameters | optimizer, done, self.data.names, self.start.parameters)
        return parameters, optimizer

    def _calibrate(self, steps: int, folds: int) -> Training[bool]:
        """By the rows that this training has left out, and those that others leave out, which are made up to the same step.

        Whether StopTraining came before one of them: then nothing is calibrated.
        """
        self._finite_arrays(self.done)
        left_out = [self._left_out(self.state, self.batches)]
        for k in range(1, folds):
            if self.any_of(self._stops_before(k + 1, folds)):
                return True
            batches = self.batches.leaving_out(k)
            random = self.model.initial_parameters(self.start.seed, self.start.scaling)
            random = with_networks(self.backend, self.model, random, self.start.seed)
            state = self.backend.start(self._first_parameters(random, self.start.options, batches), None)
            yield from train(state, batches, last=steps)
            left_out.append(self._left_out(state, batches))
        options = self.start.options
        found = confirmed_share(left_out) if options.weight_decay == "auto" else 1.0
        share = next((g for g in sorted(SHARES) if self.any_of(found <= g)), 1.0)  # of several processes the least
        self.weight_decay = decay_after(self.plan.weight_decay, options.learning_rate, share)
        self.calibrated = calibrated(with_share(left_out, share))  # as the models will be
        return False

    def _stops_before(self, fold: int, folds: int) -> bool:
        try:
            for one in self.listeners:
                one.on_fold(fold, folds)
        except StopTraining:
            return True
        return False

    def _left_out(self, state: Any, batches: Batches) -> LeftOut:
        halfway = Predictor(self.backend, self.model, self.backend.parameters(state), self.start.seed)
        rows = batches.calibrating
        return LeftOut(halfway, [view[rows] for view in batches.views], self.data.observed[rows])

    def _first_parameters(self, random: Arrays, options: Options, batches: Batches) -> Arrays:
        """Of a training on these batches: the random ones, or at factor analysis."""
        if not starts_at_factor_analysis(options, self.model, len(self.data.observed)):
            return random
        rows = batches.first_rows(MOST_ROWS)
        return at_factor_analysis(random, self.model, [view[rows] for view in batches.views], self.data.observed[rows])

    def _write(self, fitted: Fitted, done: int, parameters: Arrays, optimizer: Arrays) -> None:
        if self.file is None or self.rank > 0:
            return
        with suppress(OSError):  # a folder that somebody has removed since is made again: better than to lose the training
            os.makedirs(os.path.dirname(os.path.realpath(self.file.path)), exist_ok=True)
        best = self.held_out.best if self.held_out else None
        stand = Progress(done, optimizer, best, self.record.window, self.calibrated, self.weight_decay)
        so_far = replace(fitted, parameters=parameters, history=tuple(self.record.history))
        saving.write(so_far, self.file.path, stand, fingerprint=self.fingerprint)

    def _ended(self) -> tuple[Fitted, Predictor]:
        parameters, optimizer = self._finite_arrays(self.done)
        best = self.held_out.best.parameters if self.held_out and self.held_out.best else {}
        chosen: dict[str, np.ndarray] = {**best, **self.calibrated}  # in place of the last step's
        native = {
            **self.backend.parameters(self.state),
            **{name: self.backend.asarray(x) for name, x in chosen.items()},
        }
        predictor = Predictor(self.backend, self.model, native, self.start.seed)
        so_far = replace(self.start, parameters={**parameters, **chosen}, steps=self.done, history=tuple(self.record.history))
        fitted = self._reported(so_far, predictor) if self.reported else so_far
        self._write(fitted, self.done, parameters, optimizer)
        return fitted, predictor

    def _reported(self, fitted: Fitted, predictor: Predictor) -> Fitted:
        """With the moments of the training latents, and the report."""
        observed, moments = self.data.observed, None
        looked_at = places(len(observed))  # both reports read these rows, which are read once
        views = [Remembered(view, looked_at) if isinstance(view, Scaled) else view for view in self.batches.views]
        if observed.all(axis=1).sum() > sum(self.model.latent_dims):  # fewer rows have a singular covariance
            found = training_moments(predictor, views, observed)
            moments = (found.mean, found.covariance)
        return replace(fitted, moments=moments, report=diagnose(predictor, views, observed, self.data.names))


def _copied(record: Mapping[str, Any]) -> dict[str, Any]:
    """For a listener, who may change it."""
    return {name: list(value) if isinstance(value, list) else value for name, value in record.items()}


def _together(backend: Engine, start: Fitted, fingerprint: str | None, plan: Plan) -> Callable[[bool], bool]:
    """How the processes of a group agree. Raises ConfigError where the engine cannot train in several, or what they were given
    differs."""
    any_of: Callable[[bool], bool] | None = getattr(backend, "any_of", None)
    agree: Callable[[int], bool] | None = getattr(backend, "agree", None)
    if any_of is None or agree is None:
        raise ConfigError(f"backend is {start.options.backend!r}, which trains in one process; expected 'torch' in several")
    identity = saving.identity(start)
    del identity["options"]["device"]
    if not agree(zlib.crc32(json.dumps([identity, fingerprint, plan.steps, plan.cross_weight, plan.column_weights]).encode())):
        raise ConfigError("the processes were given different data or options; expected the same in all of them")
    return any_of


def _check_arrays(found: Arrays, start: Arrays, model: Model) -> None:
    """Raise ConfigError where what an engine gives back is not what it was given: no file would take it."""
    gives = "backend gives an engine whose to_arrays has"
    if lost := sorted(start.keys() - found.keys()):
        raise ConfigError(f"{gives} no array {lost[0]!r}; expected all that start was given")
    if more := sorted(found.keys() - start.keys()):
        raise ConfigError(f"{gives} the unknown array {more[0]!r}; expected those that start was given")
    for name, x in found.items():
        array = isinstance(x, np.ndarray)
        if not (array and x.shape == start[name].shape and (model.is_own(name) or x.dtype in (np.float32, np.float64))):
            what = f"{x.dtype} of shape {x.shape}" if array else type(x).__name__
            raise ConfigError(f"{gives} the array {name!r} as {what}; expected float32 or float64 of shape {start[name].shape}")
