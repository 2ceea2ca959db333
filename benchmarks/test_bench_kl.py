"""KL forward + backward: the canonical form against Eq. 9, a Cholesky factorisation and torch.distributions.

All methods get the same float32 means, log-variances, frames and logits; the gradients of the sum over rows go to all of them
(an orthogonal prior's alpha is a number). Each answer is first compared with dense float64 NumPy: with
P = Sigma^{-1} and q = N(mu, diag v), 2 KL = log|Sigma| - sum log v - N + mu^T P mu + sum v_k P_kk, whose gradients in mu and
log v are P mu and (v_k P_kk - 1)/2.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import peak_memory
import pytest
import torch
from suites import Panel, Suite, Target

import jpvae_core as jc
from jpvae_core import vjp

OURS, SVD, CLOSED = "jpvae_core", "jpvae_core, SVD prior", "jpvae_core.vjp, torch"
IN_NUMPY, IN_JAX = "jpvae_core, NumPy", "jpvae_core, JAX jit"
SOLVE, INVERSE, CHOLESKY, DENSE = "Eq. 9, solve", "Eq. 9, inv", "Cholesky", "torch.distributions"
ALPHA = 0.9
SUITE = Suite(
    name="kl",
    title="KL forward + backward, float32",
    ours=OURS,
    error="relative error of the KL or of its gradient in means and log-variances, the larger",
    sweeps={"n": "n (two views, B = 256)", "B": "B (two views, n = 20)", "M": "M (canonical prior, n = 20, B = 32)"},
    colours={
        DENSE: "#3f9fdc",
        INVERSE: "#0b3c6f",
        SOLVE: "#6f6f9c",
        CHOLESKY: "#009e73",
        IN_NUMPY: "#8a8a93",
        IN_JAX: "#b58900",
        SVD: "#e59a7f",
        CLOSED: "#e59a7f",
        OURS: "#c8431b",
    },
    panels=(
        Panel("n", "minimum", "two views, 256 rows, n latents each"),
        Panel("B", "minimum", "two views, 20 latents each, B rows"),
        Panel("M", "minimum", "M views, 20 latents each, 32 rows"),
    ),
    notes=(
        "–: torch.distributions makes B matrices of (2n)^2: left out where one such array is more than 70 MB.",
        "Eq. 9 is for two views.",
    ),
    targets=(
        Target("n = 128, B = 256: torch.distributions / ours", lambda r: r.ratio("n", 128, DENSE, OURS), at_least=1000),
        Target("n = 128, B = 256: Eq. 9 with inverses / ours, JAX", lambda r: r.ratio("n", 128, INVERSE, IN_JAX), at_least=5),
        Target(
            "n = 128, B = 256: Eq. 9 with inverses / ours, eager torch",
            lambda r: r.ratio("n", 128, INVERSE, OURS),
            at_least=5,
            asserted=False,
        ),
        Target("growth p in n^p", lambda r: r.growth("n", OURS), at_most=2.1),
        Target("n = 20, B = 32, JAX, ms", lambda r: 1e3 * r.at("B", 32, IN_JAX).minimum, at_most=0.25),
        Target("n = 20, B = 32, NumPy, ms", lambda r: 1e3 * r.at("B", 32, IN_NUMPY).minimum, at_most=0.25, asserted=False),
        Target("n = 20, B = 32, eager torch, ms", lambda r: 1e3 * r.at("B", 32, OURS).minimum, at_most=0.25, asserted=False),
    ),
)


@dataclass(frozen=True)
class Inputs:
    """NumPy float32. frames: None where it is the identity; logits: (d,) for a pair, (M, d) for a source, None for alpha."""

    means: list[np.ndarray]
    log_vars: list[np.ndarray]
    frames: list[np.ndarray | None]
    logits: np.ndarray | None

    def covariance(self) -> np.ndarray:
        """Sigma in float64, from the definition of its blocks."""
        frames = [np.eye(self.means[0].shape[1]) if q is None else q.astype(np.float64) for q in self.frames]
        views, n = range(len(frames)), len(frames[0])
        if self.logits is None:
            c = np.full((len(frames), n), math.sqrt(ALPHA))
        else:
            c = np.broadcast_to(np.sqrt(1 / (1 + np.exp(-self.logits.astype(np.float64)))), (len(frames), n))
        blocks = [[np.eye(n) if i == j else (frames[i] * c[i] * c[j]) @ frames[j].T for j in views] for i in views]
        return np.block(blocks)


def draw(kind: str, views: int, n: int, rows: int) -> Inputs:
    """Standard normal means, log-variances on [-3, 1]; orthogonal frames; correlations up to ALPHA."""
    rng = np.random.default_rng(0)
    frames = [np.linalg.qr(rng.standard_normal((n, n)))[0].astype(np.float32) for _ in range(views)]
    logits = rng.uniform(-2.0, math.log(ALPHA / (1 - ALPHA)), n).astype(np.float32)
    return Inputs(
        [rng.standard_normal((rows, n), dtype=np.float32) for _ in range(views)],
        [rng.uniform(-3.0, 1.0, (rows, n)).astype(np.float32) for _ in range(views)],
        [None, frames[1]] if kind == "orthogonal" else frames,
        {"orthogonal": None, "svd": logits, "canonical": np.tile(logits, (views, 1))}[kind],
    )


@functools.lru_cache(maxsize=2)
def problem(kind: str, views: int, n: int, rows: int) -> tuple[Inputs, np.ndarray, list[np.ndarray], float]:
    """Inputs, the KL, its gradients in means and log-variances, and a bound for the relative error of any method.

    Solving with Sigma is exact for a Sigma that is off by 2 N eps in norm (Higham, chapters 9 and 10: N eps is rarely
    exceeded), which moves Sigma^{-1}, and with it every term, by its condition number times that.
    """
    inputs = draw(kind, views, n, rows)
    S = inputs.covariance()
    P, N = np.linalg.inv(S), len(S)
    mean, log_var = (np.concatenate(x, axis=1).astype(np.float64) for x in (inputs.means, inputs.log_vars))
    v, pulled, log_det = np.exp(log_var), mean @ P, np.linalg.slogdet(S)[1]
    kl = 0.5 * (log_det - log_var.sum(1) - N + (mean * pulled).sum(1) + v @ np.diag(P))
    condition = (1 + (views - 1) * ALPHA) / (1 - ALPHA)  # at the largest correlation
    return inputs, kl, [pulled, 0.5 * (v * np.diag(P) - 1)], 2 * N * float(np.finfo(np.float32).eps) * condition


def prior(frames: list[Any], logits: Any) -> jc.JointPrior:
    """The package's prior."""
    if logits is None:
        return jc.JointPrior.orthogonal(frames[1], ALPHA)
    if logits.ndim == 1:
        return jc.JointPrior.svd(frames[1], logits, frames[0])
    return jc.JointPrior.canonical(frames, logits)


def solve(A: Any) -> Any:
    """A^-1 by a solve."""
    return torch.linalg.solve(A, torch.eye(len(A)))


def eq9(means: list[Any], log_vars: list[Any], prior: jc.JointPrior, *, inverse: Callable[[Any], Any]) -> Any:
    """Eq. 9 with torch.logdet, as one writes it down from the paper."""
    C = prior.cross_covariance(1, 0)
    S1, S2 = (torch.eye(len(G)) - G for G in (C.T @ C, C @ C.T))
    D1, D2 = inverse(S1), inverse(S2)
    total = torch.logdet(S1) - (means[0] @ D1 @ C.T * means[1]).sum(1) - (means[1] @ D2 @ C * means[0]).sum(1)
    for mean, log_var, D in zip(means, log_vars, (D1, D2), strict=True):
        total = total + (mean @ D * mean).sum(1) - log_var.sum(1) - len(D) + log_var.exp() @ D.diagonal()
    return 0.5 * total


def cholesky(means: list[Any], log_vars: list[Any], prior: jc.JointPrior) -> Any:
    """Sigma = L L^T once for all rows: log|Sigma| = 2 sum log L_kk, and squares of L^-1 mu and L^-1."""
    L, mean, log_var = torch.linalg.cholesky(prior.covariance()), torch.cat(means, 1), torch.cat(log_vars, 1)
    W = torch.linalg.solve_triangular(L, torch.eye(len(L)), upper=False)
    quad = (mean @ W.T).square().sum(1)
    return 0.5 * (quad + log_var.exp() @ W.square().sum(0) - log_var.sum(1) - len(L)) + L.diagonal().log().sum()


def distributions(means: list[Any], log_vars: list[Any], prior: jc.JointPrior) -> Any:
    """torch.distributions.kl_divergence of two MultivariateNormals."""
    S, normal = prior.covariance(), torch.distributions.MultivariateNormal
    q = normal(torch.cat(means, 1), torch.diag_embed(torch.cat(log_vars, 1).exp()))
    return torch.distributions.kl_divergence(q, normal(torch.zeros_like(S[0]), S))


IN_TORCH: dict[str, Callable[..., Any]] = {
    OURS: lambda means, log_vars, prior: jc.kl_divergence(prior, means, log_vars),
    SVD: lambda means, log_vars, prior: jc.kl_divergence(prior, means, log_vars),
    SOLVE: functools.partial(eq9, inverse=solve),
    INVERSE: functools.partial(eq9, inverse=torch.linalg.inv),
    CHOLESKY: cholesky,
    DENSE: distributions,
}


def torch_step(method: str, inputs: Inputs) -> tuple[Callable[[], Any], Callable[[], int]]:
    """A step that returns the KL and the gradients in means and log-variances, and a measure of its memory."""
    form = IN_TORCH[method]
    means, log_vars, frames = (
        [None if x is None else torch.tensor(x, requires_grad=True) for x in group]
        for group in (inputs.means, inputs.log_vars, inputs.frames)
    )
    logits = None if inputs.logits is None else torch.tensor(inputs.logits, requires_grad=True)
    leaves = [x for x in (*means, *log_vars, *frames, logits) if x is not None]

    def step() -> Any:
        kl = form(means, log_vars, prior(frames, logits))
        gradients = torch.autograd.grad(kl.sum(), leaves)
        return kl, gradients[: len(means)], gradients[len(means) : 2 * len(means)]

    return step, lambda: peak_memory.of_torch(step)


def vjp_step(library: Any, inputs: Inputs) -> tuple[Callable[[], Any], Callable[[], int]]:
    """The same with jpvae_core.vjp in NumPy or torch, no autograd; the cotangents of frames and coupling are made too."""
    groups = (inputs.means, inputs.log_vars, inputs.frames, [inputs.logits], [np.ones(len(inputs.means[0]), np.float32)])
    means, log_vars, frames, (logits,), (ones,) = (
        [None if x is None else library.asarray(x) for x in group] for group in groups
    )

    def step() -> Any:
        joint = prior(frames, logits)
        kl = jc.kl_divergence(joint, means, log_vars)
        return kl, *vjp.kl_divergence(joint, means, log_vars, None, ones)[:2]

    peak = peak_memory.of_numpy if library is np else peak_memory.of_torch
    return step, lambda: peak(step)


def jax_step(inputs: Inputs) -> tuple[Callable[[], Any], Callable[[], int]]:
    """The same in JAX, compiled."""
    arrays = jax.tree.map(jnp.asarray, (inputs.means, inputs.log_vars, inputs.frames, inputs.logits))

    def total(means: Any, log_vars: Any, frames: Any, logits: Any) -> Any:
        kl = jc.kl_divergence(prior(frames, logits), means, log_vars)
        return kl.sum(), kl

    compiled = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2, 3), has_aux=True)).lower(*arrays).compile()

    def step() -> Any:
        (_, kl), (means, log_vars, *_) = jax.block_until_ready(compiled(*arrays))
        return kl, means, log_vars

    return step, lambda: peak_memory.of_jax(compiled)


def error(step: Callable[[], Any], kl: np.ndarray, gradients: list[np.ndarray]) -> float:
    """The largest |KL^ - KL|/KL of a row, or |g^ - g|_F/|g|_F of a gradient."""
    arrays = jax.tree.map(lambda x: x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x), step())
    found, *parts = arrays
    errors = [np.max(np.abs(found - kl) / kl)]
    errors += [np.linalg.norm(np.concatenate(x, 1) - g) / np.linalg.norm(g) for x, g in zip(parts, gradients, strict=True)]
    return float(max(errors))


TWO_VIEWS = (OURS, SVD, IN_NUMPY, IN_JAX, SOLVE, INVERSE, CHOLESKY, DENSE)
ANY_VIEWS = (OURS, CLOSED, IN_NUMPY, IN_JAX, CHOLESKY, DENSE)
SWEEPS = [("n", n, m) for n in (8, 16, 32, 64, 128, 256, 512, 1024) for m in TWO_VIEWS if m != DENSE or n <= 128]
SWEEPS += [("B", B, m) for B in (32, 256, 2048, 16384, 65536) for m in TWO_VIEWS if m != DENSE or B <= 2048]
SWEEPS += [("M", M, m) for M in range(2, 9) for m in ANY_VIEWS]


@pytest.mark.parametrize(("sweep", "x", "method"), SWEEPS)
def test_kl_forward_and_backward(timed: Callable[..., None], sweep: str, x: int, method: str) -> None:
    size = {"views": 2, "n": 20, "rows": 32} | {"n": {"n": x, "rows": 256}, "B": {"rows": x}, "M": {"views": x}}[sweep]
    kind = "canonical" if sweep == "M" else "svd" if method == SVD else "orthogonal"
    inputs, kl, gradients, bound = problem(kind, **size)
    makers = {IN_NUMPY: functools.partial(vjp_step, np), CLOSED: functools.partial(vjp_step, torch), IN_JAX: jax_step}
    step, peak = makers[method](inputs) if method in makers else torch_step(method, inputs)
    found = error(step, kl, gradients)
    timed(step, method=method, sweep=sweep, x=x, error=found, bound=bound, peak_bytes=peak())
