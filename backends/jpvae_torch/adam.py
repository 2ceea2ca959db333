"""Adam (Kingma and Ba 2015), torch's fused kernel, called for some tensors as soon as their gradients are known.

A weight's gradient is consumed while it is in the cache and is kept nowhere: one scratch buffer serves all layers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

Tensors = list[torch.Tensor]


class Trained(NamedTuple):
    """Some parameters with their first and second moments."""

    values: Tensors
    m: Tensors
    v: Tensors

    @staticmethod
    def zeros(shapes: list[tuple[int, ...]], like: torch.Tensor) -> Trained:
        """All 0, with the dtype and device of ``like``."""
        return Trained(*([like.new_zeros(shape) for shape in shapes] for _ in range(3)))

    def one(self, at: int) -> Trained:
        """One of many along the first axis, which stays, with size 1."""
        return Trained(*([x[at : at + 1] for x in tensors] for tensors in self))


class Adam:
    """The step count, and the step: ``begin`` once, then ``step`` for each part of the parameters."""

    def __init__(self, like: torch.Tensor) -> None:
        self.steps = torch.zeros((), device=like.device)
        self._scratch = like

    def begin(self) -> None:
        """Count a step."""
        self.steps += 1

    def scratch(self, shape: torch.Size) -> torch.Tensor:
        """Memory for one gradient, until the next call."""
        if self._scratch.numel() < shape.numel():
            self._scratch = self._scratch.new_empty(shape.numel())
        return self._scratch[: shape.numel()].view(shape)

    def step(self, trained: Trained, gradients: Tensors, rate: float) -> None:
        """p -= rate m^ / (sqrt(v^) + eps)."""
        options = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False, "maximize": False}
        values, m, v = trained
        torch._fused_adam_(values, gradients, m, v, [], [self.steps] * len(values), lr=rate, **options)
