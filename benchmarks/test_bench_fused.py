"""What the fused posterior costs: its KL and one draw, forward + backward in eager torch, against the factorised posterior's.

Two views, 128 rows of which a third lacks the first view, float32; gradients go to means, log-variances, frames and coupling.
An orthogonal prior has one loading for all directions (no factorisation per view), a canonical one has loadings of its own per
direction. Each KL is first compared with dense float64 NumPy.
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

FACTORISED, FRAME, LATENT = "factorised (Eq. 3)", "fused, frame coordinates", "fused, latent coordinates"
ALPHA, LOGIT, ROWS = 0.9, 2.0, 128
SUITE = Suite(
    name="fused",
    title="KL and one draw, forward + backward, float32, two views, 128 rows",
    ours=FACTORISED,
    error="relative error of the KL divergence",
    sweeps={"orthogonal": "n = d (orthogonal prior)", "canonical": "n = d (canonical prior)"},
    colours={FACTORISED: "#8a8a93", FRAME: "#e59a7f", LATENT: "#c8431b"},
    panels=(Panel("orthogonal", "minimum", "orthogonal prior"), Panel("canonical", "minimum", "canonical prior")),
)


class Problem:
    """NumPy float32 inputs; Sigma in float64 by its definition."""

    def __init__(self, kind: str, n: int) -> None:
        rng, self.kind = np.random.default_rng(0), kind
        turned = [np.linalg.qr(rng.standard_normal((n, n)))[0].astype(np.float32) for _ in range(2)]
        self.frames = turned if kind == "canonical" else [np.eye(n, dtype=np.float32), turned[1]]
        self.means = [rng.standard_normal((ROWS, n), dtype=np.float32) for _ in range(2)]
        self.log_vars = [rng.uniform(-3.0, 0.0, (ROWS, n)).astype(np.float32) for _ in range(2)]
        self.mask = np.stack([np.arange(ROWS) % 3 > 0, np.ones(ROWS, bool)], axis=1)
        self.parameter = np.float32(ALPHA) if kind == "orthogonal" else np.full((2, n), LOGIT, np.float32)

    def kl(self, method: str) -> np.ndarray:
        """Per row, from the precision of the posterior over all latents: the observed ones' marginal against the prior's."""
        n, V = self.means[0].shape[1], [q.astype(np.float64) for q in self.frames]
        s = ALPHA if self.kind == "orthogonal" else 1 / (1 + np.exp(-LOGIT))
        C = s * V[1] @ V[0].T
        S, found = np.block([[np.eye(n), C.T], [C, np.eye(n)]]), []
        for r, bits in enumerate(self.mask):
            o, P, eta = np.repeat(bits, n), np.zeros((2 * n, 2 * n)), np.zeros(2 * n)
            for i in np.flatnonzero(bits):
                at, Q = slice(n * i, n * (i + 1)), V[i] if method == FRAME else np.eye(n)
                P[at, at] = (Q * np.exp(-self.log_vars[i][r].astype(np.float64))) @ Q.T
                eta[at] = P[at, at] @ self.means[i][r]
            prior = S[np.ix_(o, o)]
            posterior = P[np.ix_(o, o)] if method == FACTORISED else np.linalg.inv(prior) + P[np.ix_(o, o)] - np.eye(o.sum())
            cov = np.linalg.inv(posterior)
            mean = cov @ eta[o]
            spread = np.trace(np.linalg.solve(prior, cov)) + mean @ np.linalg.solve(prior, mean) - o.sum()
            found.append(0.5 * (spread + np.linalg.slogdet(prior)[1] - np.linalg.slogdet(cov)[1]))
        return np.array(found)


def torch_step(method: str, p: Problem) -> Callable[[], Any]:
    """A step that returns the KL."""
    means, log_vars, frames = ([torch.tensor(x, requires_grad=True) for x in g] for g in (p.means, p.log_vars, p.frames))
    parameter, mask = torch.tensor(p.parameter, requires_grad=True), torch.tensor(p.mask)
    leaves, n = [*means, *log_vars, frames[1], parameter], p.means[0].shape[1]
    rng = np.random.default_rng(1)

    def normal(columns: int) -> Any:
        return torch.tensor(rng.standard_normal((ROWS, columns), dtype=np.float32))

    def prior() -> jc.JointPrior:
        if p.kind == "orthogonal":
            return jc.JointPrior.orthogonal(frames[1], parameter)
        return jc.JointPrior.canonical(frames, parameter)

    coordinates = "frame" if method == FRAME else "latent"
    noise = normal(jc.fuse(prior(), means, log_vars, mask, coordinates).noise_dim)
    own, more = [normal(n) for _ in range(2)], normal(prior().noise_dim)

    def step() -> Any:
        joint = prior()
        kl: Any
        drawn: Any
        if method == FACTORISED:
            kl = jc.kl_divergence(joint, means, log_vars, mask)
            z = [jc.reparameterize(*row) for row in zip(means, log_vars, own, strict=True)]
            drawn = jc.complete(joint, z, mask, more)
        else:
            q = jc.fuse(joint, means, log_vars, mask, coordinates)
            kl, drawn = q.kl(), q.draw(noise)
        torch.autograd.grad(kl.sum() + sum(z.sum() for z in drawn), leaves)
        return kl

    return step


@pytest.mark.parametrize("n", [8, 20, 64])
@pytest.mark.parametrize("kind", ["orthogonal", "canonical"])
@pytest.mark.parametrize("method", [FACTORISED, FRAME, LATENT])
def test_fused(timed: Callable[..., None], kind: str, n: int, method: str) -> None:
    p = Problem(kind, n)
    step, exact = torch_step(method, p), p.kl(method)
    error = float(np.max(np.abs(step().detach().numpy() - exact) / exact))
    # Every step is off by n eps of norms at most 1, and |Sigma^-1| = 1/(1 - s) < 10 multiplies it.
    timed(
        step,
        method=method,
        sweep=kind,
        x=n,
        error=error,
        bound=100 * n * float(np.finfo(np.float32).eps),
        peak_bytes=peak_memory.of_torch(step),
    )
