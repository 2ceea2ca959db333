"""The training of a fit: steps, records, evaluations and checkpoints, then what the fitted model says of itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .engines import engine
from .files import saving
from .inference.latent_report import diagnose
from .inference.predictor import Predictor
from .training.batches import Batches
from .training.callbacks import Callback, StopTraining, listening
from .training.divergence import check_finite
from .training.early_stopping import HeldOut
from .training.history import Recorder
from .training.loop import train
from .training.plan import Plan
from .views.reading import Views
from .views.units import Scaled

if TYPE_CHECKING:
    from .estimator import JPVAE


class File(NamedTuple):
    """Where a training is kept, and after how many steps each."""

    path: str | os.PathLike[str]
    every: int


def run(
    fitted: JPVAE, data: Views, views: Sequence[Scaled], plan: Plan, file: File | None, listeners: Sequence[Callback]
) -> Predictor:
    """Train ``fitted``, which knows its model and scaling; sets its parameters_, history_, moments_ and report_.

    views: those of ``data``, in the model's units. Raises CheckpointError, ViewError, TrainingDiverged (see ``JPVAE.fit``).
    """
    model = fitted.model_
    backend = engine(fitted.backend, model, fitted.dtype, fitted.device)
    batches = Batches([view[:] for view in views], data.observed, model, plan, data.names)
    fingerprint = None if file is None else batches.fingerprint()
    done, parameters, optimizer, history, best = saving.resume(fitted, file.path if file else None, fingerprint, plan.steps)
    state = backend.start(parameters, optimizer)
    fitted.history_, fitted.moments_, fitted.report_ = history, None, None
    record = Recorder(plan, history, lambda record: [one.on_log(record) for one in listeners])
    held_out = HeldOut(backend, batches, int(fitted.patience), best) if fitted.early_stopping else None

    def finite_arrays(done: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        parameters, optimizer = backend.to_arrays(state)
        check_finite(parameters | optimizer, done, data.names)
        return parameters, optimizer

    def write(done: int, parameters: dict[str, np.ndarray], optimizer: dict[str, np.ndarray]) -> None:
        best = held_out.best if held_out else None
        if file is not None:
            saving.write(fitted, file.path, parameters, optimizer, step=done, fingerprint=fingerprint, best=best)

    def on_step(step: int, report: dict[str, Any]) -> None:
        done = step + 1
        record(step, report, held_out.after(done, state) if held_out else None)
        for one in listeners:
            one.on_step(done, report)
        if file is not None and done % file.every == 0 and done < plan.steps:
            write(done, *finite_arrays(done))
        if held_out and held_out.exhausted:
            raise StopTraining

    with listening(listeners, fitted, done, plan.steps):
        if not (held_out and held_out.exhausted):
            done = train(backend, state, batches, first=done, on_step=on_step)
        with suppress(StopTraining):  # it has come already
            record.close(done)
    parameters, optimizer = finite_arrays(done)
    native = backend.parameters(state)
    fitted.parameters_ = parameters
    if held_out and held_out.best:
        fitted.parameters_ = dict(held_out.best.parameters)
        native = {name: backend.asarray(x) for name, x in fitted.parameters_.items()}
    predictor = Predictor(backend, model, native, fitted.seed_)
    full = data.observed.all(axis=1)
    if full.sum() > sum(model.latent_dims):  # fewer rows have a singular covariance
        moments = predictor.training_moments(batches.views, data.observed)
        fitted.moments_ = (moments.mean, moments.covariance)
    fitted.report_ = diagnose(predictor, batches.views, data.observed, data.names)
    write(done, parameters, optimizer)
    return predictor
