"""Adam (Kingma and Ba 2015), torch's fused kernel, called for some tensors as soon as their gradients are known.

A weight's gradient is consumed while it is in the cache and is kept nowhere: one scratch buffer serves all layers. Where the
norm of the whole gradient is limited, nothing can move before the last piece of it is known: the steps are held, then made.
"""

from __future__ import annotations

import math
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
    """The step count, and the step: ``begin`` once, then ``step`` for each part of the parameters, then ``release`` if held."""

    def __init__(self, like: torch.Tensor) -> None:
        self.steps = torch.zeros((), device=like.device)
        self._scratch = like
        self._held: list[tuple[Trained, Tensors, float]] | None = None

    def begin(self, *, hold: bool = False) -> None:
        """Count a step. hold: keep what ``step`` is given until ``release``."""
        self._held = [] if hold else None
        self.steps += 1

    def release(self, most: float) -> float:
        """Make the held steps with g min(1, most/|g|); none, not even counted, where |g| is not finite. Returns |g|."""
        held, self._held = self._held or [], None
        gradients = [g for _, each, _ in held for g in each]
        norms = torch.stack([torch.linalg.vector_norm(g, dtype=torch.float64) for g in gradients])
        norm = float(torch.linalg.vector_norm(norms))
        if not math.isfinite(norm):
            self.steps -= 1
            return norm
        for trained, each, rate in held:
            self.step(trained, [g * (most / norm) for g in each] if norm > most else each, rate)
        return norm

    def scratch(self, shape: torch.Size) -> torch.Tensor:
        """Memory for one gradient, until the next call (until ``release``, where steps are held)."""
        if self._held is not None:
            return self._scratch.new_empty(shape)
        if self._scratch.numel() < shape.numel():
            self._scratch = self._scratch.new_empty(shape.numel())
        return self._scratch[: shape.numel()].view(shape)

    def step(self, trained: Trained, gradients: Tensors, rate: float) -> None:
        """p -= rate m^ / (sqrt(v^) + eps)."""
        if self._held is not None:
            self._held.append((trained, gradients, rate))
            return
        options = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False, "maximize": False}
        values, m, v = trained
        torch._fused_adam_(values, gradients, m, v, [], [self.steps] * len(values), lr=rate, **options)
