"""Is a class a training engine? Its losses, gradients, Adam, files and predictions against dense NumPy (dense.py).

Only the protocol of engine.py is used. What one step must do stands in engine_steps.py, what options add in engine_options.py.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engines import Batch, Engine, engine
from ..model.model import Model
from . import dense, rounding
from .engine_options import check_decay, check_guard, check_rows
from .engine_steps import BETA, COUPLING_RATE, FIRST, RATES, check_loss, check_moments, check_step, same
from .examples import MODELS, PATTERNS, Arrays, batches, parameters
from .report import Report

EngineClass = Any  # called as EngineClass(model, dtype, device)


def check_engine(which: str | EngineClass, *, device: str = "cpu", models: Sequence[str] = tuple(MODELS)) -> Report:
    """Check a training engine: every prior and likelihood, both objectives, missing views and cells, float64 and float32.

    Compared with dense NumPy: the loss, reconstruction and kl that each of three steps reports; the gradient of each, along a
    direction; the step, with Adam and coupling_rate; encode, decode, and the prior and likelihood on its arrays; weight_decay;
    max_gradient_norm, on which side of the norm it may be, and what is reported of rows that are not finite. To the bit: what
    start takes and to_arrays gives, training that goes on from it, and a second run. What is handed in must stay as it is.

    Parameters
    ----------
    which : str, or class
        Its name in the registry, or its class, called as ``which(model, dtype, device)``.
    device : str
    models : sequence of str
        Names of the table in examples.py; by default all.

    Returns
    -------
    Report
        Prints as a table.

    Raises
    ------
    AssertionError
        At the first failure, naming what, model, batch, dtype and step.

    Examples
    --------
    >>> from jpvae.testing import check_engine
    >>> "gradient" in check_engine("numpy", models=["svd"]).lines
    True
    """
    with Report(f"check_engine({_name(which)!r})") as report:
        for name, pattern, dtype in itertools.product(models, PATTERNS, ("float64", "float32")):
            model = MODELS[name]
            report.case = f"model {name!r}, {', '.join(pattern)}, {dtype}"
            made = _maker(which)(model, dtype, device)
            _check_training(report, made, model, pattern, dtype)
            if pattern == ("holes", "elbo"):
                _check_predictions(report, made, model, dtype)
            if pattern == ("holes", "subset"):
                check_guard(report, made, model, dtype)
                check_decay(report, made, model, dtype)
                check_rows(report, made, model)
    return report


def check_engines_agree(
    first: str | EngineClass, second: str | EngineClass, *, steps: int = 100, models: Sequence[str] = tuple(MODELS)
) -> Report:
    """Two engines given the same start, batches and noise, in float64, have the same losses and parameters, to 1e-10.

    Gradients differ by some 1e-16 of themselves; Adam divides by |g| + 1e-8 at least, so at a rate of 1e-3 a step moves the
    two apart by 1e-11 at worst, and usually by 1e-18.

    Parameters
    ----------
    first, second : str, or class
        As for ``check_engine``.
    steps : int
    models : sequence of str
        Names of the table in examples.py; by default all.

    Returns
    -------
    Report

    Raises
    ------
    AssertionError
        At the first difference.

    Examples
    --------
    >>> from jpvae.testing import check_engines_agree
    >>> report = check_engines_agree("numpy", "torch", steps=2, models=["svd"])
    """
    with Report("check_engines_agree") as report:
        for name in models:
            model = MODELS[name]
            report.case = f"model {name!r}, {_name(first)} and {_name(second)}"
            pair = [_maker(which)(model, "float64", "cpu") for which in (first, second)]
            states = [made.start(parameters(model), None) for made in pair]
            data = batches(model, "holes")
            for t in range(steps):
                one, other = (_step(made, state, data.at(t), 1e-3) for made, state in zip(pair, states, strict=True))
                report.compare(f"loss of {steps} steps", one["loss"], other["loss"], 1e-10 * (1.0 + abs(other["loss"])))
            p, q = (made.to_arrays(state)[0] for made, state in zip(pair, states, strict=True))
            for key in p:
                report.compare(f"parameters after {steps} steps", p[key], q[key], 1e-10)
    return report


def loss_and_gradients(made: Engine, p: Arrays, batch: Batch, beta: float = 1.0) -> tuple[float, Arrays]:
    """The loss, and its gradient by parameter, of any engine: what a first step reports, and Adam's first moment after it."""
    state = made.start(p, None)
    report = made.train_step(state, batch, beta=beta, learning_rate=0.0, coupling_rate=1.0)
    moments = made.to_arrays(state)[1]
    return report["loss"], {name: moments[f"m.{name}"] / (1.0 - FIRST) for name in p}


def _name(which: str | EngineClass) -> str:
    return which if isinstance(which, str) else str(which.__name__)


def _maker(which: str | EngineClass) -> Any:
    return functools.partial(engine, which) if isinstance(which, str) else which


def _step(made: Engine, state: Any, batch: Batch, rate: float) -> Arrays:
    """A training step, and what it reports."""
    found = made.train_step(state, batch, beta=BETA, learning_rate=rate, coupling_rate=COUPLING_RATE)
    return {name: np.asarray(value) for name, value in found.items()}


def _check_training(report: Report, made: Engine, model: Model, pattern: tuple[str, str], dtype: str) -> None:
    """Three steps against the oracle; the last one again from what was saved before it; all of them again."""
    steps = range(len(RATES))
    p, data = parameters(model), [batches(model, *pattern).at(t) for t in steps]
    state = made.start(p, None)
    saved: list[tuple[Arrays, Any]] = [made.to_arrays(state)]
    reports: list[Arrays] = []
    same(report, "start", saved[0][0], p)
    case = report.case
    for t in steps:
        report.case = f"{case}, step {t + 1}"
        reports.append(_step(made, state, data[t], RATES[t]))
        same(report, "train_step", _named(data[t]), _named(batches(model, *pattern).at(t)), "changed its batch")
        same(report, "to_arrays", saved[0][0], p, "shares memory with the state")
        saved.append(made.to_arrays(state))
        gradient, lost = check_moments(report, saved[t], saved[t + 1], dtype, t + 1)
        check_loss(report, model, saved[t][0], data[t], reports[t], dtype, gradient, lost)
        check_step(report, saved[t][0], saved[t + 1], dtype, t + 1)
    report.case = case
    same(report, "parameters", {name: made.numpy(x) for name, x in made.parameters(state).items()}, saved[-1][0])
    runs: list[tuple[str, int, tuple[Arrays, Any]]] = [("resumed", steps[-1], saved[-2]), ("repeated", 0, (p, None))]
    for kind, begin, arrays in runs:
        again = made.start(*arrays)
        if begin:
            for found, kept in zip(made.to_arrays(again), arrays, strict=True):
                same(report, "start from to_arrays", found, kept)
        for t in steps[begin:]:
            same(report, f"a {kind} run", _step(made, again, data[t], RATES[t]), reports[t], "reports another number")
        for found, kept in zip(made.to_arrays(again), saved[-1], strict=True):
            same(report, f"a {kind} run", found, kept)
    same(report, "start", p, parameters(model), "changed its input")


def _named(batch: Batch) -> Arrays:
    """The batch's arrays by name."""
    lists = ("views", "targets", "column_weights")
    views = {f"{part}[{i}]": x for part in lists for i, x in enumerate(getattr(batch, part) or ())}
    rest = {name: np.asarray(x) for name, x in vars(batch).items() if name not in lists and x is not None}
    return views | rest


def _check_predictions(report: Report, made: Engine, model: Model, dtype: str) -> None:
    """Encode and decode with leading axes, and the prior and the likelihoods on the engine's arrays and namespace."""
    p, batch = parameters(model), batches(model, "holes").at(0)
    native = made.parameters(made.start(p, None))
    error = rounding.relative(model, p, float(np.finfo(dtype).eps))
    absolute = {name: np.abs(x) for name, x in p.items()}
    bits = made.numpy(made.asarray(batch.observed))
    report.require("asarray", bits.dtype == np.bool_ and bool((bits == batch.observed).all()), f"made {bits.dtype} of bool")
    if model.prior != "independent":  # which holds no array
        S = made.numpy(model.joint_prior(native).covariance())
        report.compare("the prior on its arrays", S, dense.covariance(model, p), error)
    for i, x in enumerate(batch.views):
        x, z = np.stack([x, -x]), np.random.default_rng(i).standard_normal((2, 7, model.latent_dims[i]))
        given = made.asarray(x)
        for found, want, scale in zip(
            made.encode(native, i, given), dense.encode(p, i, x), dense.encode(absolute, i, np.abs(x)), strict=True
        ):
            report.compare("encode", made.numpy(found), want, error * scale)
        outputs = made.decode(native, i, made.asarray(z))
        scale = dense.network(absolute, f"decoder.{i}", np.abs(z))
        report.compare("decode", made.numpy(outputs), dense.network(p, f"decoder.{i}", z), error * scale)
        target = (batch.targets or batch.views)[i]
        own = model.own_parameters(native, i)
        fit = made.numpy(model.likelihoods[i].log_prob(made.xp, outputs, made.asarray(target), own))
        bound = error * rounding.log_prob_scale(model, p, i, z, np.abs(z), target)
        report.compare("the likelihood on its arrays", fit, dense.log_prob(p, i, z, target, model), bound)
        report.require("numpy", fit.dtype == dtype, f"gives {fit.dtype}; expected {dtype}")
        copy = made.numpy(given)
        copy += 1.0
        report.require("numpy", bool(np.array_equal(made.numpy(given), np.asarray(x, dtype=dtype))), "gives no copy")
