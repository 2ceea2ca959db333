"""Filling in missing views, every pattern of missing views in one batch: the closed form against a loop over the patterns.

M views with 20 latents each; row r has pattern r mod (2^M - 1), from "all observed" to "one observed". The loop is what one
writes with dense matrices: for each pattern a solve with Sigma_oo and, for draws, a Cholesky factor of the conditional
covariance. All in float64, forward only. Few patterns and many rows are the best case of the loop, many patterns ours.

Means are compared with NumPy's linear algebra on a Sigma assembled from its definition. Draws of different methods use
their noise differently; for each pattern their map from noise to latents, T, has to give T T^T = the conditional covariance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import peak_memory
import pytest
import torch
from suites import Panel, Suite

import jpvae_core as jc

OURS, IN_TORCH, LOOP, LOOP_IN_TORCH = "jpvae_core", "jpvae_core, torch", "loop over patterns", "loop over patterns, torch"
N, ROWS, VIEWS = 20, 256, 6
SUITE = Suite(
    name="conditioning",
    title="Filling in missing views, all patterns in one batch, float64",
    ours=OURS,
    error="|found - exact|_F / |exact|_F, of means and of each pattern's covariance",
    sweeps={
        "means by M": "M (conditional_mean, B = 256)",
        "draws by M": "M (complete, B = 256)",
        "draws by B": "B (complete, M = 6)",
    },
    colours={LOOP_IN_TORCH: "#3f9fdc", LOOP: "#0b3c6f", IN_TORCH: "#e59a7f", OURS: "#c8431b"},
    panels=(
        Panel("means by M", "minimum", "conditional means, M views, 256 rows"),
        Panel("draws by M", "minimum", "draws, M views, 256 rows"),
        Panel("draws by B", "minimum", "draws, 6 views, B rows"),
    ),
)


class Problem:
    """A canonical prior's parameters and its rows, in NumPy; Sigma from the definition of its blocks."""

    def __init__(self, views: int, rows: int) -> None:
        rng = np.random.default_rng(0)
        self.frames = [np.linalg.qr(rng.standard_normal((N, N)))[0] for _ in range(views)]
        self.logits = rng.uniform(-2.0, 2.0, (views, N))
        a, each = np.sqrt(1 / (1 + np.exp(-self.logits))), range(views)
        blocks = [[np.eye(N) if i == j else (self.frames[i] * a[i] * a[j]) @ self.frames[j].T for j in each] for i in each]
        self.covariance = np.block(blocks)
        patterns = [[not (p >> i) & 1 for i in each] for p in range(2**views - 1)]
        self.mask = np.array([patterns[r % len(patterns)] for r in range(rows)])
        self.latents = rng.standard_normal((rows, views * N))
        self.patterns = np.array(patterns)

    def split(self, x: Any) -> list[Any]:
        """(B, M N) -> M arrays (B, N)."""
        return [x[:, i * N : (i + 1) * N] for i in range(len(self.frames))]


def ours(library: Any, p: Problem) -> tuple[Callable[..., Any], int]:
    """fill(latents (B, M N), mask (B, M), noise (B, k) or None for means) -> (B, M N), and k."""
    prior = jc.JointPrior.canonical([library.asarray(q) for q in p.frames], library.asarray(p.logits))

    def fill(latents: Any, mask: Any, noise: Any) -> Any:
        views = p.split(latents)
        filled = jc.conditional_mean(prior, views, mask) if noise is None else jc.complete(prior, views, mask, noise)
        return library.concatenate(filled, 1)

    return fill, prior.noise_dim


def loop(library: Any, p: Problem) -> tuple[Callable[..., Any], int]:
    """The same by dense solves, one pattern after the other. The patterns in the batch are found by NumPy."""
    S = library.asarray(p.covariance)

    def fill(latents: Any, mask: Any, noise: Any) -> Any:
        filled = library.asarray(latents, copy=True)
        patterns, member = np.unique(on_host(mask), axis=0, return_inverse=True)
        for k, pattern in enumerate(patterns):
            seen = np.repeat(pattern, N)
            o, h, rows = (library.asarray(np.flatnonzero(x)) for x in (seen, ~seen, member == k))
            if not len(h):
                continue
            gain = library.linalg.solve(S[o[:, None], o], S[o[:, None], h])
            drawn = latents[rows[:, None], o] @ gain
            if noise is not None:
                residual = S[h[:, None], h] - S[h[:, None], o] @ gain
                drawn = drawn + noise[rows[:, None], h] @ library.linalg.cholesky(residual).T
            filled[rows[:, None], h] = drawn
        return filled

    return fill, p.latents.shape[1]


METHODS: dict[str, tuple[Callable[..., Any], Any]] = {
    OURS: (ours, np),
    IN_TORCH: (ours, torch),
    LOOP: (loop, np),
    LOOP_IN_TORCH: (loop, torch),
}


def on_host(x: Any) -> np.ndarray:
    """As a NumPy array, from whatever device."""
    return np.asarray(x.cpu() if isinstance(x, torch.Tensor) else x)


def check_mean(p: Problem, fill: Callable[..., Any], library: Any) -> float:
    """The error of all rows' means."""
    exact, P = p.latents.copy(), np.linalg.inv(p.covariance)
    for pattern in p.patterns[1:]:
        seen, rows = np.repeat(pattern, N), (p.mask == pattern).all(1)  # E[z_h | z_o] = -P_hh^-1 P_ho z_o
        gain = -P[np.ix_(seen, ~seen)] @ np.linalg.inv(P[np.ix_(~seen, ~seen)])
        exact[np.ix_(rows, ~seen)] = p.latents[np.ix_(rows, seen)] @ gain
    found = on_host(fill(library.asarray(p.latents), library.asarray(p.mask), None))
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def check_draw(p: Problem, fill: Callable[..., Any], library: Any, noise_dim: int) -> float:
    """The largest error of a pattern's T T^T, against (P_hh)^-1; T's rows are the draws from unit noise and latents of 0."""
    P, worst = np.linalg.inv(p.covariance), 0.0
    for pattern in p.patterns[1:]:
        hidden = ~np.repeat(pattern, N)
        mask = library.asarray(np.tile(pattern, (noise_dim, 1)))
        nothing = library.asarray(np.zeros((noise_dim, len(hidden))))
        T = on_host(fill(nothing, mask, library.asarray(np.eye(noise_dim))))[:, hidden]
        exact = np.linalg.inv(P[np.ix_(hidden, hidden)])
        worst = max(worst, float(np.linalg.norm(T.T @ T - exact) / np.linalg.norm(exact)))
    return worst


SWEEPS = [(sweep, M) for sweep in ("means by M", "draws by M") for M in range(2, 9)]
SWEEPS += [("draws by B", B) for B in (16, 64, 256, 1024, 4096, 16384)]


@pytest.mark.parametrize(("sweep", "x"), SWEEPS)
@pytest.mark.parametrize("method", METHODS)
def test_filling_in(timed: Callable[..., None], sweep: str, x: int, method: str) -> None:
    p = Problem(VIEWS, x) if sweep == "draws by B" else Problem(x, ROWS)
    make, library = METHODS[method]
    fill, noise_dim = make(library, p)
    # A few solves with blocks of Sigma, each off by N eps times its condition number, which interlaces below Sigma's.
    bound = 6 * len(p.covariance) * float(np.finfo(np.float64).eps) * float(np.linalg.cond(p.covariance))
    latents, mask, noise = library.asarray(p.latents), library.asarray(p.mask), None
    if sweep == "means by M":
        error = check_mean(p, fill, library)
    else:
        noise = library.asarray(np.random.default_rng(1).standard_normal((len(p.latents), noise_dim)))
        error = check_draw(p, fill, library, noise_dim)

    def step() -> Any:
        return fill(latents, mask, noise)

    peak = peak_memory.of_torch(step) if library is torch else peak_memory.of_numpy(step)
    timed(step, method=method, sweep=sweep, x=x, error=error, bound=bound, peak_bytes=peak)
