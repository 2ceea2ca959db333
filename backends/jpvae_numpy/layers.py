"""Dense layers with ReLU between them, forwards and backwards: x_0 -> x_1 -> ... -> x_L.

    y_k = x_k W_k + b_k,    x_{k+1} = max(y_k, 0),    x_L = y_{L-1}        rows of a batch on the first axis

and where there is a linear path beside them x_L = y_{L-1} + x_0 V.

With the cotangents Y_k = dL/dy_k and X_k = dL/dx_k:

    dL/dW_k = x_k^T Y_k,    dL/db_k = sum over rows of Y_k,    X_k = Y_k W_k^T,    Y_{k-1} = X_k * [x_k > 0]

(x_k > 0 exactly where y_{k-1} > 0, so no y is kept.) Once dL/dW_k is known, x_k is needed for its signs alone: X_k takes its
memory. Nothing of a layer's size is allocated in a step, and less memory in use means more of it in the cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Array = np.ndarray


def layers_of(named: Mapping[str, Array], part: str) -> tuple[list[Array], list[Array]]:
    """The weights and the biases of a part, "encoder.0" say, first layer first; a linear path's matrix is one weight more."""
    depth = sum(name.startswith(f"{part}.") and name.endswith(".bias") for name in named)
    path = [named[f"{part}.linear.weight"]] if f"{part}.linear.weight" in named else []
    return [named[f"{part}.{k}.weight"] for k in range(depth)] + path, [named[f"{part}.{k}.bias"] for k in range(depth)]


def forward(weights: Sequence[Array], biases: Sequence[Array], x: Array, out: Sequence[Array | None] | None = None) -> Array:
    """x_0 (rows, n_0) -> x_L (rows, n_L); x_1, ..., x_L are written to ``out`` where it is given."""
    last, first, path = len(biases) - 1, x, weights[len(biases) :]
    for k, (W, b) in enumerate(zip(weights, biases, strict=False)):
        x = np.matmul(x, W, out=None if out is None else out[k])
        np.add(x, b, out=x)
        if k < last:
            np.maximum(x, 0, out=x)
    for V in path:
        x += first @ V
    return x


def halves(outputs: Array) -> tuple[Array, Array]:
    """An encoder's outputs (..., 2n) as means and log-variances (..., n): views."""
    n = outputs.shape[-1] // 2
    return outputs[..., :n], outputs[..., n:]


class Layers:
    """A network in training: its parameters and gradients by part, and memory for the largest batch so far."""

    def __init__(self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], part: str) -> None:
        self.weights, self.biases = layers_of(parameters, part)
        self.weight_gradients, self.bias_gradients = layers_of(gradients, part)
        self._memory, self._positive = self._allocate(0)

    def forward(self, x: Array) -> Array:
        """x_0 (rows, n_0), kept as it is -> x_L (rows, n_L), valid until the next call."""
        rows = len(x)
        if rows > len(self._positive):
            self._memory, self._positive = self._allocate(rows)
        self._x = [x, *(memory[:rows] for memory in self._memory)]
        return forward(self.weights, self.biases, x, self._x[1:])

    def backward(self, cotangent: Array, *, to_input: bool) -> Array | None:
        """X_L (rows, n_L) of the last ``forward`` -> X_0, or None where it is not asked for; fills the gradients."""
        Y, x = cotangent, self._x
        for V_bar in self.weight_gradients[len(self.biases) :]:
            np.matmul(x[0].T, cotangent, out=V_bar)
        for k in reversed(range(len(self.biases))):
            np.matmul(x[k].T, Y, out=self.weight_gradients[k])
            np.add.reduce(Y, axis=0, out=self.bias_gradients[k])
            if k > 0:
                positive = np.greater(x[k], 0, out=self._positive[: len(Y), : x[k].shape[1]])
                np.matmul(Y, self.weights[k].T, out=x[k])
                Y = np.multiply(x[k], positive, out=x[k])
        if not to_input:
            return None
        x_bar: Array = np.matmul(Y, self.weights[0].T)
        for V in self.weights[len(self.biases) :]:
            x_bar += cotangent @ V.T
        return x_bar

    def _allocate(self, rows: int) -> tuple[list[Array], Array]:
        widths = [len(b) for b in self.biases]
        memory = [np.empty((rows, n), self.weights[0].dtype) for n in widths]
        return memory, np.empty((rows, max(widths)), bool)
