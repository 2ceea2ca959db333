"""The joint prior as a ``torch.distributions.Distribution`` over all views' latents side by side, (z_1, ..., z_M).

Shapes are those of ``MultivariateNormal``: batches, values and sample shapes broadcast as they do there. KL divergences to it:
distributions.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch.distributions import Distribution, MultivariateNormal, Normal, constraints

import jpvae_core as jc
from jpvae_core._checks import check_dtype
from jpvae_core._chosen import chosen
from jpvae_core._door import check_prior

_Size = torch.Size | list[int] | tuple[int, ...]


class JointNormal(Distribution):
    """N(0, Sigma) over the latents of M views, (..., N) with N = n_1 + ... + n_M.

    Parameters
    ----------
    prior : JointPrior
        Of torch's arrays without leading axes; for independent views ``JointPrior.independent(dims, like=x)``.
    validate_args : bool, or None
        As of any distribution.

    Raises
    ------
    LibraryError, ShapeError
        If the prior holds no torch tensors, or is a stack of priors.

    Examples
    --------
    >>> import torch
    >>> import jpvae_core as jc
    >>> from torch.distributions import Independent, Normal
    >>> from jpvae_torch.distributions import JointNormal
    >>> joint = JointNormal(jc.JointPrior.orthogonal(torch.eye(2), 0.9))
    >>> joint.event_shape, joint.rsample((5,)).shape, joint.log_prob(torch.zeros(3, 4)).shape, joint.entropy().shape
    (torch.Size([4]), torch.Size([5, 4]), torch.Size([3]), torch.Size([]))
    >>> q = Independent(Normal(torch.zeros(3, 4), torch.ones(3, 4)), 1)
    >>> torch.distributions.kl_divergence(q, joint).shape
    torch.Size([3])
    >>> [z.shape for z in joint.split(joint.sample((3,)))], joint.expand((3,)).batch_shape
    ([torch.Size([3, 2]), torch.Size([3, 2])], torch.Size([3]))
    >>> joint.condition({0: torch.ones(3, 2)}).mean.shape, joint.marginal([1]).event_shape
    (torch.Size([3, 2]), torch.Size([2]))
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, prior: jc.JointPrior, *, validate_args: bool | None = None) -> None:
        check_prior(prior)
        arrays: Any = prior.arrays
        if not arrays or not isinstance(arrays[0], torch.Tensor):
            raise jc.LibraryError("prior holds no torch tensor; expected one of torch's: prior.to(torch.zeros(1))")
        if prior.log_det().ndim > 0:
            raise jc.ShapeError("prior is a stack of priors; expected one, without leading axes: a JointNormal for each")
        self.prior, self._like = prior, arrays[0]
        super().__init__(torch.Size(), torch.Size([sum(prior.dims)]), validate_args=validate_args)

    def expand(self, batch_shape: _Size, _instance: Any = None) -> JointNormal:
        """The same distribution for every entry of a batch.

        Parameters
        ----------
        batch_shape : torch.Size or tuple of int
            One that the present batch shape broadcasts to.
        _instance : JointNormal, or None
            For subclasses, as in torch.

        Returns
        -------
        JointNormal

        Raises
        ------
        ShapeError
        """
        shape = _size("batch_shape", batch_shape)
        if _together(shape, self._batch_shape) != shape:
            raise jc.ShapeError(f"batch_shape is {tuple(shape)}; expected one that {tuple(self._batch_shape)} broadcasts to")
        new: JointNormal = self._get_checked_instance(JointNormal, _instance)
        new.prior, new._like = self.prior, self._like
        super(JointNormal, new).__init__(shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def split(self, value: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """One tensor per view.

        Parameters
        ----------
        value : tensor (..., N)

        Returns
        -------
        tuple of M tensors (..., n_i)

        Raises
        ------
        ShapeError, DtypeError, LibraryError
        """
        self._check("value", value)
        return torch.split(value, list(self.prior.dims), dim=-1)

    def _check(self, name: str, x: Any, size: int | None = None) -> None:
        """A tensor (..., N), or (..., size), of the prior's dtype and device."""
        if not isinstance(x, torch.Tensor):
            raise jc.LibraryError(f"{name} is a {type(x).__name__}; expected a torch.Tensor")
        wanted = self.event_shape[0] if size is None else size
        if x.ndim == 0 or x.shape[-1] != wanted:
            what = f"the latents of all views side by side: {self.prior.dims}" if size is None else "the view's latents"
            raise jc.ShapeError(f"{name} has shape {tuple(x.shape)}; expected last axis {wanted}, {what}")
        check_dtype(prior=self._like, **{name: x})

    def _check_rows(self, name: str, rows: torch.Size) -> torch.Size:
        """What rows and the batch broadcast to."""
        found = _together(rows, self._batch_shape)
        if found is None:
            batch = tuple(self._batch_shape)
            raise jc.ShapeError(f"{name} has leading axes {tuple(rows)}; expected ones that broadcast with the batch, {batch}")
        return found

    @property
    def mean(self) -> torch.Tensor:
        """Zero, (batch_shape, N)."""
        return self._like.new_zeros(self._extended_shape())

    @property
    def mode(self) -> torch.Tensor:
        """Zero, (batch_shape, N)."""
        return self.mean

    @property
    def variance(self) -> torch.Tensor:
        """One, (batch_shape, N): each view's latents alone are standard normal."""
        return self._like.new_ones(self._extended_shape())

    @property
    def covariance_matrix(self) -> torch.Tensor:
        """Sigma, (batch_shape, N, N)."""
        found: torch.Tensor = self.prior.covariance()
        return self._of_batch(found)

    @property
    def precision_matrix(self) -> torch.Tensor:
        """Sigma^{-1}, (batch_shape, N, N), in closed form."""
        found: torch.Tensor = self.prior.precision()
        return self._of_batch(found)

    def _of_batch(self, matrix: torch.Tensor) -> torch.Tensor:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    def rsample(self, sample_shape: _Size = ()) -> torch.Tensor:
        """Draws, differentiable in the prior's parameters.

        Parameters
        ----------
        sample_shape : torch.Size or tuple of int

        Returns
        -------
        tensor of shape (sample_shape, batch_shape, N)

        Raises
        ------
        ShapeError
        """
        shape = self._extended_shape(_size("sample_shape", sample_shape))
        noise = torch.randn(shape[:-1].numel(), self.prior.noise_dim, dtype=self._like.dtype, device=self._like.device)
        return torch.cat(jc.sample(self.prior, noise), dim=-1).reshape(shape)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """log N(value; 0, Sigma), in nats.

        Parameters
        ----------
        value : tensor (..., N)

        Returns
        -------
        tensor (...)
            Of what the value's leading axes and the batch broadcast to.

        Raises
        ------
        ShapeError, DtypeError, LibraryError
        """
        self._check("value", value)
        rows = self._check_rows("value", value.shape[:-1])
        if self._validate_args and value.numel() > 0:  # torch's look at values cannot do without any
            self._validate_sample(value)
        return self._log_density(value).expand(rows)

    def _log_density(self, value: torch.Tensor) -> torch.Tensor:
        rows = self.split(value.reshape(-1, value.shape[-1]))
        return jc.log_density(self.prior, rows).reshape(value.shape[:-1])

    def entropy(self) -> torch.Tensor:
        """(N (1 + log 2 pi) + log|Sigma|)/2, in nats.

        Returns
        -------
        tensor of the batch's shape
        """
        normal: torch.Tensor = Normal(self._like.new_zeros(()), self._like.new_ones(())).entropy()
        log_det: torch.Tensor = self.prior.log_det()
        return (0.5 * log_det + self.event_shape[0] * normal).expand(self._batch_shape)

    def marginal(self, views: list[int | str]) -> JointNormal:
        """The distribution of some views, in this order.

        Parameters
        ----------
        views : list of int or str, or of M booleans
            Indices or names; or one boolean per view.

        Returns
        -------
        JointNormal

        Raises
        ------
        ShapeError, ArgumentError
        """
        return JointNormal(self.prior.marginal(views), validate_args=self._validate_args).expand(self._batch_shape)

    def condition(self, latents: Mapping[int | str, torch.Tensor]) -> MultivariateNormal:
        """The other views' latents, side by side, given these.

        Parameters
        ----------
        latents : dict of tensors (..., n_i)
            By index or name, with the same leading axes; these and the batch broadcast.

        Returns
        -------
        MultivariateNormal

        Raises
        ------
        ShapeError, DtypeError, LibraryError, ArgumentError
        """
        dims, names = self.prior.dims, self.prior.names
        if not isinstance(latents, Mapping):
            raise jc.ArgumentError(f"latents is a {type(latents).__name__}; expected a dict of the known views' latents")
        at = [] if any(isinstance(key, bool) for key in latents) or not latents else list(latents)
        if not 0 < len(at) < len(dims):
            valid = list(names or range(len(dims)))
            raise jc.ArgumentError(f"latents has the keys {list(latents)}; expected some of {valid}, not all")
        known = dict(zip(chosen("latents, by its keys,", at, len(dims), names), latents.items(), strict=True))
        lead: torch.Size | None = None
        for i, (key, z) in known.items():
            self._check(f"latents[{key!r}]", z, dims[i])
            if lead is not None and z.shape[:-1] != lead:
                found = f"latents[{key!r}] has shape {tuple(z.shape)}"
                raise jc.ShapeError(f"{found}; expected the other's leading axes, {tuple(lead)}")
            lead = z.shape[:-1]
        lead = torch.Size() if lead is None else lead
        rows = self._check_rows("latents", lead)
        given = [known[i][1] if i in known else self._like.new_zeros((*lead, n)) for i, n in enumerate(dims)]
        flat = [x.reshape(-1, n) for x, n in zip(given, dims, strict=True)]
        means, covariances = jc.condition(self.prior, flat, [i in known for i in range(len(dims))])
        rest = [i for i in range(len(dims)) if i not in known]
        mean: Any = torch.cat([means[i] for i in rest], dim=-1)
        cov: Any = torch.cat([torch.cat([covariances[i][j] for j in rest], dim=-1) for i in rest], dim=-2)[0]
        size, checked = sum(dims[i] for i in rest), None if rows.numel() else False  # as in ``log_prob``
        return MultivariateNormal(mean.reshape(*lead, size).expand(*rows, size), cov, validate_args=checked)


def _size(name: str, shape: Any) -> torch.Size:
    """A shape of sizes that are not negative."""
    try:
        odd = isinstance(shape, str | bytes | Mapping) or any(isinstance(n, bool) for n in shape)
        found = torch.Size([-1] if odd else shape)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        found = torch.Size([-1])
    if any(n < 0 for n in found):
        raise jc.ShapeError(f"{name} is {shape!r}; expected a tuple of sizes, none below 0")
    return found


def _together(*shapes: torch.Size) -> torch.Size | None:
    """The shape that these broadcast to, or None."""
    try:
        together: torch.Size = torch.broadcast_shapes(*shapes)
    except RuntimeError:
        return None
    return together
