"""The objective (jpvae/model/objective.py) and its derivative in every parameter: the chain rule, link by link, written out.

Forwards,

    x --encoder--> mean, log_var --noise, prior--> z^k, KL_k --prior--> z^{ks};  for all of them: --decoder--> outputs --> log p

and backwards the other way. ``x_bar`` is dL/dx, in the shape of x; where x goes two ways, its two x_bar are added. The links'
derivatives: layers.py, a likelihood's ``log_prob_vjp``, jpvae_core/vjp.py, the model's ``joint_prior_vjp``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import jpvae_core as jc
from jpvae.model.posterior import Coordinates
from jpvae_core import vjp
from jpvae_core.sampling import split_noise

from .layers import halves
from .state import State

Array = np.ndarray


def differentiate(state: State, batch: Any, beta: float) -> dict[str, Any]:
    """Fill ``state.gradients`` with dL/d(parameter); report L and its parts, per row (see the Engine protocol)."""
    model, p, gradients, each = state.model, state.parameters.named, state.gradients.named, state.threads.each
    B, K, views = len(batch.observed), len(batch.subsets), range(model.views)
    x = [state.asarray(v) for v in batch.views]
    targets = x if batch.targets is None else [state.asarray(t) for t in batch.targets]
    noise = state.asarray(batch.posterior_noise)
    uniform = bool((batch.subsets == batch.subsets[:, :1]).all())  # one pattern of subsets for all rows
    masks = batch.subsets[:, :1] if uniform else batch.subsets

    # Encoders: x -> mean, log_var
    def encode(i: int) -> tuple[Array, Array]:
        mean, raw = halves(state.encoders[i].forward(x[i]))
        return mean, model.log_variances(np, raw)

    means, log_vars = zip(*each(encode, views), strict=True)

    # The prior: mean, log_var -> KL_k and z^k (K or, the same for every k, 1; B, n_i), with dL/dKL_k = w_k beta / B
    prior = model.joint_prior(p)
    if batch.fused:
        posterior: Any = _Fused(prior, means, log_vars, masks, noise, model.coordinates)
    else:
        posterior = _Factorised(prior, means, log_vars, masks, noise, batch)
    kl, z = posterior.kl, posterior.z
    kl_bar = np.broadcast_to(state.asarray(beta / B * batch.weights)[:, None], (K, B))

    # The prior's conditional: z^k -> z^{ks}, k = 1, 2, ..., each (S, K - 1, B, n_i); only the noise has the S draws
    if K > 1:
        completion_noise = state.asarray(batch.completion_noise)
        completion_noise = completion_noise if completion_noise.ndim == 4 else completion_noise[None]
        S = len(completion_noise)
        given = [np.broadcast_to(one[-(K - 1) :], (K - 1, *one.shape[1:])) for one in z]
        completed = jc.complete(prior, given, masks[1:], completion_noise)

    # Decoders and likelihoods, forwards and at once backwards: z^k, z^{ks} -> log p, and z^k_bar, z^{ks}_bar
    decoded = [batch.decoded(i) for i in views]

    def decode(i: int) -> tuple[Array, Array, Array, Any]:
        likelihood, parameters, plan = model.likelihoods[i], model.own_parameters(p, i), decoded[i]
        latents = [z[i][k, rows] for k, rows in plan.own]
        wanted = [targets[i][rows] for _, rows in plan.own]
        first = sum(map(len, latents))
        for k, rows in plan.crossed:
            latents += [completed[i][s, k, rows] for s in range(S)]
            wanted += [targets[i][rows]] * S
        outputs, joined = state.decoders[i].forward(np.concatenate(latents)), np.concatenate(wanted)
        entries = likelihood.log_prob(np, outputs, joined, parameters)
        by_column = None if batch.column_weights is None else state.asarray(batch.column_weights[i])
        log_prob = entries.sum(axis=-1) if by_column is None else (entries * by_column).sum(axis=-1)
        unweighted = log_prob[:B] if by_column is None else entries[:B].sum(axis=-1)
        terms, bars = [log_prob[:first]], [plan.weights[:first]]
        at, start = first, first
        for _, rows in plan.crossed:  # log 1/S sum_s exp: its derivative is each draw's share
            size = len(targets[i][rows])
            draws = log_prob[start : start + S * size].reshape(S, size)
            total = np.logaddexp.reduce(draws, axis=0)
            terms.append(total - log_prob.dtype.type(math.log(S)))
            bars.append((np.exp(draws - total) * plan.weights[at : at + size]).ravel())
            at, start = at + size, start + S * size
        log_prob_bar = state.asarray(-1.0 / B * np.concatenate(bars))[:, None]
        log_prob_bar = log_prob_bar if by_column is None else log_prob_bar * by_column
        outputs_bar, own_bar = likelihood.log_prob_vjp(np, outputs, joined, parameters, log_prob_bar)
        for name, bar in own_bar.items():
            gradients[f"likelihood.{i}.{name}"][...] = bar
        latents_bar: Any = state.decoders[i].backward(outputs_bar, to_input=True)
        z_bar, start = np.zeros_like(z[i]), 0
        completed_bar: Any = np.zeros_like(completed[i]) if K > 1 else None
        for k, rows in plan.own:
            stop = start + len(z_bar[k, rows])
            z_bar[k, rows] += latents_bar[start:stop]
            start = stop
        for k, rows in plan.crossed:
            for s in range(S):
                stop = start + len(completed_bar[s, k, rows])
                completed_bar[s, k, rows] = latents_bar[start:stop]
                start = stop
        return np.concatenate(terms), unweighted, z_bar, completed_bar

    log_probs, fits, z_bar, completed_bar = zip(*each(decode, views), strict=True)

    # Back through the conditional: z^{ks}_bar -> z^k_bar
    drawn_bar = None
    if K > 1:
        given_bar, drawn_bar = vjp.complete(prior, given, masks[1:], completion_noise, completed_bar)
        for bar, more in zip(z_bar, given_bar, strict=True):
            bar[-(K - 1) :] += more if len(bar) > 1 else np.asarray(more).sum(axis=0)

    # Back through the posterior and to the prior's own parameters
    means_bar, log_vars_bar, prior_bar = posterior.backward(kl_bar, z_bar)
    prior_bar = prior_bar if drawn_bar is None else prior_bar.plus(drawn_bar)
    for name, bar in model.joint_prior_vjp(p, prior, prior_bar).items():
        gradients[name][...] = bar

    # Back through the encoders
    def encode_backward(i: int) -> None:
        raw_bar = log_vars_bar[i] * np.expm1(log_vars[i]) if batch.fused else log_vars_bar[i]  # log_var = -softplus(raw)
        state.encoders[i].backward(np.concatenate([means_bar[i], raw_bar], axis=-1), to_input=False)

    each(encode_backward, views)

    total = beta * (batch.weights @ kl.sum(axis=-1)) - sum(d.weights @ lp for d, lp in zip(decoded, log_probs, strict=True))
    rows = np.maximum(batch.observed.sum(axis=0), 1)
    reconstruction = [float(-(batch.observed[:, i] @ fits[i]) / rows[i]) for i in views]
    report: dict[str, Any] = {"loss": float(total) / B, "reconstruction": reconstruction, "kl": float(kl[0].mean())}
    if not math.isfinite(report["loss"]):
        report["rows"] = batch.by_row(means, log_vars, kl, log_probs)
    return report


class _Factorised:
    """Eq. 3: z_i ~ q_i(z_i | x_i), the same for every subset."""

    def __init__(self, prior: Any, means: Any, log_vars: Any, masks: Array, noise: Array, batch: Any) -> None:
        self.prior, self.means, self.log_vars = prior, means, log_vars
        self.mask = masks if len(batch.subsets) > 1 or not batch.observed.all() else None
        self.noise = split_noise(noise, prior.dims)
        kl = jc.kl_divergence(prior, means, log_vars, self.mask)  # (K, B), or (B,) where there is nothing to mask
        self.kl = kl.reshape(len(batch.subsets), -1)
        self.z = [jc.reparameterize(*each)[None] for each in zip(means, log_vars, self.noise, strict=True)]

    def backward(self, kl_bar: Array, z_bar: Any) -> tuple[list[Array], list[Array], Any]:
        """KL_bar (K, B) and z_bar (1, B, n_i) -> those of means, log-variances and the prior."""
        shape = kl_bar.shape if self.mask is not None else kl_bar.shape[1:]
        found = vjp.kl_divergence(self.prior, self.means, self.log_vars, self.mask, kl_bar.reshape(shape))
        means_bar: list[Any] = []
        log_vars_bar: list[Any] = []
        for i, bar in enumerate(z_bar):
            mean_bar, log_var_bar = vjp.reparameterize(self.log_vars[i], self.noise[i], bar[0])
            means_bar.append(mean_bar + found[0][i])
            log_vars_bar.append(log_var_bar + found[1][i])
        return means_bar, log_vars_bar, found[2]


class _Fused:
    """z^k ~ q(z | x_{O_k}), every subset's own."""

    def __init__(self, prior: Any, means: Any, log_vars: Any, masks: Array, noise: Array, coordinates: Coordinates) -> None:
        self.q, self.noise = jc.fuse(prior, means, log_vars, masks, coordinates), noise
        self.kl = np.broadcast_to(np.asarray(self.q.kl()), noise.shape[:-1])
        self.z = self.q.draw(noise)

    def backward(self, kl_bar: Array, z_bar: Any) -> tuple[Any, Any, Any]:
        """KL_bar (K, B) and z_bar (K, B, n_i) -> those of means, log-variances and the prior."""
        return vjp.fuse(self.q, self.noise, kl_bar, z_bar)
