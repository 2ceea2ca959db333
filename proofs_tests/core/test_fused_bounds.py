"""The fused posterior stays within its derived error bounds, as test_error_bounds.py has it for the prior's functions.

Certified errors: the same source run on balls (test_enclosures.py holds that it is the dense product there). The bounds:
fused_bounds.py. Frames are given and float32, so what is certified is the rounding of ``fuse`` itself.
"""

from __future__ import annotations

import functools
from typing import Any

import enclosures
import error_bounds
import fused_bounds
import numpy as np
import pytest
from bound_problems import Excesses, Problem, note, on_balls, verdict
from libraries import Backend, Library
from strategies import Structure, float32, holes

import jpvae_core as jc

LATENT = (
    Structure("orthogonal", (3, 3), 3),
    Structure("svd-sigmoid", (3, 4), 2),
    Structure("svd-tanh", (2, 3), 2),
    Structure("canonical", (3, 2, 4), 2),
    Structure("canonical", (3,), 2),
)
FRAME = (
    Structure("orthogonal", (3, 3), 3),
    Structure("svd-sigmoid", (2, 2), 2),
    Structure("svd-tanh", (2, 2), 2),
    Structure("canonical", (2, 2, 2), 2),
    Structure("canonical", (2,), 2),
)
Static = tuple[str, Structure]


def fused(static: Static, parameters: Any, means: Any, log_vars: Any, mask: Any, noise: Any, latents: Any) -> dict[str, Any]:
    """Every function of a fused posterior."""
    coordinates, structure = static
    q = jc.fuse(structure.prior(parameters), means, log_vars, mask, coordinates)
    found = {"mean": list(q.mean()), "kl": [q.kl()], "drawn": list(q.draw(noise)), "log_density": [q.log_density(latents)]}
    return found | {"covariance": [q.covariance()]}


def chosen(static: Static, dtype: str) -> list[tuple[Problem, float]]:
    """Gaps to 1e-6 (float64: 1e-12), means to 1e6, log-variances from -1e-6 to -80.

    In the latents the bounds are honest while eps/gap^2 < 1: gaps to 1e-3 and 1e-7.
    """
    coordinates, structure = static
    least = {"frame": {"float32": 1e-6, "float64": 1e-12}, "latent": {"float32": 1e-3, "float64": 1e-7}}[coordinates][dtype]
    kinds = (0.1, 1.0, 3.0), (1e-3, 1e-6, 0.3), (least, 1.0, 80.0), (1e-2, 1e6, 8.0), (0.3, 1e-6, 1e-6)
    return [(Problem(structure, gap, seed, mean=mean), reach) for seed, (gap, mean, reach) in enumerate(kinds)]


@functools.cache
def problems(static: Static, dtype: str) -> list[tuple[Any, Any, Any]]:
    """Arguments, exact results and bounds."""
    return [prepared(static, *one) for one in chosen(static, dtype)]


def prepared(static: Static, problem: Problem, reach: float) -> tuple[Any, Any, Any]:
    """Three rows: all views, one missing, one alone."""
    (coordinates, structure), (parameters, means, _, _, _) = static, problem.arguments
    dims, d, rng = structure.dims, structure.rank, np.random.default_rng(problem.seed)
    means, log_vars = [m[:3] for m in means], [float32(-reach * rng.random((3, n))) for n in dims]
    mask = np.ones((3, len(dims)), dtype=bool)
    mask[1, 1:2], mask[2, 1:] = False, False
    noise = float32(rng.standard_normal((3, sum(dims) + d * (1 + (coordinates == "latent") * len(dims)))))
    latents = [
        float32(m + 0.1 * rng.standard_normal(m.shape) * (np.abs(m) + np.exp(v / 2)))  # (z - mean)^2 is of first order
        for m, v in zip(means, log_vars, strict=True)
    ]
    arguments = parameters, list(holes(means, mask)), list(holes(log_vars, mask)), mask, noise, list(holes(latents, mask))
    clean = parameters, means, log_vars, mask, noise, latents
    frames = list(parameters["frames"])
    if structure.kind == "orthogonal":
        frames[0] = np.eye(d)
    b = error_bounds.Bounds(structure.kind, dims, frames, parameters.get("alpha", parameters.get("logits")))
    evidence = fused_bounds.views(b, means, log_vars, mask.astype(float), frames)
    if coordinates == "frame":
        bounds = fused_bounds.in_frames(evidence, noise, latents)
    else:
        bounds = fused_bounds.in_latents(b, evidence, structure.kind == "orthogonal", noise, latents)
    views, blocks = len(dims), bounds["covariance"]
    bounds["covariance"] = [
        np.concatenate([np.concatenate(blocks[i * views : (i + 1) * views], axis=-1) for i in range(views)], axis=-2)
    ]
    return arguments, on_balls(fused, static, *clean), bounds


GRID = [
    pytest.param(Backend(library, dtype), (coordinates, structure), id=f"{library.name.lower()}-{dtype}-{coordinates}-{k}")
    for library in Library
    for dtype in (("float32", "float64") if library is Library.NUMPY else ("float32",))
    for coordinates, structures in (("latent", LATENT), ("frame", FRAME))
    for k, structure in enumerate(structures)
    if library is not Library.JAX or k == 4  # it compiles for seconds
]


@pytest.mark.parametrize(("xp", "static"), GRID)
def test_functions_of_a_fused_posterior(xp: Backend, static: Static) -> None:
    found: Excesses = {}
    for arguments, exact, bounds in problems(static, xp.dtype):
        for name, values in xp.call(fused, static, *arguments).items():
            for value, want, bound in zip(values, exact[name], bounds[name], strict=True):
                assert np.all(bound * xp.eps <= np.abs(enclosures.floats(want)).max() + 1), f"{name}: beyond the first order"
                note(found, name, value, want, bound, xp)
    verdict(found)
