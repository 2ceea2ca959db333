"""The weighted negative ELBO of a batch, and its derivative in every parameter: the chain rule, link by link, written out.

With O_0 all observed views of a row and O_1 ... O_{K-1} its subsets, weights w_k, the loss per row is

    - sum_k w_k [ sum_{i in O_k} log p(x_i | z_i) + sum_{j observed, not in O_k} log p(x_j | z_j^k) - beta KL_k ]

z_i ~ q_i is drawn once per view: E log p(x_i | z_i) is the same number in every ELBO_O that contains i, so it is decoded
once with weight sum_{k: i in O_k} w_k. z^k completes O_k by the prior's conditional. All decoder passes of a view are one
matrix product per layer, and one KL call serves all subsets. Forwards,

    x --encoder--> mean, log_var --noise--> z --prior--> z^k, for z and z^k: --decoder--> outputs --likelihood--> log p
                   mean, log_var -----------prior------> KL_k

and backwards the other way, by jpvae_core.vjp and the likelihoods' and the model's own vjp: without autograd nothing is
recorded, and a parameter makes its step where its gradient is known. ``x_bar`` is dL/dx; where x goes two ways, its two
x_bar are added.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import array_api_compat.torch as xp
import numpy as np
import torch

import jpvae_core as jc
from jpvae_core import vjp

from .layers import backward, forward
from .state import State


def train_step(
    model: Any, state: State, batch: Any, beta: float, rate: float, slow_rate: float, asarray: Callable[..., torch.Tensor]
) -> dict[str, Any]:
    """One step of Adam; reports the loss and its parts before it (reading them waits for the device). asarray: the engine's."""
    p, adam, likelihoods = state.parameters, state.adam, model.likelihoods
    B, K, views = len(batch.observed), len(batch.subsets), range(model.views)
    x = [asarray(v) for v in batch.views]
    targets = x if batch.targets is None else [asarray(t) for t in batch.targets]
    noise = asarray(batch.posterior_noise).split(model.latent_dims, dim=-1)
    uniform = bool((batch.subsets == batch.subsets[:, :1]).all())  # one pattern of subsets for all rows
    masks = asarray(batch.subsets[:, :1] if uniform else batch.subsets)

    # Encoders: x -> mean, log_var -> z
    encoded, means, log_vars = {}, {}, {}
    for group in state.groups:
        encoded[group] = forward(state.layers["encoder", group], torch.stack([x[i] for i in group]))
        for i, outputs in zip(group, encoded[group][-1], strict=True):
            means[i], log_vars[i] = outputs.chunk(2, dim=-1)
    means, log_vars = ([each[i] for i in views] for each in (means, log_vars))
    z = [jc.reparameterize(*each) for each in zip(means, log_vars, noise, strict=True)]

    # The prior: KL_k of all subsets in one call, with dL/dKL_k = w_k beta / B
    prior, weights = model.joint_prior(p), asarray(batch.weights)
    seen = masks if K > 1 or not batch.observed.all() else None
    kl = jc.kl_divergence(means, log_vars, prior, seen)  # (K, B), or (B,) where there is nothing to mask
    kl_bar = (beta / B * weights)[:, None].expand(K, B).reshape(kl.shape)
    means_bar, log_vars_bar, prior_bar = vjp.kl_divergence(means, log_vars, prior, seen, kl_bar)

    # The prior's conditional: z -> z^k, k = 1, 2, ..., each (K - 1, B, n_i)
    if K > 1:
        repeated = [one.expand(K - 1, *one.shape) for one in z]
        completion_noise = asarray(batch.completion_noise)
        completed = jc.complete(prior, repeated, masks[1:], completion_noise)

    # Decoders and likelihoods, forwards and at once backwards: z, z^k -> log p, and z_bar, z^k_bar
    decoded = [batch.decoded(i) for i in views]
    row_weights = [asarray(d.weights) for d in decoded]
    log_probs, latents_bar = {}, {}
    for group in state.groups:
        equal = len({len(decoded[i].weights) for i in group}) == 1
        for together in [group] if equal else [(i,) for i in group]:
            layers, outputs_bar = state.layers["decoder", together], []
            latents = [torch.cat([z[i], *(completed[i][k][rows] for k, rows in decoded[i].crossed)]) for i in together]
            kept = forward(layers, torch.stack(latents))
            for i, outputs in zip(together, kept[-1], strict=True):
                own = model.own_parameters(p, i)
                wanted = torch.cat([targets[i], *(targets[i][rows] for _, rows in decoded[i].crossed)])
                log_probs[i] = likelihoods[i].log_prob(xp, outputs, wanted, own).sum(dim=-1)
                log_prob_bar = (-1.0 / B * row_weights[i])[:, None]
                bar, own_bar = likelihoods[i].log_prob_vjp(xp, outputs, wanted, own, log_prob_bar)
                outputs_bar.append(bar)
                for name, cotangent in own_bar.items():
                    state.step(f"likelihood.{i}.{name}", cotangent, rate)
            bars = backward(layers, kept, torch.stack(outputs_bar), adam, rate, to_input=True)
            latents_bar |= zip(together, bars, strict=True)
    z_bar = [latents_bar[i][:B] for i in views]

    # Back through the conditional: z^k_bar -> z_bar
    if K > 1:
        completed_bar = [torch.zeros_like(one) for one in completed]
        for i in views:
            start = B
            for k, rows in decoded[i].crossed:
                stop = start + len(completed_bar[i][k][rows])
                completed_bar[i][k][rows] = latents_bar[i][start:stop]
                start = stop
        repeated_bar, drawn_bar = vjp.complete(prior, repeated, masks[1:], completion_noise, completed_bar)
        z_bar = [bar + more.sum(dim=0) for bar, more in zip(z_bar, repeated_bar, strict=True)]
        prior_bar = prior_bar.plus(drawn_bar)

    # Back to the prior's own parameters
    for name, bar in model.joint_prior_vjp(p, prior, prior_bar).items():
        state.step(name, bar, slow_rate if name in model.coupling_parameters else rate)

    # Back through the encoders: z_bar and the KL's -> mean_bar, log_var_bar -> the weights
    bars = []
    for i in views:
        mean_bar, log_var_bar = vjp.reparameterize(log_vars[i], noise[i], z_bar[i])
        bars.append(torch.cat([mean_bar + means_bar[i], log_var_bar + log_vars_bar[i]], dim=-1))
    for group in state.groups:
        layers, Y = state.layers["encoder", group], torch.stack([bars[i] for i in group])
        backward(layers, encoded[group], Y, adam, rate, to_input=False)

    by_subset = kl.reshape(K, B).sum(dim=-1)
    loss = beta * (weights @ by_subset) - sum(row_weights[i] @ log_probs[i] for i in views)
    observed = asarray(batch.observed.T / np.maximum(batch.observed.sum(axis=0), 1)[:, None])
    own = [-(seen @ log_probs[i][:B]) for i, seen in enumerate(observed)]
    total, first, *reconstruction = torch.stack([loss, by_subset[0], *own]).tolist()
    report = {"loss": total / B, "reconstruction": reconstruction, "kl": first / B}
    if not math.isfinite(total):
        fits = [log_probs[i] for i in views]
        parts = ([one.cpu().numpy() for one in each] for each in (means, log_vars, [kl.reshape(K, B)], fits))
        means, log_vars, (kl,), fits = parts
        report["rows"] = batch.by_row(means, log_vars, kl, fits)
    return report
