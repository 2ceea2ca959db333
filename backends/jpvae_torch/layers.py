"""Dense layers with ReLU between them, forwards and backwards, for G views whose networks have the same sizes.

    y_k = x_k W_k + b_k,    x_{k+1} = max(y_k, 0),    x_L = y_{L-1}

W_k (G, n_k, n_{k+1}), b_k (G, n_{k+1}), x_k (G, rows, n_k): one batched product, which two cores do one view each.
With the cotangents Y_k = dL/dy_k:

    dL/dW_k = x_k^T Y_k,    dL/db_k = sum over rows of Y_k,    Y_{k-1} = (Y_k W_k^T) * [x_k > 0]

x_k > 0 exactly where y_{k-1} > 0, so no y is kept.
"""

from __future__ import annotations

from typing import Any

import torch

from .adam import Adam, Tensors, Trained

Layers = list[Trained]  # of each layer, W_k and b_k


def forward(layers: Layers, x: torch.Tensor) -> Tensors:
    """x_0 (G, rows, n_0) -> [x_0, ..., x_L]."""
    kept = [x]
    for (W, b), *_ in layers:
        y = torch.baddbmm(b[:, None], kept[-1], W)
        kept.append(y if len(kept) == len(layers) else y.relu_())
    return kept


def backward(layers: Layers, kept: Tensors, Y: torch.Tensor, adam: Adam, rate: float, *, to_input: bool) -> Any:
    """Y_{L-1} (G, rows, n_L) -> dL/dx_0 (None where not asked for); kept: of ``forward``. Trains every layer."""
    for k in reversed(range(len(layers))):
        x, W = kept[k], layers[k].values[0]
        x_bar = torch.bmm(Y, W.mT) if k > 0 or to_input else None  # before W moves
        adam.step(layers[k], [torch.bmm(x.mT, Y, out=adam.scratch(W.shape)), Y.sum(dim=1)], rate)
        if k > 0:
            Y = torch.ops.aten.threshold_backward(x_bar, x, 0)
    return x_bar
