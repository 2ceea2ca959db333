"""The PyTorch engine: autograd over the objective of jpvae.model, on CPU or CUDA."""

from .engine import Engine

__all__ = ["Engine"]
