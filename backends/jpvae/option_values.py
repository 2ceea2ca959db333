"""What a person gave for an option or argument, as a plain number, text or tuple; or a ConfigError that names it.

NumPy's numbers count as numbers, booleans do not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np

from .errors import ConfigError
from .model.likelihoods import Likelihood

_MOST_DRAWS = 1_000_000
Layers = tuple[int, ...] | tuple[tuple[int, ...], ...]  # of all views, or of each


def _integer(name: str, value: Any) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ConfigError(f"{name} is {value!r}; expected an integer")
    return int(value)


def _number(name: str, value: Any) -> float:
    if not is_number(value):
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


def _latent_dims(name: str, value: Any) -> int | tuple[int, ...] | Literal["auto"]:
    if isinstance(value, str) and value == "auto":
        return "auto"
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    sizes = _integers(value)
    if sizes is None:
        raise ConfigError(f"{name} is {value!r}; expected an integer, one per view, or 'auto'")
    return sizes


def _layers(name: str, value: Any) -> Layers | Literal["auto"]:
    if isinstance(value, str) and value == "auto":
        return "auto"
    sizes = _integers(value)
    if sizes is not None:
        return sizes
    per_view = [_integers(part) for part in value] if _several(value) else [None]
    if any(part is None for part in per_view):
        raise ConfigError(
            f"{name} is {value!r}; expected a sequence of layer sizes, such as (512, 512), or one per view, such as "
            "((64,), (512, 512)), or 'auto'"
        )
    return tuple(part for part in per_view if part is not None)


def _weights(name: str, value: Any) -> tuple[float, ...]:
    if not _several(value) or not all(map(is_number, value)):
        raise ConfigError(f"{name} is {value!r}; expected a sequence of weights")
    return tuple(_number(name, w) for w in value)


def _view_weights(name: str, value: Any) -> tuple[float, ...] | dict[str, float] | None:
    if value is None:
        return None
    parts = value.values() if isinstance(value, Mapping) else value
    if not (isinstance(value, Mapping) or _several(value)) or not all(map(is_number, parts)):
        raise ConfigError(f"{name} is {value!r}; expected one number per view, in a sequence or by name, or None")
    return {view: _number(name, w) for view, w in value.items()} if isinstance(value, Mapping) else _weights(name, value)


def is_number(value: Any) -> bool:
    """Whether it is a real number, and no boolean."""
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


def _layer(name: str, value: Any) -> str | dict[str, str | None]:
    of_views = isinstance(value, Mapping) and all(isinstance(one, str | None) for one in (*value, *value.values()))
    if not isinstance(value, str) and not of_views:
        raise ConfigError(f"{name} is {value!r}; expected the name of a layer, or a dict of names by view")
    return value if isinstance(value, str) else dict(value)


def _likelihood(name: str, value: Any) -> Any:
    if not isinstance(value, str | Mapping | Likelihood) and not _several(value):
        raise ConfigError(f"{name} is {value!r}; expected a name or a Likelihood object, or one per view")
    return value


KINDS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("batch_size", "patience", "cross_draws", "ensemble"), _integer),
    **dict.fromkeys(("steps", "rank", "threads"), _or_none(_integer)),
    "epochs": _or_none(_number),
    **dict.fromkeys(
        (
            "alpha",
            "learning_rate",
            "coupling_rate",
            "validation_fraction",
            "cell_dropout",
            "calibration",
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
            "init",
        ),
        _text,
    ),
    **dict.fromkeys(("learn_alpha", "early_stopping", "linear_skip", "bootstrap"), flag),
    "latent_dims": _latent_dims,
    "hidden": _layers,
    "subset_weights": _or_none(_weights),
    "likelihood": _likelihood,
    "layer": _or_none(_layer),
    "view_weights": _view_weights,
    "max_gradient_norm": _or_none(_number_or_auto),
    "weight_decay": _number_or_auto,
    "cross_weight": _number_or_auto,
    "level_weight": _number_or_auto,
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


def member_seed(seed: int, k: int) -> int:
    """The seed of an ensemble's k-th model; of the first it is the ensemble's own."""
    return seed if k == 0 else int(np.random.SeedSequence([seed, k]).generate_state(1, np.uint64)[0])


def at_least(name: str, value: Any, least: int) -> int:
    """``value`` as a plain integer. Raises ConfigError where it is not an integer, or too small."""
    plain = _integer(name, value)
    if plain < least:
        raise ConfigError(f"{name} is {value}; expected at least {least}")
    return plain


def draws_of(value: Any, least: int = 1) -> int:
    """``n_draws`` as a plain integer. Raises ConfigError where it is not one, too small, or more than anybody waits for."""
    if at_least("n_draws", value, least) > _MOST_DRAWS:
        raise ConfigError(f"n_draws is {value}; expected at most {_MOST_DRAWS:,}: errors fall with the root of their number")
    return int(value)


def as_json(metadata: Any) -> dict[str, Any]:
    """A dict as JSON gives it back, {} for None. Raises ConfigError where it is not one."""
    if not isinstance(metadata, Mapping | None):
        raise ConfigError(f"metadata is {metadata!r}; expected a dict that JSON can hold, or None")
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(metadata or {}), allow_nan=False))
        json.dumps(plain, ensure_ascii=False).encode()  # no half characters, which no file could give back
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"metadata is {metadata!r}; expected a dict that JSON can hold ({error})") from error
    return plain
