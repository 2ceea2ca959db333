"""Batches, subsets and noise as pure functions of (seed, step), so that a resumed run repeats the same bits.

Rows come from an endless stream of shuffled passes, cut into batches that may span two passes.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import ConfigError, ViewError
from ..model.batch import Batch
from ..model.model import Model
from ..streams import Stream, generator
from ..views.reading import blocks
from ..views.units import Prepared, Scaled, prepared
from .plan import Plan, held_out_rows
from .shuffling import Rest, Shuffled

_TRAINED, _HELD_OUT = 0, 1  # parts of the noise and subset streams


class Batches:
    """``at(step)`` is the batch of that step, whatever was asked before; ``held_out`` has those rows that no step sees,
    ``calibrating`` those that the first part of a training in two parts does not.

    Which these are is a function of the seed and the number of rows. views: prepared, or (``Scaled``) read from their tables
    batch by batch. names, index: of the views and of their rows, for messages. share: (k, n) for every n-th row
    of each batch, from the k-th on, where n processes have one batch. fold: of the rows in an order of the seed's, which part
    ``calibrating`` is. Raises ViewError where too few rows are left to train on.
    """

    def __init__(
        self,
        views: Sequence[np.ndarray | Prepared | Scaled],
        observed: np.ndarray,
        model: Model,
        plan: Plan,
        names: Sequence[str] | None = None,
        share: tuple[int, int] = (0, 1),
        index: Any = None,
        fold: int = 0,
    ) -> None:
        self.views = [view if isinstance(view, Scaled) else prepared(view) for view in views]
        self.observed, self.model, self.plan, self._share = observed, model, plan, share
        self.names, self.index = names or [f"view{i}" for i in range(model.views)], index
        self._all = Rest(len(observed), np.arange(0))
        self._held_out = self.calibrating = np.arange(0)
        if plan.calibration is not None:
            self.calibrating = self._chosen(plan.calibration.rows, fold)
            for i in self._lost_without(self.calibrating):
                back = self.calibrating[observed[self.calibrating, i]][:1]  # the view is to be trained from the start
                self.calibrating = np.setdiff1d(self.calibrating, back)
        if plan.validation_fraction > 0:
            count = held_out_rows(plan.validation_fraction, len(observed))
            self._held_out = self._chosen(count)
            for i in self._lost_without(self._held_out):
                raise ViewError(
                    f"view {self.names[int(i)]!r} is observed in no row that is left to train on, after {count} of "
                    f"{len(observed)} were held out; expected at least one. Lower validation_fraction, or take "
                    "early_stopping=False."
                )
        self.trained = Rest(len(observed), self._held_out if plan.validation_fraction > 0 else self.calibrating)
        self.size = min(plan.batch_size, len(self.trained))
        if plan.calibration is not None:
            self._held_out = np.intersect1d(self.calibrating, self._chosen(plan.calibration.evaluated(self.size)))
        self._passes: dict[tuple[int, int], Shuffled] = {}
        self._drawn: dict[int, np.ndarray] = {}
        self._weights, self._two_views = _weights(model, plan)
        self._view_weights, self._column_weights = _column_weights(plan)

    def at(self, step: int) -> Batch:
        """The batch of ``step`` (from 0)."""
        return self._batch(self._rows(step), step, _TRAINED)

    def first_rows(self, most: int) -> np.ndarray:
        """Those that the first pass shows, at most so many of them, sorted: the same in every process."""
        places = np.arange(min(most, len(self.trained)))
        chosen = Shuffled(generator(self.plan.seed, Stream.SHUFFLE, 0, 0), len(self.trained))[places]
        drawn = self._drawn_rows(0, self.trained)[chosen] if self.plan.bootstrap else chosen
        return np.sort(self.trained[drawn])

    def held_out(self, *, shared: bool = True) -> Iterator[tuple[np.ndarray, Batch]]:
        """The held-out rows that are evaluated, and their batches: the same noise and subsets every time.

        shared=False: all of each batch's rows, also where n processes have one batch.
        """
        for k, start in enumerate(range(0, len(self._held_out), self.size)):
            rows = self._held_out[start : start + self.size]
            yield rows, self._batch(rows, k, _HELD_OUT, shared=shared)

    def _own(self, rows: int) -> tuple[slice, float]:
        """Which of so many rows are this process's, and what they count: the first one for nothing where it has none."""
        first, step = self._share
        return (slice(first, None, step), 1.0) if first < rows else (slice(1), 0.0)

    def _batch(self, rows: np.ndarray, index: int, part: int, *, shared: bool = True) -> Batch:
        observed = self.observed[rows]
        subsets = np.stack([observed, *self._subsets(observed, index, part)])
        noise = generator(self.plan.seed, Stream.NOISE, index, part)
        own, counts = self._own(len(rows)) if shared else (slice(None), 1.0)
        views = [view[rows[own]] for view in self.views]
        if self.plan.cell_dropout > 0 and part == _TRAINED:
            views = self._with_cells_hidden(views, index, len(rows), own)
        inputs = [self.model.read(i, view.inputs) for i, view in enumerate(views)]
        same = all(view.targets is x for view, x in zip(views, inputs, strict=True))
        fused, S = self.model.posterior == "fused", self.plan.cross_draws
        lead, size = ((len(subsets),), self.model.posterior_noise_dim) if fused else ((), self.model.posterior_noise_dim)
        copies = (S,) if S > 1 else ()
        return Batch(
            views=tuple(inputs),
            observed=observed[own],
            subsets=subsets[:, own],
            weights=self._weights,
            posterior_noise=noise.standard_normal((*lead, len(rows), size))[..., own, :],
            completion_noise=noise.standard_normal((*copies, len(subsets) - 1, len(rows), self.model.noise_dim))[..., own, :],
            targets=None if same else tuple(view.targets for view in views),
            view_weights=self._view_weights,
            cross_weight=self.plan.cross_weight,
            column_weights=self._column_weights,
            shares=None if self._share[1] == 1 or not shared else counts * _shares(observed, own),
        )

    def _with_cells_hidden(self, views: list[Prepared], index: int, rows: int, own: slice) -> list[Prepared]:
        """Of some rows only some of the cells, for encoders and likelihoods both: a bound of the log-density of just these.

        (A likelihood of the hidden ones too, given the others, would reward decoders for the mean alone: Jensen's inequality.)
        rows: of the whole batch, of which the views have ``own``.
        """
        rng, hidden = generator(self.plan.seed, Stream.CELLS, index), []
        for i, view in enumerate(views):
            variables = self.model.likelihoods[i].variables(self.model.features[i])
            rate = rng.random((rows, 1)) * (rng.random((rows, 1)) < self.plan.cell_dropout)
            kept = (rng.random((rows, np.unique(variables).size)) >= rate)[:, variables]
            kept, targets = kept[own], view.targets.copy()
            targets[:, -kept.shape[1] :] *= kept  # the bits alone: what has none is not read
            hidden.append(Prepared(view.inputs * np.tile(kept, 2), targets))
        return hidden

    def former_fingerprint(self) -> int:
        """The checksum of the data in checkpoints of before: of the mask and of the scaled views (now: views/survey.py)."""
        checksum = zlib.crc32(np.ascontiguousarray(self.observed).data)
        for view in self.views:
            for part in ("inputs", "targets"):
                same = True
                for piece in [view] if isinstance(view, Prepared) else (view[rows] for rows in blocks(len(self.observed))):
                    checksum = zlib.crc32(np.ascontiguousarray(getattr(piece, part)).data, checksum)
                    same = same and piece.targets is piece.inputs
                if same:
                    break
        return checksum

    def rows(self, step: int) -> np.ndarray:
        """Which rows the batch of ``step`` has, in this process."""
        rows = self._rows(step)
        return rows[self._own(len(rows))[0]]

    def _rows(self, step: int) -> np.ndarray:
        part, begin, _ = self.plan.part(step)
        trained = self._all if part else self.trained
        places = (step - begin) * self.size + np.arange(self.size)
        passes, at = np.divmod(places, len(trained))
        known = self._passes
        self._passes = {
            (part, k): known.get((part, k)) or Shuffled(generator(self.plan.seed, Stream.SHUFFLE, k, part), len(trained))
            for k in np.unique(passes).tolist()
        }
        chosen = np.concatenate([order[at[passes == k]] for (_, k), order in self._passes.items()])
        return trained[self._drawn_rows(part, trained)[chosen] if self.plan.bootstrap else chosen]

    def _drawn_rows(self, part: int, trained: Rest) -> np.ndarray:
        """Places in ``trained``, as many as it has, drawn with replacement so that each view is in one of them at least."""
        attempts = itertools.count()
        while part not in self._drawn:
            rng = generator(self.plan.seed, Stream.BOOTSTRAP, next(attempts), part)
            drawn = rng.integers(len(trained), size=len(trained))
            if self.observed[trained[drawn]].any(axis=0).all():
                self._drawn[part] = drawn
        return self._drawn[part]

    def leaving_out(self, fold: int) -> Batches:
        """These, but for the rows that the first part does not see: those of another ``fold``."""
        return Batches(self.views, self.observed, self.model, self.plan, self.names, self._share, self.index, fold)

    def _chosen(self, count: int, fold: int = 0) -> np.ndarray:
        """So many rows, sorted."""
        places = np.arange(fold * count, min((fold + 1) * count, len(self.observed)))
        return np.sort(Shuffled(generator(self.plan.seed, Stream.SPLIT, 0), len(self.observed))[places])

    def _lost_without(self, rows: np.ndarray) -> np.ndarray:
        """Which views no row has but some of these."""
        return np.flatnonzero(self.observed.sum(axis=0) == self.observed[rows].sum(axis=0))

    def _subsets(self, observed: np.ndarray, index: int, part: int) -> list[np.ndarray]:
        """Non-empty parts of each row's observed views: {1} and {2} for two views, one random part for more."""
        if len(self._weights) == 1:
            return []
        if self._two_views:
            wanted = [np.broadcast_to(np.arange(2) == i, observed.shape) for i in range(2)]
        else:
            wanted = [generator(self.plan.seed, Stream.SUBSETS, index, part).random(observed.shape) < 0.5]
        kept = [w & observed for w in wanted]
        return [np.where(k.any(axis=1, keepdims=True), k, observed) for k in kept]


def _column_weights(plan: Plan) -> tuple[tuple[float, ...] | None, tuple[np.ndarray, ...] | None]:
    """The weights of views, and of columns beside them; None where all are 1.

    A view has the largest weight of its columns, and the others less beside it: where all weigh alike, a cross term's mean over
    draws is of likelihoods as they are.
    """
    if plan.column_weights is None:
        return plan.view_weights, None
    largest = [max(weights) for weights in plan.column_weights]
    columns = tuple(np.asarray(weights) / top for weights, top in zip(plan.column_weights, largest, strict=True))
    given = plan.view_weights or (1.0,) * len(largest)
    views = tuple(a * b for a, b in zip(given, largest, strict=True))
    return views, None if all((each == 1.0).all() for each in columns) else columns


def _weights(model: Model, plan: Plan) -> tuple[np.ndarray, bool]:
    if plan.objective == "elbo" or model.views == 1:
        return np.ones(1), False
    two = model.views == 2
    expected = 3 if two else 2
    if len(plan.weights) != expected:
        meaning = "(both views, first alone, second alone)" if two else "(all observed views, a random part of them)"
        raise ConfigError(
            f"subset_weights has {len(plan.weights)} entries; expected {expected} for {model.views} views: {meaning}"
        )
    return np.asarray(plan.weights) / math.fsum(plan.weights), two


def _shares(observed: np.ndarray, own: slice) -> np.ndarray:
    """(1 + M,): the part of the rows, and of those that have each view, that is here."""
    part = observed[own]
    return np.array([len(part) / len(observed), *(part.sum(axis=0) / np.maximum(observed.sum(axis=0), 1))])
