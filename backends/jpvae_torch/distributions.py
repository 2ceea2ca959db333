"""The joint prior as a ``torch.distributions.Distribution`` over all views' latents side by side, (z_1, ..., z_M).

``torch.distributions.kl_divergence(q, JointNormal(prior))`` is the core's closed form for diagonal q (Normal, Independent), and

    KL( N(m, L L^T) || N(0, Sigma) ) = -log p(m) + 1/2 sum_c quad(L_c) - entropy,    quad(x) = 2 (log p(0) - log p(x))

for a full one: the quadratic form of each column of L by the core's own log-density, so no inverse of Sigma is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal, constraints, register_kl

import jpvae_core as jc

_Size = torch.Size | list[int] | tuple[int, ...]


class JointNormal(Distribution):
    """N(0, Sigma) over the latents of M views, (..., N) with N = n_1 + ... + n_M.

    Parameters
    ----------
    prior
        A ``JointPrior`` of torch's arrays without leading axes; for independent views ``JointPrior.independent(dims, like=x)``.

    Examples
    --------
    >>> joint = JointNormal(jc.JointPrior.orthogonal(torch.eye(2), 0.9))
    >>> joint.event_shape, joint.rsample((5,)).shape
    (torch.Size([4]), torch.Size([5, 4]))
    >>> q = Independent(Normal(torch.zeros(3, 4), torch.ones(3, 4)), 1)
    >>> torch.distributions.kl_divergence(q, joint).shape
    torch.Size([3])
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, prior: jc.JointPrior, *, validate_args: bool | None = None) -> None:
        arrays: Any = prior.arrays
        if not arrays or not isinstance(arrays[0], torch.Tensor):
            raise jc.LibraryError("prior holds no torch tensor; expected one of torch's: prior.to(torch.zeros(1))")
        if prior.log_det().ndim > 0:
            raise jc.ShapeError("prior is a stack of priors; expected one, without leading axes: a JointNormal for each")
        self.prior, self._like = prior, arrays[0]
        super().__init__(torch.Size(), torch.Size([sum(prior.dims)]), validate_args=validate_args)

    def expand(self, batch_shape: _Size, _instance: Any = None) -> JointNormal:
        """The same for every entry of a batch."""
        new = self._get_checked_instance(JointNormal, _instance)
        new.prior, new._like = self.prior, self._like
        super(JointNormal, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def split(self, value: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(..., N) as one tensor (..., n_i) per view."""
        self._check_size("value", value.shape)
        return torch.split(value, list(self.prior.dims), dim=-1)

    def _check_size(self, name: str, shape: torch.Size) -> None:
        if shape[-1:] != self.event_shape:
            expected = f"last axis {self.event_shape[0]}, the latents of all views side by side"
            raise jc.ShapeError(f"{name} has shape {tuple(shape)}; expected {expected}: {self.prior.dims}")

    @property
    def mean(self) -> torch.Tensor:
        """Zero."""
        return self._like.new_zeros(self._extended_shape())

    @property
    def variance(self) -> torch.Tensor:
        """One: each view's latents alone are standard normal."""
        return self._like.new_ones(self._extended_shape())

    @property
    def covariance_matrix(self) -> torch.Tensor:
        """Sigma, (N, N)."""
        found: Any = self.prior.covariance()
        return found

    def rsample(self, sample_shape: _Size = ()) -> torch.Tensor:
        """Draws, differentiable in the prior's parameters."""
        shape = self._extended_shape(torch.Size(sample_shape))[:-1]
        noise = torch.randn(shape.numel(), self.prior.noise_dim, dtype=self._like.dtype, device=self._like.device)
        return torch.cat(jc.sample(self.prior, noise), dim=-1).reshape(*shape, -1)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """log N(value; 0, Sigma), (...)."""
        if self._validate_args:
            self._validate_sample(value)
        return self._log_density(value)

    def _log_density(self, value: torch.Tensor) -> torch.Tensor:
        self._check_size("value", value.shape)
        rows = self.split(value.reshape(-1, value.shape[-1]))
        return jc.log_density(self.prior, rows).reshape(value.shape[:-1])

    def entropy(self) -> torch.Tensor:
        """In nats."""
        normal = Normal(self._like.new_zeros(()), self._like.new_ones(())).entropy()
        log_det: Any = self.prior.log_det()
        return (0.5 * log_det + self.event_shape[0] * normal).expand(self._batch_shape)

    def marginal(self, views: list[int | str]) -> JointNormal:
        """Of some views, in this order."""
        return JointNormal(self.prior.marginal(views)).expand(self._batch_shape)

    def condition(self, latents: Mapping[int | str, torch.Tensor]) -> MultivariateNormal:
        """The other views' latents, side by side, given these: by index or name, (..., n_i) each."""
        dims, names = self.prior.dims, list(self.prior.names or ())
        known = {names.index(v) if v in names else v: z for v, z in latents.items()}
        if not known or not set(known) < set(range(len(dims))):
            valid = names or [*range(len(dims))]
            raise jc.ArgumentError(f"latents has the keys {list(latents)}; expected some of {valid}, not all")
        rows = next(iter(known.values()))
        z = [known.get(i, rows.new_zeros(*rows.shape[:-1], n)) for i, n in enumerate(dims)]
        flat = [x.reshape(-1, n) for x, n in zip(z, dims, strict=True)]
        means, covariances = jc.condition(self.prior, flat, [i in known for i in range(len(dims))])
        rest = [i for i in range(len(dims)) if i not in known]
        mean: Any = torch.cat([means[i] for i in rest], dim=-1)
        cov: Any = torch.cat([torch.cat([covariances[i][j] for j in rest], dim=-1) for i in rest], dim=-2)[0]
        return MultivariateNormal(mean.reshape(*rows.shape[:-1], -1), cov)


def _diagonal(loc: torch.Tensor, scale: torch.Tensor, p: JointNormal) -> torch.Tensor:
    loc, scale = torch.broadcast_tensors(loc, scale)
    p._check_size("q.loc", loc.shape)
    means, stds = (p.split(x.reshape(-1, x.shape[-1])) for x in (loc, scale))
    found: Any = jc.kl_divergence(p.prior, means, std=stds)
    return found.reshape(loc.shape[:-1]).expand(torch.broadcast_shapes(loc.shape[:-1], p.batch_shape))


@register_kl(Independent, JointNormal)
def _of_independent(q: Independent, p: JointNormal) -> torch.Tensor:
    base = q.base_dist
    if not isinstance(base, Normal) or q.event_shape != p.event_shape:
        raise NotImplementedError(f"expected Independent(Normal, 1) with event shape {tuple(p.event_shape)}, found {q}")
    return _diagonal(base.loc, base.scale, p)


@register_kl(Normal, JointNormal)
def _of_normal(q: Normal, p: JointNormal) -> torch.Tensor:
    return _diagonal(q.loc, q.scale, p)


@register_kl(MultivariateNormal, JointNormal)
def _of_full(q: MultivariateNormal, p: JointNormal) -> torch.Tensor:
    p._check_size("q.loc", q.loc.shape)
    L, entropy = q.scale_tril, q.entropy()
    quadratic = p._log_density(torch.zeros_like(q.loc)).unsqueeze(-1) - p._log_density(L.mT)
    found = quadratic.sum(-1) - p._log_density(q.loc) - entropy
    return found.expand(torch.broadcast_shapes(found.shape, p.batch_shape))
