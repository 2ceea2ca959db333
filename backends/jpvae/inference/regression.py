"""Plug-in latents by the paper's Eq. 12: a Gaussian of given moments, those of training latents, in place of the prior."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import jpvae_core as jc

from ..engines import Array
from ..views.pieces import spread
from .blocks import Block, Chosen, Rows
from .predictor import Predictor

_MOST_ROWS = 2**17  # of whose latents the training moments are


def training_moments(predictor: Predictor, views: Sequence[Rows], observed: np.ndarray) -> jc.Moments:
    """Moments of one posterior sample per row that has every view (the paper's estimate for Eq. 12); of very many rows, of a
    part, evenly spread."""
    moments = jc.Moments()
    chosen = spread(np.asarray(observed.all(axis=1)), _MOST_ROWS)
    for block in predictor.blocks([Chosen(v, chosen) for v in views], observed[chosen]):
        z = predictor.draw_latents(block, predictor.noise(block), 1)
        moments.update(np.concatenate([predictor.engine.numpy(part[0])[: block.size] for part in z], axis=1))
    return moments


def regressed_latents(
    predictor: Predictor, block: Block, mean: np.ndarray, covariance: np.ndarray, observed: Array | None = None
) -> tuple[Array, ...]:
    """The block's latents, those of missing views by Eq. 12; observed: fewer views than the rows have."""
    engine, model = predictor.engine, predictor.model
    patterns = engine.numpy(block.observed if observed is None else observed)
    latents = np.concatenate([engine.numpy(m) for m in block.means], axis=1).astype(np.float64)
    ends = np.cumsum(model.latent_dims)
    owner = np.repeat(np.arange(model.views), model.latent_dims)
    for pattern in np.unique(patterns, axis=0):
        rows = (patterns == pattern).all(axis=1)
        columns = np.flatnonzero(pattern[owner])
        if columns.size < owner.size:
            # for every row of the block: a product's bits depend on its shape, and how many rows share a pattern varies
            means, _ = jc.condition_gaussian(mean, covariance, columns.tolist(), latents[:, columns])
            latents[np.ix_(rows, np.flatnonzero(~pattern[owner]))] = means[rows]
    return tuple(engine.asarray(part) for part in np.split(latents, ends[:-1], axis=1))
