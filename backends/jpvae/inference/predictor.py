"""Encoding, conditioning, drawing and decoding with a trained model, written once for every engine.

Rows go through in blocks of a fixed size (the last one padded), each row with noise of its own (noise.py). A row's result
therefore depends on the model, the seed and the row (to the last roundings of a product), never on the rows around it or on a
batch size, and is bit-equal from call to call. Memory is that of one block, and 8 bytes per row.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import jpvae_core as jc
from jpvae_core._array_api import of_kind

from ..engines import Array, Engine
from ..model.model import Model
from ..model.posterior import Posterior, posterior
from ..option_values import member_seed
from ..streams import Stream, generator
from ..views.reading import BLOCK, blocks
from ..views.units import Prepared, prepared
from .blocks import Block, Rows
from .importance import Evidence, Resampling, Weights, joined
from .noise import Keys, Occurrences, RowNoise, content_keys, identity_keys
from .predictive import HEAD, SQUARES, Predictive

ENTRIES = 2_000_000  # decoded numbers held at once, draws x rows x features: they stay in a processor's cache


class Predictor:
    """A model with fixed parameters: what turns blocks of rows into latents, draws and decoded views."""

    def __init__(
        self,
        engine: Engine,
        model: Model,
        parameters: dict[str, Array],
        seed: int,
        others: Sequence[dict[str, Array]] = (),
    ) -> None:
        """others: the parameters of an ensemble's other models."""
        self.engine, self.model, self.p, self.seed = engine, model, parameters, seed
        self._others = tuple(Predictor(engine, model, p, member_seed(seed, k)) for k, p in enumerate(others, 1))
        self.index: Any = None
        self.prior = model.joint_prior(parameters)
        self.own = [model.own_parameters(parameters, i) for i in range(model.views)]
        corrections = {name: engine.numpy(x) for name, x in parameters.items() if name.startswith(HEAD)}
        self.predictive = [Predictive.of(corrections, i) for i in range(model.views)]

    @property
    def xp(self) -> Any:
        """The engine's array namespace (not stored: modules can't be copied or pickled)."""
        return self.engine.xp

    def blocks(self, views: Sequence[Rows], observed: np.ndarray, *, drawing: bool = True) -> Iterator[Block]:
        """The rows, block by block, encoded. views: zeros where missing; only slices of them are read.

        drawing=False: without keys, a hash of every row, which only draws need; ``noise`` then refuses the blocks.
        """
        occurrences = Occurrences()
        for rows in blocks(len(observed)):
            short = BLOCK - (rows.stop - rows.start)
            read = [prepared(v[rows]) for v in views]
            inputs = [self.model.read(i, v.inputs) for i, v in enumerate(read)]
            x = [self.engine.asarray(np.pad(each, ((0, short), (0, 0)))) for each in inputs]
            targets = [
                xi if v.targets is each else self.engine.asarray(np.pad(v.targets, ((0, short), (0, 0))))
                for xi, each, v in zip(x, inputs, read, strict=True)
            ]
            padded = self.engine.asarray(np.pad(observed[rows], ((0, short), (0, 0)), constant_values=True))
            posteriors = [self.engine.encode(self.p, i, xi) for i, xi in enumerate(x)]
            means, raw = zip(*posteriors, strict=True)
            log_vars = tuple(self.model.log_variances(self.xp, each) for each in raw)
            keys = self._keys(read, rows) if drawing else None
            numbers = None if keys is None else occurrences.number(keys)
            yield Block(rows, tuple(targets), padded, tuple(means), log_vars, keys, numbers)

    def _keys(self, read: Sequence[Prepared], rows: slice) -> Keys:
        """One per row: of its name where it has one, else of its content."""
        contents = [x for v in read for x in ([v.inputs] if v.targets is v.inputs else [v.inputs, v.targets])]
        return content_keys(contents) if self.index is None else identity_keys(self.index[rows])

    def for_rows(self, index: Any, seed: int | None) -> Predictor:
        """This predictor for rows that have names of their own (``index``; None: they are known by their content)."""
        other = copy.copy(self)
        other.index, other.seed = index, self.seed if seed is None else seed
        other._others = tuple(one.for_rows(index, member_seed(other.seed, k)) for k, one in enumerate(self._others, 1))
        return other

    def corrected(self, view: int, by: Predictive) -> Predictor:
        """This predictor with another correction of one view's predictions."""
        other = copy.copy(self)
        other.predictive = [by if i == view else each for i, each in enumerate(self.predictive)]
        return other

    @property
    def members(self) -> tuple[Predictor, ...]:
        """This one, and an ensemble's others."""
        return (self, *self._others)

    def noise(self, block: Block, stream: Stream = Stream.DRAWS, part: int = 0, *, mirrored: bool = False) -> RowNoise:
        """The noise of the block's rows, each of its own. Raises ValueError for a block that was made without keys."""
        if block.keys is None or block.occurrences is None:
            raise ValueError("the block has no keys; expected one of blocks(..., drawing=True), whose rows can be drawn for")
        return RowNoise(
            self.seed, stream, block.keys, block.occurrences, part=part, size=block.observed.shape[0], mirrored=mirrored
        )

    def posterior(self, block: Block, observed: Array | None = None) -> Posterior:
        """q(z | x_O) of the block's rows; observed: fewer views than the rows have."""
        views = block.observed if observed is None else observed
        return posterior(self.model.posterior, self.xp, self.prior, block.means, block.log_vars, views, self.model.coordinates)

    def prior_means(self, n: int, seed: int) -> list[np.ndarray]:
        """Decoded means of n draws from the joint prior, per view (n, c_i), in the model's units."""
        parts: list[list[np.ndarray]] = []
        for start in range(0, n, BLOCK):
            eps = generator(seed, Stream.PRIOR, start // BLOCK).standard_normal((BLOCK, self.model.noise_dim))
            z = jc.sample(self.prior, self.engine.asarray(eps))
            parts.append([self.engine.numpy(self.decoded_mean(j, zj))[: n - start] for j, zj in enumerate(z)])
        return [np.concatenate(view) for view in zip(*parts, strict=True)]

    def conditional_latents(self, block: Block) -> Sequence[Array]:
        """Plug-in latents: the posterior's means, of the missing views too, (R, n_i)."""
        return self.posterior(block).mean()

    def draw_latents(self, block: Block, noise: RowNoise, draws: int, observed: Array | None = None) -> Sequence[Array]:
        """Draws of all latents given the observed views, (S, R, n_i)."""
        q = self.posterior(block, observed)
        return q.draw(self.engine.asarray(noise.normal(draws, q.noise_dim)))

    def decoded_mean(self, view: int, z: Array, x: Array | None = None) -> Array:
        """E[x_i | z_i] in the target's units; x: a block's targets, whose rows' size factors then count."""
        return of_kind(z, self.model.likelihoods[view].mean(self.xp, self.engine.decode(self.p, view, z), x))

    def log_prob_entries(self, view: int, z: Array, x: Array) -> Array:
        """log p(x | z) of every entry, (..., R, c)."""
        outputs = self.engine.decode(self.p, view, z)
        return of_kind(z, self.model.likelihoods[view].log_prob(self.xp, outputs, x, self.own[view]))

    def decoded_draws(
        self,
        block: Block,
        views: Sequence[int],
        draws: int,
        resampling: Resampling | None = None,
        lacking: np.ndarray | None = None,
        mirrored: bool = False,
    ) -> Iterator[tuple[int, slice, np.ndarray]]:
        """(view, which draws, decoded means (s, R, c), padding included), as many draws at a time as fit in memory.

        resampling: take the draws of its rows from its proposals, by their importance weights; lacking (R,): which of the real
        rows lack cells of a view that they have. mirrored: draws 2 k and 2 k + 1 lie on opposite sides of the posterior's mean,
        but for those rows, and s is even but for the last.
        """
        noise, size = self.noise(block, mirrored=mirrored), self.group(max(self.model.features))
        size += mirrored and size % 2
        rows, chosen = np.ones(block.observed.shape[0], dtype=bool), None
        if resampling is not None:
            asked = resampling.rows(np.zeros(block.size, dtype=bool) if lacking is None else lacking)
            rows[: block.size] = asked
            if asked.any():
                worth, chosen = self._resampled(block, self.noise(block), draws, resampling, asked)
                rows &= worth
        here = self.engine.asarray(rows[:, None])
        fresh = {j: self.fresh(block, j, mirrored=mirrored) for j in views}
        for start in range(0, draws, size):
            which = slice(start, min(start + size, draws))
            z = chosen(which) if chosen is not None else ()
            if chosen is None or not rows.all():
                plain = self.draw_latents(block, noise, which.stop - start)
                z = plain if chosen is None else [self.xp.where(here, *pair) for pair in zip(z, plain, strict=True)]
            for j in views:
                yield j, which, self.engine.numpy(self._means(j, z[j], block, fresh[j]))

    def fresh(self, block: Block, view: int, *, mirrored: bool = False) -> RowNoise | None:
        """The noise that draws with ``outputs`` take; None where they take none."""
        taken = min(self.predictive[view].slopes) < 1.0
        return self.noise(block, Stream.SHRINKAGE, view, mirrored=mirrored) if taken else None

    def outputs(self, view: int, z: Array, observed: Array, eps: Array | None) -> Array:
        """What the decoder makes of latents z_i (..., R, n_i), by the view's slopes in the rows that lack it; eps: for draws,
        of z's shape; None for a mean."""

        def decoded(b: float) -> Array:
            made = b * z
            if eps is not None:
                made = made + (1.0 - b * b) ** 0.5 * eps
            kept = z if b == 1.0 else of_kind(z, self.xp.where(observed[:, view, None], z, made))
            return of_kind(z, self.engine.decode(self.p, view, kept))

        slope, of_others = self.predictive[view].slopes
        if of_others == slope:
            return decoded(slope)
        numbers = np.zeros(self.model.features[view], dtype=bool)
        for at in self.model.likelihoods[view].normal_noise(len(numbers)).values():
            numbers[at] = True
        return of_kind(z, self.xp.where(self.engine.asarray(numbers), decoded(slope), decoded(of_others)))

    def _means(self, view: int, z: Array, block: Block, fresh: RowNoise | None) -> Array:
        """``outputs`` as means in the target's units; fresh: for draws z (S, R, n_i)."""
        eps = None if fresh is None else self.engine.asarray(fresh.normal(*z.shape[::2]))
        outputs = self.outputs(view, z, block.observed, eps)
        return of_kind(z, self.model.likelihoods[view].mean(self.xp, outputs, block.views[view]))

    def with_tails(self, view: int, drawn: np.ndarray, centre: np.ndarray, scales: RowNoise) -> np.ndarray:
        """Draws of x_i (s, R, c), scaled around ``centre``: (r, c) or (s, r, c), of the r real rows."""
        correction, normal = self.predictive[view], self.model.likelihoods[view].normal_noise(self.model.features[view])
        if correction.degrees_of_freedom == math.inf or not normal:
            return drawn
        at, made, size = np.concatenate(list(normal.values())), drawn.copy(), centre.shape[-2]
        w = correction.factors(scales.normal(len(drawn), SQUARES)[:, :size])[..., None].astype(drawn.dtype)
        middle = centre[..., at]
        made[:, :size, at] = middle + w * (drawn[:, :size, at] - middle)
        return made

    def centres(self, block: Block, views: Sequence[int]) -> dict[int, np.ndarray]:
        """The decoded means (R, c) of the posterior's mean, of each of these views."""
        z = self.conditional_latents(block)
        return {j: self.engine.numpy(self._means(j, z[j], block, None)) for j in views}

    def _resampled(
        self, block: Block, noise: RowNoise, draws: int, resampling: Resampling, asked: np.ndarray
    ) -> tuple[np.ndarray, Callable[[slice], Sequence[Array]]]:
        """Which rows' weights are worth it (R,); and latents of the observed views by importance resampling, for each of them a
        fresh draw of the missing ones."""
        kept, log_weights, size = [], [], self.group(max(self.model.features))
        proposals = resampling.proposals(draws)
        for start in range(0, proposals, size):
            z, weights = self._weighted(block, noise, min(size, proposals - start))
            kept.append([self.engine.numpy(one) for one in z])
            log_weights.append(weights)
        latents = [np.concatenate(parts) for parts in zip(*kept, strict=True)]
        again = self.noise(block, Stream.RESAMPLE)
        taken, worth = resampling.take(np.concatenate(log_weights), again.uniform(), draws, asked)

        def of(which: slice) -> Sequence[Array]:
            at = taken[which][..., None]
            z = [self.engine.asarray(np.take_along_axis(one, at, axis=0)) for one in latents]
            eps = again.normal(len(at), self.prior.noise_dim)
            return jc.complete(self.prior, z, block.observed, self.engine.asarray(eps))

        return worth, of

    def observations(self, view: int, means: np.ndarray, noise: RowNoise) -> np.ndarray:
        """Draws of x_i given its decoded means (s, R, c), every row's from its own noise."""
        family, own = self.model.likelihoods[view], self._own_numbers(view)
        return noise.each(lambda mean, rng: family.draw(mean, own, rng), means)

    def noise_variance(self, view: int, means: np.ndarray) -> np.ndarray:
        """Var[x_i | z] given its decoded means (s, R, c), float64."""
        return self.model.likelihoods[view].variance(means.astype(np.float64), self._own_numbers(view))

    def _own_numbers(self, view: int) -> dict[str, np.ndarray]:
        return {name: self.engine.numpy(x) for name, x in self.own[view].items()}

    @staticmethod
    def group(features: int) -> int:
        """How many draws of a block to decode at once: a function of the model's size alone, so results do not vary."""
        return max(1, ENTRIES // (BLOCK * features))

    def elbo(self, views: Sequence[Rows], observed: np.ndarray, draws: int = 1) -> np.ndarray:
        """Eq. 5 per row over its observed views, in nats of the targets' units, averaged over ``draws`` posterior samples."""
        result = np.zeros(len(observed))
        for block in self.blocks(views, observed):
            kl, noise, size = self.posterior(block).kl(), self.noise(block), self.group(max(self.model.features))
            has, total = self.engine.numpy(block.observed), -self.engine.numpy(kl).astype(np.float64)
            seen = _seen(has[: block.size])
            for start in range(0, draws, size):
                z = self.draw_latents(block, noise, min(size, draws - start))
                for j in seen:
                    entries = self.log_prob_entries(j, z[j], block.views[j])
                    per_row = self.engine.numpy(self.xp.sum(entries, axis=-1)).astype(np.float64).sum(axis=0) / draws
                    total += np.where(has[:, j], per_row, 0.0)
            result[block.rows] = total[: block.size]
        return result

    def log_evidence(self, views: Sequence[Rows], observed: np.ndarray, draws: int) -> Evidence:
        """log 1/K sum_k p(x_O | z^k) p(z_O^k) / q(z_O^k | x_O), z^k ~ q, K = draws: (N,) nats of the model's units; its Monte
        Carlo error; and how many draws of the exact posterior the K are worth.

        The importance-weighted bound (Burda, Grosse and Salakhutdinov 2016): the ELBO for K = 1 in expectation, no smaller for
        larger K, and log p(x_O) in the limit; 0 for a row with no view. A row's noise is the same whatever is observed.
        """
        return joined([self._evidence(block, draws) for block in self.blocks(views, observed)])

    def log_evidence_without(
        self, views: Sequence[Rows], observed: np.ndarray, draws: int, view: int
    ) -> tuple[Evidence, Evidence]:
        """``log_evidence``, and that of the rows without one view, of the same draws."""
        pairs = []
        for block in self.blocks(views, observed):
            others = self.engine.numpy(block.observed) & (np.arange(self.model.views) != view)
            others[block.size :] = True
            hidden = replace(block, observed=self.engine.asarray(others))
            pairs.append((self._evidence(block, draws), self._evidence(hidden, draws)))
        both, given = (joined(parts) for parts in zip(*pairs, strict=True))
        return both, given

    def _evidence(self, block: Block, draws: int) -> Evidence:
        noise, total, size = self.noise(block), Weights(block.observed.shape[0]), self.group(max(self.model.features))
        for start in range(0, draws, size):
            total.add(self._weighted(block, noise, min(size, draws - start))[1])
        return Evidence(*(part[: block.size] for part in total.evidence()))

    def _weighted(self, block: Block, noise: RowNoise, draws: int) -> tuple[Sequence[Array], np.ndarray]:
        """So many draws z ~ q, and log p(x_O | z) + log p(z_O) - log q(z_O | x_O) of each, (S, R) float64."""
        xp, has, q = self.xp, self.engine.numpy(block.observed), self.posterior(block)
        z = q.draw(self.engine.asarray(noise.normal(draws, q.noise_dim)))
        total = self.engine.numpy(jc.log_density(self.prior, z, block.observed) - q.log_density(z)).astype(np.float64)
        for j in _seen(has[: block.size]):
            log_p = xp.sum(self.log_prob_entries(j, z[j], block.views[j]), axis=-1)
            total += np.where(has[:, j], self.engine.numpy(log_p).astype(np.float64), 0.0)
        return z, total


def _seen(observed: np.ndarray) -> list[int]:
    """The views that some row of (R, M) has: of the others no log-density is needed."""
    return list(np.flatnonzero(observed.any(axis=0)))
