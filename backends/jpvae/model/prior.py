"""What every joint prior is to the model: its options, checked, its raw parameters, and the way from these to it and back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

import jpvae_core as jc
from jpvae_core import vjp

from ..errors import ConfigError

PriorName = Literal["independent", "orthogonal", "svd", "canonical"]
Bound = Literal["sigmoid", "tanh"]


@dataclass(frozen=True)
class Prior(ABC):
    """A joint prior's options, checked. dims: each view's latents; the others are those of JPVAE."""

    name: ClassVar[PriorName]
    couples: ClassVar[bool] = True  # whether one view's latents depend on another's
    equal_sizes: ClassVar[bool] = False  # whether all views need as many latents
    ranked: ClassVar[bool] = False  # whether ``rank`` may be less than all directions
    bounds: ClassVar[bool] = False  # whether ``bound`` is how its singular values stay below one
    signed: ClassVar[bool] = False  # whether alpha may be zero or negative
    learns_alpha: ClassVar[bool] = False  # whether alpha may be a parameter of its own
    least: ClassVar[int] = 1  # views
    most: ClassVar[float] = math.inf  # views

    dims: tuple[int, ...]
    alpha: float = 0.95
    learn_alpha: bool = False
    bound: Bound = "sigmoid"
    rank: int | None = None
    rotations: bool = True  # whether a canonical prior's frames are learned, or the identity

    def __post_init__(self) -> None:
        M, dims = len(self.dims), self.dims
        if self.bound not in ("sigmoid", "tanh"):
            raise ConfigError(f"bound is {self.bound!r}; expected 'sigmoid' or 'tanh'")
        if not -1.0 < self.alpha < 1.0:
            raise ConfigError(f"alpha is {self.alpha}; expected -1 < alpha < 1: at 1 the joint prior is singular (Thm 2.2)")
        if self.equal_sizes and len(set(dims)) > 1:
            raise ConfigError(
                f"latent_dims is {dims} with prior='orthogonal', whose C = alpha * rotation is square; expected equal sizes. "
                "Use prior='svd' (two views) or prior='canonical' (any number of views) for unequal latent sizes."
            )
        if self.most < M:
            raise ConfigError(f"prior='svd' couples two views, found {M}; use prior='canonical' for any number of views")
        if self.least > M:
            raise ConfigError(f"prior={self.name!r} couples views, found {M}; use prior='independent' for a single view")
        if self.alpha <= 0 and not self.signed:
            raise ConfigError(f"alpha is {self.alpha}; expected 0 < alpha < 1 for prior={self.name!r} with {M} views")
        if self.learn_alpha and not self.learns_alpha:
            raise ConfigError(
                f"learn_alpha=True needs prior='orthogonal' and two views, found {self.name!r} with {M}; "
                "prior='svd' and prior='canonical' learn their correlations anyway"
            )
        if self.rank is not None and not self.ranked:
            raise ConfigError(f"rank is {self.rank} with prior={self.name!r}, which couples every direction; expected None")
        if self.rank is not None and not 1 <= self.rank <= min(dims):
            raise ConfigError(f"rank is {self.rank}; expected 1 <= rank <= {min(dims)}, the smallest latent size")

    @property
    def directions(self) -> int:
        """d, the number of coupled directions."""
        return self.rank or min(self.dims)

    @property
    def source_dim(self) -> int:
        """Directions of the source that the fused posterior passes through."""
        return self.directions

    @property
    def needed_latents(self) -> int:
        """How many latents a view needs for the sake of the others, however few columns it has."""
        return 0

    @property
    def noise_dim(self) -> int:
        """Standard normals per row that completing the latents takes (JointPrior.noise_dim)."""
        return sum(self.dims)

    @cached_property
    def coupling_parameters(self) -> tuple[str, ...]:
        """The correlations' raw parameters, which move at ``coupling_rate`` times the learning rate."""
        return tuple(self.correlations())

    @abstractmethod
    def skew_sizes(self) -> dict[str, int]:
        """n of each rotation, by its parameter's name, in the order in which they are drawn."""

    def frames(self) -> dict[str, int]:
        """The view whose frame each rotation is, by its name: latents are Q_i times what is coupled one by one."""
        return {}

    def correlations(self) -> dict[str, np.ndarray]:
        """Where the correlations' raw parameters start: at ``alpha``."""
        return {}

    def initial_parameters(self, skew_entries: Callable[[int], np.ndarray]) -> dict[str, np.ndarray]:
        """The raw parameters of a fresh model. skew_entries: the n (n - 1)/2 of a rotation of size n, called once for each."""
        return {name: skew_entries(n) for name, n in self.skew_sizes().items()} | self.correlations()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The raw parameters' shapes, without making any array but the small ones of the correlations."""
        entries: dict[str, tuple[int, ...]] = {name: (n * (n - 1) // 2,) for name, n in self.skew_sizes().items()}
        return entries | {name: x.shape for name, x in self.correlations().items()}

    @abstractmethod
    def joint_prior(self, p: Mapping[str, Any]) -> jc.JointPrior:
        """The joint prior from the raw parameters (arrays of any library, leading batch axes allowed)."""

    @abstractmethod
    def joint_prior_vjp(self, p: Mapping[str, Any], prior: jc.JointPrior, cotangent: vjp.PriorCotangent) -> dict[str, Any]:
        """For engines without autograd: the cotangents of the raw parameters, by name, from that of ``prior = joint_prior(p)``.

        A frame's goes back through its Cayley transform, that of the correlations through their bound. A fixed alpha is no
        parameter, and gets none.
        """
