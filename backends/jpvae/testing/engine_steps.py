"""One training step of an engine against the dense loss and Adam's rule.

The gradient is read off Adam's first moments, and its slope in one direction d that moves every parameter is compared with the
dense loss at the parameters before the step:

    g_t = (m_t - 0.9 m_{t-1})/0.1,    sum d g_t = Im loss(p + i h d)/h,    d = |p| sign g_t

This d makes all of g_t count with one sign, so that what is missing from it, or turned round, is not cancelled by chance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engines import Batch
from ..model.model import Model
from . import dense, rounding
from .examples import Arrays
from .report import Report

BETA, COUPLING_RATE, RATES = 0.7, 0.25, (0.01, 0.02, 0.005)  # a learning rate per step
FIRST, SECOND, TINY = 0.9, 0.999, 1e-8  # Adam's beta_1, beta_2, epsilon
STEP = 1e-20  # h: its square is nothing beside 1


def same(report: Report, name: str, found: Arrays, expected: Arrays, message: str = "has other numbers") -> None:
    """The same arrays by name, to the bit."""
    report.require(name, found.keys() == expected.keys(), f"has arrays {sorted(found)}; expected {sorted(expected)}")
    for key, x in expected.items():
        report.require(name, found[key].shape == x.shape, f"{key} has shape {found[key].shape}; expected {x.shape}")
        report.require(name, bool(np.array_equal(found[key], x)), f"{message}: {key}")


def check_loss(
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


def check_moments(report: Report, before: Any, after: Any, dtype: str, t: int) -> tuple[Arrays, Arrays]:
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
        # Where 0.999 is rounded before it is taken from 1, as kernels of CUDA do, 0.001 has an error of eps/4.
        bound = (1.0 - SECOND) * (2 * np.abs(g) + error) * error + eps / 4 * g**2 + 8 * eps * v + smallest
        report.compare("Adam's second moment", v, SECOND * v0 + (1.0 - SECOND) * g**2, bound)
        gradient[name], lost[name] = g, error
    return gradient, lost


def check_step(report: Report, before: Arrays, after: Any, dtype: str, t: int) -> None:
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
