"""What tests of error bounds share: inputs of every function of a prior with their exact results on balls, and the verdict."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import balls
import enclosures
import error_bounds
import numpy as np
from libraries import Backend
from strategies import Structure, float32

import jpvae_core as jc

Excesses = dict[str, list[float]]
ROWS = 6


def note(found: Excesses, name: str, got: Any, exact: balls.Balls, bound: Any, xp: Backend) -> None:
    """Certified error / bound. Where the bound is 0 the result is exact; elsewhere it may underflow, or be too large for xp."""
    fits = np.abs(enclosures.floats(exact)) < float(np.finfo(xp.dtype).max) / 4
    error, bound = np.where(fits, enclosures.error(got, exact), 0.0), np.asarray(bound) * xp.eps
    assert np.all(np.isfinite(error)), f"{name}: not finite"
    if not np.any(bound):
        assert not np.any(error), f"{name}: not exact"
        return
    found.setdefault(name, []).append(float(np.max(error / (bound + float(np.finfo(xp.dtype).tiny)))))


def verdict(found: Excesses) -> None:
    """The law: below 1 everywhere, above 1e-3 somewhere."""
    for name, excess in found.items():
        print(f"{name:28s} worst excess {max(excess):8.2e}   median {np.median(excess):8.2e}   over {len(excess)} inputs")
        assert np.all(np.asarray(excess) < 1), name  # NaN fails, as it would not in max()
        assert max(excess) > 1e-3, f"{name}: the bound is too loose to mean anything"


def on_balls(function: Callable[..., Any], static: Any, *args: Any) -> Any:
    """The same call on balls."""
    return function(static, *balls.enclose(args))


@dataclass(frozen=True)
class Problem:
    """Inputs of every function of a prior; ``gap`` is the least 1 - s (or 1 - a^2), all numbers are float32 values
    (but an alpha closer to 1 than float32 can say, which is for float64 alone)."""

    structure: Structure
    gap: float
    seed: int = 0
    mean: float = 1.0
    log_var: float = 2.0

    @functools.cached_property
    def arguments(self) -> tuple[Any, ...]:
        kind, dims, d = self.structure.kind, self.structure.dims, self.structure.rank
        rng = np.random.default_rng(self.seed)
        entries = [float32(rng.uniform(-1, 1, n * (n - 1) // 2)) for n in dims]
        signs = [rng.choice([-1.0, 1.0], n) for n in dims]
        frames = [float32(jc.frame(p, n, d, s)) for p, n, s in zip(entries, dims, signs, strict=True)]
        strongest = np.log((1 - self.gap) / self.gap)
        shape = {"canonical": (len(dims), d), "orthogonal": ()}.get(kind, (d,))
        logits = float32(strongest * rng.choice([1.0, 1.0, 0.5, -0.5, -1.0], shape))
        parameters = {"frames": frames, "logits": logits}
        if kind == "orthogonal":
            alpha = np.asarray((1 - self.gap) * rng.choice([-1.0, 1.0]))
            parameters = {"frames": frames, "alpha": float32(alpha) if self.gap > 1e-7 else alpha}
        means = [float32(self.mean * rng.standard_normal((ROWS, n))) for n in dims]
        log_vars = [float32(self.log_var * rng.uniform(-1, 1, (ROWS, n))) for n in dims]
        noise = float32(rng.standard_normal((ROWS, sum(dims) + (d if kind == "canonical" else 0))))
        mask = rng.random((ROWS, len(dims))) < 0.6
        mask[0] = True
        return parameters, means, log_vars, mask, noise

    @functools.cached_property
    def exact(self) -> Any:
        return on_balls(small if max(self.structure.dims) < 20 else large, self.structure, *self.arguments)

    @functools.cached_property
    def bounds(self) -> dict[str, Any]:
        """What each output of ``small`` may be off by, in eps."""
        parameters, means, log_vars, mask, noise = self.arguments
        kind, bits = self.structure.kind, mask.astype(float)
        frames = [None if kind == "orthogonal" and i == 0 else q for i, q in enumerate(parameters["frames"])]
        b = error_bounds.Bounds(kind, self.structure.dims, frames, parameters.get("alpha", parameters.get("logits")))
        found = {
            "kl_divergence": [b.kl(means, log_vars, np.ones_like(bits)), b.kl(means, log_vars, bits)],
            "log_density": [b.log_density(means, np.ones_like(bits)), b.log_density(means, bits)],
            "conditional_mean": b.conditional_mean(means, bits),
            "complete": b.complete(means, bits, noise),
            "sample": b.complete(means, np.zeros_like(bits), noise),
        }
        if max(self.structure.dims) < 20:
            found["condition"] = [block for row in b.conditional_covariance(log_vars, bits) for block in row]
            found |= {"covariance": [b.covariance()], "precision": [b.precision()]}
            found |= {"log_det": [b.coupling.log_det()], "max_singular_value": [b.max_singular_value()]}
        return found


def large(structure: Structure, parameters: Any, means: Any, log_vars: Any, mask: Any, noise: Any) -> dict[str, Any]:
    """What a training or imputing step calls."""
    prior = structure.prior(parameters)
    return {
        "kl_divergence": [jc.kl_divergence(prior, means, log_vars), jc.kl_divergence(prior, means, log_vars, mask)],
        "log_density": [jc.log_density(prior, means), jc.log_density(prior, means, mask)],
        "conditional_mean": list(jc.conditional_mean(prior, means, mask)),
        "complete": list(jc.complete(prior, means, mask, noise)),
        "sample": list(jc.sample(prior, noise)),
    }


def small(structure: Structure, parameters: Any, means: Any, log_vars: Any, mask: Any, noise: Any) -> dict[str, Any]:
    """And what is dense."""
    prior = structure.prior(parameters)
    covariances = jc.condition(prior, means, mask, log_vars=log_vars).covariances
    return large(structure, parameters, means, log_vars, mask, noise) | {
        "condition": [block for row in covariances for block in row],
        "covariance": [prior.covariance()],
        "precision": [prior.precision()],
        "log_det": [prior.log_det()],
        "max_singular_value": [prior.max_singular_value()],
    }
