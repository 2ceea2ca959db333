"""The fused posterior's gradients stay within their derived error bounds, as test_fused_bounds.py has it for its functions.

The exact gradient is the same source run on balls; that this is the gradient of KL and draws, test_enclosures.py holds to 40
digits. The bounds: fused_gradient_bounds.py. Frames are given and float32.
"""

from __future__ import annotations

import functools
from typing import Any

import enclosures
import error_bounds
import fused_bounds
import fused_gradient_bounds
import numpy as np
import pytest
from bound_problems import Excesses, Problem, note, on_balls, verdict
from libraries import Backend, Library
from strategies import float32, holes
from test_fused_bounds import FRAME, LATENT, Static, chosen

import jpvae_core as jc
from jpvae_core import vjp


def gradients(static: Static, parameters: Any, means: Any, log_vars: Any, mask: Any, noise: Any, weight: Any, bars: Any) -> Any:
    """Of <weight, KL> + <bars, draw>; view 1 of the orthogonal prior has no frame."""
    coordinates, structure = static
    q = jc.fuse(structure.prior(parameters), means, log_vars, mask, coordinates)
    of_means, of_log_vars, of_prior = vjp.fuse(q, noise, weight, bars)
    coupling = [of_prior.coupling] if structure.kind == "canonical" else list(of_prior.coupling)
    frames = [x for x in of_prior.frames if x is not None]
    return {"means": list(of_means), "log_vars": list(of_log_vars), "frames": frames, "coupling": coupling}


@functools.cache
def problems(static: Static, dtype: str) -> list[tuple[Any, ...]]:
    """Arguments, exact gradients, bounds and the factor of an underflow, for the problems of test_fused_bounds.py."""
    found = [prepared(static, *one) for one in chosen(static, dtype)]
    for *_, exact, bounds, _ in (
        found[0],
        found[1],
        found[4],
    ):  # gaps to 1e-3, means to 1: at most five digits lost
        for name, limits in bounds.items():
            largest = max(np.abs(enclosures.floats(x)).max() for x in exact[name])
            assert all(np.all(limit <= 1e5 * (1 + largest)) for limit in limits), f"{name}: a bound that means nothing"
    return found


def prepared(static: Static, problem: Problem, reach: float) -> tuple[Any, ...]:
    """Three rows: all views, one missing, one alone."""
    (coordinates, structure), (parameters, means, _, _, _) = static, problem.arguments
    dims, d, rng = structure.dims, structure.rank, np.random.default_rng(problem.seed)
    means, log_vars = [m[:3] for m in means], [float32(-reach * rng.random((3, n))) for n in dims]
    mask = np.ones((3, len(dims)), dtype=bool)
    mask[1, 1:2], mask[2, 1:] = False, False
    noise = float32(rng.standard_normal((3, sum(dims) + d * (1 + (coordinates == "latent") * len(dims)))))
    weight, bars = float32(rng.standard_normal(3)), [float32(rng.standard_normal((3, n))) for n in dims]
    arguments = parameters, list(holes(means, mask)), list(holes(log_vars, mask)), mask, noise, weight, bars
    frames, uniform = list(parameters["frames"]), structure.kind == "orthogonal"
    if uniform:
        frames[0] = np.eye(d)
    b = error_bounds.Bounds(structure.kind, dims, frames, parameters.get("alpha", parameters.get("logits")))
    evidence = fused_bounds.views(b, means, log_vars, mask.astype(float), frames)
    if coordinates == "frame":
        found = fused_gradient_bounds.in_frames(evidence, noise, weight, bars)
    else:
        every = [fused_bounds.alone(v, uniform) for v in evidence]
        found = fused_gradient_bounds.in_latents(every, noise, weight, bars)
    bounds = fused_gradient_bounds.of_parameters(b.coupling, uniform, found)
    if uniform:
        bounds["frames"].pop(0)
    for name in ("means", "log_vars"):
        bounds[name] = [np.where(on[:, None], x, 0.0) for on, x in zip(mask.T, bounds[name], strict=True)]
    exact = on_balls(gradients, static, parameters, means, log_vars, mask, noise, weight, bars)
    amplified = 100 * ((1 + max(np.abs(x).max() for x in means)) / problem.gap) ** 2
    return arguments, exact, bounds, amplified


GRID = [
    pytest.param(Backend(library, dtype), (coordinates, structure), id=f"{library.name.lower()}-{dtype}-{coordinates}-{k}")
    for library in (Library.NUMPY, Library.TORCH)
    for dtype in (("float32", "float64") if library is Library.NUMPY else ("float32",))
    for coordinates, structures in (("latent", LATENT), ("frame", FRAME))
    for k, structure in enumerate(structures)
]


@pytest.mark.parametrize(("xp", "static"), GRID)
def test_gradients_of_a_fused_posterior(xp: Backend, static: Static) -> None:
    """Entry by entry; what is missing holds NaN, and gets exactly 0."""
    found: Excesses = {}
    tiny = float(np.finfo(xp.dtype).tiny) / xp.eps
    for arguments, exact, bounds, amplified in problems(static, xp.dtype):
        for name, values in xp.call(gradients, static, *arguments).items():
            for value, want, bound in zip(values, exact[name], bounds[name], strict=True):
                note(found, name, value, want, bound + (bound > 0) * amplified * tiny, xp)
    verdict(found)
