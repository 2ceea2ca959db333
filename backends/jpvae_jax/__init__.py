"""The JAX engine: the objective of jpvae.model under jit and grad, with Adam. ``JPVAE(backend="jax")``."""

from .engine import Engine

__all__ = ["Engine"]
