"""The history of a training: a record every so many steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .plan import Plan


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
