"""The weighted negative ELBO of a batch, and its derivative in every parameter: the chain rule, link by link, written out.

    L = -1/B sum_rows sum_k w_k [ sum_{i in O_k} log p(x_i | z_i) + sum_{j seen, not in O_k} log p(x_j | z_j^k) - beta KL_k ]

O_0 is all that a row has, O_1, ... its subsets; jpvae/model/objective.py has it forwards alone, and why in this form. Forwards,

    x --encoder--> mean, log_var --noise--> z --prior--> z^k, for z and z^k: --decoder--> outputs --likelihood--> log p
                   mean, log_var -----------prior------> KL_k

and backwards the other way. ``x_bar`` is dL/dx, in the shape of x; where x goes two ways, its two x_bar are added. The links'
derivatives: layers.py, a likelihood's ``log_prob_vjp``, jpvae_core/vjp.py, the model's ``joint_prior_vjp``.
"""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import Any

import array_api_compat.numpy as xp
import numpy as np

import jpvae_core as jc
from jpvae.model.batch import Batch
from jpvae_core import vjp

from .layers import halves
from .state import State

Array = np.ndarray


def differentiate(state: State, batch: Batch, beta: float) -> dict[str, Any]:
    """Fill ``state.gradients`` with dL/d(parameter); report L and its parts, per row (see the Engine protocol)."""
    model, p, gradients, each = state.model, state.parameters.named, state.gradients.named, state.threads.each
    B, K, views = len(batch.observed), len(batch.subsets), range(model.views)
    x = [state.asarray(v) for v in batch.views]
    targets = x if batch.targets is None else [state.asarray(t) for t in batch.targets]
    joined = state.asarray(batch.posterior_noise)
    noise = [joined[:, a:b] for a, b in pairwise(accumulate(model.latent_dims, initial=0))]
    uniform = bool((batch.subsets == batch.subsets[:, :1]).all())  # one pattern of subsets for all rows
    masks = batch.subsets[:, :1] if uniform else batch.subsets

    # Encoders: x -> mean, log_var -> z
    def encode(i: int) -> tuple[Array, Array, Array]:
        mean, log_var = halves(state.encoders[i].forward(x[i]))
        return mean, log_var, jc.reparameterize(mean, log_var, noise[i])

    means, log_vars, z = zip(*each(encode, views), strict=True)

    # The prior: KL_k of all subsets in one call, with dL/dKL_k = w_k beta / B
    prior = model.joint_prior(p)
    seen = masks if K > 1 or not batch.observed.all() else None
    kl = jc.kl_divergence(means, log_vars, prior, seen)  # (K, B), or (B,) where there is nothing to mask
    kl_bar = np.broadcast_to(state.asarray(beta / B * batch.weights)[:, None], (K, B)).reshape(kl.shape)
    means_bar, log_vars_bar, prior_bar = vjp.kl_divergence(means, log_vars, prior, seen, kl_bar)

    # The prior's conditional: z -> z^k, k = 1, 2, ..., each (K - 1, B, n_i)
    if K > 1:
        repeated = [np.broadcast_to(one, (K - 1, *one.shape)) for one in z]
        completion_noise = state.asarray(batch.completion_noise)
        completed = jc.complete(prior, repeated, masks[1:], completion_noise)

    # Decoders and likelihoods, forwards and at once backwards: z, z^k -> log p, and z_bar, z^k_bar
    decoded = [batch.decoded(i) for i in views]

    def decode(i: int) -> tuple[Array, Any]:
        likelihood, own, crossed = model.likelihoods[i], model.own_parameters(p, i), decoded[i].crossed
        outputs = state.decoders[i].forward(np.concatenate([z[i], *(completed[i][k][rows] for k, rows in crossed)]))
        wanted = np.concatenate([targets[i], *(targets[i][rows] for _, rows in crossed)])
        log_prob = likelihood.log_prob(xp, outputs, wanted, own).sum(axis=-1)
        log_prob_bar = state.asarray(-1.0 / B * decoded[i].weights)[:, None]
        outputs_bar, own_bar = likelihood.log_prob_vjp(xp, outputs, wanted, own, log_prob_bar)
        for name, bar in own_bar.items():
            gradients[f"likelihood.{i}.{name}"][...] = bar
        return log_prob, state.decoders[i].backward(outputs_bar, to_input=True)

    log_probs, latents_bar = zip(*each(decode, views), strict=True)
    z_bar = [bar[:B] for bar in latents_bar]

    # Back through the conditional: z^k_bar -> z_bar
    if K > 1:
        completed_bar = [np.zeros_like(one) for one in completed]
        for i in views:
            start = B
            for k, rows in decoded[i].crossed:
                stop = start + len(completed_bar[i][k][rows])
                completed_bar[i][k][rows] = latents_bar[i][start:stop]
                start = stop
        repeated_bar, drawn_bar = vjp.complete(prior, repeated, masks[1:], completion_noise, completed_bar)
        z_bar = [bar + np.asarray(more).sum(axis=0) for bar, more in zip(z_bar, repeated_bar, strict=True)]
        prior_bar = prior_bar.plus(drawn_bar)

    # Back to the prior's own parameters
    for name, bar in model.joint_prior_vjp(p, prior, prior_bar).items():
        gradients[name][...] = bar

    # Back through the encoders: z_bar and the KL's -> mean_bar, log_var_bar -> the weights
    def encode_backward(i: int) -> None:
        mean_bar, log_var_bar = vjp.reparameterize(log_vars[i], noise[i], z_bar[i])
        outputs_bar = np.concatenate([mean_bar + means_bar[i], log_var_bar + log_vars_bar[i]], axis=-1)
        state.encoders[i].backward(outputs_bar, to_input=False)

    each(encode_backward, views)

    kl = kl.reshape(K, B)
    total = beta * (batch.weights @ kl.sum(axis=-1)) - sum(d.weights @ lp for d, lp in zip(decoded, log_probs, strict=True))
    rows = np.maximum(batch.observed.sum(axis=0), 1)
    reconstruction = [float(-(batch.observed[:, i] @ log_probs[i][:B]) / rows[i]) for i in views]
    report: dict[str, Any] = {"loss": float(total) / B, "reconstruction": reconstruction, "kl": float(kl[0].mean())}
    if not math.isfinite(report["loss"]):
        report["rows"] = batch.by_row(means, log_vars, kl, log_probs)
    return report
