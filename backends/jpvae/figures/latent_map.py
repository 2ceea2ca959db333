"""The subjects on a plane: the two directions in which their latents, all views' side by side, vary most (PCA).

A subject's latents are their means given what is observed of it, of the views that it lacks too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .sample import Sample


@dataclass(frozen=True)
class LatentMap:
    """places (R, 2); explained (2,): the part of the latents' variance along each axis; ids (R,)."""

    places: np.ndarray
    explained: np.ndarray
    ids: tuple[str, ...]


def latent_map(sample: Sample) -> LatentMap:
    """Of all its rows."""
    parts = []
    for block in sample.predictor.blocks(sample.scaled(sample.observed), sample.observed, drawing=False):
        latents = sample.predictor.conditional_latents(block)
        parts.append(np.concatenate([sample.predictor.engine.numpy(z)[: block.size] for z in latents], axis=-1))
    places, explained = principal_plane(np.concatenate(parts).astype(np.float64))
    return LatentMap(places, explained, sample.ids)


def principal_plane(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (R, n) on their first two principal axes (R, 2), signs such that the largest loading is positive; and the part of
    the variance along each."""
    centred = points - points.mean(axis=0)
    _, s, axes = np.linalg.svd(centred, full_matrices=False)
    axes, s = axes[:2], s.copy()
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    axes = axes * np.where(signs == 0, 1.0, signs)[:, None]
    places = np.zeros((len(points), 2))
    places[:, : len(axes)] = centred @ axes.T
    total = float((s**2).sum())
    explained = np.zeros(2)
    explained[: min(2, len(s))] = s[:2] ** 2 / total if total > 0 else 0.0
    return places, explained
