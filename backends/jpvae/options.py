"""The options of JPVAE, checked and typed in one place.

Here stands of which kind each option is; which values make sense is checked where they are used (Model, priors.py, Plan).
NumPy's numbers count as numbers, booleans do not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np

from .engines import AUTO, engine_name
from .errors import ConfigError
from .model.likelihoods import Likelihood
from .model.likelihoods.registry import name_of
from .model.posterior import Coordinates, PosteriorName
from .model.priors import Bound, PriorName
from .training import schedules
from .training.schedules import BetaSchedule

Objective = Literal["subset", "elbo"]
Entries = Literal["error", "marginalise"]
Missing = Literal["error", "nan"]
OnImpossible = Literal["error", "missing"]
RateSchedule = Literal["cosine", "constant"]
Dtype = Literal["float32", "float64"]
Layers = tuple[int, ...] | tuple[tuple[int, ...], ...]  # of all views, or of each

_MOST_DRAWS = 10_000  # of a cross term
BEFORE = {  # what files have that are older than the option
    "posterior": "factorised",
    "coordinates": "latent",
    "linear_skip": False,
    "cell_dropout": 0.0,
    "cross_draws": 1,
    "cross_weight": 1.0,
    "weight_decay": 0.0,
}


@dataclass(frozen=True)
class Options:
    """The arguments of ``JPVAE``, under the same names and with the same defaults, as plain numbers, texts and tuples.

    Raises ConfigError naming the first that is not of its kind.
    """

    latent_dims: int | tuple[int, ...] = 16
    prior: PriorName = "canonical"
    alpha: float = 0.95
    learn_alpha: bool = False
    rank: int | None = None
    bound: Bound = "sigmoid"
    likelihood: Any = "bernoulli"
    view_weights: tuple[float, ...] | Mapping[str, float] | None = None
    entries: Entries = "error"
    objective: Objective = "subset"
    subset_weights: tuple[float, ...] | None = None
    hidden: Layers = (64,)
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
    cross_weight: float = 0.4
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
    networks: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, plain in _KINDS.items():
            object.__setattr__(self, name, plain(name, getattr(self, name)))
        if not 0 < self.validation_fraction < 1:
            raise ConfigError(f"validation_fraction is {self.validation_fraction}; expected 0 < validation_fraction < 1")
        at_least("patience", self.patience, 1)
        if at_least("cross_draws", self.cross_draws, 1) > _MOST_DRAWS:
            raise ConfigError(f"cross_draws is {self.cross_draws}; expected at most {_MOST_DRAWS:,}")
        if not 0 <= self.cell_dropout <= 1:
            raise ConfigError(f"cell_dropout is {self.cell_dropout}; expected 0 <= cell_dropout <= 1, a share of the rows")
        if not (math.isfinite(self.cross_weight) and self.cross_weight >= 0):
            raise ConfigError(f"cross_weight is {self.cross_weight}; expected a finite number of at least 0")
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
        """What a training depends on, as JSON-able values by name: all but ``progress`` and ``networks`` (see the model)."""
        unwritten = ("progress", "networks")
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in unwritten}
        values["backend"] = engine_name(self.backend)
        values |= {"beta": schedules.to_json(self.beta), "likelihood": likelihood_to_json(self.likelihood)}
        return dict(sorted(values.items()))


def _integer(name: str, value: Any) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ConfigError(f"{name} is {value!r}; expected an integer")
    return int(value)


def _number(name: str, value: Any) -> float:
    if not _is_number(value):
        raise ConfigError(f"{name} is {value!r}; expected a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise ConfigError(f"{name} is {value!r}; expected a number that a float can hold") from error
    return int(value) if isinstance(value, Integral) else number


def _number_or_auto(name: str, value: Any) -> float | str:
    if isinstance(value, str) and value == "auto":
        return value
    try:
        return _number(name, value)
    except ConfigError as error:
        raise ConfigError(f"{error} or 'auto'") from None


def _or_none(kind: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    def plain(name: str, value: Any) -> Any:
        try:
            return None if value is None else kind(name, value)
        except ConfigError as error:
            raise ConfigError(f"{error} or None") from None

    return plain


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{name} is {value!r}; expected a string")
    return value


def one_of(name: str, value: Any, choices: Sequence[str]) -> None:
    """Raise ConfigError where ``value`` is none of these."""
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(f"{name} is {value!r}; expected {' or '.join(map(repr, choices))}")


def flag(name: str, value: Any) -> bool:
    """``value`` as True or False. Raises ConfigError."""
    if not isinstance(value, bool | np.bool_):
        raise ConfigError(f"{name} is {value!r}; expected True or False")
    return bool(value)


def _progress(name: str, value: Any) -> bool | str:
    if isinstance(value, bool | np.bool_) or (isinstance(value, str) and value == "auto"):
        return value if isinstance(value, str) else bool(value)
    raise ConfigError(f"{name} is {value!r}; expected True, False or 'auto'")


def _several(value: Any) -> bool:
    return isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes | bytearray)


def _integers(values: Any) -> tuple[int, ...] | None:
    """Plain integers, None where they are something else."""
    if not _several(values) or not all(isinstance(n, Integral) and not isinstance(n, bool) for n in values):
        return None
    return tuple(int(n) for n in values)


def _latent_dims(name: str, value: Any) -> int | tuple[int, ...]:
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    sizes = _integers(value)
    if sizes is None:
        raise ConfigError(f"{name} is {value!r}; expected an integer, or one per view")
    return sizes


def _layers(name: str, value: Any) -> Layers:
    sizes = _integers(value)
    if sizes is not None:
        return sizes
    per_view = [_integers(part) for part in value] if _several(value) else [None]
    if any(part is None for part in per_view):
        raise ConfigError(
            f"{name} is {value!r}; expected a sequence of layer sizes, such as (512, 512), or one per view, such as "
            "((64,), (512, 512))"
        )
    return tuple(part for part in per_view if part is not None)


def _weights(name: str, value: Any) -> tuple[float, ...]:
    if not _several(value) or not all(map(_is_number, value)):
        raise ConfigError(f"{name} is {value!r}; expected a sequence of weights")
    return tuple(_number(name, w) for w in value)


def _view_weights(name: str, value: Any) -> tuple[float, ...] | dict[str, float] | None:
    if value is None:
        return None
    parts = value.values() if isinstance(value, Mapping) else value
    if not (isinstance(value, Mapping) or _several(value)) or not all(map(_is_number, parts)):
        raise ConfigError(f"{name} is {value!r}; expected one number per view, in a sequence or by name, or None")
    return {view: _number(name, w) for view, w in value.items()} if isinstance(value, Mapping) else _weights(name, value)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _backend(name: str, value: Any) -> Any:
    if not isinstance(value, str) and not callable(value):
        raise ConfigError(f"{name} is {value!r}; expected a name, or an Engine class")
    return value


def _networks(name: str, value: Any) -> dict[str, tuple[Any, Any]] | None:
    if value is None:
        return None
    pairs = value.values() if isinstance(value, Mapping) else [None]
    for pair in pairs:
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(one is None or callable(one) for one in pair)):
            raise ConfigError(
                f"{name} is {value!r}; expected a dict by view, each a pair (make_encoder, make_decoder) of functions of "
                "(features, latents), or None in place of one"
            )
    return {view: (encoder, decoder) for view, (encoder, decoder) in value.items()}


def _likelihood(name: str, value: Any) -> Any:
    if not isinstance(value, str | Mapping | Likelihood) and not _several(value):
        raise ConfigError(f"{name} is {value!r}; expected a name or a Likelihood object, or one per view")
    return value


def _layer(name: str, value: Any) -> str | dict[str, str | None]:
    of_views = isinstance(value, Mapping) and all(isinstance(one, str | None) for one in (*value, *value.values()))
    if not isinstance(value, str) and not of_views:
        raise ConfigError(f"{name} is {value!r}; expected the name of a layer, or a dict of names by view")
    return value if isinstance(value, str) else dict(value)


_KINDS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("batch_size", "patience", "cross_draws"), _integer),
    **dict.fromkeys(("steps", "rank"), _or_none(_integer)),
    "epochs": _or_none(_number),
    **dict.fromkeys(
        (
            "alpha",
            "learning_rate",
            "coupling_rate",
            "validation_fraction",
            "cell_dropout",
            "cross_weight",
        ),
        _number,
    ),
    **dict.fromkeys(
        (
            "prior",
            "bound",
            "objective",
            "learning_rate_schedule",
            "device",
            "dtype",
            "entries",
            "impossible",
            "posterior",
            "coordinates",
        ),
        _text,
    ),
    **dict.fromkeys(("learn_alpha", "early_stopping", "linear_skip"), flag),
    "latent_dims": _latent_dims,
    "hidden": _layers,
    "subset_weights": _or_none(_weights),
    "likelihood": _likelihood,
    "layer": _or_none(_layer),
    "view_weights": _view_weights,
    "max_gradient_norm": _or_none(_number_or_auto),
    "weight_decay": _number_or_auto,
    "progress": _progress,
    "backend": _backend,
    "networks": _networks,
}


def seed_of(seed: Any) -> int:
    """The integer that a fit uses: the seed itself, a draw from a NumPy generator, or for None fresh entropy."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**63))
    if isinstance(seed, np.random.RandomState):
        return int(seed.randint(2**31 - 1))
    if not isinstance(seed, Integral) or isinstance(seed, bool):
        raise ConfigError(f"seed is {seed!r}; expected an integer, None, or a NumPy Generator or RandomState")
    if not 0 <= int(seed) < 2**64:
        raise ConfigError(f"seed is {seed}; expected 0 <= seed < 2**64")
    return int(seed)


def at_least(name: str, value: Any, least: int) -> int:
    """``value`` as a plain integer. Raises ConfigError where it is not an integer, or too small."""
    plain = _integer(name, value)
    if plain < least:
        raise ConfigError(f"{name} is {value}; expected at least {least}")
    return plain


def as_json(metadata: Any) -> dict[str, Any]:
    """A dict as JSON gives it back, {} for None. Raises ConfigError where it is not one."""
    if not isinstance(metadata, Mapping | None):
        raise ConfigError(f"metadata is {metadata!r}; expected a dict that JSON can hold, or None")
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(metadata or {}), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"metadata is {metadata!r}; expected a dict that JSON can hold ({error})") from error
    return plain


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
