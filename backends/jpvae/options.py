"""The options of JPVAE, checked and typed in one place.

Of which kind each option is stands in option_values.py; which values make sense is checked where they are used (Model,
priors.py, Plan).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np

from .engines import AUTO, engine_name
from .errors import ConfigError
from .model.likelihoods import Likelihood
from .model.likelihoods.registry import name_of
from .model.posterior import Coordinates, PosteriorName
from .model.prior import Bound, PriorName
from .option_values import KINDS, Layers, at_least, one_of
from .training import schedules
from .training.schedules import BetaSchedule

Objective = Literal["subset", "elbo"]
Entries = Literal["error", "marginalise"]
Missing = Literal["error", "nan"]
OnImpossible = Literal["error", "missing"]
Init = Literal["auto", "factor-analysis", "random"]
RateSchedule = Literal["cosine", "constant"]
Dtype = Literal["float32", "float64"]

_MOST_DRAWS = 10_000  # of a cross term
_MOST_THREADS = 1_024
_MOST_MEMBERS = 1_000
_HEAVIEST = 1_000.0  # of levels, beside numbers
BEFORE = {  # what files have that are older than the option
    "posterior": "factorised",
    "coordinates": "latent",
    "linear_skip": False,
    "cell_dropout": 0.0,
    "cross_draws": 1,
    "cross_weight": 1.0,
    "level_weight": 1.0,
    "weight_decay": 0.0,
    "calibration": 0.0,
    "ensemble": 1,
    "bootstrap": False,
    "init": "random",
}


@dataclass(frozen=True)
class Options:
    """The arguments of ``JPVAE``, under the same names and with the same defaults, as plain numbers, texts and tuples.

    Raises ConfigError naming the first that is not of its kind.
    """

    latent_dims: int | tuple[int, ...] | Literal["auto"] = "auto"
    prior: PriorName = "canonical"
    alpha: float = 0.95
    learn_alpha: bool = False
    rank: int | None = None
    bound: Bound = "sigmoid"
    likelihood: Any = "bernoulli"
    view_weights: tuple[float, ...] | Mapping[str, float] | None = None
    level_weight: float | Literal["auto"] = "auto"
    entries: Entries = "error"
    objective: Objective = "subset"
    subset_weights: tuple[float, ...] | None = None
    hidden: Layers | Literal["auto"] = "auto"
    epochs: float | None = None
    steps: int | None = None
    batch_size: int = 64
    learning_rate: float = 1e-2
    learning_rate_schedule: RateSchedule = "cosine"
    coupling_rate: float = 1.0
    beta: str | BetaSchedule = "constant"
    backend: str | Callable[..., Any] = AUTO
    device: str = "cpu"
    dtype: Dtype = "float32"
    seed: Any = 0
    posterior: PosteriorName = "fused"
    coordinates: Coordinates = "latent"
    linear_skip: bool = True
    cell_dropout: float = 0.5
    cross_draws: int = 4
    cross_weight: float | Literal["auto"] = "auto"
    missing: Missing = "error"
    impossible: OnImpossible = "error"
    view_slices: Any = None
    layer: str | dict[str, str | None] | None = None
    progress: bool | str = "auto"
    early_stopping: bool = False
    validation_fraction: float = 0.1
    patience: int = 10
    max_gradient_norm: float | Literal["auto"] | None = "auto"
    weight_decay: float | Literal["auto"] = "auto"
    calibration: float = 0.2
    networks: Mapping[str, Any] | None = None
    threads: int | None = None
    ensemble: int = 1
    bootstrap: bool = False
    init: Init = "auto"

    def __post_init__(self) -> None:
        for name, plain in KINDS.items():
            given = getattr(self, name)
            single = isinstance(given, np.ndarray) and given.ndim == 0
            object.__setattr__(self, name, plain(name, given.item() if single else given))
        if not 0 < self.validation_fraction < 1:
            raise ConfigError(f"validation_fraction is {self.validation_fraction}; expected 0 < validation_fraction < 1")
        one_of("impossible", self.impossible, get_args(OnImpossible))
        at_least("patience", self.patience, 1)
        if self.threads is not None and at_least("threads", self.threads, 1) > _MOST_THREADS:
            raise ConfigError(f"threads is {self.threads}; expected at most {_MOST_THREADS:,}")
        if at_least("ensemble", self.ensemble, 1) > _MOST_MEMBERS:
            raise ConfigError(f"ensemble is {self.ensemble}; expected at most {_MOST_MEMBERS:,} models")
        one_of("init", self.init, get_args(Init))
        if at_least("cross_draws", self.cross_draws, 1) > _MOST_DRAWS:
            raise ConfigError(f"cross_draws is {self.cross_draws}; expected at most {_MOST_DRAWS:,}")
        if not 0 <= self.calibration < 1:
            raise ConfigError(f"calibration is {self.calibration}; expected 0 <= calibration < 1, a part of the rows")
        if not 0 <= self.cell_dropout <= 1:
            raise ConfigError(f"cell_dropout is {self.cell_dropout}; expected 0 <= cell_dropout <= 1, a share of the rows")
        if not isinstance(self.cross_weight, str) and not (math.isfinite(self.cross_weight) and self.cross_weight >= 0):
            raise ConfigError(f"cross_weight is {self.cross_weight}; expected a finite number of at least 0, or 'auto'")
        if not isinstance(self.level_weight, str) and not 1.0 / _HEAVIEST <= self.level_weight <= _HEAVIEST:
            raise ConfigError(
                f"level_weight is {self.level_weight}; expected a number from {1 / _HEAVIEST:g} to {_HEAVIEST:g}, or 'auto'"
            )
        if self.steps is None and self.epochs is not None and not (math.isfinite(self.epochs) and self.epochs > 0):
            raise ConfigError(f"epochs is {self.epochs}; expected a positive number")

    @classmethod
    def of(cls, estimator: object) -> Options:
        """Those that an object has under their names."""
        return cls(**{field.name: getattr(estimator, field.name) for field in fields(cls)})

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Options:
        """From ``to_json``; what an older file lacks is as it was then. Raises KeyError, TypeError, ValueError."""
        decoded = {"beta": schedules.from_json(given["beta"]), "likelihood": likelihood_from_json(given["likelihood"])}
        return cls(**{**BEFORE, **given, **decoded})

    def to_json(self) -> dict[str, Any]:
        """What a training depends on, as JSON-able values by name: no ``progress``, ``threads`` or ``networks``."""
        unwritten = ("progress", "threads", "networks")
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in unwritten}
        values["backend"] = engine_name(self.backend)
        values |= {"beta": schedules.to_json(self.beta), "likelihood": likelihood_to_json(self.likelihood)}
        return dict(sorted(values.items()))


def likelihood_to_json(likelihood: Any) -> Any:
    """The likelihood option as plain JSON: objects by name; a dict (keys may be tuples) as {"items": [[key, value], ...]}."""
    if isinstance(likelihood, Mapping):
        return {"items": [[key, likelihood_to_json(value)] for key, value in likelihood.items()]}
    if isinstance(likelihood, Likelihood):
        return str(name_of(likelihood))
    return likelihood if isinstance(likelihood, str) else [likelihood_to_json(part) for part in likelihood]


def likelihood_from_json(value: Any) -> Any:
    """The option of which ``likelihood_to_json`` made ``value``. Raises TypeError or KeyError where it is none."""
    if isinstance(value, dict):
        return {tuple(key) if isinstance(key, list) else key: likelihood_from_json(part) for key, part in value["items"]}
    return [likelihood_from_json(part) for part in value] if isinstance(value, list) else value
