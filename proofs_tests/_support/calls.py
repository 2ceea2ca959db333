"""The package's functions in the form that ``xp.call`` takes: call(structure, parameters, arrays) -> arrays.

Every test calls a function through here, so JAX compiles it once per structure, dtype and number of rows, however many
tests use it. ``parameters`` are a Model's, mostly ``framed``; masks are rows of 0/1, a single pattern, or None.
"""

from __future__ import annotations

from typing import Any

import jpvae_core as jc


def frame(size: tuple[int, int], entries: Any, signs: Any) -> Any:
    """The frame of a size (n, d)."""
    return jc.frame(entries, *size, signs)


def rotation(n: int, entries: Any) -> tuple[Any, ...]:
    """A, the rotation as ``orthogonal`` makes it, and as ``cayley`` does."""
    A = jc.skew(entries, n)
    return A, jc.orthogonal(entries, n), jc.cayley(A)


def inverse_cayley(_: None, Q: Any) -> Any:
    """The skew matrix of a rotation."""
    return jc.inverse_cayley(Q)


def dense(structure: Any, parameters: dict[str, Any]) -> tuple[Any, ...]:
    """The dense views of a prior: Sigma, its inverse, log|Sigma|, the largest singular value of any C_ij."""
    prior = structure.prior(parameters)
    return prior.covariance(), prior.precision(), prior.log_det(), prior.max_singular_value()


def kl(structure: Any, parameters: dict[str, Any], means: Any, log_vars: Any, mask: Any = None) -> Any:
    """The canonical KL, one number per row."""
    return jc.kl_divergence(structure.prior(parameters), means, log_vars, mask)


def log_density(structure: Any, parameters: dict[str, Any], latents: Any, mask: Any = None) -> Any:
    """The prior's log-density, one number per row."""
    return jc.log_density(structure.prior(parameters), latents, mask)


def fused(structure: Any, parameters: dict[str, Any], means: Any, log_vars: Any, mask: Any, noise: Any) -> dict[str, Any]:
    """The fused posterior: its mean, KL, covariance, draws from noise, and their log-density."""
    return _of(jc.fuse(structure.prior(parameters), means, log_vars, mask), noise)


def fused_in_frames(structure: Any, parameters: dict[str, Any], means: Any, log_vars: Any, mask: Any, noise: Any) -> Any:
    """The same in the frames' coordinates."""
    return _of(jc.fuse(structure.prior(parameters), means, log_vars, mask, "frame"), noise)


def _of(q: Any, noise: Any) -> dict[str, Any]:
    drawn = q.draw(noise)
    found = {"mean": q.mean(), "kl": q.kl(), "covariance": q.covariance(), "drawn": drawn}
    return found | {"log_density": q.log_density(drawn)}


def references(structure: Any, parameters: dict[str, Any], means: Any, log_vars: Any) -> dict[str, Any]:
    """The paper's forms: Eq. 7 on the dense covariance; Eq. 9 for two views; Eq. 16 where C = alpha R."""
    prior = structure.prior(parameters)
    forms = {"eq7": jc.kl_dense(means, log_vars, prior.covariance())}
    if len(structure.dims) == 2:
        forms["eq9"] = jc.kl_eq9(means, log_vars, prior.cross_covariance(1, 0))
    if structure.kind == "orthogonal":
        forms["eq16"] = jc.kl_eq16(means, log_vars, parameters["frames"][1], parameters["alpha"])
    return forms


def condition(structure: Any, parameters: dict[str, Any], latents: Any, mask: Any, log_vars: Any) -> tuple[Any, ...]:
    """Conditional means, covariances where the observed latents are known, and where they are uncertain."""
    prior = structure.prior(parameters)
    uncertain = jc.condition(prior, latents, mask, log_vars=log_vars).covariances
    return *jc.condition(prior, latents, mask), uncertain


def complete(structure: Any, parameters: dict[str, Any], latents: Any, mask: Any, noise: Any) -> tuple[Any, ...]:
    """Draws of the missing latents given the observed ones."""
    return jc.complete(structure.prior(parameters), latents, mask, noise)


def sample(structure: Any, parameters: dict[str, Any], noise: Any) -> tuple[Any, ...]:
    """Draws of all latents from the prior."""
    return jc.sample(structure.prior(parameters), noise)
