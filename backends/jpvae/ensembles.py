"""Models that are alike but for their seeds, trained as one program, on the same views or each on its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields
from typing import Any

from . import fitting
from .errors import ConfigError
from .estimator import JPVAE
from .options import Options
from .request import Request
from .training.callbacks import Callback


def fit_together(
    models: Sequence[JPVAE],
    views: Any,
    mask: Any = None,
    *,
    each: bool = False,
    checkpoints: Sequence[str | os.PathLike[str] | None] = (),
    callbacks: Sequence[Sequence[Callback]] = (),
    **options: Any,
) -> Sequence[JPVAE]:
    """``fit`` each of these estimators, whose options differ by the seed alone, on the same views or each on its own.

    Each is what its own ``fit`` would have made of it, to rounding. Where the engine has stacks (torch), a step of all, of
    ensembles all their members, is one batched program: on CUDA K small models take little longer than one.

    Parameters
    ----------
    models : sequence of JPVAE
        One at least, each another object. They are fitted in place.
    views, mask
        As for ``JPVAE.fit``; with ``each`` a sequence of such, one for each model.
    each : bool, default False
        Whether every model has tables of its own, of the same columns: simulations, folds, resamples.
    checkpoints : sequence of path, optional
        One file for each.
    callbacks : sequence of sequences of Callback, optional
        The listeners of each.
    **options
        The others of ``JPVAE.fit``, for all.

    Returns
    -------
    sequence of JPVAE
        The same.

    Raises
    ------
    ConfigError
        Where they differ by more than seed, progress and threads, or there are not as many tables, files or listeners as
        models; and as ``JPVAE.fit``.

    Examples
    --------
    >>> from jpvae.ensembles import fit_together
    >>> few = {"likelihood": "gaussian", "steps": 20, "progress": False}
    >>> models = fit_together([JPVAE(2, seed=seed, **few) for seed in range(3)], [rna, protein], mask)
    >>> [model.n_iter_ for model in models]
    [20, 20, 20]
    """
    models = list(models)
    _check_alike(models)
    tables = _for_each("views", views, models) if each else [views] * len(models)
    masks = _for_each("mask", mask, models) if each and mask is not None else [mask] * len(models)
    files, heard = _for_each("checkpoints", checkpoints or [None] * len(models), models), callbacks or [()] * len(models)
    heard = _for_each("callbacks", heard, models)
    with ExitStack() as begun:
        every = [
            begun.enter_context(model._begun(seen, own, Request(checkpoint=file, callbacks=one, **options)))
            for model, file, one, seen, own in zip(models, files, heard, tables, masks, strict=True)
        ]
        for model, found in zip(models, fitting.run_each(every), strict=True):
            model._become(*found)
    return models


def _for_each(name: str, given: Any, models: Sequence[JPVAE]) -> list[Any]:
    """As many as there are models. Raises ConfigError."""
    found = list(given)
    if len(found) != len(models):
        raise ConfigError(f"{name} has {len(found)} entries; expected one for each of the {len(models)} models")
    return found


def _check_alike(models: Sequence[JPVAE]) -> None:
    """Raise ConfigError where there are no models, one comes twice, or they differ by more than their seeds."""
    if not models:
        raise ConfigError("models is empty; expected one at least")
    if len({id(model) for model in models}) < len(models):
        raise ConfigError("models has one estimator twice; expected one for each training")
    every = [Options.of(model) for model in models]
    told = [options.to_json() for options in every]
    for name in (field.name for field in fields(Options) if field.name not in ("seed", "progress", "threads")):
        first, *rest = (given.get(name, getattr(options, name)) for given, options in zip(told, every, strict=True))
        for found in rest:
            if found != first:
                raise ConfigError(
                    f"models that are trained together must be alike but for their seeds: {name} is {first!r} and {found!r}"
                )
