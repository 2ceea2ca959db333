"""Is a class a training engine? Its losses, gradients, Adam, files and predictions against dense NumPy (dense.py).

Only the protocol of engine.py is used. At every step the gradient is read off Adam's first moments, and what it says of one
direction d that moves every parameter is compared with the dense loss at the parameters before the step:

    g_t = (m_t - 0.9 m_{t-1})/0.1,    sum d g_t = Im loss(p + i h d)/h,    d = |p| sign g_t

This d makes all of g_t count with one sign, so that what is missing from it, or turned round, is not cancelled by chance.
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
from .examples import MODELS, PATTERNS, Arrays, batches, parameters
from .report import Report

EngineClass = Any  # called as EngineClass(model, dtype, device)

BETA, COUPLING_RATE, RATES = 0.7, 0.25, (0.01, 0.02, 0.005)  # a learning rate per step
FIRST, SECOND, TINY = 0.9, 0.999, 1e-8  # Adam's beta_1, beta_2, epsilon
STEP = 1e-20  # h: its square is nothing beside 1


def check_engine(which: str | EngineClass, *, device: str = "cpu", models: Sequence[str] = tuple(MODELS)) -> Report:
    """Check a training engine: every prior and likelihood, both objectives, missing views and cells, weights of views, float64
    and float32.

    which: its name in the registry, or its class; models: names of the table in examples.py. Compared with dense NumPy: the
    loss, reconstruction and kl that each of three steps reports; the gradient of each, along a direction; the step, with Adam
    and coupling_rate; encode, decode, and the prior and likelihood on its arrays; weight_decay; max_gradient_norm, on which
    side of the norm it may be, and what is reported of rows that are not finite. To the bit: what start takes and to_arrays
    gives, training that goes on from it, and a second run. What is handed in must stay as it is.
    -> a Report, which prints as a table. Raises AssertionError at the first failure, naming what, model, batch, dtype
    and step.

    >>> "gradient" in check_engine("torch").lines
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
                _check_guard(report, made, model, dtype)
                _check_decay(report, made, model, dtype)
                _check_rows(report, made, model)
    return report


def check_engines_agree(
    first: str | EngineClass, second: str | EngineClass, *, steps: int = 100, models: Sequence[str] = tuple(MODELS)
) -> Report:
    """Two engines given the same start, batches and noise, in float64, have the same losses and parameters, to 1e-10.

    first, second: names or classes; models: names of the table in examples.py -> a Report.
    Gradients differ by some 1e-16 of themselves; Adam divides by |g| + 1e-8 at least, so at a rate of 1e-3 a step moves the
    two apart by 1e-11 at worst, and usually by 1e-18.

    >>> report = check_engines_agree("torch", "torch", steps=2, models=["svd"])
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
    _same(report, "start", saved[0][0], p)
    case = report.case
    for t in steps:
        report.case = f"{case}, step {t + 1}"
        reports.append(_step(made, state, data[t], RATES[t]))
        _same(report, "train_step", _named(data[t]), _named(batches(model, *pattern).at(t)), "changed its batch")
        _same(report, "to_arrays", saved[0][0], p, "shares memory with the state")
        saved.append(made.to_arrays(state))
        gradient, lost = _check_moments(report, saved[t], saved[t + 1], dtype, t + 1)
        _check_loss(report, model, saved[t][0], data[t], reports[t], dtype, gradient, lost)
        _check_step(report, saved[t][0], saved[t + 1], dtype, t + 1)
    report.case = case
    _same(report, "parameters", {name: made.numpy(x) for name, x in made.parameters(state).items()}, saved[-1][0])
    runs: list[tuple[str, int, tuple[Arrays, Any]]] = [("resumed", steps[-1], saved[-2]), ("repeated", 0, (p, None))]
    for kind, begin, arrays in runs:
        again = made.start(*arrays)
        if begin:
            for found, kept in zip(made.to_arrays(again), arrays, strict=True):
                _same(report, "start from to_arrays", found, kept)
        for t in steps[begin:]:
            _same(report, f"a {kind} run", _step(made, again, data[t], RATES[t]), reports[t], "reports another number")
        for found, kept in zip(made.to_arrays(again), saved[-1], strict=True):
            _same(report, f"a {kind} run", found, kept)
    _same(report, "start", p, parameters(model), "changed its input")


def _named(batch: Batch) -> Arrays:
    """The batch's arrays by name."""
    views = {f"{part}[{i}]": x for part in ("views", "targets") for i, x in enumerate(getattr(batch, part) or ())}
    rest = {name: np.asarray(x) for name, x in vars(batch).items() if name not in ("views", "targets") and x is not None}
    return views | rest


def _same(report: Report, name: str, found: Arrays, expected: Arrays, message: str = "has other numbers") -> None:
    """The same arrays by name, to the bit."""
    report.require(name, found.keys() == expected.keys(), f"has arrays {sorted(found)}; expected {sorted(expected)}")
    for key, x in expected.items():
        report.require(name, found[key].shape == x.shape, f"{key} has shape {found[key].shape}; expected {x.shape}")
        report.require(name, bool(np.array_equal(found[key], x)), f"{message}: {key}")


def _check_loss(
    report: Report, model: Model, arrays: Arrays, batch: Batch, found: Arrays, dtype: str, gradient: Arrays, lost: Arrays
) -> None:
    """Loss, reconstruction and kl are those of the parameters before the step, and the gradient is the loss's there."""
    p, rng = {name: x.astype(np.float64) for name, x in arrays.items()}, np.random.default_rng(len(arrays))
    direction = {}
    for name, g in gradient.items():  # where g is 0, perhaps by mistake, the sign is drawn
        direction[name] = np.abs(p[name]) * np.where(g == 0, rng.choice([-1.0, 1.0], g.shape), np.sign(g))
    answer = dense.loss(model, {name: x + 1j * STEP * direction[name] for name, x in p.items()}, batch, BETA)
    scale = rounding.loss_scale(model, p, batch, BETA)
    error = rounding.relative(model, p, float(np.finfo(dtype).eps))
    report.require("train_step", found.keys() == answer.keys(), f"reports {sorted(found)}; expected {sorted(answer)}")
    for part, value in answer.items():
        report.compare(part, found[part], value.real, error * scale[part])
    bound = rounding.depth(model, p) * error * scale["loss"]
    bound += sum(np.sum(np.abs(direction[name]) * lost[name]) for name in gradient)
    slopes = {name: np.sum(direction[name] * g) for name, g in gradient.items()}
    if not abs(sum(slopes.values()) - answer["loss"].imag / STEP) <= bound:  # by which array?
        for name, slope in slopes.items():
            alone = p | {name: p[name] + 1j * STEP * direction[name]}
            report.compare(f"gradient of {name}", slope, dense.loss(model, alone, batch, BETA)["loss"].imag / STEP, bound)
    report.compare("gradient", sum(slopes.values()), answer["loss"].imag / STEP, bound)


def _check_moments(report: Report, before: Any, after: Any, dtype: str, t: int) -> tuple[Arrays, Arrays]:
    """The second moment, from the gradient that the first one tells: m' = 0.9 m + 0.1 g, v' = 0.999 v + 0.001 g^2.

    -> the gradient, and how much of it rounding m has lost.
    """
    eps, (parameters, old), new = float(np.finfo(dtype).eps), before, after[1]
    names = {"step", *(f"{moment}.{name}" for moment in "mv" for name in parameters)}
    report.require(
        "to_arrays", new.keys() == names, f"differs from step, m.<name> and v.<name> in {sorted(new.keys() ^ names)}"
    )
    report.require("to_arrays", float(new["step"]) == t, f"counts {new['step']} steps; expected {t}")
    gradient, lost = {}, {}
    for name, x in parameters.items():
        m0, v0 = (np.asarray(old.get(f"{moment}.{name}", np.zeros(x.shape)), dtype=np.float64) for moment in "mv")
        m, v = (new[f"{moment}.{name}"].astype(np.float64) for moment in "mv")
        report.require("to_arrays", new[f"m.{name}"].dtype == new[f"v.{name}"].dtype == dtype, f"m.{name} is not {dtype}")
        g = (m - FIRST * m0) / (1.0 - FIRST)
        error = 40 * eps * (np.abs(m0) + np.abs(g))  # of g: three roundings in m, divided by 0.1
        smallest = float(np.finfo(np.float32).tiny)  # v may underflow in float32
        bound = (1.0 - SECOND) * (2 * np.abs(g) + error) * error + 8 * eps * v + smallest
        report.compare("Adam's second moment", v, SECOND * v0 + (1.0 - SECOND) * g**2, bound)
        gradient[name], lost[name] = g, error
    return gradient, lost


def _check_step(report: Report, before: Arrays, after: Any, dtype: str, t: int) -> None:
    """The parameters move by Adam's rule (Kingma and Ba, algorithm 1), prior.logits and prior.alpha at their own rate."""
    eps, (p, moments) = float(np.finfo(dtype).eps), after
    for name, x in before.items():
        report.require("to_arrays", p[name].dtype == dtype, f"gives {name} in {p[name].dtype}; expected {dtype}")
        m, v = (moments[f"{moment}.{name}"].astype(np.float64) for moment in "mv")
        rate = RATES[t - 1] * (COUPLING_RATE if name in ("prior.logits", "prior.alpha") else 1.0)
        move = rate * (m / (1.0 - FIRST**t)) / (np.sqrt(v / (1.0 - SECOND**t)) + TINY)
        # Rounding 0.999^t costs eps/(1 - 0.999^t) of the move, the rest a few eps, and the sum one of the parameter's.
        bound = (16 * eps + eps / (1.0 - SECOND**t)) * np.abs(move) + 2 * eps * np.abs(x)
        report.compare("Adam's step", p[name], x - move, bound)


def _check_guard(report: Report, made: Engine, model: Model, dtype: str) -> None:
    """max_gradient_norm above the norm changes no bit, half the norm halves the gradient, and NaN moves nothing.

    The gradient g is that of a step without it, which _check_training compares with the dense loss; so is its norm, in float64:
    the dense loss' derivative along g/|g|.
    """
    p, batch, eps = parameters(model), batches(model, "holes").at(0), float(np.finfo(dtype).eps)
    rates = {"beta": BETA, "learning_rate": RATES[0], "coupling_rate": COUPLING_RATE}

    def step(most: float | None, batch: Batch = batch) -> tuple[Arrays, Any]:
        state = made.start(p, None)
        return made.train_step(state, batch, **rates, max_gradient_norm=most), made.to_arrays(state)

    _, free = step(None)
    g = {name: free[1][f"m.{name}"].astype(np.float64) / (1.0 - FIRST) for name in p}
    norm = float(np.sqrt(sum(np.sum(x**2) for x in g.values())))
    if dtype == "float64":
        along = dense.loss(model, {name: p[name] + 1j * STEP * g[name] / norm for name in p}, batch, BETA)["loss"].imag / STEP
        report.compare("gradient_norm", norm, along, 1e-9 * norm)
    found, same = step(2.0 * norm)
    size = sum(x.size for x in p.values())
    report.compare("gradient_norm", found["gradient_norm"], norm, (size + 8) * eps * norm)
    for one, other in zip(same, free, strict=True):
        _same(report, "max_gradient_norm", one, other, "above the norm, changed")
    _, half = step(0.5 * norm)
    _check_step(report, p, half, dtype, 1)
    for name, x in g.items():
        report.compare("max_gradient_norm", half[1][f"m.{name}"] / (1.0 - FIRST), 0.5 * x, (size + 16) * eps * np.abs(x))
    with np.errstate(all="ignore"):
        found, still = step(norm, _with_nan(batch))
    report.require("gradient_norm", not np.isfinite(found["gradient_norm"]), f"is {found['gradient_norm']} for data of NaN")
    for one, other in zip(still, made.to_arrays(made.start(p, None)), strict=True):
        _same(report, "a gradient that is not finite", one, other, "moved")


def _check_decay(report: Report, made: Engine, model: Model, dtype: str) -> None:
    """weight_decay w shrinks the networks' matrices by 1 - rate w beside Adam's step, hidden layers' beside a linear path
    by 1 - 4 rate w, and moves nothing else: the reported loss and the moments are those of a step without it."""
    p, batch, eps, decay = parameters(model), batches(model, "holes").at(0), float(np.finfo(dtype).eps), 0.25
    rates, found = {"beta": BETA, "learning_rate": RATES[0], "coupling_rate": COUPLING_RATE}, []
    for chosen in ({}, {"weight_decay": decay}):
        state = made.start(p, None)
        found.append((made.train_step(state, batch, **rates, **chosen), *made.to_arrays(state)))
    (free, moved, moments), (reported, decayed, same) = found
    _same(report, "weight_decay", {"loss": np.asarray(reported["loss"])}, {"loss": np.asarray(free["loss"])}, "changed")
    for name, x in moments.items():
        report.require("weight_decay", name in same, f"leaves no {name}")
        report.compare("Adam's moments under weight_decay", same[name], x, 16 * eps * np.abs(x))
    for name, x in p.items():
        shrinks, path = name.startswith(("encoder", "decoder")) and name.endswith("weight"), name.rpartition(".")[0]
        hidden = f"{'.'.join(path.split('.')[:2])}.linear.weight" in p and not path.endswith("linear")
        expected = moved[name] - (RATES[0] * decay * (4.0 if hidden else 1.0) * x if shrinks else 0.0)
        # Two products and two sums, on the parameter and on what Adam adds, each rounded in both runs.
        bound = 16 * eps * (np.abs(x) + np.abs(moved[name] - x))
        report.compare("weight_decay", decayed[name], expected, bound)


def _check_rows(report: Report, made: Engine, model: Model) -> None:
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
