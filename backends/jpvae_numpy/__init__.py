"""The NumPy engine: the same training as the torch engine's, every derivative written out, nothing but NumPy and the core."""

from .engine import Engine

__all__ = ["Engine"]
