"""The PyTorch engine: the chain rule written out on torch's kernels, fused Adam layer by layer, on CPU or CUDA."""

from .engine import Engine

__all__ = ["Engine"]
