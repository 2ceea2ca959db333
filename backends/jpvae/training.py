"""The training loop: batches, subsets and noise as pure functions of (seed, step), so that a resumed run repeats the same bits.

Rows come from an endless stream of shuffled passes, cut into batches that may span two passes. Nothing random is
carried from step to step: the state of a run is its step count, its parameters and Adam's moments (and, with early
stopping, what early_stopping.py remembers).
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .callbacks import StopTraining
from .divergence import check_report
from .engine import Batch, Engine
from .errors import ConfigError, ViewError
from .model import Model
from .schedules import BetaSchedule, LearningRate
from .units import Prepared, prepared

_SHUFFLE, _NOISE, _SUBSETS, _SPLIT = 1, 2, 3, 7  # the streams of a seed (imputation.py has 4 to 6)
_TRAINED, _HELD_OUT = 0, 1  # parts of the noise and subset streams


@dataclass(frozen=True)
class Plan:
    """How to train: objective "elbo" (Eq. 5) or "subset", its weights, steps, schedules.

    validation_fraction: of the rows, held out of all steps for early stopping; 0 without.
    """

    steps: int
    batch_size: int
    beta: BetaSchedule
    learning_rate: LearningRate
    objective: str = "subset"
    weights: tuple[float, ...] = (1.0, 0.5, 0.5)
    coupling_rate: float = 0.1
    seed: int = 0
    max_gradient_norm: float | None = None
    validation_fraction: float = 0.0
    view_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.objective not in ("elbo", "subset"):
            raise ConfigError(f"objective is {self.objective!r}; expected 'elbo' (Eq. 5) or 'subset'")
        if self.steps < 1 or self.batch_size < 1:
            raise ConfigError(f"steps is {self.steps} and batch_size {self.batch_size}; expected at least 1")
        if not (math.isfinite(self.coupling_rate) and self.coupling_rate >= 0):
            raise ConfigError(f"coupling_rate is {self.coupling_rate}; expected a finite number of at least 0")
        if self.max_gradient_norm is not None and not self.max_gradient_norm > 0:
            raise ConfigError(f"max_gradient_norm is {self.max_gradient_norm}; expected a positive number, or None")
        if min(self.weights, default=0.0) < 0 or not math.fsum(self.weights) > 0 or not all(map(math.isfinite, self.weights)):
            raise ConfigError(f"subset_weights is {self.weights}; expected non-negative numbers, at least one positive")
        views = self.view_weights
        if views is not None and not (all(math.isfinite(w) and w >= 0 for w in views) and math.fsum(views) > 0):
            raise ConfigError(f"view_weights is {views}; expected non-negative numbers, at least one positive")


def generator(seed: int, stream: int, index: int, part: int = 0) -> np.random.Generator:
    """A counter-based generator for one (seed, stream, index, part): no state to save."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, part, index, stream]))


def held_out_rows(fraction: float, rows: int) -> int:
    """How many of the rows are held out: none, or the fraction of them, rounded, at least one."""
    return max(1, round(fraction * rows)) if fraction > 0 else 0


class Batches:
    """``at(step)`` is the batch of that step, whatever was asked before; ``held_out`` has those rows that no step sees.

    Which these are is a function of the seed and the number of rows. names: of the views, for messages. Raises ViewError
    where too few rows are left to train on.
    """

    def __init__(
        self,
        views: Sequence[np.ndarray | Prepared],
        observed: np.ndarray,
        model: Model,
        plan: Plan,
        names: Sequence[str] | None = None,
    ) -> None:
        self.views = [prepared(view) for view in views]
        self.observed, self.model, self.plan = observed, model, plan
        self.names = names or [f"view{i}" for i in range(model.views)]
        self.trained, self._held_out = np.arange(len(observed)), np.arange(0)
        if plan.validation_fraction > 0:
            count = held_out_rows(plan.validation_fraction, len(observed))
            shuffled = generator(plan.seed, _SPLIT, 0).permutation(len(observed))
            self._held_out, self.trained = np.sort(shuffled[:count]), np.sort(shuffled[count:])
            for i in np.flatnonzero(~observed[self.trained].any(axis=0)):
                raise ViewError(
                    f"view {self.names[i]!r} is observed in no row that is left to train on, after {count} of {len(observed)} "
                    "were held out; expected at least one. Lower validation_fraction, or take early_stopping=False."
                )
        self.size = min(plan.batch_size, len(self.trained))
        self._passes: dict[int, np.ndarray] = {}
        self._weights, self._two_views = _weights(model, plan)

    def at(self, step: int) -> Batch:
        """The batch of ``step`` (from 0)."""
        return self._batch(self.rows(step), step, _TRAINED)

    def held_out(self) -> Iterator[tuple[np.ndarray, Batch]]:
        """The held-out rows and their batches: the same noise and subsets every time."""
        for k, start in enumerate(range(0, len(self._held_out), self.size)):
            rows = self._held_out[start : start + self.size]
            yield rows, self._batch(rows, k, _HELD_OUT)

    def _batch(self, rows: np.ndarray, index: int, part: int) -> Batch:
        observed = self.observed[rows]
        subsets = np.stack([observed, *self._subsets(observed, index, part)])
        noise = generator(self.plan.seed, _NOISE, index, part)
        views = [view[rows] for view in self.views]
        return Batch(
            views=tuple(view.inputs for view in views),
            observed=observed,
            subsets=subsets,
            weights=self._weights,
            posterior_noise=noise.standard_normal((len(rows), sum(self.model.latent_dims))),
            completion_noise=noise.standard_normal((len(subsets) - 1, len(rows), self.model.noise_dim)),
            targets=None if all(v.targets is v.inputs for v in views) else tuple(v.targets for v in views),
            view_weights=self.plan.view_weights,
        )

    def fingerprint(self) -> int:
        """A checksum of the data: a checkpoint goes on with the rows that it was made from."""
        checksum = zlib.crc32(self.observed.tobytes())
        for view in self.views:
            for values in [view.inputs] if view.targets is view.inputs else [view.inputs, view.targets]:
                checksum = zlib.crc32(np.ascontiguousarray(values), checksum)
        return checksum

    def rows(self, step: int) -> np.ndarray:
        """Which rows the batch of ``step`` has."""
        N, start = len(self.trained), step * self.size
        first, last = start // N, (start + self.size - 1) // N
        for k in range(first, last + 1):
            if k not in self._passes:
                self._passes = {j: p for j, p in self._passes.items() if j >= first}
                self._passes[k] = generator(self.plan.seed, _SHUFFLE, k).permutation(N)
        joined = np.concatenate([self._passes[k] for k in range(first, last + 1)])
        return self.trained[joined[start - first * N : start - first * N + self.size]]

    def _subsets(self, observed: np.ndarray, index: int, part: int) -> list[np.ndarray]:
        """Non-empty parts of each row's observed views: {1} and {2} for two views, one random part for more."""
        if len(self._weights) == 1:
            return []
        if self._two_views:
            wanted = [np.broadcast_to(np.arange(2) == i, observed.shape) for i in range(2)]
        else:
            wanted = [generator(self.plan.seed, _SUBSETS, index, part).random(observed.shape) < 0.5]
        kept = [w & observed for w in wanted]
        return [np.where(k.any(axis=1, keepdims=True), k, observed) for k in kept]


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


def train(
    engine: Engine,
    state: Any,
    batches: Batches,
    *,
    first: int = 0,
    last: int | None = None,
    on_step: Callable[[int, Any], None] | None = None,
) -> int:
    """Run steps ``first`` to ``last`` (all by default), in place; ``on_step(step, report)`` after each, until it raises
    StopTraining. Returns the number of steps done since step 0.

    Raises TrainingDiverged at the first loss or gradient norm that is not finite, naming the step, row, view and term.
    """
    plan = batches.plan
    guard = {} if plan.max_gradient_norm is None else {"max_gradient_norm": plan.max_gradient_norm}
    last = plan.steps if last is None else last
    for step in range(first, last):
        report = engine.train_step(
            state,
            batches.at(step),
            beta=plan.beta.beta(step, plan.steps),
            learning_rate=plan.learning_rate.at(step, plan.steps),
            coupling_rate=plan.coupling_rate,
            **guard,
        )
        check_report(report, f"step {step}", batches.rows(step), batches.names)
        if on_step is not None:
            try:
                on_step(step, report)
            except StopTraining:
                return step + 1
    return max(first, last)


class Recorder:
    """Adds a record to ``history`` every ``every`` steps and at the end: the mean of the steps' reports since the last one."""

    def __init__(
        self, plan: Plan, history: list[dict[str, Any]], on_log: Callable[[dict[str, Any]], None], every: int = 50
    ) -> None:
        self.plan, self.history, self.on_log, self.every = plan, history, on_log, every
        self._window: list[Mapping[str, Any]] = []
        self._begin = time.perf_counter() - (history[-1]["seconds"] if history else 0.0)

    def __call__(self, step: int, report: Mapping[str, Any], evaluation: Mapping[str, float] | None = None) -> None:
        """After each step (from 0), with what the engine reported; an evaluation makes a record of its own."""
        self._window.append(report)
        done = step + 1
        if evaluation or done % self.every == 0 or done == self.plan.steps:
            self.close(done, evaluation)

    def close(self, done: int, evaluation: Mapping[str, float] | None = None) -> None:
        """Record the steps since the last record, if there are any; ``done`` steps were made in all."""
        if not self._window:
            return
        step = done - 1
        record: dict[str, Any] = {name: np.mean([r[name] for r in self._window], axis=0).tolist() for name in self._window[0]}
        record |= evaluation or {}
        record["step"] = done
        record["beta"] = self.plan.beta.beta(step, self.plan.steps)
        record["learning_rate"] = self.plan.learning_rate.at(step, self.plan.steps)
        record["seconds"] = time.perf_counter() - self._begin
        self._window.clear()
        self.history.append(record)
        self.on_log(record)
