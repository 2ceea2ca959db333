"""What an engine's max_gradient_norm and weight_decay do, and what it reports of rows that are not finite."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engines import Batch, Engine
from ..model.model import Model
from . import dense
from .engine_steps import BETA, COUPLING_RATE, FIRST, RATES, STEP, check_step, same
from .examples import Arrays, batches, parameters
from .report import Report


def check_guard(report: Report, made: Engine, model: Model, dtype: str) -> None:
    """max_gradient_norm above the norm changes no bit, half the norm halves the gradient, and NaN moves nothing; nor does the
    order in which the parameters come change a bit.

    The gradient g is that of a step without it, which check_engine compares with the dense loss; so is its norm, in float64:
    the dense loss' derivative along g/|g|.
    """
    p, batch, eps = parameters(model), batches(model, "holes").at(0), float(np.finfo(dtype).eps)
    rates = {"beta": BETA, "learning_rate": RATES[0], "coupling_rate": COUPLING_RATE}

    def step(most: float | None, batch: Batch = batch, start: Arrays = p) -> tuple[Arrays, Any]:
        state = made.start(start, None)
        return made.train_step(state, batch, **rates, max_gradient_norm=most), made.to_arrays(state)

    _, free = step(None)
    g = {name: free[1][f"m.{name}"].astype(np.float64) / (1.0 - FIRST) for name in p}
    norm = float(np.sqrt(sum(np.sum(x**2) for x in g.values())))
    if dtype == "float64":
        along = dense.loss(model, {name: p[name] + 1j * STEP * g[name] / norm for name in p}, batch, BETA)["loss"].imag / STEP
        report.compare("gradient_norm", norm, along, 1e-9 * norm)
    found, above = step(2.0 * norm)
    size = sum(x.size for x in p.values())
    report.compare("gradient_norm", found["gradient_norm"], norm, (size + 8) * eps * norm)
    for one, other in zip(above, free, strict=True):
        same(report, "max_gradient_norm", one, other, "above the norm, changed")
    _, half = step(0.5 * norm)
    turned, clipped = step(0.5 * norm, start=dict(sorted(p.items(), reverse=True)))
    exactly = {"gradient_norm": np.asarray(found["gradient_norm"])}
    same(report, "start", {"gradient_norm": np.asarray(turned["gradient_norm"])}, exactly, "depends on the parameters' order")
    for one, other in zip(clipped, half, strict=True):
        same(report, "start", one, other, "a step depends on the parameters' order")
    check_step(report, p, half, dtype, 1)
    for name, x in g.items():
        report.compare("max_gradient_norm", half[1][f"m.{name}"] / (1.0 - FIRST), 0.5 * x, (size + 16) * eps * np.abs(x))
    with np.errstate(all="ignore"):
        found, still = step(norm, _with_nan(batch))
    report.require("gradient_norm", not np.isfinite(found["gradient_norm"]), f"is {found['gradient_norm']} for data of NaN")
    for one, other in zip(still, made.to_arrays(made.start(p, None)), strict=True):
        same(report, "a gradient that is not finite", one, other, "moved")


def check_decay(report: Report, made: Engine, model: Model, dtype: str) -> None:
    """weight_decay w shrinks the networks' matrices by 1 - rate w beside Adam's step, hidden layers' beside a linear path
    by 1 - 4 rate w, and moves nothing else: the reported loss and the moments are those of a step without it."""
    p, batch, eps, decay = parameters(model), batches(model, "holes").at(0), float(np.finfo(dtype).eps), 0.25
    rates, found = {"beta": BETA, "learning_rate": RATES[0], "coupling_rate": COUPLING_RATE}, []
    for chosen in ({}, {"weight_decay": decay}):
        state = made.start(p, None)
        found.append((made.train_step(state, batch, **rates, **chosen), *made.to_arrays(state)))
    (free, moved, moments), (reported, decayed, again) = found
    same(report, "weight_decay", {"loss": np.asarray(reported["loss"])}, {"loss": np.asarray(free["loss"])}, "changed")
    for name, x in moments.items():
        report.require("weight_decay", name in again, f"leaves no {name}")
        report.compare("Adam's moments under weight_decay", again[name], x, 16 * eps * np.abs(x))
    for name, x in p.items():
        shrinks, path = name.startswith(("encoder", "decoder")) and name.endswith("weight"), name.rpartition(".")[0]
        hidden = f"{'.'.join(path.split('.')[:2])}.linear.weight" in p and not path.endswith("linear")
        expected = moved[name] - (RATES[0] * decay * (4.0 if hidden else 1.0) * x if shrinks else 0.0)
        # Two products and two sums, on the parameter and on what Adam adds, each rounded in both runs.
        bound = 16 * eps * (np.abs(x) + np.abs(moved[name] - x))
        report.compare("weight_decay", decayed[name], expected, bound)


def check_rows(report: Report, made: Engine, model: Model) -> None:
    """Where a row's data are NaN its terms are reported, and those of other rows are finite; otherwise none are."""
    batch = batches(model, "holes").at(0)
    at = int(np.argmax(batch.observed[:, 0]))
    options = {"beta": BETA, "learning_rate": 0.0, "coupling_rate": 1.0}
    rows = made.train_step(made.start(parameters(model), None), _with_nan(batch), **options).get("rows", {})
    shapes = {"posterior": batch.observed.shape, "reconstruction": batch.observed.shape, "kl": batch.observed.shape[:1]}
    found = {name: np.shape(x) for name, x in rows.items()}
    report.require("rows", found == shapes, f"of a loss of NaN have shapes {found}; expected {shapes}")
    for name, x in rows.items():
        finite = np.isfinite(x).reshape(len(x), -1).all(axis=1)
        expected = np.arange(len(x)) != at
        report.require("rows", bool((finite == expected).all()), f"{name} finite: {finite}; expected {expected}")


def _with_nan(batch: Batch) -> Batch:
    """The batch with NaN in the first view, in the first row that has it."""
    first = batch.views[0].copy()
    first[np.argmax(batch.observed[:, 0]), 0] = np.nan
    return Batch(**vars(batch) | {"views": (first, *batch.views[1:])})
