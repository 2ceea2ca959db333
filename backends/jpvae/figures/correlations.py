"""The correlations of the views' latents under the fitted joint prior: Sigma without its identity blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

import jpvae_core as jc

MOST = 64  # latents that are shown


@dataclass(frozen=True)
class Correlations:
    """matrix (n, n): NaN within a view; owner (n,): each latent's view; latent (n,): its number within the view; left_out: how
    many of the less used latents are not shown."""

    names: tuple[str, ...]
    matrix: np.ndarray
    owner: np.ndarray
    latent: np.ndarray
    left_out: int

    @property
    def strongest(self) -> float:
        """The largest of them, by size; 0 where there is none."""
        return float(np.nanmax(np.abs(self.matrix), initial=0.0)) if not np.isnan(self.matrix).all() else 0.0


def correlations(
    prior: jc.JointPrior, names: Sequence[str], used: Mapping[str, Sequence[float]] | None = None, *, most: int = MOST
) -> Correlations:
    """Of a prior in NumPy. used: how much each view's latents are used (their KL); of more than ``most`` latents in all, the
    most used ones of each view are shown."""
    sigma = np.array(prior.covariance())
    owner = np.repeat(np.arange(len(prior.dims)), prior.dims)
    latent = np.concatenate([np.arange(n) for n in prior.dims])
    sigma[owner[:, None] == owner[None, :]] = np.nan
    each = max(1, most // len(prior.dims))
    kept: list[int] = []
    for j, name in enumerate(names):
        own = np.flatnonzero(owner == j)
        if len(owner) > most and own.size > each:
            amounts = np.asarray((used or {}).get(name, np.arange(own.size)[::-1]))
            own = own[np.sort(np.argsort(-amounts, kind="stable")[:each])]
        kept += own.tolist()
    return Correlations(tuple(names), sigma[np.ix_(kept, kept)], owner[kept], latent[kept], len(owner) - len(kept))
