"""The model as data: sizes, prior, likelihoods, and the ONE layout of its parameters that every engine uses.

    encoder.<i>.<k>.weight (in, out), encoder.<i>.<k>.bias (out,)      the last layer gives n_i means and n_i log-variances
    decoder.<i>.<k>.weight, decoder.<i>.<k>.bias                       the last layer gives the likelihood's c_i outputs
    likelihood.<i>.<name>                                              a likelihood's own parameters
    prior.rotation | prior.U, prior.logits, prior.V | prior.frame.<i>, prior.logits; prior.alpha where it is learned

``joint_prior`` is written over the array API: it serves NumPy, torch and a stack of models alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

import jpvae_core as jc
from jpvae_core import vjp

from ..errors import ConfigError
from ..views.columns import tuples
from .likelihoods import Likelihood, Marginal, Spec, likelihood
from .posterior import POSTERIORS

PRIORS = ("independent", "orthogonal", "svd", "canonical")


@dataclass(frozen=True)
class Model:
    """Everything that fixes a JPVAE but its parameters' values; plain numbers and strings, so it goes into a file's header.

    features: each view's model columns; likelihood_names: as likelihoods/ names them; entries: "error", or "marginalise" where
    single cells may be missing.
    """

    coupling_parameters: ClassVar = ("prior.logits", "prior.alpha")  # these move at coupling_rate times the learning rate

    features: tuple[int, ...]
    latent_dims: tuple[int, ...]
    likelihood_names: tuple[Spec, ...]
    hidden: tuple[int, ...] = (512, 512)
    prior: str = "orthogonal"
    alpha: float = 0.95
    learn_alpha: bool = False
    bound: str = "sigmoid"
    rank: int | None = None
    entries: str = "error"
    posterior: str = "factorised"  # what files older than this field have

    def __post_init__(self) -> None:
        M, dims = len(self.features), self.latent_dims
        if self.prior not in PRIORS:
            raise ConfigError(f"prior is {self.prior!r}; expected one of {list(PRIORS)}")
        if len(dims) != M or min(dims, default=0) < 1:
            raise ConfigError(f"latent_dims is {dims}; expected one positive size, or one per view ({M} views)")
        if len(self.likelihood_names) != M:
            raise ConfigError(
                f"likelihood names {len(self.likelihood_names)} views; expected one name, or one per view ({M} views)"
            )
        if any(size < 1 for size in self.hidden):
            raise ConfigError(f"hidden is {self.hidden}; expected positive layer sizes")
        if self.bound not in ("sigmoid", "tanh"):
            raise ConfigError(f"bound is {self.bound!r}; expected 'sigmoid' or 'tanh'")
        if not -1.0 < self.alpha < 1.0:
            raise ConfigError(f"alpha is {self.alpha}; expected -1 < alpha < 1: at 1 the joint prior is singular (Thm 2.2)")
        if self.prior == "orthogonal" and len(set(dims)) > 1:
            raise ConfigError(
                f"latent_dims is {dims} with prior='orthogonal', whose C = alpha * rotation is square; expected equal sizes. "
                "Use prior='svd' (two views) or prior='canonical' (any number of views) for unequal latent sizes."
            )
        if self.prior == "svd" and M != 2:
            raise ConfigError(f"prior='svd' couples two views, found {M}; use prior='canonical' for any number of views")
        if self.prior != "independent" and M < 2:
            raise ConfigError(f"prior={self.prior!r} couples views, found {M}; use prior='independent' for a single view")
        if self.alpha <= 0 and (self.prior in ("svd", "canonical") or (self.prior == "orthogonal" and M > 2)):
            raise ConfigError(f"alpha is {self.alpha}; expected 0 < alpha < 1 for prior={self.prior!r} with {M} views")
        if self.learn_alpha and (self.prior != "orthogonal" or M != 2):
            raise ConfigError(
                f"learn_alpha=True needs prior='orthogonal' and two views, found {self.prior!r} with {M}; "
                "prior='svd' and prior='canonical' learn their correlations anyway"
            )
        if self.rank is not None and self.prior not in ("svd", "canonical"):
            raise ConfigError(f"rank is {self.rank} with prior={self.prior!r}, which couples every direction; expected None")
        if self.rank is not None and not 1 <= self.rank <= min(dims):
            raise ConfigError(f"rank is {self.rank}; expected 1 <= rank <= {min(dims)}, the smallest latent size")
        if self.entries not in ("error", "marginalise"):
            raise ConfigError(
                f"entries is {self.entries!r}; expected 'error' (on a NaN cell) or 'marginalise' (it is left out, and imputed)"
            )
        if self.posterior not in POSTERIORS:
            raise ConfigError(f"posterior is {self.posterior!r}; expected one of {list(POSTERIORS)}")
        for spec, c in zip(self.likelihood_names, self.features, strict=True):
            if likelihood(spec).width not in (None, c):
                raise ConfigError(f"likelihood_names has {spec}; expected parts of {c} columns together")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Model:
        """From the JSON form of ``dataclasses.asdict``. Raises KeyError or TypeError where it is none."""
        return cls(**{f.name: tuples(value[f.name]) for f in fields(cls) if f.name in value or f.name != "posterior"})

    @property
    def views(self) -> int:
        """M, the number of views."""
        return len(self.features)

    @cached_property
    def likelihoods(self) -> tuple[Likelihood, ...]:
        """One likelihood per view."""
        made = tuple(likelihood(name) for name in self.likelihood_names)
        return tuple(map(Marginal, made)) if self.entries == "marginalise" else made

    @property
    def widths_and_likelihoods(self) -> tuple[tuple[int, Spec], ...]:
        """What each view's columns must come to."""
        return tuple(zip(self.features, self.likelihood_names, strict=True))

    @property
    def directions(self) -> int:
        """d, the number of coupled directions."""
        return self.rank or min(self.latent_dims)

    @property
    def noise_dim(self) -> int:
        """Standard normals per row that completing the latents takes (JointPrior.noise_dim)."""
        shared = self.prior == "canonical" or (self.prior == "orthogonal" and self.views > 2)
        return sum(self.latent_dims) + (self.directions if shared else 0)

    def layers(self, part: str, view: int) -> list[tuple[int, int]]:
        """(in, out) of each dense layer of a view's "encoder" or "decoder"."""
        n, c = self.latent_dims[view], self.features[view]
        sizes = (c, *self.hidden, 2 * n) if part == "encoder" else (n, *reversed(self.hidden), c)
        return list(pairwise(sizes))

    def initial_parameters(
        self, seed: int, scaling: Sequence[tuple[np.ndarray, np.ndarray]] | None = None
    ) -> dict[str, np.ndarray]:
        """LeCun-normal weights (truncated at two standard deviations), zero biases, skew entries uniform in [0, 0.01).

        scaling: the views' locations and scales, from which a likelihood may have its decoder's last bias start elsewhere.
        One generator per array, keyed by seed and position: float64, the same for every engine.
        """
        arrays: dict[str, np.ndarray] = {}
        streams = iter(np.random.SeedSequence(seed).spawn(8 * self.views * (len(self.hidden) + 2) + 8))

        def weight(fan_in: int, fan_out: int) -> np.ndarray:
            rng = np.random.default_rng(next(streams))
            values = rng.standard_normal((fan_in, fan_out))
            while (tail := np.abs(values) > 2.0).any():
                values[tail] = rng.standard_normal(int(tail.sum()))
            return values / (_TRUNCATED_STD * math.sqrt(fan_in))

        for i in range(self.views):
            for part in ("encoder", "decoder"):
                for k, (fan_in, fan_out) in enumerate(self.layers(part, i)):
                    arrays[f"{part}.{i}.{k}.weight"] = weight(fan_in, fan_out)
                    arrays[f"{part}.{i}.{k}.bias"] = np.zeros(fan_out)
            if scaling is not None:
                arrays[f"decoder.{i}.{len(self.hidden)}.bias"] = self.likelihoods[i].initial_outputs(*scaling[i])
            for name, value in self.likelihoods[i].parameters(self.features[i]).items():
                arrays[f"likelihood.{i}.{name}"] = value

        def skew_entries(n: int) -> np.ndarray:
            return np.random.default_rng(next(streams)).uniform(0.0, 0.01, n * (n - 1) // 2)

        d, logit = self.directions, math.log(self.alpha / (1.0 - self.alpha)) if self.alpha > 0 else 0.0
        if self.prior == "svd":
            n1, n2 = self.latent_dims
            arrays |= {"prior.U": skew_entries(n2), "prior.V": skew_entries(n1), "prior.logits": np.full(d, logit)}
            if self.bound == "tanh":
                arrays["prior.logits"] = np.full(d, 2.0 * math.atanh(self.alpha))
        elif self.prior == "orthogonal" and self.views == 2:
            arrays["prior.rotation"] = skew_entries(self.latent_dims[0])
        elif self.prior != "independent":
            arrays |= {f"prior.frame.{i}": skew_entries(n) for i, n in enumerate(self.latent_dims)}
            if self.prior == "canonical":
                arrays["prior.logits"] = np.full((self.views, d), logit)
        if self.learn_alpha:
            arrays["prior.alpha"] = np.asarray(2.0 * math.atanh(self.alpha))
        return arrays

    def joint_prior(self, p: Mapping[str, Any]) -> jc.JointPrior:
        """The joint prior from the raw parameters (arrays of any library, leading batch axes allowed)."""
        dims, d = self.latent_dims, self.directions
        if self.prior == "independent":
            return jc.JointPrior.independent(dims)
        if self.prior == "svd":
            U, V = jc.frame(p["prior.U"], dims[1], d), jc.frame(p["prior.V"], dims[0], d)
            return jc.JointPrior.svd(U, p["prior.logits"], V, bound=self.bound)
        if self.prior == "orthogonal" and self.views == 2:
            alpha = jc.tanh_bound(p["prior.alpha"]).value if self.learn_alpha else self.alpha
            return jc.JointPrior.orthogonal(jc.orthogonal(p["prior.rotation"], dims[0]), alpha)
        frames = [jc.frame(p[f"prior.frame.{i}"], n, d) for i, n in enumerate(dims)]
        if self.prior == "canonical":
            return jc.JointPrior.canonical(frames, p["prior.logits"])
        return jc.JointPrior.canonical(frames, math.log(self.alpha / (1.0 - self.alpha)))

    def joint_prior_vjp(self, p: Mapping[str, Any], prior: jc.JointPrior, cotangent: vjp.PriorCotangent) -> dict[str, Any]:
        """For engines without autograd: the cotangents of the raw parameters, by name, from that of ``prior = joint_prior(p)``.

        A frame's goes back through its Cayley transform, that of the correlations through their bound. A fixed alpha is no
        parameter, and gets none.
        """
        frames, coupling = cotangent.frames, cotangent.coupling
        if self.prior == "independent":
            return {}
        if self.prior == "svd":
            bound = {"sigmoid": vjp.sigmoid_bound, "tanh": vjp.tanh_bound}[self.bound]
            return {
                "prior.U": vjp.frame(p["prior.U"], prior.frames[1], frames[1]),
                "prior.V": vjp.frame(p["prior.V"], prior.frames[0], frames[0]),
                "prior.logits": bound(p["prior.logits"], coupling),
            }
        if self.prior == "orthogonal" and self.views == 2:
            bars = {"prior.rotation": vjp.orthogonal(p["prior.rotation"], prior.frames[1], frames[1])}
            if self.learn_alpha:
                # p -> alpha = tanh(p/2) -> its ratios (with an axis more in the coupling);  d alpha/dp = (1 - alpha^2)/2
                alpha = prior.coupling.bounded.value[..., 0]
                alpha_bar = vjp.number_bound(alpha, jc.Bounded(*(t[..., 0] for t in coupling)))
                bars["prior.alpha"] = 0.5 * (1.0 - alpha) * (1.0 + alpha) * alpha_bar
            return bars
        bars = {f"prior.frame.{i}": vjp.frame(p[f"prior.frame.{i}"], prior.frames[i], frames[i]) for i in range(self.views)}
        return bars | ({"prior.logits": coupling} if self.prior == "canonical" else {})

    def own_parameters(self, p: Mapping[str, Any], view: int) -> dict[str, Any]:
        """A view's likelihood parameters, by their short names."""
        head = f"likelihood.{view}."
        return {name.removeprefix(head): value for name, value in p.items() if name.startswith(head)}


_TRUNCATED_STD = 0.8796256610342398  # the standard deviation of a standard normal truncated at +-2
