"""A training whose numbers are not finite any more: found at once, with the row, view and term that went first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ConfigError, TrainingDiverged

_REMEDY = "Lower learning_rate, set max_gradient_norm (for example to 1.0), or look for extreme values in the data."


def plain_report(report: Any, views: int) -> dict[str, Any]:
    """What an engine reports as plain numbers, or lists of one per view, which files can keep.

    Raises ConfigError where it is something else.
    """
    if not isinstance(report, Mapping):
        raise ConfigError(f"backend gives an engine whose train_step reports {report!r:.80}; expected a dict")
    return {name: value if name == "rows" else _plain(name, value, views) for name, value in report.items()}


def _plain(name: str, value: Any, views: int) -> float | list[float]:
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: torch's, for a tensor that requires a gradient
        numbers = np.empty((0, 0))
    if numbers.shape not in ([(views,)] if name == "reconstruction" else [(), (views,)]):
        raise ConfigError(
            f"backend gives an engine whose train_step reports {name!r} as {value!r:.80}; expected a number, or one per view"
        )
    plain: float | list[float] = numbers.tolist()
    return plain


def check_report(report: Mapping[str, Any], when: str, rows: np.ndarray, names: Sequence[str], index: Any = None) -> None:
    """Raise TrainingDiverged where the loss of a batch, or its gradient's norm, is not finite.

    report: of Engine.train_step; rows (B,): the batch's rows in the data; names: of the views.
    """
    if lacking := [name for name in ("loss", "reconstruction", "kl") if name not in report]:
        raise ConfigError(f"backend gives an engine whose train_step reports no {lacking[0]!r}, only {sorted(report)}")
    parts = f"(loss {report['loss']}, reconstruction {report['reconstruction']}, KL {report['kl']})"
    if not math.isfinite(report["loss"]):
        raise TrainingDiverged(
            f"the loss is {report['loss']} at {when} {parts}: {_offender(report, rows, names, index)}. {_REMEDY}"
        )
    norm = report.get("gradient_norm")
    if norm is not None and not math.isfinite(norm):
        raise TrainingDiverged(f"the gradient's norm is {norm} at {when} {parts}; that step was not taken. {_REMEDY}")


def check_finite(
    arrays: Mapping[str, np.ndarray], done: int, names: Sequence[str], start: Mapping[str, np.ndarray] | None = None
) -> None:
    """Raise TrainingDiverged where a parameter, or one of Adam's moments, is not finite after so many steps, and is not as it
    was at the start: a network of the user's own may have constants that are infinite."""
    for name, x in arrays.items():
        if not np.isfinite(x).all() and not (start and name in start and np.array_equal(start[name], x, equal_nan=True)):
            view = next((f"view {names[int(part)]!r}: " for part in name.split(".") if part.isdigit()), "")
            raise TrainingDiverged(f"{view}{name} is not finite after step {done - 1}, though the loss was. {_REMEDY}")


def _offender(report: Mapping[str, Any], rows: np.ndarray, names: Sequence[str], index: Any) -> str:
    """The first row of the data that is not finite, and what went first in it: a posterior, a reconstruction, or the prior."""
    posterior, reconstruction, kl = (report["rows"][part] for part in ("posterior", "reconstruction", "kl"))
    finite = np.isfinite(posterior).all(axis=1) & np.isfinite(reconstruction).all(axis=1) & np.isfinite(kl)
    if finite.all():
        return "every row is finite, but not their sum; the parameters have become too large"
    k = min(np.flatnonzero(~finite), key=lambda k: rows[k])
    row = rows[k] if index is None else index[rows[k]]
    for term, values in (("KL (mean^2 + var of its posterior)", posterior[k]), ("reconstruction", reconstruction[k])):
        for i in np.flatnonzero(~np.isfinite(values)):
            return f"view {names[int(i)]!r}, row {row} is the first: its {term} is {values[i]}"
    return f"row {row} is the first: its KL is {kl[k]}, by the joint prior's parameters"
