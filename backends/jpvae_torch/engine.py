"""The training step in PyTorch.

With O_0 all observed views of a row and O_1 ... O_{K-1} its subsets, weights w_k, the loss per row is

    - sum_k w_k [ sum_{i in O_k} log p(x_i | z_i) + sum_{j observed, not in O_k} log p(x_j | z_j^k) - beta KL_k ]

z_i ~ q_i is drawn once per view: E log p(x_i | z_i) is the same number in every ELBO_O that contains i, so it is decoded
once with weight sum_{k: i in O_k} w_k. z^k completes O_k by the prior's conditional. All decoder passes of a view are one
matrix product per layer, and one KL call serves all subsets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import array_api_compat.torch
import numpy as np
import torch

import jpvae_core as jc

Tensors = dict[str, torch.Tensor]


class State:
    """Parameters that require gradients, and their optimiser."""

    def __init__(self, parameters: Tensors) -> None:
        self.parameters = parameters
        groups: list[list[torch.Tensor]] = [[], []]
        for name, p in parameters.items():
            groups[name in ("prior.logits", "prior.alpha")].append(p)
        self.adam = torch.optim.Adam([{"params": group} for group in groups if group], fused=True)


class Engine:
    """The Engine protocol, in PyTorch. model: a jpvae Model; dtype: "float32" or "float64"; device: as torch names it."""

    xp = array_api_compat.torch

    def __init__(self, model: Any, dtype: str = "float32", device: str = "cpu") -> None:
        self.model = model
        self.dtype = getattr(torch, dtype)
        self.device = torch.empty(0, device=device).device  # fails here, not in training, where there is no such device
        self.likelihoods = model.likelihoods
        self.depth = len(model.hidden) + 1

    def asarray(self, x: np.ndarray) -> torch.Tensor:
        """A tensor on the engine's device; bool stays bool, all else takes the engine's dtype."""
        return torch.as_tensor(x, dtype=torch.bool if x.dtype == np.bool_ else self.dtype).to(self.device)

    def numpy(self, x: torch.Tensor) -> np.ndarray:
        """A NumPy copy."""
        return np.array(x.detach().cpu().numpy())

    def start(self, parameters: Mapping[str, np.ndarray], optimizer: Mapping[str, np.ndarray] | None = None) -> State:
        """Copies of the parameters, ready to train; Adam's moments where training goes on."""
        state = State({name: self.asarray(x).clone().requires_grad_() for name, x in parameters.items()})
        if optimizer:
            for name, p in state.parameters.items():
                state.adam.state[p] = {
                    "step": torch.tensor(float(optimizer["step"]), device=self.device),
                    "exp_avg": self.asarray(optimizer[f"m.{name}"]).clone(),
                    "exp_avg_sq": self.asarray(optimizer[f"v.{name}"]).clone(),
                }
        return state

    def parameters(self, state: State) -> Tensors:
        """The parameters, detached (they share memory with the state's)."""
        return {name: p.detach() for name, p in state.parameters.items()}

    def to_arrays(self, state: State) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Parameters, and Adam's step count and moments."""
        moments: dict[str, np.ndarray] = {}
        for name, p in state.parameters.items():
            if p in state.adam.state:
                entry = state.adam.state[p]
                moments[f"m.{name}"], moments[f"v.{name}"] = self.numpy(entry["exp_avg"]), self.numpy(entry["exp_avg_sq"])
                moments["step"] = self.numpy(entry["step"])
        return {name: self.numpy(p) for name, p in state.parameters.items()}, moments

    def encode(self, p: Tensors, view: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Posterior means and log-variances."""
        mean, log_var = self._layers(p, f"encoder.{view}", x).chunk(2, dim=-1)
        return mean, log_var

    def decode(self, p: Tensors, view: int, z: torch.Tensor) -> torch.Tensor:
        """The likelihood's outputs."""
        return self._layers(p, f"decoder.{view}", z)

    def _layers(self, p: Tensors, part: str, x: torch.Tensor) -> torch.Tensor:
        for k in range(self.depth):
            x = x @ p[f"{part}.{k}.weight"] + p[f"{part}.{k}.bias"]
            if k < self.depth - 1:
                x = torch.relu(x)
        return x

    def train_step(self, state: State, batch: Any, *, beta: float, learning_rate: float, coupling_rate: float = 1.0) -> Any:
        """One fused Adam step; the report is of the parameters before it."""
        loss, report = self.loss(state.parameters, batch, beta)
        state.adam.zero_grad(set_to_none=True)
        loss.backward()
        for group, factor in zip(state.adam.param_groups, (1.0, coupling_rate), strict=False):
            group["lr"] = learning_rate * factor
        state.adam.step()
        return report()

    def loss(self, p: Tensors, batch: Any, beta: float) -> tuple[torch.Tensor, Any]:
        """The weighted negative ELBO per row, and a function that reports its parts (reading them waits for the device)."""
        M, rows = len(batch.views), len(batch.observed)
        x = [self.asarray(v) for v in batch.views]
        prior = self.model.joint_prior(p)
        means, log_vars = zip(*(self.encode(p, i, x[i]) for i in range(M)), strict=True)
        splits = self.asarray(batch.posterior_noise).split(self.model.latent_dims, dim=-1)
        z = [jc.reparameterize(m, v, e) for m, v, e in zip(means, log_vars, splits, strict=True)]

        uniform = bool((batch.subsets == batch.subsets[:, :1]).all())  # one pattern of subsets for all rows
        masks = self.asarray(batch.subsets[:, :1] if uniform else batch.subsets)
        subsets = range(1, len(batch.subsets))
        if len(subsets):
            lead = [t.expand(len(subsets), *t.shape) for t in z]
            completed = jc.complete(prior, lead, masks[1:], self.asarray(batch.completion_noise))
        if len(subsets) or not batch.observed.all():
            kl = jc.kl_divergence([m[None] for m in means], [v[None] for v in log_vars], prior, masks)
        else:
            kl = jc.kl_divergence(means, log_vars, prior)[None]
        weights = self.asarray(batch.weights)
        total = beta * (weights @ kl.sum(dim=-1))

        own_weights = np.einsum("k,kbm->mb", batch.weights, batch.subsets)
        own: list[torch.Tensor] = []
        for j in range(M):
            wanted = [batch.observed[:, j] & ~batch.subsets[k][:, j] for k in subsets]
            crossed = [
                (k, slice(None) if w.all() else np.flatnonzero(w)) for k, w in zip(subsets, wanted, strict=True) if w.any()
            ]
            latents = [z[j]] + [completed[j][k - 1][r] for k, r in crossed]
            targets = [x[j]] + [x[j][r] for _, r in crossed]
            row_weights = [own_weights[j]] + [np.full(rows, batch.weights[k])[r] for k, r in crossed]
            outputs = self.decode(p, j, torch.cat(latents))
            extras = self.model.own_parameters(p, j)
            log_prob = self.likelihoods[j].log_prob(self.xp, outputs, torch.cat(targets), extras).sum(dim=-1)
            total = total - self.asarray(np.concatenate(row_weights)) @ log_prob
            own.append(log_prob[:rows])

        def report() -> dict[str, Any]:
            seen = self.asarray(batch.observed.astype(np.float64))
            reconstruction = [float(-(seen[:, i] @ own[i].detach()) / seen[:, i].sum().clamp(min=1)) for i in range(M)]
            return {"loss": float(total.detach()) / rows, "reconstruction": reconstruction, "kl": float(kl[0].detach().mean())}

        return total / rows, report
