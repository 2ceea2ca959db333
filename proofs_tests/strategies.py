"""What the laws are tried on: priors from free parameters, posteriors and masks.

Hypothesis draws only a structure, a seed and how extreme the parameters are; a seeded generator fills the arrays. So an
example prints as one short line, shrinks readably, and is the same for every library. All numbers are float32 values:
float32 and float64 runs then have the same exact answer.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import jpvae_core as jc


@dataclass(frozen=True)
class Structure:
    """Which constructor, the latent sizes n_i and the number of directions d."""

    kind: str
    dims: tuple[int, ...]
    rank: int

    def prior(self, parameters: dict[str, Any]) -> jc.JointPrior:
        """The package's prior from free parameters, or from ready ``frames`` in place of entries and signs."""
        if self.kind == "independent":
            return jc.JointPrior.independent(self.dims)
        frames = parameters.get("frames")
        if frames is None:
            per_view = zip(parameters["entries"], self.dims, parameters["signs"], strict=True)
            frames = [jc.frame(entries, n, self.rank, signs) for entries, n, signs in per_view]
        if self.kind == "orthogonal":
            return jc.JointPrior.orthogonal(frames[1], parameters["alpha"])
        if self.kind == "canonical":
            return jc.JointPrior.canonical(frames, parameters["logits"])
        return jc.JointPrior.svd(frames[1], parameters["logits"], frames[0], bound=self.kind.removeprefix("svd-"))


# Unequal sizes, d below, at and far below min n_i, one to four views, n_i = 1.
STRUCTURES = (
    Structure("independent", (2, 3), 0),
    Structure("orthogonal", (3, 3), 3),
    Structure("svd-sigmoid", (3, 4), 2),
    Structure("svd-tanh", (2, 3), 2),
    Structure("canonical", (3, 2, 4), 2),
    Structure("canonical", (1, 3, 2, 2), 1),
    Structure("canonical", (2,), 2),
)
PAIRS = STRUCTURES[1:4]
THREE_VIEWS = STRUCTURES[4]
KINDS = tuple(dict.fromkeys(structure.kind for structure in STRUCTURES))


def float32(x: Any) -> np.ndarray:
    """Rounded to float32, held in float64."""
    return np.asarray(x, dtype=np.float32).astype(np.float64)


@dataclass(frozen=True)
class Model:
    """A prior's free parameters: |logits| <= reach (alpha = tanh of half of one), skew entries within +-tilt."""

    structure: Structure
    seed: int
    reach: float = 3.0
    tilt: float = 1.0
    level: float | None = None  # one value for every logit

    @functools.cached_property
    def parameters(self) -> dict[str, Any]:
        """entries and signs per view, and logits (d,), (M, d) or alpha ()."""
        kind, dims, rank = self.structure.kind, self.structure.dims, self.structure.rank
        if kind == "independent":
            return {}
        rng = np.random.default_rng(self.seed)
        entries = [float32(self.tilt * rng.uniform(-1, 1, n * (n - 1) // 2)) for n in dims]
        signs = [rng.choice([-1.0, 1.0], n) for n in dims]
        shape = {"canonical": (len(dims), rank), "orthogonal": ()}.get(kind, (rank,))
        logits = float32(np.clip(1.5 * self.reach * rng.uniform(-1, 1, shape), -self.reach, self.reach))
        if self.level is not None:
            logits = float32(np.full(shape, self.level))
        if kind == "orthogonal":
            return {"entries": entries, "signs": signs, "alpha": float32(np.clip(np.tanh(logits / 2), -1 + 1e-6, 1 - 1e-6))}
        return {"entries": entries, "signs": signs, "logits": logits}

    def framed(self, xp: Any) -> dict[str, Any]:
        """The parameters with their frames made by one library: JAX then compiles the Cayley solve once per size."""
        if not self.parameters:
            return {}
        per_view = zip(self.parameters["entries"], self.structure.dims, self.parameters["signs"], strict=True)
        frames = [xp.call(frame, (n, self.structure.rank), entries, signs) for entries, n, signs in per_view]
        return {"frames": frames} | {name: self.parameters[name] for name in ("alpha", "logits") if name in self.parameters}


def frame(size: tuple[int, int], entries: Any, signs: Any) -> Any:
    """The package's frame of a size (n, d), in the form that ``xp.call`` takes."""
    return jc.frame(entries, *size, signs)


def dense(structure: Structure, parameters: dict[str, Any]) -> tuple[Any, ...]:
    """The package's dense views of a prior: Sigma, its inverse, log|Sigma|, the largest singular value of any C_ij."""
    prior = structure.prior(parameters)
    return prior.covariance(), prior.precision(), prior.log_det(), prior.max_singular_value()


def models(structures: Sequence[Structure] = STRUCTURES, reach: tuple[float, ...] = (0.5, 3.0, 12.0)) -> st.SearchStrategy:
    """A prior of one of the structures, from weakly to strongly coupled."""
    return st.builds(Model, st.sampled_from(structures), st.integers(0, 999), st.sampled_from(reach))


def of_kind(kind: str) -> tuple[Structure, ...]:
    """The structures of one constructor."""
    return tuple(structure for structure in STRUCTURES if structure.kind == kind)


@functools.cache
def posterior(dims: tuple[int, ...], rows: int, seed: int) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Means and log-variances, one array (rows, n_i) per view; the means' sizes span three orders of magnitude."""
    rng = np.random.default_rng(seed)
    size = 10.0 ** rng.uniform(-2, 1)
    means = tuple(float32(size * rng.standard_normal((rows, n))) for n in dims)
    log_vars = tuple(float32(rng.uniform(-4, 1, (rows, n))) for n in dims)
    return means, log_vars


def patterns(views: int) -> np.ndarray:
    """All 2^M masks, one per row, the empty and the full one included."""
    return (np.arange(2**views)[:, None] >> np.arange(views)) % 2 == 1
