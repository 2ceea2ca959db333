"""From the estimator's options and the data to a Model and a Plan; both check what they are given."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from . import schedules
from .errors import ConfigError
from .model import Model
from .schedules import LearningRate
from .training import Plan
from .views import Views

if TYPE_CHECKING:
    from .estimator import JPVAE


def model_of(options: JPVAE, data: Views) -> Model:
    """The model that these options mean for these views. Raises ConfigError."""
    M = len(data.names)
    return Model(
        features=tuple(a.shape[1] for a in data.arrays),
        latent_dims=_per_view(options.latent_dims, M),
        likelihood_names=(options.likelihood,) * M if isinstance(options.likelihood, str) else tuple(options.likelihood),
        hidden=tuple(options.hidden),
        prior=options.prior,
        alpha=options.alpha,
        learn_alpha=options.learn_alpha,
        bound=options.bound,
        rank=options.rank,
    )


def plan_of(options: JPVAE, model: Model, rows: int) -> Plan:
    """The training that these options mean for so many rows. Raises ConfigError."""
    batch = max(1, min(options.batch_size, rows))
    steps = options.steps if options.steps is not None else max(1, round(options.epochs * rows / batch))
    weights = (1.0, 0.5, 0.5) if model.views == 2 else (1.0, 1.0)
    return Plan(
        steps=steps,
        batch_size=options.batch_size,
        beta=schedules.beta_schedule(options.beta, steps),
        learning_rate=LearningRate(options.learning_rate, options.learning_rate_schedule),
        objective=options.objective,
        weights=weights if options.subset_weights is None else tuple(options.subset_weights),
        coupling_rate=options.coupling_rate,
        seed=options.seed,
    )


def _per_view(sizes: Any, views: int) -> tuple[int, ...]:
    """One plain integer per view, from one integer or several (NumPy's count too)."""
    given = sizes if isinstance(sizes, Sequence | np.ndarray) else (sizes,) * views
    if not all(isinstance(n, Integral) for n in given):
        raise ConfigError(f"latent_dims is {sizes!r}; expected an integer, or one per view")
    return tuple(int(n) for n in given)
