"""The PyTorch engine: what training, imputation and the files above it need, on CPU or CUDA (loss.py has the mathematics)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import array_api_compat.torch
import numpy as np
import torch

from .loss import train_step
from .state import State

Tensors = dict[str, torch.Tensor]


class Engine:
    """The Engine protocol, in PyTorch. model: a jpvae Model; dtype: "float32" or "float64"; device: as torch names it."""

    xp = array_api_compat.torch

    def __init__(self, model: Any, dtype: str = "float32", device: str = "cpu") -> None:
        self.model = model
        self.dtype = getattr(torch, dtype)
        self.device = torch.empty(0, device=device).device  # fails here, not in training, where there is no such device

    def asarray(self, x: np.ndarray) -> torch.Tensor:
        """A tensor on the engine's device; bool stays bool, all else takes the engine's dtype."""
        return torch.as_tensor(x, dtype=torch.bool if x.dtype == np.bool_ else self.dtype).to(self.device)

    def numpy(self, x: torch.Tensor) -> np.ndarray:
        """A NumPy copy."""
        return np.array(x.detach().cpu().numpy())

    def start(self, parameters: Mapping[str, np.ndarray], optimizer: Mapping[str, np.ndarray] | None = None) -> State:
        """Copies of the parameters, ready to train; Adam's moments where training goes on."""
        like = torch.empty(0, dtype=self.dtype, device=self.device)
        state = State(self.model, {name: x.shape for name, x in parameters.items()}, like)
        for name, x in parameters.items():
            state.parameters[name].copy_(self.asarray(x))
        if optimizer:
            state.adam.steps.fill_(float(optimizer["step"]))
            for name in parameters:
                state.m[name].copy_(self.asarray(optimizer[f"m.{name}"]))
                state.v[name].copy_(self.asarray(optimizer[f"v.{name}"]))
        return state

    def parameters(self, state: State) -> Tensors:
        """The parameters (they share memory with the state's)."""
        return dict(state.parameters)

    def to_arrays(self, state: State) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Parameters, and Adam's step count and moments."""
        moments = {f"m.{name}": self.numpy(x) for name, x in state.m.items()}
        moments |= {f"v.{name}": self.numpy(x) for name, x in state.v.items()}
        moments["step"] = self.numpy(state.adam.steps)
        return {name: self.numpy(x) for name, x in state.parameters.items()}, moments

    def encode(self, p: Tensors, view: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Posterior means and log-variances."""
        mean, log_var = self._network(p, "encoder", view, x).chunk(2, dim=-1)
        return mean, log_var

    def decode(self, p: Tensors, view: int, z: torch.Tensor) -> torch.Tensor:
        """The likelihood's outputs."""
        return self._network(p, "decoder", view, z)

    def _network(self, p: Tensors, part: str, view: int, x: torch.Tensor) -> torch.Tensor:
        depth = self.model.depth(view)
        for k in range(depth):
            x = x @ p[f"{part}.{view}.{k}.weight"] + p[f"{part}.{view}.{k}.bias"]
            if k < depth - 1:
                x = torch.relu(x)
        return x

    @torch.inference_mode()
    def train_step(
        self,
        state: State,
        batch: Any,
        *,
        beta: float,
        learning_rate: float,
        coupling_rate: float = 1.0,
        max_gradient_norm: float | None = None,
    ) -> Any:
        """One fused Adam step; the report is of the parameters before it."""
        rates = learning_rate, learning_rate * coupling_rate
        state.adam.begin(hold=max_gradient_norm is not None)
        report = train_step(self.model, state, batch, beta, *rates, self.asarray)
        if max_gradient_norm is not None:
            report["gradient_norm"] = state.adam.release(max_gradient_norm)
        return report
