"""Models that are alike but for their seeds, trained as one program, on the same views or each on its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from . import fitting
from .errors import ConfigError
from .estimator import JPVAE
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
        They are fitted in place.
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
        Where their architectures differ, or there are not as many tables as models; and as ``JPVAE.fit``.

    Examples
    --------
    >>> from jpvae.ensembles import fit_together
    >>> few = {"likelihood": "gaussian", "steps": 20, "progress": False}
    >>> models = fit_together([JPVAE(2, seed=seed, **few) for seed in range(3)], [rna, protein], mask)
    >>> [model.n_iter_ for model in models]
    [20, 20, 20]
    """
    files = checkpoints or [None] * len(models)
    heard = callbacks or [()] * len(models)
    tables, masks = (views if each else [views] * len(models)), (mask if each and mask is not None else [mask] * len(models))
    for name, given in {"views": tables, "mask": masks}.items():
        if len(given) != len(models):
            raise ConfigError(
                f"{name} has {len(given)} entries; with each=True expected one for each of the {len(models)} models"
            )
    with ExitStack() as begun:
        every = [
            begun.enter_context(model._begun(seen, own, Request(checkpoint=file, callbacks=one, **options)))
            for model, file, one, seen, own in zip(models, files, heard, tables, masks, strict=True)
        ]
        for model, found in zip(models, fitting.run_each(every), strict=True):
            model._become(*found)
    return models
