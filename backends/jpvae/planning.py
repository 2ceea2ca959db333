"""From the options and the data to a Model and a Plan; both check what they are given."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .engines import AUTO, Engine, chosen, engine
from .errors import ConfigError, JPVAEWarning
from .model.likelihoods import Likelihood
from .model.model import Model
from .options import Options
from .processes import share
from .training import schedules, starting
from .training.plan import Calibration, Plan, held_out_rows
from .training.schedules import LearningRate
from .views.columns import Columns

_MOST_STEPS = 10**9
_PASSES, _SLOWER = 30.0, 20_000  # where neither epochs nor steps are given: docs/experiments.md
_PASSES_OF_FEW, _FEWEST_STEPS, _ENOUGH_OF_FEW = 100.0, 500.0, 1_500.0
_FIRST_PART, _FEWEST_CALIBRATING, _ENOUGH_CALIBRATING, _MOST_CALIBRATING = 2 / 3, 4, 60, 1_000
_MOST_FOLDS, _FOLDED_COLUMNS = 10, 30_000  # the latter of all folds together: a further model of a wide table takes minutes
_FOLDED_STEPS = 100  # of the first part: shorter trainings are trials
_LEAST_SHARE = 0.25
_STEEPEST, _CROSSING = 2.0, 1.0
_HEAVIEST = 10.0  # of a column of levels
_FARTHEST_READ = 4.0  # standard deviations
_DECAY, _WIDE, _STRONGEST, _MOST_OF_A_STEP = 0.3, 2.5, 3.0, 0.1  # hidden layers decay by four times as much
_CROSSING_OF_CURVES, _LONGER_FOR_CURVES = 16.0, 2.0
_SMALL, _LARGE, _MANY_ROWS = (16, 64), (32, 128), 1_000  # latents of each view, units of the hidden layer


def model_of(options: Options, columns: Sequence[Columns], names: Sequence[str], rows: int) -> Model:
    """The model that these options mean for so many rows of views of these columns and names. Raises ConfigError."""
    features = tuple(each.width for each in columns)
    latents, units = _LARGE if _is_large(features, rows) else _SMALL
    sizes = latents if options.latent_dims == "auto" else options.latent_dims
    return Model(
        features=features,
        latent_dims=(sizes,) * len(columns) if isinstance(sizes, int) else sizes,
        likelihood_names=tuple(each.spec for each in columns),
        hidden=(units,) if options.hidden == "auto" else options.hidden,
        prior=options.prior,
        alpha=float(options.alpha),
        learn_alpha=options.learn_alpha,
        bound=options.bound,
        rank=options.rank,
        entries=options.entries,
        own_networks=tuple(networks_of(options.networks, names)),
        posterior=options.posterior,
        coordinates=options.coordinates,
        linear_skip=options.linear_skip,
        cell_bits=options.entries == "marginalise",
        reads_within=_FARTHEST_READ,
    )


def _is_large(features: Sequence[int], rows: int) -> bool:
    return rows >= _MANY_ROWS and max(features) >= _LARGE[0]


def starts_at_factor_analysis(options: Options, model: Model, rows: int) -> bool:
    """Whether a fit to so many rows starts there (training/starting.py)."""
    auto = sum(model.features) < rows and not _is_large(model.features, rows)
    return (options.init == "factor-analysis" or (options.init == "auto" and auto)) and starting.suits(model)


@dataclass(frozen=True)
class Factory:
    """A factory of the user's own, and what the person calls the view: for messages."""

    make: Callable[[int, int], Any]
    view: str

    def __call__(self, features: int, latents: int) -> Any:
        """The network."""
        return self.make(features, latents)


def networks_of(given: Mapping[str, tuple[Any, Any]] | None, names: Sequence[str]) -> dict[str, Any]:
    """The factories of own networks by part of the layout, "encoder.0" say. Raises ConfigError for a view that is not there."""
    if given and not set(given) <= set(names):
        raise ConfigError(f"networks names the views {list(given)}; expected some of {list(names)}")
    pairs = [(i, (given or {}).get(name, (None, None))) for i, name in enumerate(names)]
    parts = [(f"{part}.{i}", make) for i, pair in pairs for part, make in zip(("encoder", "decoder"), pair, strict=True)]
    return {part: Factory(make, names[int(part.partition(".")[2])]) for part, make in parts if make is not None}


def engine_of(options: Options, model: Model, names: Sequence[str]) -> Engine:
    """The engine that these options mean, with factories for the model's own networks. Raises ConfigError."""
    factories = networks_of(options.networks, names)
    for part in (*model.own_networks, *factories):
        if part not in factories or part not in model.own_networks:
            kind, _, view = part.partition(".")
            found, expected = ("none", "a factory") if part not in factories else ("a factory", "None")
            example = f"networks={{{names[int(view)]!r}: (make_encoder, make_decoder)}}"
            raise ConfigError(
                f"networks has {found} for the {kind} of view {names[int(view)]!r}; expected {expected}, as in the training: "
                f"JPVAE.load(path, {example})"
            )
    together = share()[1] > 1
    backend: Any = options.backend
    if backend == AUTO:
        backend = "torch" if together else chosen(model, options.device)
    return engine(backend, model, options.dtype, options.device, factories or None, options.threads)


def with_networks(made: Engine, model: Model, parameters: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """``parameters`` with those of the model's own networks, fresh by the seed where they have none of them; what they have
    must suit the factories. Raises ConfigError."""
    if not model.own_networks:
        return dict(parameters)
    fresh, kept = made.network_parameters(seed), {name: x for name, x in parameters.items() if model.is_own(name)}
    if not kept:
        return {**parameters, **fresh}
    for name in sorted(fresh.keys() | kept.keys()):
        ours, theirs = (f"of shape {found[name].shape}" if name in found else "absent" for found in (fresh, kept))
        if ours != theirs:
            raise ConfigError(
                f"networks does not fit the file: {name} is {ours} in the network that the factory makes and {theirs} "
                "in the file; expected the factories of the training"
            )
    return dict(parameters)


def warn_of_idle_latents(options: Options, model: Model, names: Sequence[str]) -> None:
    """Warn of views with more latents than columns, which have nothing to tell by the others.

    The default numbers suit tables of any width (docs/experiments.md): the warning is of numbers that were chosen. The smallest
    size is how many directions a canonical prior couples: a small table among larger ones may have as many.
    """
    if options.latent_dims == "auto":
        return
    idle = [i for i, (n, c) in enumerate(zip(model.latent_dims, model.features, strict=True)) if n > c]
    if len(idle) < model.views:
        idle = [i for i in idle if model.latent_dims[i] > model.joint.needed_latents]
    if idle:
        found = ", ".join(f"{names[i]!r} has {model.latent_dims[i]} for {model.features[i]}" for i in idle)
        fewer = tuple(min(n, c) for n, c in zip(model.latent_dims, model.features, strict=True))
        also = ", and a prior for unequal sizes, 'canonical'" if len(set(fewer)) > 1 and model.joint.equal_sizes else ""
        warnings.warn(
            f"more latents than columns (view {found}): the extra ones slow training and carry no information; give "
            f"latent_dims={fewer}{also}",
            JPVAEWarning,
            stacklevel=3,
        )


def plan_of(
    options: Options,
    model: Model,
    rows: int,
    names: Sequence[str],
    seed: int,
    *,
    bent: bool = False,
    explained: Sequence[np.ndarray] | None = None,
) -> Plan:
    """The training that these options mean for so many rows of the views called ``names``. Raises ConfigError.

    bent: whether the views are related by curves (training/nonlinearity.py), for which steps and cross terms count more.
    explained: of each view's columns the share of the variance that the other views explain, where that ``weighs_levels``.
    """
    fraction = float(options.validation_fraction) if options.early_stopping else 0.0
    rows -= held_out_rows(fraction, rows)
    if rows < 1:
        raise ConfigError(
            f"early_stopping=True holds out every row (validation_fraction {fraction}); expected more rows, or False"
        )
    batch = max(1, min(options.batch_size, rows))
    if options.steps is not None:
        wanted: float = options.steps
    elif options.epochs is not None:
        wanted = float(options.epochs) * rows / batch
    else:  # from 20,000 rows on with the root of the rows
        few = min(_ENOUGH_OF_FEW, max(_FEWEST_STEPS, _PASSES_OF_FEW * rows / batch))
        few *= _LONGER_FOR_CURVES if bent else 1.0
        wanted = max(few, _PASSES * rows / batch * math.sqrt(min(1.0, _SLOWER / rows)))
    if wanted > _MOST_STEPS:
        found = f"epochs is {options.epochs}" if options.steps is None else f"steps is {options.steps}"
        raise ConfigError(f"{found}, which is more than {_MOST_STEPS:,} steps; expected a training that can end")
    steps = max(1, round(wanted)) if options.steps is None else options.steps
    weights = (1.0, 0.25, 0.25) if model.views == 2 else (1.0, 0.5)
    return Plan(
        steps=steps,
        batch_size=options.batch_size,
        beta=schedules.beta_schedule(options.beta, steps),
        learning_rate=LearningRate(float(options.learning_rate), options.learning_rate_schedule),
        objective=options.objective,
        weights=weights if options.subset_weights is None else tuple(map(float, options.subset_weights)),
        coupling_rate=float(options.coupling_rate),
        seed=seed,
        max_gradient_norm=_gradient_limit(options.max_gradient_norm, model),
        validation_fraction=fraction,
        cross_draws=options.cross_draws,
        cross_weight=_weight_of_crossing(options.cross_weight, model, rows, bent),
        cell_dropout=float(options.cell_dropout) if model.cell_bits else 0.0,
        view_weights=_weight_of_each(options.view_weights, names),
        column_weights=_weights_of_columns(options.level_weight, model, names, explained),
        weight_decay=_decay(options, model, rows, steps),
        calibration=_calibration(options, model, rows, steps),
        bootstrap=options.bootstrap,
    )


def _calibration(options: Options, model: Model, rows: int, steps: int) -> Calibration | None:
    """None where nothing can be learned of it: no likelihood with parameters of its own, one view, few rows or steps."""
    held_out, first = min(_MOST_CALIBRATING, round(options.calibration * rows)), round(_FIRST_PART * steps)
    learn = any(family.own_columns(c) for family, c in zip(model.likelihoods, model.features, strict=True))
    if not (learn and held_out and 0 < first < steps and model.views > 1) or options.early_stopping:
        return None
    affordable = max(2, min(_MOST_FOLDS, _FOLDED_COLUMNS // sum(model.features))) if first >= _FOLDED_STEPS else 1
    folds = min(rows // held_out, math.ceil(_ENOUGH_CALIBRATING / held_out), affordable)
    return Calibration(first, held_out, folds) if folds * held_out >= _FEWEST_CALIBRATING else None


def _gradient_limit(given: float | str | None, model: Model) -> float | None:
    """As a number; "auto": the loss is a sum over columns, and so its gradient grows with the root of how many there are."""
    return _STEEPEST * math.sqrt(sum(model.features)) if isinstance(given, str) else given


def _decay(options: Options, model: Model, rows: int, steps: int) -> float:
    """As a number; "auto": the more columns there are for each row, the more; over many steps as much in all as over 500.

    A step never takes more than a part of any weight, whatever the learning rate.
    """
    if not isinstance(options.weight_decay, str):
        return float(options.weight_decay)
    for_each_row = sum(model.features) / rows
    wanted = _DECAY * max(min(1.0, math.sqrt(for_each_row)), for_each_row / _WIDE)
    most = min(_STRONGEST, _MOST_OF_A_STEP / options.learning_rate)
    return min(most, wanted) * _FEWEST_STEPS / max(_FEWEST_STEPS, steps)


def decay_after(weight_decay: float, learning_rate: float, share: float) -> float | None:
    """The weight decay from the calibration on, None for what it was; share: what held-out rows confirm of the hidden layers.

    The linear maps decay faster too: they were trained beside what the hidden layers know by heart.
    """
    if share == 1.0:
        return None
    return min(weight_decay / max(share, _LEAST_SHARE) ** 2, max(weight_decay, _MOST_OF_A_STEP / learning_rate))


def _weight_of_crossing(given: float | str, model: Model, rows: int, bent: bool) -> float:
    """As a number; "auto": what crossing regularises fades with the rows for each column, and its bias shall fade with it.

    A Gaussian prior of each view by itself leaves no room for latents that are curves in the view's other latents, which the
    bound therefore does not learn: where views are related so, predictions are learned for their own sake.
    """
    if not isinstance(given, str):
        return float(given)
    return _CROSSING_OF_CURVES if bent else min(_CROSSING, 10.0 * _CROSSING * sum(model.features) / rows)


def _weights_of_columns(
    given: float | str, model: Model, names: Sequence[str], explained: Sequence[np.ndarray] | None
) -> tuple[tuple[float, ...], ...] | None:
    """Of each view's columns, None where all are 1; "auto": the inverse of what the other views do not explain of a column.

    A number's noise is learned, and so what is known of it exactly counts as much as it is exact. Levels have no noise.
    """
    levels = [_of_levels(*each) for each in zip(names, model.likelihoods, model.features, strict=True)]
    if isinstance(given, str):
        shares = explained or [np.zeros(c) for c in model.features]
        means = [_by_variable(each, f.variables(len(each))) for each, f in zip(shares, model.likelihoods, strict=True)]
        weights = [1.0 / np.maximum(1.0 - each, 1.0 / _HEAVIEST) for each in means]
    else:
        weights = [np.full(c, float(given)) for c in model.features]
    found = [np.where(each, weight, 1.0) for each, weight in zip(levels, weights, strict=True)]
    return None if all((each == 1.0).all() for each in found) else tuple(tuple(each.tolist()) for each in found)


def _by_variable(shares: np.ndarray, variables: np.ndarray) -> np.ndarray:
    """Of each column (c,) its variable's mean: the levels of a category weigh alike, or its probabilities would be off."""
    mean: np.ndarray = (np.bincount(variables, shares) / np.maximum(np.bincount(variables), 1))[variables]
    return mean


def _of_levels(name: str, family: Likelihood, columns: int) -> np.ndarray:
    found = np.asarray(family.of_levels(columns))
    if found.shape != (columns,) or found.dtype != np.bool_:
        raise ConfigError(
            f"the likelihood of view {name!r} has {found!r:.80} from its method of_levels; expected {columns} truth values"
        )
    return found


def weighs_levels(options: Options, model: Model, rows: int) -> bool:
    """Whether the weights of columns of levels depend on what the views explain of each other. Large networks (of images, say)
    and the bound itself have none."""
    asked = options.level_weight == "auto" and options.objective == "subset" and model.joint.couples
    some = any(np.any(family.of_levels(c)) for family, c in zip(model.likelihoods, model.features, strict=True))
    return asked and some and not _is_large(model.features, rows)


def _weight_of_each(given: tuple[float, ...] | Mapping[str, float] | None, names: Sequence[str]) -> tuple[float, ...] | None:
    """One weight per view, from a sequence or a dict by name."""
    if isinstance(given, Mapping):
        if set(given) != set(names):
            raise ConfigError(f"view_weights names the views {list(given)}; expected {list(names)}")
        given = tuple(given[name] for name in names)
    if given is not None and len(given) != len(names):
        raise ConfigError(f"view_weights is {given!r}; expected one number per view ({len(names)} views)")
    return None if given is None else tuple(map(float, given))
