"""Many small classifiers of one architecture, trained as one stacked program: d-512-512-10, ReLU, plain SGD, fixed order.

    h1 = relu(x W1 + b1),  h2 = relu(h1 W2 + b2),  logits = h2 W3 + b3
    loss = - sum over the batch and the classes of y log softmax(logits), divided by both their numbers (as published)

Every array has the models for its first axis and every product is a batched one. The backward pass is written out, because
the gradient of a weight then never exists: W -= rate h^T delta is one fused `baddbmm_`, which saves a pass over all weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...streams import Stream, generator

if TYPE_CHECKING:
    import torch

HIDDEN, CLASSES, BATCH = (512, 512), 10, 32
STEP = 0.01 / CLASSES  # on the mean over the batch alone: the published 0.01 is on the mean over batch and classes
_SPREAD = 0.01  # of the initial weights and biases


@dataclass(frozen=True)
class Perceptrons:
    """weights: (M, a, b) per layer; biases: (M, 1, b). Trained in place."""

    weights: list[torch.Tensor]
    biases: list[torch.Tensor]

    @classmethod
    def initial(cls, seeds: list[tuple[int, int]], features: int, *, dtype: Any = None, device: str = "cpu") -> Perceptrons:
        """One model per (seed, number): its draws depend on this pair alone, not on what is stacked with it."""
        import torch

        dtype = torch.float32 if dtype is None else dtype
        sizes = (features, *HIDDEN, CLASSES)
        shapes = [(a + 1, b) for a, b in itertools.pairwise(sizes)]  # a layer's last row is its bias
        drawn = []
        for seed, number in seeds:
            rng = generator(seed, Stream.CLASSIFIER, number)
            drawn.append([_SPREAD * rng.standard_normal(shape) for shape in shapes])
        layers = [torch.as_tensor(np.stack(layer), dtype=dtype, device=device) for layer in zip(*drawn, strict=True)]
        return cls([w[:, :-1].contiguous() for w in layers], [w[:, -1:].contiguous() for w in layers])

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """x: (M, B, d) -> (M, B, 10)."""
        import torch

        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = torch.baddbmm(b, x, w).relu_()
        return torch.baddbmm(self.biases[-1], x, self.weights[-1])

    def step(self, x: torch.Tensor, targets: torch.Tensor) -> None:
        """One step of SGD. x: (M, B, d); targets: one-hot, (B, 10)."""
        import torch

        (w1, w2, w3), (b1, b2, b3) = self.weights, self.biases
        h1 = torch.baddbmm(b1, x, w1).relu_()
        h2 = torch.baddbmm(b2, h1, w2).relu_()
        d3 = torch.baddbmm(b3, h2, w3).softmax(-1).sub_(targets).mul_(STEP / x.shape[1])  # the step times dloss/dlogits
        d2 = torch.bmm(d3, w3.mT).mul_(h2 > 0)
        d1 = torch.bmm(d2, w2.mT).mul_(h1 > 0)
        for w, b, h, d in ((w1, b1, x, d1), (w2, b2, h1, d2), (w3, b3, h2, d3)):
            w.baddbmm_(h.mT, d, alpha=-1)
            b.sub_(d.sum(1, keepdim=True))

    def epoch(self, x: torch.Tensor, targets: torch.Tensor) -> None:
        """One pass in the order given. x: (M, N, d); the last batch may be shorter."""
        for start in range(0, x.shape[1], BATCH):
            self.step(x[:, start : start + BATCH], targets[start : start + BATCH])

    def repeated_epoch(self, x: torch.Tensor, targets: torch.Tensor) -> Callable[[], None]:
        """``epoch``, to be called again and again on the same tensors: on CUDA one graph of all its steps."""
        if x.device.type != "cuda":
            return lambda: self.epoch(x, targets)
        import torch

        kept = [each.clone() for each in (*self.weights, *self.biases)]
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries allocate at their first use; the last batch may have another size
            for start in (0, (x.shape[1] - 1) // BATCH * BATCH):
                self.step(x[:, start : start + BATCH], targets[start : start + BATCH])
        torch.cuda.current_stream().wait_stream(side)
        for each, before in zip((*self.weights, *self.biases), kept, strict=True):
            each.copy_(before)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.epoch(x, targets)
        return graph.replay

    def accuracy(self, x: torch.Tensor, labels: torch.Tensor) -> list[float]:
        """The part of the rows that each model classifies rightly. x: (M, N, d); labels: (N,)."""
        import torch

        parts = [self.logits(part).argmax(-1) for part in torch.split(x, 1000, dim=1)]
        return [float((each == labels).double().mean()) for each in _joined(parts)]

    def arrays(self) -> dict[str, np.ndarray]:
        """The parameters by name, to save."""
        named = {f"weight.{k}": w for k, w in enumerate(self.weights)} | {f"bias.{k}": b for k, b in enumerate(self.biases)}
        return {name: x.cpu().numpy() for name, x in named.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over parameters that ``arrays`` gave."""
        import torch

        for k, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            w.copy_(torch.as_tensor(arrays[f"weight.{k}"]))
            b.copy_(torch.as_tensor(arrays[f"bias.{k}"]))


def _joined(parts: list[torch.Tensor]) -> torch.Tensor:
    import torch

    return torch.cat(parts, dim=1)
