"""Independent answers about a whole model, in plain float64 NumPy: networks, the dense prior, its conditionals, Eq. 7.

Nothing here imports the packages. Parameters come in by their layout names; rotations are made with an inverse, square roots
with an eigendecomposition, conditionals with solve: the textbook's route each time, never the package's.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


def network(p: Arrays, part: str, x: np.ndarray) -> np.ndarray:
    """Dense layers with ReLU between them."""
    depth = sum(name.startswith(f"{part}.") and name.endswith(".weight") for name in p)
    for k in range(depth):
        x = np.einsum("...i,io->...o", x, p[f"{part}.{k}.weight"]) + p[f"{part}.{k}.bias"]
        x = x if k == depth - 1 else np.maximum(x, 0.0)
    return x


def encode(p: Arrays, view: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and log-variance."""
    mean, log_var = np.split(network(p, f"encoder.{view}", x), 2, axis=-1)
    return mean, log_var


def log_prob(p: Arrays, view: int, z: np.ndarray, x: np.ndarray) -> np.ndarray:
    """log p(x | z) of every entry: Gaussian where the view owns a variance, else Bernoulli (for moderate logits)."""
    out = network(p, f"decoder.{view}", z)
    if f"likelihood.{view}.log_var" in p:
        var = np.exp(p[f"likelihood.{view}.log_var"])
        return -((x - out) ** 2) / (2.0 * var) - 0.5 * np.log(2.0 * np.pi * var)
    chance = 1.0 / (1.0 + np.exp(-out))
    return x * np.log(chance) + (1.0 - x) * np.log(1.0 - chance)


def rotation(entries: np.ndarray, n: int) -> np.ndarray:
    """(I + A)(I - A)^-1 with the entries in A's upper triangle."""
    A = np.zeros((n, n))
    A[np.triu_indices(n, 1)] = entries
    A = A - A.T
    return (np.eye(n) + A) @ np.linalg.inv(np.eye(n) - A)


def factors(model: Any, p: Arrays) -> list[np.ndarray]:
    """B_i = Q_i diag(a_i) with C_ij = B_i B_j^T, for priors with a shared source."""
    d = model.directions
    frames = [rotation(p[f"prior.frame.{i}"], n)[:, :d] for i, n in enumerate(model.latent_dims)]
    squared = 1.0 / (1.0 + np.exp(-p["prior.logits"])) if "prior.logits" in p else np.full((model.views, d), model.alpha)
    return [Q * np.sqrt(a2) for Q, a2 in zip(frames, squared, strict=True)]


def covariance(model: Any, p: Arrays) -> np.ndarray:
    """Sigma, dense, from the raw parameters."""
    S, at = np.eye(sum(model.latent_dims)), blocks(model)
    if "prior.frame.0" in p:
        B = factors(model, p)
        for i in range(len(B)):
            for j in range(len(B)):
                if i != j:
                    S[np.ix_(at[i], at[j])] = B[i] @ B[j].T
        return S
    if model.prior == "independent":
        return S
    n1, n2 = model.latent_dims
    if model.prior == "svd":
        s = np.tanh(p["prior.logits"] / 2) if model.bound == "tanh" else 1.0 / (1.0 + np.exp(-p["prior.logits"]))
        C = rotation(p["prior.U"], n2)[:, : model.directions] @ np.diag(s) @ rotation(p["prior.V"], n1)[:, : model.directions].T
    else:
        C = (np.tanh(p["prior.alpha"] / 2) if model.learn_alpha else model.alpha) * rotation(p["prior.rotation"], n1)
    S[n1:, :n1], S[:n1, n1:] = C, C.T
    return S


def blocks(model: Any) -> list[np.ndarray]:
    """The coordinates of each view in the concatenated latents."""
    ends = np.cumsum([0, *model.latent_dims])
    return [np.arange(a, b) for a, b in itertools.pairwise(ends)]


def coordinates(model: Any, observed: Sequence[bool]) -> np.ndarray:
    """The coordinates of the observed views."""
    return np.concatenate([at for at, bit in zip(blocks(model), observed, strict=True) if bit])


def gain(S: np.ndarray, o: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The regression matrix S_ho S_oo^-1."""
    return np.linalg.solve(S[np.ix_(o, o)], S[np.ix_(o, h)]).T


def root(S: np.ndarray) -> np.ndarray:
    """The symmetric square root."""
    values, vectors = np.linalg.eigh(S)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def kl(mean_q: np.ndarray, cov_q: np.ndarray, mean_p: np.ndarray, cov_p: np.ndarray) -> float:
    """KL between two Gaussians (Eq. 7)."""
    P, apart = np.linalg.inv(cov_p), mean_q - mean_p
    log_dets = np.linalg.slogdet(cov_p)[1] - np.linalg.slogdet(cov_q)[1]
    return float(0.5 * (np.trace(P @ cov_q) + apart @ P @ apart - len(apart) + log_dets))


def complete(model: Any, p: Arrays, z: np.ndarray, observed: Sequence[bool], noise: np.ndarray) -> np.ndarray:
    """One row's latents (N,): the missing ones drawn from the dense conditional, with symmetric square roots of its parts."""
    S, at = covariance(model, p), blocks(model)
    o, missing = coordinates(model, observed), [j for j, bit in enumerate(observed) if not bit]
    z, shared = z.copy(), len(noise) - len(z)
    own = noise[shared:]
    if shared:  # first the source given z_O, then every missing view given the source
        B = factors(model, p)
        cross = np.concatenate(B).T[:, o]
        back = np.linalg.solve(S[np.ix_(o, o)], cross.T).T
        u = back @ z[o] + root(np.eye(shared) - back @ cross.T) @ noise[:shared]
        for j in missing:
            z[at[j]] = B[j] @ u + root(np.eye(len(at[j])) - B[j] @ B[j].T) @ own[at[j]]
    else:
        for j in missing:
            G = gain(S, o, at[j])
            z[at[j]] = G @ z[o] + root(S[np.ix_(at[j], at[j])] - G @ S[np.ix_(o, at[j])]) @ own[at[j]]
    return z
