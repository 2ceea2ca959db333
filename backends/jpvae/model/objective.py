"""The loss, forwards only, over the array API: what autograd engines differentiate and what the NumPy engine is held to.

With O_0 all observed views of a row, O_1 ... O_{K-1} parts of them, and weights w_k that sum to 1, the loss per row is

    sum_k w_k [ beta KL_k - sum_{i in O_k} log p(x_i | z_i) - sum_{j observed, not in O_k} log p(x_j | z_j^k) ]

    KL_k = KL( prod_{i in O_k} q_i(z_i | x_i) || p(z_{O_k}) )        z_i ~ q_i        z^k ~ p(z | z_{O_k})

K = 1 is the paper's Eq. 5. Every bracket is minus a lower bound of log p(x) at beta = 1: the encoders where the model looks,
the prior's own conditional where it does not, which cancels in the KL.

z_i ~ q_i is drawn once per view: E log p(x_i | z_i) is the same number in every bracket that contains i, so it is decoded
once, with weight sum_{k: i in O_k} w_k. A view's decoder is called once, for z_i and all rows of z_i^k that count; one call of
``kl_divergence`` and one of ``complete`` serve all subsets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import jpvae_core as jc

from .batch import Array, Batch, Inputs
from .model import Model

Encode = Callable[[int, Array], tuple[Array, Array]]  # (view, x (B, c_i)) -> means and log-variances (B, n_i)
Decode = Callable[[int, Array], Array]  # (view, z (R, n_i)) -> the likelihood's outputs (R, c_i)


class Objective(NamedTuple):
    """The loss and its parts, in nats per row; and the terms that they are sums of, to find one that is not finite."""

    loss: Array  # ()
    reconstruction: Array  # (M,), -log p(x_i | z_i) under each view's own posterior, unweighted, over the rows that have it
    kl: Array  # (), of all observed views, unweighted
    means: tuple[Array, ...]  # (B, n_i) of each view
    log_vars: tuple[Array, ...]
    kl_by_row: Array  # (K, B)
    log_probs: tuple[Array, ...]  # one per decoded row of each view

    def by_row(self, batch: Batch, numpy: Callable[[Array], np.ndarray], *, ragged: bool = True) -> dict[str, np.ndarray]:
        """``Batch.by_row`` of these terms. numpy: the engine's; ragged: as the batch's inputs were made."""
        means, log_vars, log_probs = ([numpy(x) for x in each] for each in (self.means, self.log_vars, self.log_probs))
        return batch.by_row(means, log_vars, numpy(self.kl_by_row), log_probs, ragged=ragged)


def negative_elbo(
    model: Model, p: Mapping[str, Array], batch: Inputs, encode: Encode, decode: Decode, *, beta: Any, xp: Any
) -> Objective:
    """The weighted negative ELBO of a batch. p: the raw parameters by name; beta: the KL's weight; xp: the array namespace."""
    B, K, views = batch.views[0].shape[0], batch.weights.shape[0], range(model.views)
    means, log_vars = zip(*(encode(i, batch.views[i]) for i in views), strict=True)
    prior = model.joint_prior(p)
    kl = xp.reshape(jc.kl_divergence(means, log_vars, prior, batch.masks), (K, B))
    z = [jc.reparameterize(*each) for each in zip(means, log_vars, batch.posterior_noise, strict=True)]
    if K > 1 and batch.masks is not None:
        repeated = [xp.broadcast_to(one, (K - 1, *one.shape)) for one in z]
        completed = jc.complete(prior, repeated, batch.masks[1:], batch.completion_noise)

    by_subset = xp.sum(kl, axis=-1)
    loss, reconstruction, log_probs = beta * (batch.weights @ by_subset), [], []
    for i in views:
        latents = xp.concat([z[i], *(completed[i][k][rows] for k, rows in batch.crossed[i])])
        x = xp.concat([batch.targets[i], *(batch.targets[i][rows] for _, rows in batch.crossed[i])])
        log_prob = xp.sum(model.likelihoods[i].log_prob(xp, decode(i, latents), x, model.own_parameters(p, i)), axis=-1)
        loss = loss - batch.row_weights[i] @ log_prob
        reconstruction.append(-(batch.shares[i] @ log_prob[:B]))
        log_probs.append(log_prob)
    return Objective(loss / B, xp.stack(reconstruction), by_subset[0] / B, means, log_vars, kl, tuple(log_probs))
