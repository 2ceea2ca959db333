"""Independent answers about a whole model, in plain float64 NumPy: networks, the dense prior, its conditionals, the loss.

Nothing here imports the packages (densities.py is of the same kind). Parameters come in by their layout names; rotations are
made with an inverse, square roots with an eigendecomposition, conditionals with solve: the textbook's route each time, never
the package's.

The loss takes complex parameters too: Im loss(p + i h d)/h is the derivative along d, without truncation and, h being as small
as 1e-20, without rounding noise (Squire and Trapp, SIAM Review 40, 1998). How far floats may be off: rounding.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from . import densities

Arrays = dict[str, np.ndarray]


def network(p: Arrays, part: str, x: np.ndarray) -> np.ndarray:
    """Dense layers with ReLU between them, and what goes past them."""
    depth = sum(name.startswith(f"{part}.") and name.endswith(".bias") for name in p)
    path = p.get(f"{part}.linear.weight")
    beside = 0.0 if path is None else np.einsum("...i,io->...o", x, path)
    for k in range(depth):
        x = np.einsum("...i,io->...o", x, p[f"{part}.{k}.weight"]) + p[f"{part}.{k}.bias"]
        x = x if k == depth - 1 else np.maximum(x, 0.0)
    return x + beside


def encode(p: Arrays, view: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and log-variance."""
    mean, log_var = np.split(network(p, f"encoder.{view}", x), 2, axis=-1)
    return mean, log_var


def log_prob(p: Arrays, view: int, z: np.ndarray, x: np.ndarray, model: Any = None) -> np.ndarray:
    """log p(x | z) of every entry. Without a model: Gaussian where the view owns a variance, else Bernoulli."""
    out, own = network(p, f"decoder.{view}", z), own_parameters(p, view)
    if model is None:
        return densities.log_prob("gaussian" if own else "bernoulli", own, out, x)
    x, bits = cells(model, view, x)
    found: np.ndarray = bits * densities.log_prob(model.likelihood_names[view], own, out, x)
    return found


def cells(model: Any, view: int, x: np.ndarray) -> tuple[np.ndarray, Any]:
    """A likelihood's target, and which of its cells there are (1 or 0)."""
    c = model.features[view]
    return (x[..., :-c], x[..., -c:]) if model.entries == "marginalise" else (x, 1.0)


def own_parameters(p: Arrays, view: int) -> Arrays:
    """A view's likelihood parameters, by their short names."""
    head = f"likelihood.{view}."
    return {name.removeprefix(head): value for name, value in p.items() if name.startswith(head)}


def rotation(entries: np.ndarray, n: int) -> np.ndarray:
    """(I + A)(I - A)^-1 with the entries in A's upper triangle."""
    A = np.zeros((n, n), dtype=entries.dtype)
    A[np.triu_indices(n, 1)] = entries
    A = A - A.T
    Q: np.ndarray = (np.eye(n) + A) @ np.linalg.inv(np.eye(n) - A)
    return Q


def has_source(model: Any, p: Arrays) -> bool:
    """Whether the prior is that of three views and more, or of two with loadings."""
    return "prior.frame.0" in p or model.prior == "canonical"


def factors(model: Any, p: Arrays) -> list[np.ndarray]:
    """B_i = Q_i diag(a_i) with C_ij = B_i B_j^T, for priors with a shared source."""
    d, many = model.directions, enumerate(model.latent_dims)
    frames = [rotation(p[f"prior.frame.{i}"], n)[:, :d] if f"prior.frame.{i}" in p else np.eye(n, d) for i, n in many]
    squared = 1.0 / (1.0 + np.exp(-p["prior.logits"])) if "prior.logits" in p else np.full((model.views, d), model.alpha)
    return [Q * np.sqrt(a2) for Q, a2 in zip(frames, squared, strict=True)]


def covariance(model: Any, p: Arrays) -> np.ndarray:
    """Sigma, dense, from the raw parameters."""
    S, at = np.eye(sum(model.latent_dims), dtype=np.result_type(np.float64, *p.values())), blocks(model)
    if has_source(model, p):
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


def coordinates(model: Any, observed: Sequence[bool] | np.ndarray) -> np.ndarray:
    """The coordinates of the observed views."""
    return np.concatenate([at for at, bit in zip(blocks(model), observed, strict=True) if bit] + [np.arange(0)])


def gain(S: np.ndarray, o: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The regression matrix S_ho S_oo^-1."""
    return np.linalg.solve(S[np.ix_(o, o)], S[np.ix_(o, h)]).T


def root(S: np.ndarray) -> np.ndarray:
    """The symmetric square root R; of S + i E with a tiny E it is R + i X, where R X + X R = E."""
    values, vectors = np.linalg.eigh(S.real)
    roots = np.sqrt(np.maximum(values, 0.0))
    R: np.ndarray = (vectors * roots) @ vectors.T
    if np.iscomplexobj(S):
        R = R + 1j * (vectors @ (vectors.T @ S.imag @ vectors / np.add.outer(roots, roots)) @ vectors.T)
    return R


def kl(mean_q: np.ndarray, cov_q: np.ndarray, mean_p: np.ndarray, cov_p: np.ndarray) -> Any:
    """KL between Gaussians (Eq. 7): means (..., n), cov_q (..., n, n), cov_p (n, n) -> (...)."""
    P, apart = np.linalg.inv(cov_p), mean_q - mean_p
    log_dets = log_det(cov_p) - log_det(cov_q)
    square = np.einsum("...i,ij,...j->...", apart, P, apart)
    return 0.5 * (np.trace(P @ cov_q, axis1=-2, axis2=-1) + square - apart.shape[-1] + log_dets)


def log_det(S: np.ndarray) -> Any:
    """log det (..., n, n) -> (...); what is complex has its phase for imaginary part."""
    sign, size = np.linalg.slogdet(S)
    return size + (np.log(sign) if np.iscomplexobj(sign) else 0.0)


def complete(model: Any, p: Arrays, z: np.ndarray, observed: Sequence[bool] | np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Latents (..., N): the missing ones drawn from the dense conditional, with symmetric square roots of its parts."""
    S, at, shared = covariance(model, p), blocks(model), noise.shape[-1] - z.shape[-1]
    if not (any(observed) or shared):  # of a pair the first view is drawn by itself
        first = np.where(np.isin(np.arange(z.shape[-1]), at[0]), noise, 0.0)
        return complete(model, p, first, [True, *observed[1:]], noise)
    o, missing = coordinates(model, observed), [j for j, bit in enumerate(observed) if not bit]
    z, own = z.copy(), noise[..., shared:]
    if shared:  # first the source given z_O, then every missing view given the source
        B = factors(model, p)
        cross = np.concatenate(B).T[:, o]
        back = np.linalg.solve(S[np.ix_(o, o)], cross.T).T
        u = z[..., o] @ back.T + noise[..., :shared] @ root(np.eye(shared) - back @ cross.T)
        for j in missing:
            z[..., at[j]] = u @ B[j].T + own[..., at[j]] @ root(np.eye(len(at[j])) - B[j] @ B[j].T)
    else:
        for j in missing:
            G = gain(S, o, at[j])
            z[..., at[j]] = z[..., o] @ G.T + own[..., at[j]] @ root(S[np.ix_(at[j], at[j])] - G @ S[np.ix_(o, at[j])])
    return z


def source_factors(model: Any, p: Arrays) -> list[np.ndarray]:
    """B_i = Cov(z_i, u), u ~ N(0, I) the source that the fused posterior passes through; of a pair, s = a (s/a)."""
    if has_source(model, p):
        return factors(model, p)
    if model.prior == "independent":
        return [np.zeros((n, 1)) for n in model.latent_dims]
    n1, d = model.latent_dims[0], model.directions
    frame = rotation(p["prior.V"], n1)[:, :d] if model.prior == "svd" else np.eye(n1)
    cross = covariance(model, p)[n1:, :n1] @ frame  # U diag(s)
    a = np.sqrt((1 + np.sum(cross * cross, axis=0)) / 2)  # s is split into a and s/a
    return [frame * a, cross / a]


def pair_frames(model: Any, p: Arrays) -> list[np.ndarray]:
    """The square frames of each view: the identity where the prior has no rotation of it."""
    n, name = model.latent_dims[0], {"orthogonal": (None, "prior.rotation"), "svd": ("prior.V", "prior.U")}.get(model.prior)
    if has_source(model, p):
        return [rotation(p[f"prior.frame.{i}"], n) if f"prior.frame.{i}" in p else np.eye(n) for i in range(model.views)]
    return [np.eye(n) if one is None else rotation(p[one], n) for one in name or (None,) * model.views]


def cholesky(S: np.ndarray) -> np.ndarray:
    """L with S = L L^T (not L L^H: analytic in complex S)."""
    L = np.zeros_like(S)
    for k in range(len(S)):
        L[k, k] = np.sqrt(S[k, k] - L[k, :k] @ L[k, :k])
        L[k + 1 :, k] = (S[k + 1 :, k] - L[k + 1 :, :k] @ L[k, :k]) / L[k, k]
    return L


def fused(
    model: Any, p: Arrays, mean: np.ndarray, log_var: np.ndarray, observed: Sequence[bool] | np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, Any]:
    """One row's draw (N,) of the fused posterior, and its KL. An encoder is an observation of z_i: mean/(1 - v) with variance
    v/(1 - v), v = exp(log_var), by the textbook's gain; what is not observed follows from the source.
    """
    S, at, B, o = covariance(model, p), blocks(model), source_factors(model, p), coordinates(model, observed)
    d, N, v, turned = B[0].shape[1], len(S), np.exp(log_var), np.eye(len(S))
    in_frames = model.coordinates == "frame" and model.prior != "independent"
    if in_frames:  # z = Q y: all of y's, and back at the end
        Q = pair_frames(model, p)
        turned = np.zeros((N, N), Q[-1].dtype)
        for block, one in zip(at, Q, strict=True):
            turned[np.ix_(block, block)] = one
        S, mean, B = turned.T @ S @ turned, mean @ turned, [one.T @ b for one, b in zip(Q, B, strict=True)]
    own, sources = noise[d : d + N], noise[d + N :].reshape(-1, d)
    cross, seen = np.concatenate(B).T[:, o], (mean / (1 - v))[o]
    K = S[np.ix_(o, o)] + np.diag((v / (1 - v))[o])
    gain_u = np.linalg.solve(K, cross.T).T
    u = gain_u @ seen + np.linalg.solve(cholesky(np.linalg.inv(np.eye(d) - gain_u @ cross.T)).T, noise[:d])
    z = np.zeros(N, np.result_type(u, mean))
    for i, bit in enumerate(observed):
        if not bit:
            z[at[i]] = B[i] @ u + root(np.eye(len(at[i])) - B[i] @ B[i].T) @ own[at[i]]
            continue
        if in_frames:  # each direction by itself: z_i | u, x_i has a diagonal covariance
            W = np.eye(len(at[i])) - B[i] @ B[i].T
            update = np.linalg.solve(W + np.diag((v / (1 - v))[at[i]]), W).T
            centre = B[i] @ u + update @ ((mean / (1 - v))[at[i]] - B[i] @ u)
            z[at[i]] = centre + np.sqrt(np.diag(W - update @ W)) * own[at[i]]
            continue
        alone = mean[at[i]] + np.sqrt(v[at[i]]) * own[at[i]]  # z_i and a source as x_i alone would have them
        rest = np.eye(d) - B[i].T @ B[i]
        source = B[i].T @ alone + np.sqrt(np.diag(rest)) * sources[i]
        both = np.diag(v[at[i]]) @ B[i]  # Cov(z_i, u | x_i), and below Cov(u | x_i)
        z[at[i]] = alone + both @ np.linalg.solve(rest + B[i].T @ both, u - source)
    S_oo, gain_z = S[np.ix_(o, o)], np.linalg.solve(K, S[np.ix_(o, o)]).T
    return turned @ z, kl(gain_z @ seen, S_oo - gain_z @ S_oo, np.zeros(len(o)), S_oo)


def alike(batch: Any, k: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The rows that have one pattern: their numbers, the bits of subset k, and of the observed views."""
    bits = np.concatenate([batch.subsets[k], batch.observed], axis=1)
    for pattern in np.unique(bits, axis=0):
        inside, observed = np.split(pattern, 2)
        yield np.flatnonzero((bits == pattern).all(axis=1)), inside, observed


def loss(model: Any, p: Arrays, batch: Any, beta: float) -> dict[str, Any]:
    """sum_k w_k (beta KL_k - sum_{O_k} log p(x_j | z_j^k) - c sum_rest log 1/S sum_s p(x_j | z_j^{ks})) per row, subset by
    subset, log p(x_j) = sum_c v_jc log p(x_jc) with the columns' weights; and the two parts that engines report."""
    S, at, total, count = covariance(model, p), blocks(model), 0.0, len(batch.observed)
    mean, log_var = posteriors(p, batch.views)
    if model.posterior == "fused":
        log_var = -np.log1p(np.exp(log_var))
    targets, weights = batch.targets or batch.views, batch.view_weights or (1.0,) * model.views
    of_columns = batch.column_weights or [np.ones(c) for c in model.features]
    reconstruction, divergence = np.zeros(model.views, np.result_type(S, mean)), 0.0
    for k, w in enumerate(batch.weights):
        for rows, inside, observed in alike(batch, k):
            o = coordinates(model, inside)
            if model.posterior == "fused":
                made = [fused(model, p, mean[r], log_var[r], inside, batch.posterior_noise[k, r]) for r in rows]
                z, kls = np.stack([one for one, _ in made]), sum(each for _, each in made)
            else:
                z, at_o = mean[rows] + np.exp(log_var[rows] / 2) * batch.posterior_noise[rows], np.ix_(rows, o)
                variance = np.exp(log_var[at_o])[:, None] * np.eye(len(o))
                kls = kl(mean[at_o], variance, np.zeros(len(o)), S[np.ix_(o, o)]).sum()
            total += w * beta * kls
            for j in np.flatnonzero(observed).tolist():
                if inside[j] or k == 0:
                    entries = log_prob(p, j, z[:, at[j]], targets[j][rows], model)
                    fit = (of_columns[j] * entries).sum()
                else:
                    noise = batch.completion_noise[..., k - 1, rows, :]
                    noise = noise if noise.ndim == 3 else noise[None]
                    drawn = [complete(model, p, z, inside, e)[:, at[j]] for e in noise]
                    each = np.stack([log_prob(p, j, one, targets[j][rows], model) @ of_columns[j] for one in drawn])
                    top = each.real.max(axis=0)
                    fit = batch.cross_weight * (top + np.log(np.mean(np.exp(each - top), axis=0))).sum()
                total -= w * weights[j] * fit
                if k == 0:
                    reconstruction[j] -= entries.sum()
            divergence += kls if k == 0 else 0.0
    rows = np.maximum(batch.observed.sum(axis=0), 1)
    return {"loss": total / count, "reconstruction": reconstruction / rows, "kl": divergence / count}


def posteriors(p: Arrays, views: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means and log-variances of all views, (B, N) each."""
    parts = [encode(p, i, x) for i, x in enumerate(views)]
    return np.concatenate([mean for mean, _ in parts], axis=-1), np.concatenate([log_var for _, log_var in parts], axis=-1)
