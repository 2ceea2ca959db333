"""Textbook log-densities of every likelihood, entry by entry, in plain NumPy; complex parameters too (dense.py says why).

log Gamma never appears: for whole x, log G(x + r) - log G(r) = sum_{k<x} log(r + k), and log x! = sum_{k<=x} log k. And how far
floats may be from them: ``scale`` is each formula with its terms in absolute value, times the slopes that errors pass through.
Nothing here imports the packages.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


def parts(spec: Any, own: Arrays, out: np.ndarray, x: np.ndarray) -> list[tuple[Any, Arrays, slice, np.ndarray]]:
    """The families of a view: (family and its sizes, its own parameters, its columns, its target)."""
    if isinstance(spec, str):
        sizes = (out.shape[-1],) if spec == "categorical" else ()
        return [((spec, *sizes), own, slice(None), x)]
    made, column, at = [], 0, 0
    for k, (name, width, *sizes) in enumerate(spec):
        wide = width + ("poisson" in name or "binomial" in name)
        mine = {key.removeprefix(f"{k}."): v for key, v in own.items() if key.startswith(f"{k}.")}
        made.append(((name, *sizes), mine, slice(column, column + width), x[..., at : at + wide]))
        column, at = column + width, at + wide
    return made


def log_prob(spec: Any, own: Arrays, out: np.ndarray, x: np.ndarray) -> np.ndarray:
    """log p(x) of every entry: out (..., B, c), x (..., B, w) -> (..., B, c)."""
    found = [_one(family, mine, out[..., c], target) for family, mine, c, target in parts(spec, own, out, x)]
    return np.concatenate(found, axis=-1)


def scale(spec: Any, own: Arrays, out: np.ndarray, size: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What an entry's rounding errors are relative to, where those of ``out`` are to ``size``."""
    found = [_scale(family, mine, out[..., c], size[..., c], target) for family, mine, c, target in parts(spec, own, out, x)]
    return np.concatenate(found, axis=-1)


def _one(family: Any, own: Arrays, out: np.ndarray, x: np.ndarray) -> np.ndarray:
    found: np.ndarray
    name, *sizes = family
    if name == "bernoulli":  # for moderate logits
        chance = 1.0 / (1.0 + np.exp(-out))
        found = x * np.log(chance) + (1.0 - x) * np.log(1.0 - chance)
    elif name == "gaussian":
        var = np.exp(own["log_var"])
        found = -((x - out) ** 2) / (2.0 * var) - 0.5 * np.log(2.0 * np.pi * var)
    elif name == "student_t":  # four degrees of freedom: 3/8 (1 + r^2/4)^(-5/2)
        r = (x - out) / np.exp(own["log_scale"])
        found = np.log(0.375) - own["log_scale"] - 2.5 * np.log(1.0 + r**2 / 4.0)
    elif name == "categorical":
        e = np.exp(out).reshape(*out.shape[:-1], -1, sizes[0])
        found = x * np.log(e / e.sum(axis=-1, keepdims=True)).reshape(out.shape)
    else:
        found = _of_count(name, own, x[..., :-1], np.exp(30.0 * np.tanh(out / 30.0) + x[..., -1:]))
    return found


def _of_count(name: str, own: Arrays, x: np.ndarray, mean: np.ndarray) -> np.ndarray:
    found: np.ndarray
    if "poisson" in name:
        found = x * np.log(mean) - mean - _log_rise(np.ones(()), x)
    else:
        r = np.exp(-own["log_dispersion"])
        found = _log_rise(r, x) - _log_rise(np.ones(()), x) + r * np.log(r / (r + mean)) + x * np.log(mean / (r + mean))
    return found


def _log_rise(z: np.ndarray, n: np.ndarray) -> np.ndarray:
    """log of z (z + 1) ... (z + n - 1)."""
    return sum((np.where(k < n, np.log(z + k), 0.0) for k in range(int(n.max(initial=0)))), np.zeros(()))


def _scale(family: Any, own: Arrays, out: np.ndarray, size: np.ndarray, x: np.ndarray) -> np.ndarray:
    found: np.ndarray
    name, *sizes = family
    if name == "bernoulli":
        found = 2.0 * size + 1.0
    elif name == "gaussian":
        log_var, apart = own["log_var"], np.abs(x - out)
        found = apart * (size + np.abs(x) + apart * (1.0 + np.abs(log_var))) * np.exp(-log_var) + np.abs(log_var) + 2.0
    elif name == "student_t":  # the pull on the mean is at most 5/4 per scale
        log_scale, apart = own["log_scale"], np.abs(x - out)
        moved = (size + np.abs(x) + apart * (1.0 + np.abs(log_scale))) * np.exp(-log_scale)
        found = 1.25 * moved + np.abs(log_scale) + 2.5 * np.log1p(moved**2) + 2.0
    elif name == "categorical":
        largest = size.reshape(*out.shape[:-1], -1, sizes[0]).max(axis=-1, keepdims=True)
        found = np.abs(x) * np.broadcast_to(2.0 * largest + sizes[0], (*largest.shape[:-1], sizes[0])).reshape(out.shape) + 1.0
    else:
        x, log_s = x[..., :-1], np.abs(x[..., -1:])
        found = _scale_of_count(name, own, 30.0 * np.tanh(out / 30.0) + log_s, size + log_s, x)
    return found


def _scale_of_count(name: str, own: Arrays, m: np.ndarray, size: np.ndarray, x: np.ndarray) -> np.ndarray:
    # log Gamma(x + 1) and its like: Stirling's terms, with their arguments moved up by 8
    gamma = 4.0 * (x + 9.0) * np.log(x + 9.0) + 16.0
    found: np.ndarray
    if "poisson" in name:
        found = (x + np.exp(m)) * (size + np.abs(m) + 2.0) + gamma
    else:
        log_r = np.abs(own["log_dispersion"])
        r = np.exp(-own["log_dispersion"])
        found = (x + r) * (size + np.abs(m) + 2.0 * log_r + 4.0) + gamma + 4.0 * (r + 9.0) * np.log(x + r + 9.0)
    return found
