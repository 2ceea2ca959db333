"""Schedules over training: the KL weight beta (constant, linear, cyclical, your own) and the learning rate (constant, cosine).

A beta that never reaches 1 trains another model than the one asked for, silently: ``beta_schedule`` refuses it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any, Protocol

from ..errors import ConfigError


@dataclass(frozen=True)
class Constant:
    """beta = 1 at every step."""

    def beta(self, step: int, steps: int) -> float:
        """The KL weight at ``step`` of ``steps``."""
        return 1.0


@dataclass(frozen=True)
class Linear:
    """beta rises from 0 to 1 over the first ``ramp``: a number of steps (int) or a part of the training (float), then stays."""

    ramp: int | float = 0.1

    def beta(self, step: int, steps: int) -> float:
        """The KL weight at ``step`` of ``steps``."""
        length = self.ramp if isinstance(self.ramp, int) else self.ramp * steps
        return min(1.0, step / length) if length > 0 else 1.0


@dataclass(frozen=True)
class Cyclical:
    """``cycles`` equal cycles; in each, beta rises from 0 to 1 over its first part ``ramp``, then stays (Fu et al. 2019)."""

    cycles: int = 4
    ramp: float = 0.5

    def beta(self, step: int, steps: int) -> float:
        """The KL weight at ``step`` of ``steps``."""
        position = math.fmod(step * self.cycles / steps, 1.0)
        return min(1.0, position / self.ramp) if self.ramp > 0 else 1.0


class BetaSchedule(Protocol):
    """Anything that gives the KL's weight at a step. Those of this module go into files; of others only the class's name."""

    def beta(self, step: int, steps: int) -> float:
        """The KL weight at ``step`` of ``steps``, between 0 and 1; 1 at some step."""


@dataclass(frozen=True)
class Elsewhere:
    """What a file keeps of a schedule that was an object of the user's own: its class's name."""

    name: str

    def beta(self, step: int, steps: int) -> float:
        """Raises ConfigError: the file does not hold the schedule itself."""
        raise ConfigError(f"beta was an object of {self.name}, which a file does not store; set beta again before fitting")


_BY_NAME: dict[str, BetaSchedule] = {"constant": Constant(), "linear": Linear(), "cyclical": Cyclical()}


def beta_schedule(value: str | BetaSchedule, steps: int) -> BetaSchedule:
    """The schedule of that name, or the given one, checked: beta must reach 1 within ``steps``."""
    if value not in _BY_NAME if isinstance(value, str) else not _is_schedule(value):
        raise ConfigError(
            f"beta is {value!r}; expected one of {sorted(_BY_NAME)}, or Constant(), Linear(ramp), Cyclical(cycles, ramp), or "
            "any object with a method beta(step, steps)"
        )
    schedule = _BY_NAME[value] if isinstance(value, str) else value
    if isinstance(schedule, Cyclical) and schedule.cycles < 1:
        raise ConfigError(f"beta is {schedule}; expected at least one cycle")
    try:
        betas = [schedule.beta(step, steps) for step in range(steps)]
    except TypeError as error:
        raise ConfigError(f"beta is {schedule!r}, whose beta(step, steps) fails: TypeError: {error}") from error
    ramp = schedule.ramp if isinstance(schedule, Linear | Cyclical) else 0
    if any(not (isinstance(beta, Real) and 0.0 <= beta <= 1.0) for beta in betas) or ramp < 0:
        raise ConfigError(f"beta is {schedule}; expected a ramp of at least 0, and weights between 0 and 1")
    highest = max(betas, default=1.0)
    if highest < 1.0:
        raise ConfigError(
            f"beta is {schedule}, which reaches only {highest:.3g} within the {steps} steps of this training: the KL would "
            "never count in full. Shorten the ramp, use fewer cycles, or train longer."
        )
    return schedule


def _is_schedule(value: Any) -> bool:
    return not isinstance(value, type) and callable(getattr(value, "beta", None))


def to_json(value: str | BetaSchedule) -> Any:
    """A schedule as plain JSON."""
    if isinstance(value, Constant | Linear | Cyclical):
        return [type(value).__name__, asdict(value)]
    if isinstance(value, str):
        return value
    return {"object": value.name if isinstance(value, Elsewhere) else f"{type(value).__module__}.{type(value).__qualname__}"}


def from_json(value: Any) -> str | BetaSchedule:
    """What ``to_json`` wrote. Raises KeyError for an unknown schedule."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return Elsewhere(str(value["object"]))
    made: BetaSchedule = {"Constant": Constant, "Linear": Linear, "Cyclical": Cyclical}[value[0]](**value[1])
    return made


@dataclass(frozen=True)
class LearningRate:
    """A peak rate, reached by a linear warm-up over a part of the training, then constant or a cosine to 0."""

    peak: float = 2e-3
    shape: str = "cosine"
    warmup: float = 0.02

    def __post_init__(self) -> None:
        if self.shape not in ("constant", "cosine"):
            raise ConfigError(f"learning_rate_schedule is {self.shape!r}; expected 'constant' or 'cosine'")
        if not 0 < self.peak < math.inf:
            raise ConfigError(f"learning_rate is {self.peak}; expected a positive number")

    def at(self, step: int, steps: int) -> float:
        """The rate at ``step`` (from 0) of ``steps``."""
        if self.shape == "constant":
            return self.peak
        rise = max(1, int(self.warmup * steps))
        if step < rise:
            return self.peak * (step + 1) / rise
        return self.peak * 0.5 * (1.0 + math.cos(math.pi * (step - rise) / (steps - rise)))
