"""The PyTorch engine (autograd over the objective of jpvae.model, CPU or CUDA), and the joint prior as a module for guests."""

from .engine import Engine
from .prior_module import JointPriorModule

__all__ = ["Engine", "JointPriorModule"]
