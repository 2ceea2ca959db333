"""One class per joint prior (prior.py is what they have in common), by their names in the options.

    name            class             raw parameters                                      correlations
    "independent"   Independent                                                           0
    "orthogonal"    Orthogonal        prior.rotation; prior.alpha where it is learned     C = alpha R, two views
                    OrthogonalMany    prior.frame.<i>                                     Q_i Q_j^T alpha, three views and more
    "svd"           Svd               prior.U, prior.logits, prior.V                      C = U diag(s) V^T, two views
    "canonical"     Canonical         prior.frame.<i>, prior.logits                       Q_i diag(a_i a_j) Q_j^T
                    (without rotations: prior.logits alone                                diag(a_i a_j))

``joint_prior`` is written over the array API: it serves NumPy, torch and a stack of models alike. A rotation
of size n has n (n - 1)/2 skew entries (jpvae_core.skew). Nothing else branches on a prior's name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import jpvae_core as jc
from jpvae_core import vjp

from ..errors import ConfigError
from .prior import Prior


class Independent(Prior):
    """Views without any coupling: the usual VAE of each."""

    name, couples, signed = "independent", False, True
    source_dim = 1  # of loading 0

    def skew_sizes(self) -> dict[str, int]:
        """No rotations."""
        return {}

    def joint_prior(self, p: Mapping[str, Any]) -> jc.JointPrior:
        """N(0, I)."""
        return jc.JointPrior.independent(self.dims)

    def joint_prior_vjp(self, p: Mapping[str, Any], prior: jc.JointPrior, cotangent: vjp.PriorCotangent) -> dict[str, Any]:
        """There are no parameters."""
        return {}


class Orthogonal(Prior):
    """C = alpha R of two views, R a rotation: every latent of one is correlated with one direction of the other."""

    name, equal_sizes, signed, learns_alpha, least, most = "orthogonal", True, True, True, 2, 2

    def skew_sizes(self) -> dict[str, int]:
        """R."""
        return {"prior.rotation": self.dims[0]}

    def frames(self) -> dict[str, int]:
        """R is the second view's, of which the first one's latents are coupled as they are."""
        return {"prior.rotation": 1}

    def correlations(self) -> dict[str, np.ndarray]:
        """alpha = tanh(t/2), where it is learned."""
        return {"prior.alpha": np.asarray(2.0 * math.atanh(self.alpha))} if self.learn_alpha else {}

    def joint_prior(self, p: Mapping[str, Any]) -> jc.JointPrior:
        """Of alpha R."""
        alpha = jc.tanh_bound(p["prior.alpha"]) if self.learn_alpha else self.alpha
        return jc.JointPrior.orthogonal(_frame(p, "prior.rotation", self.dims[0], self.dims[0]), alpha)

    def joint_prior_vjp(self, p: Mapping[str, Any], prior: jc.JointPrior, cotangent: vjp.PriorCotangent) -> dict[str, Any]:
        """p -> alpha = tanh(p/2) and its ratios (with an axis more in the coupling)."""
        frames, frames_bar, coupling_bar = _parts(prior, cotangent)
        bars = {"prior.rotation": vjp.orthogonal(p["prior.rotation"], frames[1], frames_bar[1])}
        if self.learn_alpha:
            bars["prior.alpha"] = vjp.tanh_bound(p["prior.alpha"], jc.Bounded(*(t[..., 0] for t in coupling_bar)))
        return bars


class Svd(Prior):
    """C = U diag(s) V^T of two views with learned singular values s = sigmoid(t) or tanh(t/2)."""

    name, ranked, bounds, least, most = "svd", True, True, 2, 2

    def skew_sizes(self) -> dict[str, int]:
        """U (n_2 x d) and V (n_1 x d)."""
        return {"prior.U": self.dims[1], "prior.V": self.dims[0]}

    def frames(self) -> dict[str, int]:
        """U and V."""
        return {"prior.U": 1, "prior.V": 0}

    def correlations(self) -> dict[str, np.ndarray]:
        """t of s = alpha."""
        t = 2.0 * math.atanh(self.alpha) if self.bound == "tanh" else _logit(self.alpha)
        return {"prior.logits": np.full(self.directions, t)}

    def joint_prior(self, p: Mapping[str, Any]) -> jc.JointPrior:
        """Of U diag(s) V^T."""
        U, V = (_frame(p, name, n, self.directions) for name, n in self.skew_sizes().items())
        return jc.JointPrior.svd(U, p["prior.logits"], V, bound=self.bound)

    def joint_prior_vjp(self, p: Mapping[str, Any], prior: jc.JointPrior, cotangent: vjp.PriorCotangent) -> dict[str, Any]:
        """Back through both frames and the bound."""
        bound = {"sigmoid": vjp.sigmoid_bound, "tanh": vjp.tanh_bound}[self.bound]
        frames, frames_bar, coupling_bar = _parts(prior, cotangent)
        return {
            "prior.U": vjp.frame(p["prior.U"], frames[1], frames_bar[1]),
            "prior.V": vjp.frame(p["prior.V"], frames[0], frames_bar[0]),
            "prior.logits": bound(p["prior.logits"], coupling_bar),
        }


class Canonical(Prior):
    """Any number of views and sizes: d shared sources, of which each view's frame has learned loadings a^2 = sigmoid(t).

    Without rotations the latents are coupled one by one. Nothing is lost by it where the encoder's last layer and the decoder's
    first are linear, for these can turn the latents; the posterior's variances are diagonal in the frames' coordinates.
    """

    name, ranked = "canonical", True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rotations and (len(set(self.dims)) > 1 or self.directions < self.dims[0]):
            raise ConfigError(
                f"latent_dims is {self.dims} and rank {self.rank} with coordinates='frame', which couples latents one by "
                "one; expected equal sizes and rank=None. Use coordinates='latent' for others."
            )

    @property
    def needed_latents(self) -> int:
        """The smallest view bounds how many directions all are coupled in."""
        return self.directions

    @property
    def noise_dim(self) -> int:
        """The sources come on top."""
        return sum(self.dims) + self.directions

    def skew_sizes(self) -> dict[str, int]:
        """One frame (n_i x d) per view."""
        return _frame_sizes(self.dims) if self.rotations else {}

    def frames(self) -> dict[str, int]:
        """One for each view."""
        return {name: i for i, name in enumerate(self.skew_sizes())}

    def correlations(self) -> dict[str, np.ndarray]:
        """t of a^2 = alpha."""
        return {"prior.logits": np.full((len(self.dims), self.directions), _logit(self.alpha))}

    def joint_prior(self, p: Mapping[str, Any]) -> jc.JointPrior:
        """Of all frames and loadings."""
        return jc.JointPrior.canonical(_frames(p, self.dims, self.directions) if self.rotations else None, p["prior.logits"])

    def joint_prior_vjp(self, p: Mapping[str, Any], prior: jc.JointPrior, cotangent: vjp.PriorCotangent) -> dict[str, Any]:
        """Back through every frame; the loadings' cotangent is that of the logits already."""
        frames = _frames_vjp(p, prior, cotangent) if self.rotations else {}
        return frames | {"prior.logits": cotangent.coupling}


class OrthogonalMany(Prior):
    """C_ij = alpha Q_i Q_j^T of three views and more: the canonical form with loadings fixed at a^2 = alpha."""

    name, equal_sizes, least = "orthogonal", True, 3

    noise_dim = Canonical.noise_dim

    def skew_sizes(self) -> dict[str, int]:
        """One rotation Q_i per view."""
        return _frame_sizes(self.dims)

    frames = Canonical.frames

    def joint_prior(self, p: Mapping[str, Any]) -> jc.JointPrior:
        """Of all rotations."""
        return jc.JointPrior.canonical(_frames(p, self.dims, self.directions), _logit(self.alpha))

    def joint_prior_vjp(self, p: Mapping[str, Any], prior: jc.JointPrior, cotangent: vjp.PriorCotangent) -> dict[str, Any]:
        """Back through every rotation."""
        return _frames_vjp(p, prior, cotangent)


PRIORS: dict[str, tuple[type[Prior], ...]] = {  # which class it is depends on the number of views
    "independent": (Independent,),
    "orthogonal": (Orthogonal, OrthogonalMany),
    "svd": (Svd,),
    "canonical": (Canonical,),
}


def prior_of(name: str, dims: Sequence[int], **options: Any) -> Prior:
    """The prior of that name over these latents. Raises ConfigError for an unknown one, or options that it cannot have."""
    if name not in PRIORS:
        raise ConfigError(f"prior is {name!r}; expected one of {list(PRIORS)}")
    fitting = [kind for kind in PRIORS[name] if kind.least <= len(dims) <= kind.most]
    return (fitting or PRIORS[name])[0](tuple(dims), **options)


def _logit(alpha: float) -> float:
    return math.log(alpha / (1.0 - alpha))


def _frame_sizes(dims: Sequence[int]) -> dict[str, int]:
    return {f"prior.frame.{i}": n for i, n in enumerate(dims)}


def _frames(p: Mapping[str, Any], dims: Sequence[int], d: int) -> list[Any]:
    return [_frame(p, name, n, d) for name, n in _frame_sizes(dims).items()]


def _frame(p: Mapping[str, Any], name: str, n: int, d: int) -> Any:
    """With the signs <name>.signs where there are some: a start from a given rotation may need them."""
    return jc.frame(p[name], n, d, p.get(f"{name}.signs"))


def _frames_vjp(p: Mapping[str, Any], prior: jc.JointPrior, cotangent: vjp.PriorCotangent) -> dict[str, Any]:
    frames, frames_bar, _ = _parts(prior, cotangent)
    parts = zip(_frame_sizes(prior.dims), frames, frames_bar, strict=True)
    return {name: vjp.frame(p[name], Q, bar) for name, Q, bar in parts}


def _parts(prior: jc.JointPrior, cotangent: vjp.PriorCotangent) -> tuple[Any, Any, Any]:
    """The frames, and the cotangents of frames and coupling, which a coupled prior has."""
    return prior.frames, cotangent.frames, cotangent.coupling
