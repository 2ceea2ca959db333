"""The PyTorch engine: autograd over jpvae.model.objective, on CPU or CUDA."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import array_api_compat.torch
import numpy as np
import torch

from jpvae.model.batch import Batch
from jpvae.model.model import Model
from jpvae.model.objective import negative_elbo

from .state import State

Tensors = dict[str, torch.Tensor]


class Engine:
    """The Engine protocol, in PyTorch. model: a jpvae Model; dtype: "float32" or "float64"; device: as torch names it."""

    xp = array_api_compat.torch

    def __init__(self, model: Model, dtype: str = "float32", device: str = "cpu") -> None:
        self.model = model
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.device = torch.empty(0, device=device).device  # fails here, not in training, where there is no such device

    def asarray(self, x: np.ndarray) -> torch.Tensor:
        """A tensor on the engine's device; bool stays bool, all else takes the engine's dtype."""
        return torch.as_tensor(x, dtype=torch.bool if x.dtype == np.bool_ else self.dtype).to(self.device)

    def numpy(self, x: torch.Tensor) -> np.ndarray:
        """A NumPy copy."""
        return np.array(x.detach().cpu().numpy())

    def start(self, parameters: Mapping[str, np.ndarray], optimizer: Mapping[str, np.ndarray] | None = None) -> State:
        """Copies of the parameters, ready to train; Adam's moments where training goes on."""
        copies = {name: self.asarray(np.array(x)) for name, x in parameters.items()}
        return State(copies, self.model.coupling_parameters, optimizer and {k: self.asarray(v) for k, v in optimizer.items()})

    def parameters(self, state: State) -> Tensors:
        """The parameters (they share memory with the state's)."""
        return {name: x.detach() for name, x in state.parameters.items()}

    def to_arrays(self, state: State) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Parameters, and Adam's step count and moments."""
        moments = {name: self.numpy(x) for name, x in state.moments().items()}
        return {name: self.numpy(x) for name, x in state.parameters.items()}, moments

    def encode(self, p: Mapping[str, torch.Tensor], view: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Posterior means and log-variances."""
        mean, log_var = self._network(p, "encoder", view, x).chunk(2, dim=-1)
        return mean, log_var

    def decode(self, p: Mapping[str, torch.Tensor], view: int, z: torch.Tensor) -> torch.Tensor:
        """The likelihood's outputs."""
        return self._network(p, "decoder", view, z)

    def _network(self, p: Mapping[str, torch.Tensor], part: str, view: int, x: torch.Tensor) -> torch.Tensor:
        rows, depth = x if x.ndim == 2 else x.reshape(-1, x.shape[-1]), self.model.depth(view)
        for k in range(depth):
            rows = torch.addmm(p[f"{part}.{view}.{k}.bias"], rows, p[f"{part}.{view}.{k}.weight"])
            if k < depth - 1:
                rows = torch.relu(rows)
        return rows if x.ndim == 2 else rows.reshape(*x.shape[:-1], rows.shape[-1])

    @torch.enable_grad()
    def train_step(
        self,
        state: State,
        batch: Batch,
        *,
        beta: float,
        learning_rate: float,
        coupling_rate: float = 1.0,
        max_gradient_norm: float | None = None,
    ) -> dict[str, Any]:
        """One Adam step; the report is of the parameters before it."""
        p = state.parameters
        found = negative_elbo(
            self.model,
            p,
            batch.inputs(self.asarray, self.model.latent_dims),
            lambda i, x: self.encode(p, i, x),
            lambda i, z: self.decode(p, i, z),
            beta=beta,
            xp=self.xp,
        )
        state.optimizer.zero_grad()
        found.loss.backward()
        report: dict[str, Any] = {}
        if max_gradient_norm is not None:
            report["gradient_norm"] = state.limit(max_gradient_norm)
        if math.isfinite(report.get("gradient_norm", 0.0)):
            state.step(learning_rate, learning_rate * coupling_rate)
        loss, kl, *reconstruction = torch.cat([torch.stack([found.loss, found.kl]), found.reconstruction]).tolist()
        report |= {"loss": loss, "reconstruction": reconstruction, "kl": kl}
        if not math.isfinite(loss):
            report["rows"] = found.by_row(batch, self.numpy)
        return report
