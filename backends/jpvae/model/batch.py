"""One training step's input: as NumPy arrays, and as an engine's own with what each view's decoder is to decode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeAlias

import numpy as np

from jpvae_core._array_api import X

Rows: TypeAlias = "slice | np.ndarray"


class Decoded(NamedTuple):
    """What one view's decoder decodes: z^k where the view is in O_k, then draws of z^k where it is observed but not in O_k.

    Of the first, k = 0 has all rows of the batch, those without the view with weight 0. Where the posterior is factorised z is
    the same for every k: it is decoded once, with the weight of all terms with i in O_k.
    """

    own: list[tuple[int, Rows]]  # (k, rows)
    crossed: list[tuple[int, Rows]]  # (k - 1, rows)
    weights: np.ndarray  # one per row of all of these in turn: dL / d(own or cross term) is -weights / B

    def by_row(self, terms: np.ndarray, rows: int) -> np.ndarray:
        """The sum of what was decoded for each of the batch's rows: one term per decoded row -> (rows,)."""
        total, start = np.zeros(rows, terms.dtype), 0
        for _, which in [*self.own, *self.crossed]:
            count = len(total[which])
            total[which] += terms[start : start + count]
            start += count
        return total


class Inputs(NamedTuple, Generic[X]):
    """A batch in an engine's own arrays (see ``Batch`` for what they are). Where every row is complete and there is one subset,
    ``masks`` is None; where all rows have one pattern of subsets it is (K, 1, M)."""

    views: tuple[X, ...]
    targets: tuple[X, ...]
    masks: X | None  # (K, B, M) or (K, 1, M)
    weights: X  # (K,)
    posterior_noise: X  # (B, sum n_i), or (K, B, noise_dim) for the fused posterior
    completion_noise: X  # (S, K - 1, B, noise_dim)
    own: tuple[list[tuple[int, Rows]], ...]  # of each view, as in ``Decoded``
    crossed: tuple[list[tuple[int, Rows]], ...]
    row_weights: tuple[X, ...]  # of each view, as in ``Decoded``
    shares: tuple[X, ...]  # (B,) of each view: 1 / (rows that have it) where observed, else 0
    column_weights: tuple[X, ...] | None = None  # (c_i,), as in ``Batch``


@dataclass(frozen=True)
class Batch:
    """One training step's input. B rows, M views, K subsets of the observed views (the first: all observed)."""

    views: tuple[np.ndarray, ...]  # (B, c_i), what the encoders read: zeros where missing
    observed: np.ndarray  # (B, M) bool
    subsets: np.ndarray  # (K, B, M) bool, each row a non-empty part of `observed`
    weights: np.ndarray  # (K,), summing to 1
    posterior_noise: np.ndarray  # (B, sum n_i), or (K, B, noise_dim) where the posterior is fused
    completion_noise: np.ndarray  # (K - 1, B, noise_dim), or (S, K - 1, B, noise_dim) for S draws of each cross term
    targets: tuple[np.ndarray, ...] | None = None  # (B, w_i), what the likelihoods are of, where that is not ``views``
    view_weights: tuple[float, ...] | None = None  # (M,), each view's weight in the loss; None: 1
    cross_weight: float = 1.0  # of the cross terms, beside w_k
    column_weights: tuple[np.ndarray, ...] | None = None  # (c_i,), of each column beside its view's; None: 1
    shares: np.ndarray | None = None  # (1 + M,): which part of a larger batch's rows these are, and of those with each view

    @property
    def fused(self) -> bool:
        """Whether every subset has latents of its own."""
        return self.posterior_noise.ndim == 3

    @property
    def is_uniform(self) -> bool:
        """Whether all rows have one pattern of subsets."""
        return bool((self.subsets == self.subsets[:, :1]).all())

    @property
    def is_masked(self) -> bool:
        """Whether the loss reads which views are where."""
        return self.fused or len(self.subsets) > 1 or not bool(self.observed.all())

    def decoded(self, view: int, *, ragged: bool = True, always: bool = False) -> Decoded:
        """What the view's decoder decodes in this step.

        ragged=False: of each z^k all rows, those that are not asked for with weight 0: shapes that are the same in every batch,
        for engines that compile. always: each z^k, be it asked for or not: the same in batches of any patterns.
        """
        inside, subsets = self.subsets[:, :, view], range(1, len(self.subsets))
        own: list[tuple[int, Rows]] = [(0, slice(None))]
        weights = [self.weights[0] * inside[0] if self.fused else self.weights @ inside]
        crossed: list[tuple[int, Rows]] = []

        def decode(into: list[tuple[int, Rows]], k: int, wanted: np.ndarray, weight: float) -> None:
            if not (always or wanted.any()):
                return
            rows: Rows = slice(None) if not ragged or wanted.all() else np.flatnonzero(wanted)
            into.append((k, rows))
            weights.append(np.where(wanted, weight, 0.0)[rows])

        for k in subsets if self.fused else []:
            decode(own, k, inside[k], self.weights[k])
        for k in subsets if self.cross_weight > 0 else []:
            decode(crossed, k - 1, self.observed[:, view] & ~inside[k], self.cross_weight * self.weights[k])
        joined = np.concatenate(weights)
        return Decoded(own, crossed, joined if self.view_weights is None else self.view_weights[view] * joined)

    def inputs(
        self, asarray: Callable[[np.ndarray], X], *, ragged: bool = True, form: tuple[bool, bool] | None = None
    ) -> Inputs[X]:
        """The batch as native arrays. asarray: the engine's; form: (uniform, masked) of all the batches of a stack, to which
        this one is brought; by default its own."""
        uniform, masked = (self.is_uniform, self.is_masked) if form is None else form
        decoded = [self.decoded(i, ragged=ragged, always=form is not None) for i in range(len(self.views))]
        views = tuple(asarray(v) for v in self.views)
        shares = self.observed.T / np.maximum(self.observed.sum(axis=0), 1)[:, None]
        completion = self.completion_noise if self.completion_noise.ndim == 4 else self.completion_noise[None]
        return Inputs(
            views=views,
            targets=views if self.targets is None else tuple(asarray(t) for t in self.targets),
            masks=asarray(self.subsets[:, :1] if uniform else self.subsets) if masked else None,
            weights=asarray(self.weights),
            posterior_noise=asarray(self.posterior_noise),
            completion_noise=asarray(completion),
            own=tuple(d.own for d in decoded),
            crossed=tuple(d.crossed for d in decoded),
            row_weights=tuple(asarray(d.weights) for d in decoded),
            shares=tuple(asarray(s) for s in shares),
            column_weights=None if self.column_weights is None else tuple(asarray(w) for w in self.column_weights),
        )

    def by_row(
        self,
        means: Sequence[np.ndarray],
        log_vars: Sequence[np.ndarray],
        kl: np.ndarray,
        log_probs: Sequence[np.ndarray],
        *,
        ragged: bool = True,
        always: bool = False,
    ) -> dict[str, np.ndarray]:
        """The loss row by row, to find the one that is not finite.

        means, log_vars: (B, n_i) of each view; kl (K, B); log_probs: one number per decoded row of each view.
        -> "posterior" (B, M), the sum of mean^2 + var; "kl" (B,); "reconstruction" (B, M), -log p of all that was decoded.
        """
        rows = len(self.observed)
        with np.errstate(all="ignore"):
            sizes = [(m.astype(np.float64) ** 2 + np.exp(v)).sum(axis=-1) for m, v in zip(means, log_vars, strict=True)]
            decoded = [self.decoded(i, ragged=ragged, always=always) for i in range(len(log_probs))]
            fits = [-one.by_row(log_prob, rows) for one, log_prob in zip(decoded, log_probs, strict=True)]
            return {"posterior": np.stack(sizes, axis=1), "kl": kl.sum(axis=0), "reconstruction": np.stack(fits, axis=1)}
