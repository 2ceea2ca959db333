"""From the estimator's options and the data to a Model, a Plan and the views' units; all check what they are given."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ConfigError, JPVAEWarning, ViewError
from .model.model import Model
from .training import schedules
from .training.plan import Plan, held_out_rows
from .training.schedules import LearningRate
from .views import dataframes as frames
from .views.columns import Columns
from .views.reading import Views, blocks
from .views.units import Units

if TYPE_CHECKING:
    from .estimator import JPVAE


_INTEGERS = ("batch_size", "patience")
_NUMBERS = ("alpha", "epochs", "learning_rate", "coupling_rate", "validation_fraction")
_OPTIONAL_INTEGERS = ("steps", "rank")
_TEXTS = ("prior", "bound", "objective", "learning_rate_schedule", "backend", "device", "dtype", "entries")


def check_types(options: JPVAE) -> None:
    """Every option is of its kind (NumPy's numbers count). Raises ConfigError naming the first that is not."""

    def must(name: str, kinds: type | tuple[type, ...], expected: str) -> None:
        value = getattr(options, name)
        if not isinstance(value, kinds) or (isinstance(value, bool) and expected != "True or False"):
            raise ConfigError(f"{name} is {value!r}; expected {expected}")

    for name in _INTEGERS:
        must(name, Integral, "an integer")
    for name in _OPTIONAL_INTEGERS:
        must(name, (Integral, type(None)), "an integer or None")
    for name in _NUMBERS:
        must(name, Real, "a number")
    for name in _TEXTS:
        must(name, str, "a string")
    must("hidden", (Sequence, np.ndarray), "a sequence of layer sizes, as (512, 512)")
    must("subset_weights", (Sequence, np.ndarray, type(None)), "a sequence of weights or None")
    must("likelihood", (str, Sequence, Mapping), "a name, or one per view")
    must("view_weights", (Sequence, np.ndarray, Mapping, type(None)), "a number per view, in a sequence or by name, or None")
    must("max_gradient_norm", (Real, type(None)), "a number or None")
    for name in ("learn_alpha", "early_stopping"):
        must(name, (bool, np.bool_), "True or False")
    if not 0 < options.validation_fraction < 1:
        raise ConfigError(f"validation_fraction is {options.validation_fraction}; expected 0 < validation_fraction < 1")
    at_least("patience", options.patience, 1)
    if options.progress not in (True, False, "auto"):
        raise ConfigError(f"progress is {options.progress!r}; expected True, False or 'auto'")
    if options.steps is None and not (math.isfinite(options.epochs) and options.epochs > 0):
        raise ConfigError(f"epochs is {options.epochs}; expected a positive number")


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
    if not 0 <= seed < 2**64:
        raise ConfigError(f"seed is {seed}; expected 0 <= seed < 2**64")
    return int(seed)


def at_least(name: str, value: Any, least: int) -> int:
    """``value`` as a plain integer. Raises ConfigError where it is none, or too small."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ConfigError(f"{name} is {value!r}; expected an integer")
    if value < least:
        raise ConfigError(f"{name} is {value}; expected at least {least}")
    return int(value)


def model_of(options: JPVAE, data: Views) -> Model:
    """The model that these options mean for these views. Raises ConfigError."""
    M = len(data.names)
    return Model(
        features=tuple(columns.width for columns in data.columns),
        latent_dims=_per_view(options.latent_dims, M),
        likelihood_names=tuple(columns.spec for columns in data.columns),
        hidden=tuple(int(h) for h in options.hidden),
        prior=options.prior,
        alpha=float(options.alpha),
        learn_alpha=bool(options.learn_alpha),
        bound=options.bound,
        rank=None if options.rank is None else int(options.rank),
        entries=options.entries,
    )


def warn_of_idle_latents(model: Model, names: Sequence[str]) -> None:
    """Warn of views with more latents than columns, which have nothing to tell by the others.

    But the smallest size is how many directions a canonical prior couples: a small table among larger ones may have as many.
    """
    idle = [i for i, (n, c) in enumerate(zip(model.latent_dims, model.features, strict=True)) if n > c]
    if len(idle) < model.views:
        idle = [i for i in idle if model.latent_dims[i] > model.joint.needed_latents]
    if idle:
        found = ", ".join(f"{names[i]!r} has {model.latent_dims[i]} for {model.features[i]}" for i in idle)
        fewer = tuple(min(n, c) for n, c in zip(model.latent_dims, model.features, strict=True))
        also = ", and a prior for unequal sizes, 'canonical'" if len(set(fewer)) > 1 and model.joint.equal_sizes else ""
        warnings.warn(
            f"more latents than columns (view {found}): the rest cost time and tell nothing; give latent_dims={fewer}{also}",
            JPVAEWarning,
            stacklevel=3,
        )


def warn_of_constant_columns(data: Views) -> None:
    """Warn of measured columns that never vary: there is nothing to learn, and their density rises without bound."""
    for i, columns in enumerate(data.columns):
        values = data.read(i)[data.observed[:, i]]
        measured = [j for group in columns.groups if group.likelihood in ("gaussian", "student_t") for j in group.columns]
        cells = ((j, values[~np.isnan(values[:, j]), j]) for j in measured)
        constant = [columns.title(j) for j, x in cells if x.size > 1 and x.min() == x.max()]
        if constant:
            some = ", ".join(f"{title!r}" for title in constant[:5]) + (", ..." if len(constant) > 5 else "")
            warnings.warn(
                f"view {data.names[i]!r} has {len(constant)} constant columns ({some}): they tell nothing, and each adds more "
                "nats to score the longer the training; leave them out",
                JPVAEWarning,
                stacklevel=3,
            )


def plan_of(options: JPVAE, model: Model, rows: int, names: Sequence[str] = ()) -> Plan:
    """The training that these options mean for so many rows. Raises ConfigError."""
    fraction = float(options.validation_fraction) if options.early_stopping else 0.0
    rows -= held_out_rows(fraction, rows)
    if rows < 1:
        raise ConfigError(
            f"early_stopping=True holds out every row there is (validation_fraction {fraction}); expected more rows, or False"
        )
    batch = max(1, min(int(options.batch_size), rows))
    steps = int(options.steps) if options.steps is not None else max(1, round(float(options.epochs) * rows / batch))
    weights = (1.0, 0.5, 0.5) if model.views == 2 else (1.0, 1.0)
    return Plan(
        steps=steps,
        batch_size=int(options.batch_size),
        beta=schedules.beta_schedule(options.beta, steps),
        learning_rate=LearningRate(float(options.learning_rate), options.learning_rate_schedule),
        objective=options.objective,
        weights=weights if options.subset_weights is None else tuple(float(w) for w in options.subset_weights),
        coupling_rate=float(options.coupling_rate),
        seed=options.seed_,
        max_gradient_norm=None if options.max_gradient_norm is None else float(options.max_gradient_norm),
        validation_fraction=fraction,
        view_weights=_view_weights(options.view_weights, model.views, names),
    )


def check_values(model: Model, data: Views) -> None:
    """Every view's values suit its likelihood. Raises ViewError naming the first that does not."""
    for i, (likelihood, columns) in enumerate(zip(model.likelihoods, data.columns, strict=True)):
        titles = [columns.title(j) for j in columns.sources]
        for rows in blocks(len(data.observed)):
            values, seen, called = data.read(i, rows), data.observed[rows, i], frames.row_titles(data.index, rows)
            columns.check(values, seen, data.names[i], called)
            likelihood.check(columns.encode(values), seen, data.names[i], called, titles)


def scaling_of(model: Model, data: Views) -> list[tuple[np.ndarray, np.ndarray]]:
    """Location and scale (c_i,) of each view, after its values were checked against its likelihood. Raises ViewError."""
    check_values(model, data)
    scaling = []
    for i, (likelihood, columns) in enumerate(zip(model.likelihoods, data.columns, strict=True)):
        with np.errstate(over="ignore", invalid="ignore"):
            location, scale = likelihood.scaling(columns.encode(data.read(i)), data.observed[:, i])
        for column in np.flatnonzero(~(np.isfinite(location) & np.isfinite(scale))):
            title = columns.title(columns.sources[column])
            raise ViewError(f"view {data.names[i]!r}, column {title!r} is too large to have a variance; rescale the column")
        scaling.append((location, scale))
    return scaling


def units_of(model: Model, columns: Sequence[Columns], scaling: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Units]:
    """Each view's way between the table and the model."""
    return [Units(c, family, *pair) for c, family, pair in zip(columns, model.likelihoods, scaling, strict=True)]


def likelihood_to_json(likelihood: Any) -> Any:
    """The likelihood option as plain JSON: a dict, whose keys may be tuples of columns, as {"items": [[key, value], ...]}."""
    if isinstance(likelihood, Mapping):
        return {"items": [[key, likelihood_to_json(value)] for key, value in likelihood.items()]}
    return likelihood if isinstance(likelihood, str) else [likelihood_to_json(part) for part in likelihood]


def likelihood_from_json(value: Any) -> Any:
    """The option of which ``likelihood_to_json`` made ``value``. Raises TypeError or KeyError where it is none."""
    if isinstance(value, dict):
        return {tuple(key) if isinstance(key, list) else key: likelihood_from_json(part) for key, part in value["items"]}
    return [likelihood_from_json(part) for part in value] if isinstance(value, list) else value


def _view_weights(given: Any, views: int, names: Sequence[str]) -> tuple[float, ...] | None:
    """One weight per view, from a sequence or a dict by name."""
    if isinstance(given, Mapping):
        if set(given) != set(names):
            raise ConfigError(f"view_weights names the views {list(given)}; expected {list(names)}")
        given = [given[name] for name in names]
    if given is not None and (len(given) != views or not all(isinstance(w, Real) for w in given)):
        raise ConfigError(f"view_weights is {given!r}; expected one number per view ({views} views)")
    return None if given is None else tuple(map(float, given))


def _per_view(sizes: Any, views: int) -> tuple[int, ...]:
    """One plain integer per view, from one integer or several (NumPy's count too)."""
    given = sizes if isinstance(sizes, Sequence | np.ndarray) and not isinstance(sizes, str) else (sizes,) * views
    if not all(isinstance(n, Integral) for n in given):
        raise ConfigError(f"latent_dims is {sizes!r}; expected an integer, or one per view")
    return tuple(int(n) for n in given)
