"""What the laws are tried on: priors from free parameters, posteriors and masks.

Hypothesis draws only a structure, a seed and how extreme the numbers are; a seeded generator fills the arrays. So an
example prints as one short line, shrinks to few views of small sizes, and is the same for every library. All numbers are
float32 values: float32 and float64 runs then have the same exact answer.

The first example of a derandomised test is the simplest, and there are few: so the simplest is a hard one. ``HARD`` lists the
structures, hardest to get right first, and the strongest coupling comes first; free structures follow. JAX compiles for every
shape and gets one structure per constructor, of ``STRUCTURES``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import calls
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

    @property
    def noise_dim(self) -> int:
        """Standard normals per draw: one per latent, and one per direction of a shared source."""
        return sum(self.dims) + (self.rank if self.kind == "canonical" else 0)


STRUCTURES = (
    Structure("independent", (2, 3), 0),
    Structure("orthogonal", (3, 3), 3),
    Structure("svd-sigmoid", (3, 4), 2),
    Structure("svd-tanh", (1, 3), 1),
    Structure("canonical", (3, 2, 4), 2),
)
PAIRS = STRUCTURES[1:4]
THREE_VIEWS = STRUCTURES[4]
KINDS = tuple(structure.kind for structure in STRUCTURES)

# (dims, d): unequal sizes with 1 < d < min n_i first; then d = min n_i, six views, n_i = 1, one view.
_PAIRS = (((3, 4), 2), ((4, 2), 2), ((4, 3), 1), ((1, 3), 1), ((2, 2), 2), ((1, 1), 1))
HARD = {
    "independent": (((3, 1, 2), 0), ((1, 2, 1, 3, 1, 2), 0), ((4,), 0)),
    "orthogonal": (((3, 3), 3), ((4, 4), 4), ((2, 2), 2), ((1, 1), 1)),
    "svd-sigmoid": _PAIRS,
    "svd-tanh": _PAIRS,
    "canonical": (((3, 5, 4), 2), ((1, 2, 1, 3, 1, 2), 1), ((2, 3, 2, 4), 2), ((3, 2), 1), ((1, 1, 1), 1), ((4,), 2)),
}
PAIR_KINDS, COUPLED = KINDS[1:4], KINDS[1:]


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
        frames = [xp.call(calls.frame, (n, self.structure.rank), entries, signs) for entries, n, signs in per_view]
        return {"frames": frames} | {name: self.parameters[name] for name in ("alpha", "logits") if name in self.parameters}


@st.composite
def free(draw: Any, kind: str) -> Structure:
    """Any structure of one constructor: one to six views, at most 12 coordinates or 4 per view, 1 <= d <= min n_i."""
    if kind == "orthogonal":
        n = draw(st.integers(1, 4))
        return Structure(kind, (n, n), n)
    views = 2 if kind.startswith("svd") else draw(st.integers(1, 6))
    sizes = st.integers(1, min(4, 12 // views))
    dims = tuple(draw(st.lists(sizes, min_size=views, max_size=views)))
    return Structure(kind, dims, 0 if kind == "independent" else draw(st.integers(1, min(dims))))


@functools.cache  # a strategy is looked into once
def structures(kind: str) -> st.SearchStrategy[Structure]:
    """The hard structures of one constructor, and free ones. A failure shrinks towards the first hard one: one line."""
    return st.sampled_from([Structure(kind, *size) for size in HARD[kind]]) | free(kind)


@functools.cache
def models(xp: Any, kind: str, reach: tuple[float, ...] = (0.5, 3.0, 12.0)) -> st.SearchStrategy[Model]:
    """A prior of one constructor, strongest coupling first; on JAX of its one structure. xp: None for no library."""
    fixed = xp is not None and xp.library.name == "JAX"
    drawn = st.just(STRUCTURES[KINDS.index(kind)]) if fixed else structures(kind)
    return st.builds(Model, drawn, st.integers(0, 999), st.sampled_from(sorted(reach, reverse=True)))


Rows = tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]


@dataclass(frozen=True)
class Posterior:
    """Rows of N(mean, diag exp(log_var)): means of one size, log-variances within 2 of a centre."""

    seed: int
    size: float
    centre: float

    def rows(self, dims: Sequence[int], count: int) -> Rows:
        """Means and log-variances, one array (count, n_i) per view."""
        rng = np.random.default_rng(self.seed)
        means = tuple(float32(self.size * rng.standard_normal((count, n))) for n in dims)
        return means, tuple(float32(self.centre + rng.uniform(-2, 2, (count, n))) for n in dims)


@functools.cache
def posteriors() -> st.SearchStrategy[Posterior]:
    """Means from 0 to a thousand prior standard deviations; standard deviations from 1e-7 to some hundred."""
    return st.builds(
        Posterior, st.integers(0, 99), st.sampled_from([1.0, 0.0, 1e-3, 1e3]), st.sampled_from([-1.0, -30.0, 10.0])
    )


@functools.cache
def posterior(dims: tuple[int, ...], rows: int, seed: int) -> Rows:
    """An everyday posterior by its seed: the means' sizes span three orders of magnitude."""
    rng = np.random.default_rng(seed)
    size = 10.0 ** rng.uniform(-2, 1)
    means = tuple(float32(size * rng.standard_normal((rows, n))) for n in dims)
    log_vars = tuple(float32(rng.uniform(-4, 1, (rows, n))) for n in dims)
    return means, log_vars


def patterns(views: int) -> np.ndarray:
    """All 2^M masks, one per row, the empty and the full one included."""
    return (np.arange(2**views)[:, None] >> np.arange(views)) % 2 == 1


def masks(views: int, seed: int) -> np.ndarray:
    """All patterns of up to three views; of more, the empty and the full one and six others."""
    every = patterns(views)
    if views <= 3:
        return every
    return every[[0, -1, *(1 + np.random.default_rng(seed).permutation(len(every) - 2)[:6])]]


def holes(arrays: Sequence[np.ndarray], mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """NaN in every missing view; mask by row."""
    return tuple(np.where(mask[:, i : i + 1], x, np.nan) for i, x in enumerate(arrays))


def gaussian(seed: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Any Gaussian: mean (N,), two rows of values (2, N), a well-conditioned covariance (N, N)."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((size, size + 2))
    cov = float32(root @ root.T / size)
    return float32(rng.standard_normal(size)), float32(rng.standard_normal((2, size))), (cov + cov.T) / 2


def skew_entries(seed: int, n: int, size: float) -> np.ndarray:
    """The n(n-1)/2 free entries of a skew matrix, within +-size."""
    return float32(size * np.random.default_rng(seed).uniform(-1, 1, n * (n - 1) // 2))
