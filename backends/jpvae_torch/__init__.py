"""The PyTorch engine: dense layers, the weighted ELBO on the core's prior, autograd and fused Adam, on CPU or CUDA."""

from .engine import Engine

__all__ = ["Engine"]
