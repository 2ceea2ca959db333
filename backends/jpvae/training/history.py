"""The history of a training: a record every so many steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ConfigError
from .plan import RECORDED, Plan


class Recorder:
    """Adds a record to ``history`` every ``every`` steps and at the end: the mean of the steps' reports since the last one.

    window: those reports. A run that goes on is given both, and then records what one that never stopped does.
    """

    def __init__(
        self,
        plan: Plan,
        history: Sequence[dict[str, Any]],
        window: Sequence[Mapping[str, Any]],
        on_log: Callable[[dict[str, Any]], None],
        every: int = RECORDED,
    ) -> None:
        self.plan, self.history, self.window, self.on_log, self.every = plan, list(history), list(window), on_log, every
        self._begin = time.perf_counter() - (history[-1]["seconds"] if history else 0.0)

    def __call__(self, step: int, report: Mapping[str, Any], evaluation: Mapping[str, float] | None = None) -> None:
        """After each step (from 0), with what the engine reported; an evaluation makes a record of its own."""
        if self.window and report.keys() != self.window[0].keys():
            found, before = sorted(report), sorted(self.window[0])
            raise ConfigError(f"backend gives an engine whose train_step reports {found} after {before}; expected the same")
        self.window.append(report)
        done = step + 1
        if evaluation or done % self.every == 0 or done == self.plan.steps:
            self._record(done, evaluation)

    def close(self, done: int) -> None:
        """Record the steps since the last record, if there are any, at the end of ``done`` steps in all; keep their reports."""
        if self.window:
            kept = list(self.window)
            try:
                self._record(done, None)
            finally:
                self.window = kept

    def _record(self, done: int, evaluation: Mapping[str, float] | None) -> None:
        step = done - 1
        record: dict[str, Any] = {name: np.mean([r[name] for r in self.window], axis=0).tolist() for name in self.window[0]}
        record |= evaluation or {}
        record["step"] = done
        record["beta"] = self.plan.weight(step)
        record["learning_rate"] = self.plan.rate(step)
        record["seconds"] = time.perf_counter() - self._begin
        self.window.clear()
        self.history.append(record)
        self.on_log(record)
