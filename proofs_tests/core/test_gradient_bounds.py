"""Every vector-Jacobian product stays within its derived error bound, as test_error_bounds.py has it for the functions.

The exact gradient is the same source run on balls; that this source is the gradient at all is test_vjp.py's matter.
"""

from __future__ import annotations

import functools
from typing import Any

import enclosures
import gradient_bounds
import numpy as np
import pytest
from bound_problems import Excesses, Problem, note, on_balls, verdict
from libraries import Backend, Library
from strategies import Structure, float32, holes

import jpvae_core as jc
from jpvae_core import vjp

STRUCTURES = (
    Structure("orthogonal", (3, 3), 3),
    Structure("svd-sigmoid", (3, 4), 2),
    Structure("svd-tanh", (2, 3), 2),
    Structure("canonical", (3, 2, 4), 2),
    Structure("canonical", (1, 2, 1, 3, 2), 1),
)


def gradients(names: tuple[str, ...], structure: Structure, problem: Any, weight: Any, bars: Any) -> dict[str, Any]:
    """All cotangents of the functions named."""
    parameters, means, log_vars, mask, noise = problem
    prior = structure.prior(parameters)
    calls = {
        "kl_divergence": lambda: vjp.kl_divergence(prior, means, log_vars, mask, weight),
        "complete": lambda: vjp.complete(prior, means, mask, noise, bars),
        "conditional_mean": lambda: vjp.conditional_mean(prior, means, mask, bars),
    }
    found = {}
    for name in names:
        *rows, of_prior = calls[name]()
        coupling = [of_prior.coupling] if structure.kind == "canonical" else list(of_prior.coupling)
        found[name] = [*map(list, rows), [q for q in of_prior.frames if q is not None], coupling]
    return found


every_gradient = functools.partial(gradients, ("kl_divergence", "complete", "conditional_mean"))
two_gradients = functools.partial(gradients, ("kl_divergence", "complete"))  # (conditional_mean: complete with zero noise)
NAMES = {"kl_divergence": ("means", "log_vars", "frames", "coupling")}
DRAWS = ("latents", "frames", "coupling")


@functools.cache
def problems(structure: Structure, dtype: str) -> tuple[tuple[Any, ...], ...]:
    """``prepared`` over weak to nearly singular couplings, logits to 80, means to 1e6, variances to 1e12."""
    alpha = structure.kind == "orthogonal"
    least = 1e-6 if alpha and dtype == "float32" else 1e-12
    chosen = [Problem(structure, gap, seed) for seed, gap in enumerate((0.1, 1e-3, least))]
    chosen += [Problem(structure, 0.3, 10, mean=1e6), Problem(structure, least, 11, mean=1e6, log_var=27.6)]
    chosen += [] if alpha else [Problem(structure, 1e-34, seed, mean=mean) for seed, mean in ((13, 1.0), (14, 1e6))]
    return tuple(prepared(structure, problem) for problem in chosen)


def prepared(structure: Structure, problem: Problem) -> tuple[Any, ...]:
    """The arguments of ``gradients``, the exact result, its bounds in eps, and the factor of an underflow."""
    parameters, means, log_vars, mask, noise = problem.arguments
    rng, bits = np.random.default_rng(problem.seed), mask.astype(float)
    weight, bars = float32(rng.standard_normal(len(mask))), [float32(rng.standard_normal(x.shape)) for x in means]
    frames = [None if structure.kind == "orthogonal" and i == 0 else q for i, q in enumerate(parameters["frames"])]
    parameter = parameters.get("alpha", parameters.get("logits"))
    b = gradient_bounds.Gradients(structure.kind, structure.dims, frames, parameter)
    bounds = {
        "kl_divergence": b.kl(means, log_vars, bits, weight),
        "complete": b.complete(means, bits, noise, bars),
        "conditional_mean": b.complete(means, bits, 0 * noise, bars),
    }
    if frames[0] is None:
        for by_output in bounds.values():
            by_output[-2].pop(0)
    views = [list(holes(x, mask)) for x in (means, log_vars)]
    arguments = (parameters, *views, mask, noise), weight, bars
    # What underflows is multiplied afterwards by a cotangent and by two means or a variance, in at most 100 terms of a sum.
    amplified = 100 * (1 + max(np.abs(x).max() for x in means)) ** 2 + 100 * np.exp(max(x.max() for x in log_vars))
    return arguments, on_balls(every_gradient, structure, *arguments), bounds, amplified


GRID = [
    pytest.param(Backend(library, dtype), structure, id=f"{library.name.lower()}-{dtype}-{structure.kind}{len(structure.dims)}")
    for library in Library
    for dtype in ("float32", "float64")
    for structure in (STRUCTURES if library is not Library.JAX else (STRUCTURES[1], STRUCTURES[3]))  # one of each coupling
]


@pytest.mark.parametrize(("xp", "structure"), GRID)
def test_gradients_of_a_prior(xp: Backend, structure: Structure) -> None:
    """Entry by entry; what is missing holds NaN."""
    found: Excesses = {}
    function = two_gradients if xp.library is Library.JAX else every_gradient  # JAX compiles for seconds
    tiny = float(np.finfo(xp.dtype).tiny) / xp.eps
    for arguments, exact, bounds, amplified in problems(structure, xp.dtype):
        with np.errstate(over="ignore", invalid="ignore"):  # ``note`` leaves out what is too large for float32
            got = xp.call(function, structure, *arguments)
        for name, outputs in got.items():
            for output, *parts in zip(NAMES.get(name, DRAWS), outputs, exact[name], bounds[name], strict=True):
                for value, want, bound in zip(*parts, strict=True):
                    bound, size = bound + np.any(bound) * amplified * tiny, np.abs(enclosures.floats(want))
                    assert not np.any(size) or np.any(bound * xp.eps < 1e-2 * size), "a gradient of zeros would pass"
                    note(found, f"{name}: {output}", value, want, bound, xp)
    verdict(found)


def spread(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """float32 numbers from 1e-12 to 1e12, so that float64 rounds their sums too."""
    return float32(rng.standard_normal(shape) * 10.0 ** rng.uniform(-12, 12, shape))


def rotated(size: tuple[int, int], entries: Any, Q: Any, bar: Any, wide: Any) -> dict[str, Any]:
    return {"skew": vjp.skew(wide, size[0]), "frame": vjp.frame(entries, Q, bar)} | (
        {"orthogonal": vjp.orthogonal(entries, Q, bar), "cayley": vjp.cayley(Q, bar)} if size[0] == size[1] else {}
    )


@pytest.mark.parametrize("size", [(3, 3), (5, 2), (20, 20)], ids=str)
def test_gradients_of_frames(xp: Backend, size: tuple[int, int]) -> None:
    """Skew entries from 1e-3 to 1e3."""
    if size[0] == 20 and xp.library is Library.JAX:
        size = (5, 2)  # one compilation less
    n, d = size
    found: Excesses = {}
    for seed, reach in enumerate((1e-3, 1.0, 30.0, 1e3)):
        rng = np.random.default_rng(seed)
        entries, wide = float32(reach * rng.uniform(-1, 1, n * (n - 1) // 2)), spread(rng, n, n)
        Q, bar = float32(jc.frame(entries, n, d)), wide[:, :d]
        by_entry = gradient_bounds.frame(jc.skew(entries, n), Q, bar)
        bounds = {"skew": gradient_bounds.skew(wide), "frame": by_entry, "orthogonal": by_entry}
        if n == d:
            bounds["cayley"] = gradient_bounds.cayley(Q, bar)
        got, exact = xp.call(rotated, size, entries, Q, bar, wide), on_balls(rotated, size, entries, Q, bar, wide)
        for name, value in got.items():
            note(found, name, value, exact[name], bounds[name], xp)
    verdict(found)


def bounded(kind: str, t: Any, bars: Any) -> Any:
    return {"sigmoid": vjp.sigmoid_bound, "tanh": vjp.tanh_bound, "number": vjp.number_bound}[kind](t, jc.Bounded(*bars))


@pytest.mark.parametrize("kind", ["sigmoid", "tanh", "number"])
def test_gradients_of_bounds(xp: Backend, kind: str) -> None:
    """Each field alone, and all with large and small cotangents."""
    t = float32(np.concatenate([x := np.geomspace(1e-6, 80, 40), -x]))
    if kind == "number":
        t = float32(np.concatenate([x := 1 - np.geomspace(1e-6, 0.999, 40), -x]))
    found: Excesses = {}
    for seed, size in enumerate((*np.eye(4), np.ones(4), (1.0, 1e-3, 1e3, 1e-6))):
        bars = [float32(scale * np.random.default_rng(seed + k).standard_normal(t.shape)) for k, scale in enumerate(size)]
        bound = gradient_bounds.slopes(kind, t, bars)
        note(found, f"{kind}_bound", xp.call(bounded, kind, t, bars), on_balls(bounded, kind, t, bars), bound, xp)
    verdict(found)


def reparameterized(_: None, log_var: Any, noise: Any, bar: Any) -> Any:
    return list(vjp.reparameterize(log_var, noise, bar))


def test_gradient_of_reparameterize(xp: Backend) -> None:
    """Summed over five draws; variances from 1e-12 to 1e12."""
    rng = np.random.default_rng(0)
    arguments = [float32(27.6 * rng.uniform(-1, 1, (9, 4))), *(spread(rng, 5, 9, 4) for _ in range(2))]
    results = xp.call(reparameterized, None, *arguments), on_balls(reparameterized, None, *arguments)
    found: Excesses = {}
    for name, *rest in zip(("mean", "log_var"), *results, gradient_bounds.reparameterize(*arguments), strict=True):
        note(found, f"reparameterize: {name}", *rest, xp)
    verdict(found)
