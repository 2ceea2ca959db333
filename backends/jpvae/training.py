"""The training loop: batches, subsets and noise as pure functions of (seed, step), so that a resumed run repeats the same bits.

Rows come from an endless stream of shuffled passes, cut into batches that may span two passes. Nothing random is
carried from step to step: the state of a run is its step count, its parameters and Adam's moments.
"""

from __future__ import annotations

import itertools
import math
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .engine import Batch, Engine
from .errors import ConfigError, TrainingDiverged
from .model import Model
from .schedules import BetaSchedule, LearningRate
from .units import Prepared, prepared

_SHUFFLE, _NOISE, _SUBSETS = 1, 2, 3  # the streams of a seed


@dataclass(frozen=True)
class Plan:
    """How to train: objective "elbo" (Eq. 5) or "subset", its weights, steps, schedules."""

    steps: int
    batch_size: int
    beta: BetaSchedule
    learning_rate: LearningRate
    objective: str = "subset"
    weights: tuple[float, ...] = (1.0, 0.5, 0.5)
    coupling_rate: float = 0.1
    seed: int = 0
    view_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.objective not in ("elbo", "subset"):
            raise ConfigError(f"objective is {self.objective!r}; expected 'elbo' (Eq. 5) or 'subset'")
        if self.steps < 1 or self.batch_size < 1:
            raise ConfigError(f"steps is {self.steps} and batch_size {self.batch_size}; expected at least 1")
        if not (math.isfinite(self.coupling_rate) and self.coupling_rate >= 0):
            raise ConfigError(f"coupling_rate is {self.coupling_rate}; expected a finite number of at least 0")
        if min(self.weights, default=0.0) < 0 or not math.fsum(self.weights) > 0 or not all(map(math.isfinite, self.weights)):
            raise ConfigError(f"subset_weights is {self.weights}; expected non-negative numbers, at least one positive")
        views = self.view_weights
        if views is not None and not (all(math.isfinite(w) and w >= 0 for w in views) and math.fsum(views) > 0):
            raise ConfigError(f"view_weights is {views}; expected non-negative numbers, at least one positive")


def generator(seed: int, stream: int, index: int, part: int = 0) -> np.random.Generator:
    """A counter-based generator for one (seed, stream, index, part): no state to save."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, part, index, stream]))


class Batches:
    """``at(step)`` is the batch of that step, whatever was asked before."""

    def __init__(self, views: Sequence[np.ndarray | Prepared], observed: np.ndarray, model: Model, plan: Plan) -> None:
        self.views = [prepared(view) for view in views]
        self.observed, self.model, self.plan = observed, model, plan
        self.size = min(plan.batch_size, len(observed))
        self._passes: dict[int, np.ndarray] = {}
        self._weights, self._two_views = _weights(model, plan)

    def at(self, step: int) -> Batch:
        """The batch of ``step`` (from 0)."""
        rows = self._rows(step)
        observed = self.observed[rows]
        subsets = np.stack([observed, *self._subsets(observed, step)])
        noise = generator(self.plan.seed, _NOISE, step)
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

    def _rows(self, step: int) -> np.ndarray:
        N, start = len(self.observed), step * self.size
        first, last = start // N, (start + self.size - 1) // N
        for k in range(first, last + 1):
            if k not in self._passes:
                self._passes = {j: p for j, p in self._passes.items() if j >= first}
                self._passes[k] = generator(self.plan.seed, _SHUFFLE, k).permutation(N)
        joined = np.concatenate([self._passes[k] for k in range(first, last + 1)])
        return joined[start - first * N : start - first * N + self.size]

    def _subsets(self, observed: np.ndarray, step: int) -> list[np.ndarray]:
        """Non-empty parts of each row's observed views: {1} and {2} for two views, one random part for more."""
        if len(self._weights) == 1:
            return []
        if self._two_views:
            wanted = [np.broadcast_to(np.arange(2) == i, observed.shape) for i in range(2)]
        else:
            wanted = [generator(self.plan.seed, _SUBSETS, step).random(observed.shape) < 0.5]
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
) -> None:
    """Run steps ``first`` to ``last`` (all by default), in place; ``on_step(step, report)`` after each.

    Raises TrainingDiverged at the first loss that is not finite, naming the step.
    """
    plan = batches.plan
    for step in itertools.islice(itertools.count(first), (plan.steps if last is None else last) - first):
        report = engine.train_step(
            state,
            batches.at(step),
            beta=plan.beta.beta(step, plan.steps),
            learning_rate=plan.learning_rate.at(step, plan.steps),
            coupling_rate=plan.coupling_rate,
        )
        if not math.isfinite(report["loss"]):
            raise TrainingDiverged(
                f"the loss is {report['loss']} at step {step} (reconstruction {report['reconstruction']}, KL {report['kl']}). "
                "Lower learning_rate, or look for extreme values in the data."
            )
        if on_step is not None:
            on_step(step, report)


class Recorder:
    """Adds a record to ``history`` every ``every`` steps and at the end: the mean of the steps' reports since the last one."""

    def __init__(
        self, plan: Plan, history: list[dict[str, Any]], on_log: Callable[[dict[str, Any]], None] | None, every: int = 50
    ) -> None:
        self.plan, self.history, self.on_log, self.every = plan, history, on_log, every
        self._window: list[Mapping[str, Any]] = []
        self._begin = time.perf_counter() - (history[-1]["seconds"] if history else 0.0)

    def __call__(self, step: int, report: Mapping[str, Any]) -> None:
        """After each step (from 0), with what the engine reported."""
        self._window.append(report)
        done = step + 1
        if done % self.every and done < self.plan.steps:
            return
        record: dict[str, Any] = {name: np.mean([r[name] for r in self._window], axis=0).tolist() for name in report}
        record["step"] = done
        record["beta"] = self.plan.beta.beta(step, self.plan.steps)
        record["learning_rate"] = self.plan.learning_rate.at(step, self.plan.steps)
        record["seconds"] = time.perf_counter() - self._begin
        self._window.clear()
        self.history.append(record)
        if self.on_log is not None:
            self.on_log(record)
