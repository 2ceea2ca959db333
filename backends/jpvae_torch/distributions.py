"""KL divergences to the joint prior as a distribution (joint_normal.py), registered with torch.

``torch.distributions.kl_divergence(q, JointNormal(prior))`` is the core's closed form for diagonal q (Normal, Independent), and

    KL( N(m, L L^T) || N(0, Sigma) ) = -log p(m) + 1/2 sum_c quad(L_c) - entropy,    quad(x) = 2 (log p(0) - log p(x))

for a full one: the quadratic form of each column of L by the core's own log-density, so no inverse of Sigma is taken.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.distributions import Independent, MultivariateNormal, Normal, register_kl

import jpvae_core as jc

from .joint_normal import JointNormal

__all__ = ["JointNormal"]


def _diagonal(loc: torch.Tensor, scale: torch.Tensor, p: JointNormal) -> torch.Tensor:
    loc, scale = torch.broadcast_tensors(loc, scale)
    p._check("q.loc", loc)
    rows = p._check_rows("q.loc", loc.shape[:-1])
    means, stds = (p.split(x.reshape(-1, x.shape[-1])) for x in (loc, scale))
    found: torch.Tensor = jc.kl_divergence(p.prior, means, std=stds)
    return found.reshape(loc.shape[:-1]).expand(rows)


@register_kl(Independent, JointNormal)
def _of_independent(q: Independent[Any], p: JointNormal) -> torch.Tensor:
    base = q.base_dist
    if not isinstance(base, Normal) or q.event_shape != p.event_shape:
        raise NotImplementedError(f"expected Independent(Normal, 1) with event shape {tuple(p.event_shape)}, found {q}")
    return _diagonal(base.loc, base.scale, p)


@register_kl(Normal, JointNormal)
def _of_normal(q: Normal, p: JointNormal) -> torch.Tensor:
    return _diagonal(q.loc, q.scale, p)


@register_kl(MultivariateNormal, JointNormal)
def _of_full(q: MultivariateNormal, p: JointNormal) -> torch.Tensor:
    p._check("q.loc", q.loc)
    rows = p._check_rows("q.loc", q.batch_shape)
    L: torch.Tensor = q.scale_tril
    entropy: torch.Tensor = q.entropy()
    quadratic = p._log_density(torch.zeros_like(q.loc)).unsqueeze(-1) - p._log_density(L.mT)
    return (quadratic.sum(-1) - p._log_density(q.loc) - entropy).expand(rows)
