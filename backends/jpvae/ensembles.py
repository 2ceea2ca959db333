"""Models that are alike but for their seeds, trained on the same views as one program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from . import fitting
from .estimator import JPVAE
from .request import Request
from .training.callbacks import Callback


def fit_together(
    models: Sequence[JPVAE],
    views: Any,
    mask: Any = None,
    *,
    checkpoints: Sequence[str | os.PathLike[str] | None] = (),
    callbacks: Sequence[Sequence[Callback]] = (),
    **options: Any,
) -> Sequence[JPVAE]:
    """``fit`` each of these estimators, whose options differ by the seed alone, on the same views.

    Each is what its own ``fit`` would have made of it, to rounding. Where the engine has stacks (torch), a step of all is one
    batched program, on CUDA a replayed graph: there K small models take little longer than one.

    Parameters
    ----------
    models : sequence of JPVAE
        They are fitted in place.
    views, mask
        As for ``JPVAE.fit``.
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
        Where they differ by more than their seeds; and as ``JPVAE.fit``.

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
    with ExitStack() as begun:
        every = [
            begun.enter_context(model._begun(views, mask, Request(checkpoint=file, callbacks=one, **options)))
            for model, file, one in zip(models, files, heard, strict=True)
        ]
        for model, found in zip(models, fitting.run_together(every), strict=True):
            model._become(*found)
    return models
