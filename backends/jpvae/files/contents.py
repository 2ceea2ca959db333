"""What the arrays and the history of a checkpoint must be to be believed: shapes, dtypes, finite numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import CheckpointError
from ..inference.predictive import HEAD, PARTS, plausible
from ..model.model import Model

Arrays = Mapping[str, np.ndarray]
_MOST_VERSIONS, _LONGEST_VERSION = 50, 100
_PARTS = ("loss", "seconds")  # that every record has, beside its step; all it has are numbers, or one per view


def fits(tensors: Arrays, model: Model) -> bool:
    """Whether names and shapes are those of this model (Adam's arrays aside)."""
    if not _plausible(tensors, model):
        return False
    shapes = {name: x.shape for name, x in model.initial_parameters(0).items()}
    expected = {f"parameters.{name}": shape for name, shape in shapes.items()}
    if any(name.startswith("best.") for name in tensors):
        expected |= {f"best.{name}": shape for name, shape in shapes.items()}
    own_of_likelihoods = {f"calibrated.{name}": shape for name, shape in shapes.items() if name.startswith("likelihood.")}
    expected |= {name: shape for name, shape in own_of_likelihoods.items() if name in tensors}
    expected |= {f"scaling.{i}.{part}": (c,) for i, c in enumerate(model.features) for part in ("location", "scale")}
    if any(name.startswith("moments.") for name in tensors):
        n = sum(model.latent_dims)
        expected |= {"moments.mean": (n,), "moments.covariance": (n, n)}
    heads = [f"member.{k}." for k in range(1, members_in(tensors) + 1)]
    corrections = {f"{HEAD}{i}.{part}" for i in range(model.views) for part in PARTS}
    expected |= {name: (1,) for head in ("calibrated.", *heads) for one in corrections if (name := head + one) in tensors}
    expected |= {f"{head}{name}": shape for head in heads for name, shape in shapes.items()}
    own = {head: _own(tensors, head, model) for head in ("parameters.", "best.", *heads)}
    if own["best."] not in ({}, own["parameters."]) or any(own[head] != own["parameters."] for head in heads):
        return False
    left = {f"{head}{name}" for head, shapes in own.items() for name in shapes}
    return {n: x.shape for n, x in tensors.items() if not n.startswith("adam.") and n not in left} == expected


def members_in(tensors: Arrays) -> int:
    """How many further models of an ensemble there are: member.1, member.2, ..."""
    return len({name.split(".")[1] for name in tensors if name.startswith("member.")})


def _own(tensors: Arrays, head: str, model: Model) -> dict[str, tuple[int, ...]]:
    """Shapes, by name, of the parameters of the user's own networks: what they should be is not known before these are made."""
    found = {name.removeprefix(head): x.shape for name, x in tensors.items() if name.startswith(head)}
    return {name: shape for name, shape in found.items() if model.is_own(name)}


def _plausible(tensors: Arrays, model: Model) -> bool:
    """Whether the file has the layers and the prior that the header claims: found before any of them is made."""

    def has(name: str, shape: tuple[int, ...]) -> bool:
        return f"parameters.{name}" in tensors and tensors[f"parameters.{name}"].shape == shape

    return all(  # one by one: a header may claim any number
        has(f"{part}.{i}.{k}.weight", shape)
        for i in range(model.views)
        for part in ("encoder", "decoder")
        for k, shape in model.named_layers(part, i)
    ) and all(has(name, shape) for name, shape in model.joint.shapes().items())


def check_numbers(tensors: Arrays, model: Model, path: str) -> None:
    """Raise CheckpointError for an array that is not of finite real numbers, or a scale that is not positive."""
    for name, x in tensors.items():
        kind, _, rest = name.partition(".")
        rest = rest.partition(".")[2] if kind == "member" else rest
        if (kind == "adam" and (rest.startswith("state.") or model.is_own(rest[2:]))) or model.is_own(rest):
            continue  # of the user's own networks and optimisers anything may be
        if x.dtype not in (np.float32, np.float64):
            raise CheckpointError(f"{path!r}: its array {name!r} has dtype {x.dtype}; expected float32 or float64")
        if not np.isfinite(x).all():
            raise CheckpointError(f"{path!r}: its array {name!r} has an entry that is not finite; the file is damaged")
        if HEAD in name and not plausible(name.rpartition(".")[2], x):
            raise CheckpointError(f"{path!r}: its array {name!r} is {x}, which no training can find; the file is damaged")
        if name.startswith("scaling.") and name.endswith(".scale") and not (x > 0).all():
            raise CheckpointError(f"{path!r}: its array {name!r} has an entry that is not positive; the file is damaged")


def check_history(history: Any, steps: Any, views: int, path: str) -> None:
    """Raise CheckpointError where this is not the history of a training of so many steps: a record each now and then."""
    whole, last = isinstance(history, list) and _is_count(steps), 0
    for record in history if whole else []:
        whole = whole and isinstance(record, dict) and _is_count(record.get("step")) and last < record["step"] <= steps
        whole = (
            whole
            and all(_is_number(record.get(part)) for part in _PARTS)
            and all(_is_number(x) or _per_view(x, views) for x in record.values())
        )
        if not whole:
            break
        last = record["step"]
    if not whole:
        raise CheckpointError(f"{path!r} has a damaged header (its history, or its number of steps)")


def check_window(window: Any, steps: int, views: int, path: str) -> None:
    """Raise CheckpointError where these are not the reports of some of the last steps."""
    whole = isinstance(window, list) and len(window) <= steps
    for report in window if whole else []:
        whole = whole and isinstance(report, dict) and report.keys() == window[0].keys() and _is_number(report.get("loss"))
        whole = whole and all(_is_number(x) or _per_view(x, views) for x in report.values())
        if not whole:
            break
    if not whole:
        raise CheckpointError(f"{path!r} has a damaged header (the steps since its last record)")


def check_decay(decay: Any, path: str) -> None:
    """Raise CheckpointError where this is neither None nor a weight decay."""
    if not (decay is None or (_is_number(decay) and math.isfinite(decay) and decay >= 0)):
        raise CheckpointError(f"{path!r} has a damaged header (its weight decay)")


def check_best(best: Any, steps: int, path: str) -> None:
    """Raise CheckpointError where this is not None, nor the step of the best parameters so far with its loss."""
    whole = best is None or (isinstance(best, dict) and set(best) == {"step", "loss", "since"})
    if best is not None and whole:
        counts = type(best["step"]) is int and type(best["since"]) is int and 0 <= best["step"] <= steps and best["since"] >= 0
        whole = counts and _is_number(best["loss"])
    if not whole:
        raise CheckpointError(f"{path!r} has a damaged header (the best of its training)")


def check_versions(versions: Any, path: str) -> None:
    """Raise CheckpointError where these are not a few short texts by name."""
    whole = isinstance(versions, dict) and len(versions) <= _MOST_VERSIONS
    if not whole or not all(_is_version(text) for pair in versions.items() for text in pair):
        raise CheckpointError(f"{path!r} has a damaged header (its versions)")


def _is_version(text: Any) -> bool:
    return isinstance(text, str) and text.isprintable() and len(text) <= _LONGEST_VERSION


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _per_view(value: Any, views: int) -> bool:
    return isinstance(value, list) and len(value) == views and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    """A float, or an integer that is one."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2.0**1023)
