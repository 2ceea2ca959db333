"""Filling holes: what goes into the rows of each view that lack something, in the target's units, block by block.

A row lacks a view, or single cells of one that is there: these are decoded from the view's own posterior. How far a value x
may be from its imputation is the law of total variance over the draws of z, m(z) the decoded mean:

    Var[x | x_O] = Var[ m(z) | x_O ] + E[ Var[x | z] | x_O ]        what is not known of the subject, and the likelihood's noise

Blocks are decoded whole and cut to the holes then: the bits of a product depend on its shape, and a row's filling must not
depend on where other rows have holes. What follows is done entry by entry.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..streams import Stream
from ..views.units import Scaled, check_imputed, overflow_is_found
from .blocks import Block, Rows
from .importance import Resampling
from .predictor import Predictor
from .regression import regressed_latents

_FEWEST_PAIRED = 4  # draws: one pair alone does not tell how far its mean may be


class Seen(NamedTuple):
    """The views in the model's units; which rows have each of them (N, M); which have all of its cells (N, M)."""

    views: Sequence[Rows]
    observed: np.ndarray
    whole: np.ndarray


class Filling(NamedTuple):
    """The filling of one view's rows that lack something, in one block: means (R, c); where it was asked for, the draws' std
    (R, c), and the variance that the mean has because they are not more."""

    view: int
    rows: np.ndarray  # of the whole data
    mean: np.ndarray
    std: np.ndarray | None = None
    sampling: np.ndarray | None = None


class Draws(NamedTuple):
    """Some draws of one view's rows that lack something, in one block: values (s, R, c) with the noise, means without."""

    view: int
    which: slice
    rows: np.ndarray
    values: np.ndarray
    means: np.ndarray
    chance: np.ndarray | None  # as the means, uniform


def plug_in(
    predictor: Predictor,
    seen: Seen,
    moments: tuple[np.ndarray, np.ndarray] | None,
) -> Iterator[Filling]:
    """Decode the conditional mean once: under the prior, or (moments given) by Eq. 12."""
    for block, holes, _ in _blocks_with_holes(predictor, seen, drawing=False):
        if moments is None:
            means = predictor.centres(block, list(holes))
        else:
            latents = regressed_latents(predictor, block, *moments)
            means = {j: predictor.engine.numpy(predictor.decoded_mean(j, latents[j], block.views[j])) for j in holes}
        for j, rows in holes.items():
            yield Filling(j, block.rows.start + rows, means[j][rows])


def predictive(
    predictor: Predictor,
    seen: Seen,
    draws: int,
    *,
    spread: bool = True,
    observation_noise: bool = False,
    resampling: Resampling | None = None,
) -> Iterator[Filling]:
    """Mean of the decoded means over draws of the missing latents; if ``spread`` their std, with the noise the value's own.

    An even number of draws, four or more, are pairs on opposite sides of the posterior's mean: what the decoder is linear in
    has no error of their number. Rows that are resampled have draws of their own.

    Of an ensemble the draws are shared out: means are those over its models, and variances have what these disagree by, less
    what they disagree by because each has few draws.
    """
    members = predictor.members
    each = draws if len(members) == 1 else 2 * -(-draws // (2 * len(members)))
    options: dict[str, Any] = {"spread": spread, "observation_noise": observation_noise, "resampling": resampling}
    every = [_predictive(one, seen, each, **options) for one in members]
    for found in zip(*every, strict=True):
        yield found[0] if len(found) == 1 else _mixed(found)


def _mixed(found: Sequence[Filling]) -> Filling:
    """Of the members' fillings of the same rows that of all: the mean of means, of variances with the variance of means. (A
    mean of K draws varies by their variance over K besides, and K is 4 where 20 members share 64.)"""
    one, means = found[0], np.stack([each.mean for each in found])
    mean = np.mean(means, axis=0)
    if one.std is None:
        return one._replace(mean=mean)
    stds, sampling = (np.stack([getattr(each, name) for each in found]) for name in ("std", "sampling"))
    return one._replace(mean=mean, std=np.sqrt(np.mean(stds**2 - sampling, axis=0) + np.var(means, axis=0, ddof=1)))


def _predictive(
    predictor: Predictor,
    seen: Seen,
    draws: int,
    *,
    spread: bool,
    observation_noise: bool,
    resampling: Resampling | None,
) -> Iterator[Filling]:
    paired = draws % 2 == 0 and draws >= _FEWEST_PAIRED
    for block, holes, lacking in _blocks_with_holes(predictor, seen):
        shapes = {j: (len(rows), predictor.model.features[j]) for j, rows in holes.items()}
        statistics = {j: DrawStatistics(shape, spread=spread, paired=paired) for j, shape in shapes.items()}
        for j, _, means in predictor.decoded_draws(block, list(holes), draws, resampling, lacking, mirrored=paired):
            kept = means[:, holes[j]]
            statistics[j].update(kept, predictor.noise_variance(j, kept) if observation_noise else None)
        for j, rows in holes.items():
            one = statistics[j]
            told = (one.std, one.sampling) if spread else (None, None)
            yield Filling(j, block.rows.start + rows, one.mean, *told)


def completed_draws(
    predictor: Predictor,
    seen: Seen,
    draws: int,
    *,
    observation_noise: bool,
    resampling: Resampling | None = None,
    matching: bool = False,
) -> Iterator[Draws]:
    """The draws themselves, with the likelihood's own noise where asked for; matching: with uniform numbers beside them.

    Of an ensemble each model gives its share of them, one after the other.
    """
    members, first = predictor.members, 0
    options: dict[str, Any] = {"observation_noise": observation_noise, "resampling": resampling, "matching": matching}
    for k, one in enumerate(members):
        count = draws // len(members) + (k < draws % len(members))
        for found in _completed_draws(one, seen, count, **options) if count else ():
            start, stop, _ = found.which.indices(count)
            yield found._replace(which=slice(first + start, first + stop))
        first += count


def _completed_draws(
    predictor: Predictor,
    seen: Seen,
    draws: int,
    *,
    observation_noise: bool,
    resampling: Resampling | None,
    matching: bool,
) -> Iterator[Draws]:
    for block, holes, lacking in _blocks_with_holes(predictor, seen):
        noise = {j: predictor.noise(block, Stream.OBSERVATION, j) for j in holes}
        chances = {j: predictor.noise(block, Stream.DONORS, j) for j in holes} if matching else {}
        tailed = [j for j in holes if observation_noise and predictor.predictive[j].degrees_of_freedom < math.inf]
        scales = {j: predictor.noise(block, Stream.TAILS) for j in tailed}
        centres = predictor.centres(block, tailed) if tailed else {}
        # Of rows that are resampled no mean is known: their noise alone has tails.
        resampled = np.zeros(block.size, dtype=np.bool_) if resampling is None else resampling.rows(lacking)
        for j, which, means in predictor.decoded_draws(block, list(holes), draws, resampling, lacking):
            values = predictor.observations(j, means, noise[j]) if observation_noise else means
            if j in scales:
                middle = centres[j][: block.size]
                if resampled.any():
                    middle = np.where(resampled[:, None], means[:, : block.size], middle)
                values = predictor.with_tails(j, values, middle, scales[j])
            chance = chances[j].each(lambda mean, rng: rng.random(mean.shape), means)[:, holes[j]] if matching else None
            yield Draws(j, which, block.rows.start + holes[j], values[:, holes[j]], means[:, holes[j]], chance)


def _blocks_with_holes(
    predictor: Predictor, seen: Seen, *, drawing: bool = True
) -> Iterator[tuple[Block, dict[int, np.ndarray], np.ndarray]]:
    """Blocks, the rows of each view that lack something, and which rows (R,) lack cells of a view that they have."""
    for block in predictor.blocks(seen.views, seen.observed, drawing=drawing):
        whole = seen.whole[block.rows]
        missing = {j: np.flatnonzero(~there) for j, there in enumerate(whole.T)}
        holes = {j: rows for j, rows in missing.items() if rows.size}
        if holes:
            yield block, holes, (seen.observed[block.rows] & ~whole).any(axis=1)


def checked(fillings: Iterator[Filling], views: Sequence[Scaled]) -> Iterator[Filling]:
    """The fillings, every number found to be finite."""
    with overflow_is_found():
        for one in fillings:
            values = [part for part in (one.mean, one.std) if part is not None]
            check_imputed(views, one.view, one.rows, np.stack(values))
            yield one


class DrawStatistics:
    """Streaming mean and standard deviation over draws (Welford 1962), float64: draw by draw, so that an entry's numbers do not
    depend on the shape of the rest, and in place, for a draw of a wide table takes its time in memory alone.

    shape: (R, c); spread: whether more than the mean is asked for; paired: draws 2 k and 2 k + 1 depend on each other, and on
    no others.
    """

    def __init__(self, shape: tuple[int, ...], *, spread: bool = True, paired: bool = False) -> None:
        self.count = 0
        self.mean = np.zeros(shape)
        self._squares, self._noise = (np.zeros(shape if spread else 0) for _ in "12")
        self._spread, self._pairs = spread, DrawStatistics(shape) if spread and paired else None

    def update(self, values: np.ndarray, variances: np.ndarray | None = None) -> None:
        """Add draws (s, R, c), s even where they are paired; variances: of what is spread around each of them."""
        if self._pairs is not None:
            self._pairs.update(0.5 * (values[::2].astype(np.float64) + values[1::2]))
        for k, value in enumerate(values):
            self.count += 1
            delta = value - self.mean
            self.mean += delta / self.count
            if self._spread:
                delta *= value - self.mean
                self._squares += delta
            if variances is not None:
                self._noise += (variances[k] - self._noise) / self.count

    @property
    def std(self) -> np.ndarray:
        """The root of the draws' variance, around their own mean and of it, plus the mean of the variances around them."""
        return np.asarray(np.sqrt(self._squares / max(1, self.count) + self.sampling + self._noise))

    @property
    def sampling(self) -> np.ndarray:
        """The variance of the mean of so many draws (divisor count - 1); of pairs, of so many means of pairs."""
        if self._pairs is not None:
            return self._pairs.sampling
        return np.asarray(self._squares / max(1, self.count - 1) / max(1, self.count))
