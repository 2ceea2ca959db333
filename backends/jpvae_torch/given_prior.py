"""What a ``JointPriorModule`` that starts at a given prior is made with."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

import jpvae_core as jc
from jpvae.errors import ConfigError
from jpvae.option_values import flag
from jpvae_core._door import check_prior
from jpvae_core.loadings import Loadings
from jpvae_core.pair import Pair


class Start(NamedTuple):
    """Of a module."""

    options: dict[str, Any]  # all but ``dims``
    correlations: dict[str, torch.Tensor]  # raw, by their names in the layout of jpvae.model.priors
    frames: list[torch.Tensor]  # in the order of ``Prior.skew_sizes``


def start_of(prior: jc.JointPrior[torch.Tensor], learn_alpha: bool) -> Start:
    """Where the module starts. Raises as ``JointPriorModule.of`` does."""
    check_prior(prior)
    learn_alpha = flag("learn_alpha", learn_alpha)
    if prior.log_det().ndim > 0:
        raise jc.ShapeError("prior is a stack of priors; expected one, no leading axes: a module for each")
    like: Any = torch.zeros((), dtype=torch.float64) if not prior.arrays else prior.arrays[0]
    if not isinstance(like, torch.Tensor):
        raise jc.LibraryError(f"prior has arrays of {type(like).__name__}; expected torch.Tensor: prior.to(torch.zeros(1))")
    coupling: Any = prior.coupling
    one_correlation = isinstance(coupling, Pair) and None in prior.frames  # C = alpha R, or alpha R^T of the views in turn
    if learn_alpha and not one_correlation:
        raise ConfigError("learn_alpha is True, and the prior has no alpha: its correlations are learned; expected False")
    kind: dict[str, Any] = {"prior": "independent"}
    correlations: dict[str, torch.Tensor] = {}
    frames = [_matrix(frame, n, coupling.rank, like) for frame, n in zip(prior.frames, prior.dims, strict=True)]
    if one_correlation:
        kind, correlations = _orthogonal(coupling, learn_alpha)
        frames = [frames[1] if prior.frames[0] is None else frames[0].mT]
    elif isinstance(coupling, Pair):
        kind, correlations = {"prior": "svd", "bound": "tanh", "rank": coupling.rank}, {"prior.logits": _tanh_logits(coupling)}
        frames = frames[::-1]
    elif isinstance(coupling, Loadings):
        logits: Any = coupling.logits
        kind, correlations = {"prior": "canonical", "rank": coupling.rank}, {"prior.logits": logits}
    return Start({"device": like.device, "dtype": like.dtype, **kind}, correlations, frames)


def _matrix(frame: Any, n: int, rank: int, like: torch.Tensor) -> torch.Tensor:
    """A frame (n, rank), where None stands for the identity."""
    return torch.eye(n, dtype=like.dtype, device=like.device)[:, :rank] if frame is None else frame


def _orthogonal(coupling: Any, learn_alpha: bool) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    value = float(coupling.bounded.value.detach()[..., 0])
    if not abs(value) <= 1.0:  # a learned one may round to 1
        raise ConfigError(f"prior has alpha={value:g}; expected a number between -1 and 1")
    alpha = 0.0 if learn_alpha else _number(coupling.bounded)  # a learned one is put in raw, without rounding to 1
    raw = {"prior.alpha": _tanh_logits(coupling)} if learn_alpha else {}
    return {"prior": "orthogonal", "alpha": alpha, "learn_alpha": learn_alpha}, raw


def _tanh_logits(coupling: Any) -> torch.Tensor:
    """2 arctanh(s), from the ratios that keep its digits near +-1: s/(1-s) = expm1(t)/2 and -s/(1+s) = expm1(-t)/2."""
    s: jc.Bounded[torch.Tensor] = coupling.bounded
    return torch.where(s.value >= 0.0, torch.log1p(2.0 * s.over_minus), -torch.log1p(2.0 * s.over_plus))


def _number(s: jc.Bounded[torch.Tensor]) -> float:
    """One correlation in double precision, from the ratio that keeps its digits: s = m/(1+m) = -p/(1+p)."""
    m, p = float(s.over_minus.detach()[..., 0]), float(s.over_plus.detach()[..., 0])
    return m / (1.0 + m) if m >= 0.0 else -p / (1.0 + p)
