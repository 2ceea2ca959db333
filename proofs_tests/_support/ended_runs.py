"""Trainings that end before their last step: stopped, as a callback may, or killed."""

from __future__ import annotations

from typing import Any

from jpvae.training.callbacks import Callback, StopTraining


class Killed(Exception):
    """Stands for whatever ends a run."""


class StopAt(Callback):
    """The training ends in good order after step ``last``."""

    end: type[Exception] = StopTraining

    def __init__(self, last: int) -> None:
        self.last = last

    def on_step(self, step: int, report: Any) -> None:
        """Raises ``end`` at the last step."""
        if step == self.last:
            raise self.end


class KillAt(StopAt):
    """The training is torn off after step ``last``."""

    end = Killed


def kill(*_: Any) -> None:
    """A listener that kills at the first record."""
    raise Killed
