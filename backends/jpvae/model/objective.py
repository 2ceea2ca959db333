"""The loss, forwards only, over the array API: what autograd engines differentiate and what the NumPy engine is held to.

With O_0 all observed views of a row, O_1 ... O_{K-1} parts of them, and weights w_k that sum to 1, the loss per row is

    sum_k w_k [ beta KL_k - sum_{i in O_k} log p(x_i | z_i^k) - c sum_{j seen, not in O_k} log 1/S sum_s p(x_j | z_j^{ks}) ]

    z_O^k ~ q(z_O | x_O), O = O_k        KL_k = KL( q(z_O | x_O) || p(z_O) )        z^{ks} ~ p(z | z_O^k), S draws

K = 1 is the paper's Eq. 5. With c = 1 every bracket is minus a lower bound of log p(x) at beta = 1: the posterior where the
model looks, the prior's own conditional where it does not, which cancels in the KL. S = 1 rewards a decoder for the mean of
what it cannot see; the more draws, the closer the cross term comes to log p(x_j | z_O).

posterior "fused": q is model/posterior.py's, of each O_k its own. "factorised": q = prod_i q_i(z_i | x_i), so z_i is drawn once
per view, E log p(x_i | z_i) is the same number in every bracket that contains i, and it is decoded once with the weight of them
all. A view's decoder is called once for everything; one KL and one ``complete`` serve all subsets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeAlias

import numpy as np

import jpvae_core as jc
from jpvae_core._array_api import Array, X, of_kind
from jpvae_core.sampling import split_noise

from .batch import Batch, Inputs
from .model import Model

Encode: TypeAlias = Callable[[int, X], tuple[X, X]]  # (view, x (B, c_i)) -> means and log-variances (B, n_i)
Decode: TypeAlias = Callable[[int, X], X]  # (view, z (R, n_i)) -> the likelihood's outputs (R, c_i)


class Objective(NamedTuple, Generic[X]):
    """The loss and its parts, in nats per row; and the terms that they are sums of, to find one that is not finite."""

    loss: X  # ()
    reconstruction: X  # (M,), -log p(x_i | z_i) given all observed views, unweighted, over the rows that have it
    kl: X  # (), of all observed views, unweighted
    means: tuple[X, ...]  # (B, n_i) of each view
    log_vars: tuple[X, ...]
    kl_by_row: X  # (K, B)
    log_probs: tuple[X, ...]  # of each view: the own terms, then the cross terms, as in ``Decoded``

    def by_row(
        self, batch: Batch, numpy: Callable[[X], np.ndarray], *, ragged: bool = True, always: bool = False
    ) -> dict[str, np.ndarray]:
        """``Batch.by_row`` of these terms. numpy: the engine's; ragged, always: as the batch's inputs were made."""
        means, log_vars, log_probs = ([numpy(x) for x in each] for each in (self.means, self.log_vars, self.log_probs))
        return batch.by_row(means, log_vars, numpy(self.kl_by_row), log_probs, ragged=ragged, always=always)


def negative_elbo(
    model: Model, p: Mapping[str, X], batch: Inputs[X], encode: Encode[X], decode: Decode[X], *, beta: Any, xp: Any
) -> Objective[X]:
    """The weighted negative ELBO of a batch. p: the raw parameters by name; beta: the KL's weight; xp: the array namespace."""
    B, K, views = batch.views[0].shape[0], batch.weights.shape[0], range(model.views)
    means, raw = zip(*(encode(i, batch.views[i]) for i in views), strict=True)
    log_vars = tuple(model.log_variances(xp, each) for each in raw)
    prior = model.joint_prior(p)
    if model.posterior == "fused":
        q = jc.fuse(prior, means, log_vars, batch.masks, model.coordinates)
        kl = q.kl()  # (K, B)
        z: Sequence[X] = q.draw(batch.posterior_noise)  # (K, B, n_i)
    else:
        kl = jc.kl_divergence(prior, means, log_vars, batch.masks)
        noise = split_noise(batch.posterior_noise, prior.dims)
        z = [jc.reparameterize(*each)[None, ...] for each in zip(means, log_vars, noise, strict=True)]  # one for all k
    kl = xp.reshape(kl, (K, B))
    completed: Sequence[X] = ()  # bound on either way: torch.compile does not look into a name that may be unbound
    S = 1
    if K > 1 and batch.masks is not None:
        given = [xp.broadcast_to(one[-(K - 1) :, ...], (K - 1, *one.shape[1:])) for one in z]
        S = batch.completion_noise.shape[0]
        completed = jc.complete(prior, given, batch.masks[1:], batch.completion_noise)  # (S, K - 1, B, n_i), as the noise

    by_subset = xp.sum(kl, axis=-1)
    loss, reconstruction, log_probs = beta * (batch.weights @ by_subset), [], []
    for i in views:
        own, crossed, x = batch.own[i], batch.crossed[i], batch.targets[i]
        latents = [z[i][k, rows, :] for k, rows in own] + [completed[i][s, k, rows, :] for k, rows in crossed for s in range(S)]
        wanted = [x[rows, :] for _, rows in own] + [x[rows, :] for _, rows in crossed for _ in range(S)]
        outputs = decode(i, xp.concat(latents))
        entries = model.likelihoods[i].log_prob(xp, outputs, xp.concat(wanted), model.own_parameters(p, i))
        unweighted = None
        if batch.column_weights is not None:
            unweighted, entries = xp.sum(entries[:B, :], axis=-1), entries * batch.column_weights[i]
        terms = _terms(xp, xp.sum(entries, axis=-1), [one.shape[0] for one in latents], len(own), S)
        loss = loss - batch.row_weights[i] @ terms
        reconstruction.append(-(batch.shares[i] @ (terms[:B] if unweighted is None else unweighted)))
        log_probs.append(terms)
    return Objective(loss / B, xp.stack(reconstruction), by_subset[0] / B, means, log_vars, kl, tuple(log_probs))


def _terms(xp: Any, log_prob: X, sizes: Sequence[int], own: int, S: int) -> X:
    """The terms of what was decoded, parts of these sizes: log p of the first ``own`` parts' rows as it is, then log 1/S sum_s
    of every S parts, which are one cross term's draws."""
    at = sum(sizes[:own])
    terms = [log_prob[:at]]
    for size in sizes[own::S]:
        terms.append(_log_mean_exp(xp, xp.reshape(log_prob[at : at + S * size], (S, size))))
        at += S * size
    return of_kind(log_prob, xp.concat(terms))


def _log_mean_exp(xp: Any, values: X) -> X:
    """log 1/S sum_s exp of (S, R) -> (R,), without overflow; for S = 1 the number itself."""
    if values.shape[0] == 1:
        return of_kind(values, values[0, :])
    total: Array = values[0, :]
    for s in range(1, values.shape[0]):
        total = xp.logaddexp(total, values[s, :])
    return of_kind(values, total - math.log(values.shape[0]))
