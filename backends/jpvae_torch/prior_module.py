"""A joint prior as a module for anybody's PyTorch code: it holds the raw parameters, and calling it gives the ``JointPrior``.

Which raw parameters a prior has, and where its correlations start, is jpvae.model.priors' to decide; here they become
``nn.Parameter``s. A start from a given prior keeps its rotations' signs as buffers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
import torch

import jpvae_core as jc
from jpvae.errors import ConfigError
from jpvae.model.priors import prior_of
from jpvae.option_values import KINDS, seed_of
from jpvae_core.loadings import Loadings
from jpvae_core.pair import Pair

_START = 0.01  # skew entries start uniform below it: near the identity, where rotations move freely, and at no symmetric point


class JointPriorModule(torch.nn.Module):
    """The learned joint prior over the latents of several views. Call it once per step, inside your model's ``forward``.

    Parameters
    ----------
    dims
        The latent sizes of the views, or a dict of them by name: masks, means and so on may then be dicts.
    prior
        "orthogonal": C = alpha * rotation, one latent size (the rotation is learned). "svd": two views of any sizes,
        C = U diag(s) V^T. "canonical": any number of views and sizes on ``rank`` shared directions. "independent": C = 0.
    alpha
        Where the correlations start: high, for decoders have to learn to use them. "orthogonal" keeps it unless learn_alpha.
    rank
        The number of shared directions of "svd" and "canonical"; without it the smallest latent size.
    learn_alpha
        Of "orthogonal" with two views: alpha = tanh(t/2) is learned.
    bound
        Of "svd": "sigmoid" for correlations in (0, 1), "tanh" for (-1, 1).
    seed
        Of the rotations' start: skew entries uniform in [0, 0.01), so close to the identity.
    device, dtype
        As of any module; float32 or float64. Keep it so (``.float()``) in a model that is half precision otherwise.

    Raises
    ------
    jpvae.errors.ConfigError
        Where the options do not fit, naming them.

    Notes
    -----
    Every value of the parameters is a valid prior; nothing is projected or clipped after a step. They need no weight decay
    (it would pull rotations to the identity, correlations to 1/2), and correlations want a tenth of the learning rate: at the
    full rate they fall before the decoders have learned to use them. ``parameter_groups`` does both.

    Examples
    --------
    >>> prior = JointPriorModule((2, 2))
    >>> means, log_vars = [torch.ones(5, 2)] * 2, [torch.zeros(5, 2)] * 2
    >>> jc.kl_divergence(prior(), means, log_vars).shape
    torch.Size([5])
    >>> [group["lr"] for group in JointPriorModule((2, 3), "canonical").parameter_groups(1e-3)]
    [0.001, 0.0001]
    """

    def __init__(
        self,
        dims: Sequence[int] | Mapping[str, int],
        prior: Literal["orthogonal", "svd", "canonical", "independent"] = "orthogonal",
        alpha: float = 0.95,
        rank: int | None = None,
        *,
        learn_alpha: bool = False,
        bound: Literal["sigmoid", "tanh"] = "sigmoid",
        seed: int = 0,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.names = tuple(dims) if isinstance(dims, Mapping) else None
        given = {"prior": prior, "alpha": alpha, "learn_alpha": learn_alpha, "bound": bound, "rank": rank}
        options = {name: KINDS[name](name, value) for name, value in given.items()}
        self.options = prior_of(options.pop("prior"), _sizes(dims), **options)
        rng = np.random.default_rng(seed_of(seed))
        start = self.options.initial_parameters(lambda n: rng.uniform(0.0, _START, n * (n - 1) // 2))
        self._numbers = {name for name, x in start.items() if np.ndim(x) == 0}  # held in one axis: FSDP takes no scalars
        for name, x in start.items():
            value = torch.as_tensor(np.atleast_1d(x), dtype=dtype or torch.get_default_dtype(), device=device)
            self.register_parameter(_attribute(name), torch.nn.Parameter(value))
        self._own = {name: _attribute(name) for name in start}
        for name, n in self.options.skew_sizes().items():
            self._own[f"{name}.signs"] = f"{_attribute(name)}_signs"
            self.register_buffer(self._own[f"{name}.signs"], torch.ones(n, dtype=dtype, device=device))
        self.register_buffer("_like", torch.zeros((), dtype=dtype, device=device), persistent=False)
        with torch.no_grad():
            self()  # what the core keeps for each size is made now, not while something traces

    @classmethod
    def of(cls, prior: jc.JointPrior, *, learn_alpha: bool = False) -> Self:
        """A module that starts at a given prior: ``module()`` equals it but for rounding, in its dtype and on its device.

        prior: with torch's arrays, and no leading axes; ``JointPrior.from_covariance(C)``, say, or one with a known rotation.

        >>> C = torch.tensor([[0.5, 0.1], [0.0, -0.2]])
        >>> module = JointPriorModule.of(jc.JointPrior.from_covariance(C))
        >>> bool(torch.allclose(module().cross_covariance(1, 0), C, atol=1e-6))
        True
        """
        coupling: Any = prior.coupling
        like: Any = torch.zeros((), dtype=torch.float64) if not prior.arrays else prior.arrays[0]
        if not isinstance(like, torch.Tensor):
            raise jc.LibraryError(f"prior has arrays of {type(like).__name__}; expected torch.Tensor: prior.to(torch.zeros(1))")
        options: dict[str, Any] = {"device": like.device, "dtype": like.dtype}
        logits: Any = None
        frames = list(prior.frames)
        if isinstance(coupling, Pair) and prior.frames[0] is None:
            frames = frames[1:]
            alpha = 0.0 if learn_alpha else _number(coupling.bounded)  # a learned one is put below, without rounding to 1
            options |= {"prior": "orthogonal", "alpha": alpha, "learn_alpha": learn_alpha}
        elif isinstance(coupling, Pair):
            frames, logits = frames[::-1], _tanh_logits(coupling.bounded)
            options |= {"prior": "svd", "bound": "tanh", "rank": coupling.rank}
        elif isinstance(coupling, Loadings):
            logits = coupling.logits
            options |= {"prior": "canonical", "rank": coupling.rank}
        else:
            options["prior"] = "independent"
        dims: Any = prior.dims if prior.names is None else dict(zip(prior.names, prior.dims, strict=True))
        module = cls(dims, **options)
        if logits is not None:
            module._put("prior.logits", logits)
        elif learn_alpha and options["prior"] == "orthogonal":
            module._put("prior.alpha", _tanh_logits(coupling.bounded))
        for (name, n), frame in zip(module.options.skew_sizes().items(), frames, strict=False):
            Q: Any = torch.eye(n, dtype=like.dtype, device=like.device)[:, : coupling.rank] if frame is None else frame
            entries, signs = jc.inverse_frame(Q)
            module._put(name, entries)
            module._put(f"{name}.signs", signs)
        return module

    def _put(self, name: str, value: torch.Tensor) -> None:
        parameter: torch.Tensor = getattr(self, self._own[name])
        if value.shape != parameter.shape:
            raise jc.ShapeError(f"{name} has shape {tuple(value.shape)}; expected {tuple(parameter.shape)}: no leading axes")
        with torch.no_grad():
            parameter.copy_(value)

    def forward(self) -> jc.JointPrior:
        """The prior that the parameters are now."""
        like: Any = self._like
        if self.options.couples:
            held = {name: getattr(self, own) for name, own in self._own.items()}
            made = self.options.joint_prior({name: x[0] if name in self._numbers else x for name, x in held.items()})
        else:
            made = jc.JointPrior.independent(self.options.dims, like=like)
        return made if self.names is None else made.named(*self.names)

    def parameter_groups(self, lr: float, coupling_rate: float = 0.1) -> list[dict[str, Any]]:
        """For an optimiser: rotations at ``lr``, correlations at ``coupling_rate * lr``, both without weight decay."""
        slow = {self._own[name] for name in self.options.coupling_parameters}
        named = list(self.named_parameters())
        rotations, correlations = ([p for name, p in named if (name in slow) is which] for which in (False, True))
        groups = ((rotations, lr), (correlations, coupling_rate * lr))
        return [{"params": params, "lr": rate, "weight_decay": 0.0} for params, rate in groups if params]

    def no_weight_decay(self) -> set[str]:
        """The names of the parameters that weight decay must not touch (timm's convention): all of them."""
        return {name for name, _ in self.named_parameters()}

    def extra_repr(self) -> str:
        """What it was made with."""
        return f"{self.options.name!r}, dims={self.options.dims}, rank={self.options.directions}"


def _tanh_logits(s: jc.Bounded[torch.Tensor]) -> torch.Tensor:
    """2 arctanh(s), from the ratios that keep its digits near +-1: s/(1-s) = expm1(t)/2 and -s/(1+s) = expm1(-t)/2."""
    return torch.where(s.value >= 0.0, torch.log1p(2.0 * s.over_minus), -torch.log1p(2.0 * s.over_plus))


def _number(s: jc.Bounded[torch.Tensor]) -> float:
    """One correlation in double precision, from the ratio that keeps its digits: s = m/(1+m) = -p/(1+p)."""
    m, p = float(s.over_minus[..., 0]), float(s.over_plus[..., 0])
    return m / (1.0 + m) if m >= 0.0 else -p / (1.0 + p)


def _sizes(dims: Any) -> tuple[int, ...]:
    """One latent size for each view."""
    sizes = tuple(dims.values() if isinstance(dims, Mapping) else dims if isinstance(dims, Sequence) else ())
    if not sizes or not all(isinstance(n, Integral) and not isinstance(n, bool) and int(n) > 0 for n in sizes):
        raise ConfigError(f"dims is {dims!r}; expected one positive integer for each view, in a sequence or by name")
    return tuple(map(int, sizes))


def _attribute(name: str) -> str:
    """A module's parameters have no dots in their names: "prior.frame.0" is ``frame_0``."""
    return name.removeprefix("prior.").replace(".", "_")
