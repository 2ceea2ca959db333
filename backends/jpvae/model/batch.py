"""One training step's input: as NumPy arrays, and as an engine's own with what each view's decoder is to decode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Array: TypeAlias = Any  # an array of the engine's library
Rows: TypeAlias = "slice | np.ndarray"


class Decoded(NamedTuple):
    """What one view's decoder decodes: first z of all rows, then rows of z^k where the view is observed but not in O_k.

    A view's log p(x_i | z_i) stands in every term with i in O_k: it is decoded once, with the weight of them all.
    """

    crossed: list[tuple[int, Rows]]  # (k - 1, rows)
    weights: np.ndarray  # one per decoded row: dL / d log p is -weights / B

    def by_row(self, terms: np.ndarray, rows: int) -> np.ndarray:
        """The sum of what was decoded for each of the batch's rows: one term per decoded row -> (rows,)."""
        total, start = np.array(terms[:rows]), rows
        for _, which in self.crossed:
            count = len(total[which])
            total[which] += terms[start : start + count]
            start += count
        return total


class Inputs(NamedTuple):
    """A batch in an engine's own arrays (see ``Batch`` for what they are). Where every row is complete and there is one subset,
    ``masks`` is None; where all rows have one pattern of subsets it is (K, 1, M)."""

    views: tuple[Array, ...]
    targets: tuple[Array, ...]
    masks: Array | None  # (K, B, M) or (K, 1, M)
    weights: Array  # (K,)
    posterior_noise: tuple[Array, ...]  # (B, n_i) of each view
    completion_noise: Array  # (K - 1, B, noise_dim)
    crossed: tuple[list[tuple[int, Rows]], ...]  # of each view, as in ``Decoded``
    row_weights: tuple[Array, ...]  # of each view, as in ``Decoded``
    shares: tuple[Array, ...]  # (B,) of each view: 1 / (rows that have it) where observed, else 0


@dataclass(frozen=True)
class Batch:
    """One training step's input. B rows, M views, K subsets of the observed views (the first: all observed)."""

    views: tuple[np.ndarray, ...]  # (B, c_i), what the encoders read: zeros where missing
    observed: np.ndarray  # (B, M) bool
    subsets: np.ndarray  # (K, B, M) bool, each row a non-empty part of `observed`
    weights: np.ndarray  # (K,), summing to 1
    posterior_noise: np.ndarray  # (B, sum n_i)
    completion_noise: np.ndarray  # (K - 1, B, noise_dim)
    targets: tuple[np.ndarray, ...] | None = None  # (B, w_i), what the likelihoods are of, where that is not ``views``
    view_weights: tuple[float, ...] | None = None  # (M,), each view's weight in the loss; None: 1

    def decoded(self, view: int, *, ragged: bool = True) -> Decoded:
        """What the view's decoder decodes in this step.

        ragged=False: of each z^k all rows, those that are not asked for with weight 0: shapes that are the same in every batch,
        for engines that compile.
        """
        crossed: list[tuple[int, Rows]] = []
        weights = [self.weights @ self.subsets[:, :, view]]
        for k in range(1, len(self.subsets)):
            wanted = self.observed[:, view] & ~self.subsets[k, :, view]
            if not wanted.any():
                continue
            if not ragged or wanted.all():
                crossed.append((k - 1, slice(None)))
                weights.append(np.where(wanted, self.weights[k], 0.0))
            else:
                crossed.append((k - 1, np.flatnonzero(wanted)))
                weights.append(np.full(np.count_nonzero(wanted), self.weights[k]))
        joined = np.concatenate(weights)
        return Decoded(crossed, joined if self.view_weights is None else self.view_weights[view] * joined)

    def inputs(self, asarray: Callable[[np.ndarray], Array], latent_dims: Sequence[int], *, ragged: bool = True) -> Inputs:
        """The batch as native arrays. asarray: the engine's."""
        uniform = bool((self.subsets == self.subsets[:, :1]).all())
        masked = len(self.subsets) > 1 or not self.observed.all()
        decoded = [self.decoded(i, ragged=ragged) for i in range(len(self.views))]
        views = tuple(asarray(v) for v in self.views)
        noise = np.split(self.posterior_noise, np.cumsum(latent_dims)[:-1], axis=-1)
        shares = self.observed.T / np.maximum(self.observed.sum(axis=0), 1)[:, None]
        return Inputs(
            views=views,
            targets=views if self.targets is None else tuple(asarray(t) for t in self.targets),
            masks=asarray(self.subsets[:, :1] if uniform else self.subsets) if masked else None,
            weights=asarray(self.weights),
            posterior_noise=tuple(asarray(e) for e in noise),
            completion_noise=asarray(self.completion_noise),
            crossed=tuple(d.crossed for d in decoded),
            row_weights=tuple(asarray(d.weights) for d in decoded),
            shares=tuple(asarray(s) for s in shares),
        )

    def by_row(
        self,
        means: Sequence[np.ndarray],
        log_vars: Sequence[np.ndarray],
        kl: np.ndarray,
        log_probs: Sequence[np.ndarray],
        *,
        ragged: bool = True,
    ) -> dict[str, np.ndarray]:
        """The loss row by row, to find the one that is not finite.

        means, log_vars: (B, n_i) of each view; kl (K, B); log_probs: one number per decoded row of each view.
        -> "posterior" (B, M), the sum of mean^2 + var; "kl" (B,); "reconstruction" (B, M), -log p of all that was decoded.
        """
        rows = len(self.observed)
        with np.errstate(all="ignore"):
            sizes = [(m.astype(np.float64) ** 2 + np.exp(v)).sum(axis=-1) for m, v in zip(means, log_vars, strict=True)]
            fits = [-self.decoded(i, ragged=ragged).by_row(log_prob, rows) for i, log_prob in enumerate(log_probs)]
            return {"posterior": np.stack(sizes, axis=1), "kl": kl.sum(axis=0), "reconstruction": np.stack(fits, axis=1)}
