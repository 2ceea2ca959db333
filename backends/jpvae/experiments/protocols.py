"""The protocols of the paper's experiment, in one table: what each variant is trained with, and how Table 1 imputes.

published   what the paper's tables were computed with: 18,750 Adam steps of 32 images, beta = 1, alpha = 0.9, Eq. 5;
            Eq. 12 takes the moments of the latents of the images that are imputed
paper       the paper's text at its word: alpha = 0.95, 30 passes over the 50,000 images, cyclical annealing with 30 cycles;
            Eq. 12 takes the moments of the training latents
ours        the fused posterior and the subset objective on the same nets and the same 600,000 images: batch 64, cosine rate,
            two draws in the cross terms, alpha learned (chosen on the 10,000 training images left out: docs/experiments.md)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ..training import schedules

PRIORS = {"zero": "independent", "svd": "svd", "orthogonal": "orthogonal"}
_LATER = {  # what a run had that is older than the option
    "posterior": "factorised",
    "linear_skip": False,
    "weight_decay": 0.0,
    "calibration": 0.0,
    "max_gradient_norm": None,
    "cross_draws": 1,
    "cross_weight": 1.0,
    "level_weight": 1.0,
}
LEARNED = "learned"  # in place of a number: alpha is trained, from the protocol's own value on


@dataclass(frozen=True)
class Protocol:
    """options: of the estimator, as plain JSON; by_variant: where a variant differs; moments: of "split" | "training"."""

    moments: str
    options: Mapping[str, Any]
    by_variant: Mapping[str, Mapping[str, Any]]


_NETS: dict[str, Any] = _LATER | {"latent_dims": 20, "hidden": [512, 512]}  # the paper's networks, and Adam as it is
_EQ_5 = {
    "objective": "elbo",
    "subset_weights": None,
    "batch_size": 32,
    "learning_rate": 1e-3,
    "learning_rate_schedule": "constant",
    "coupling_rate": 1.0,
    "posterior": "factorised",
}
_SUBSET = {
    "objective": "subset",
    "subset_weights": [1.0, 0.9, 0.9],
    "cross_draws": 2,
    "batch_size": 64,
    "learning_rate": 2e-3,
    "learning_rate_schedule": "cosine",
    "coupling_rate": 0.1,
    "posterior": "fused",
}
_HALF = {"alpha": 0.5}  # the svd's free parameters start near 0: singular values of one half

PROTOCOLS = {
    "published": Protocol("split", _NETS | _EQ_5 | {"steps": 18_750, "alpha": 0.9}, {"svd": _HALF}),
    "paper": Protocol(
        "training",
        _NETS | _EQ_5 | {"steps": 46_875, "alpha": 0.95, "beta": ["Cyclical", {"cycles": 30, "ramp": 0.5}]},
        {"svd": _HALF},
    ),
    "ours": Protocol(
        "split",
        _NETS | _SUBSET | {"steps": 9_375, "alpha": 0.98},
        {"orthogonal": {"learn_alpha": True}, "svd": {"alpha": 0.99}},
    ),
}


def protocol_named(name: str) -> Protocol:
    """The protocol. Raises ConfigError for a name that is not in the table."""
    if name not in PROTOCOLS:
        raise ConfigError(f"protocol is {name!r}; expected one of {sorted(PROTOCOLS)}")
    return PROTOCOLS[name]


def options(variant: str, protocol: str, alpha: float | str | None = None) -> dict[str, Any]:
    """The estimator's options, as plain JSON, for a variant ("zero", "svd", "orthogonal") under a protocol.

    alpha: another correlation than the protocol's, or "learned". Raises ConfigError.
    """
    if variant not in PRIORS:
        raise ConfigError(f"variant is {variant!r}; expected one of {sorted(PRIORS)}")
    chosen = protocol_named(protocol)
    found = dict(chosen.options) | {"prior": PRIORS[variant]} | dict(chosen.by_variant.get(variant, {}))
    if alpha == LEARNED:
        return found | {"learn_alpha": True}
    if isinstance(alpha, str):
        raise ConfigError(f"alpha is {alpha!r}; expected a number, {LEARNED!r} or None")
    return found if alpha is None else found | {"alpha": alpha}


def are_the_same(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a finished run's options are these, which may have been given names since."""
    return dict(_LATER) | dict(stored) == dict(_LATER) | dict(wanted)


def of_estimator(options: Mapping[str, Any]) -> dict[str, Any]:
    """The same options as the estimator takes them: a schedule as an object."""
    return dict(options) | ({"beta": schedules.from_json(options["beta"])} if "beta" in options else {})
