"""The door of the fused posterior: what every observed view has to say about ALL latents, carried by the joint prior.

    q(z | x_O)  ~  N(z_O; 0, Sigma_OO) prod_{i in O} q_i(z_i)/N(z_i; 0, I)  p(z_rest | z_O)

Which of two posteriors it opens depends on the coordinates in which the encoders' covariances are diagonal: the latents' own
(fused_latents.py, with the derivation), or those of the frames (fused_frames.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

from ._alone import alone_of_each, together
from ._array_api import Array, X
from ._bits import bits_of
from ._checks import check_dtype, check_evidence, check_posterior
from ._door import Mask, Views, enter, spread_of, twice_log
from ._xp import eye_like, public
from .errors import ArgumentError, ShapeError
from .fused_frames import Direction, FusedInFrames
from .fused_latents import Fused
from .prior import JointPrior
from .rotated import Frame, square


@overload
def fuse(
    prior: JointPrior,
    means: Views[X],
    log_vars: Views[X] | None = None,
    mask: Mask | None = None,
    coordinates: Literal["latent"] = "latent",
    *,
    std: Views[X] | None = None,
) -> Fused[X]: ...
@overload
def fuse(
    prior: JointPrior,
    means: Views[X],
    log_vars: Views[X] | None,
    mask: Mask | None,
    coordinates: Literal["latent", "frame"],
    *,
    std: Views[X] | None = None,
) -> Fused[X] | FusedInFrames[X]: ...
@public
def fuse(
    prior: JointPrior,
    means: Views[X],
    log_vars: Views[X] | None = None,
    mask: Mask | None = None,
    coordinates: Literal["latent", "frame"] = "latent",
    *,
    std: Views[X] | None = None,
) -> Fused[X] | FusedInFrames[X]:
    """The fused posterior q(z | x_O): every view's evidence multiplied into the joint prior.

    Parameters
    ----------
    prior : JointPrior
        Over M views.
    means, log_vars : list of M arrays (..., B, n_i), or a dict by the prior's names
        What each encoder makes of its view alone; (n_i,) for a single row. log_vars must be at most 0, for a view can only add
        information (log_var = -softplus(s) keeps it so): where values can be seen one above 0 is refused, elsewhere the result
        has no meaning. What a missing view's hold, NaN included, is ignored and gets gradient 0.
    mask : None, array (M,) or (..., B, M), or a list or dict by view
        As that of ``kl_divergence``. Leading axes (``subsets`` of the views, for instance) broadcast against the means'.
    coordinates : {"latent", "frame"}
        In which coordinates the encoders' covariances are diagonal: those of the latents ("latent", the paper's encoders), or
        those of the frames ("frame": diag exp(log_var_i) is the covariance of Q_i^T z_i; the means stay the latents'). The
        latter needs no factorisation, and square frames.
    std : like means
        Standard deviations, at most 1, in place of log_vars.

    Returns
    -------
    Fused or FusedInFrames
        With ``mean()``, ``kl()``, ``draw(noise)``, ``log_density(latents)``, ``covariance()`` and ``noise_dim``; the first has
        ``error_bound()`` too. Independent views have no frames: the first for both coordinates.

    Raises
    ------
    ShapeError, DtypeError, LibraryError, ArgumentError
    NotAContraction
        Where a factorisation fails in "latent" (JAX gives NaN): see below.

    Notes
    -----
    How far rounding reaches (docs/error-analysis.md) depends on w = 1/(r^2 + (1 - r^2) min sigma^2), r^2 the smallest 1 - a^2
    of a direction ((1 - s^2)/2 of a pair): on how strong the coupling is where the evidence is as sharp. In "latent", means,
    draws, covariances and the KL are off by at most 8 n^2 w eps of their size (``error_bound()`` has it, row by row); where
    that reaches 1 (n = 4, float32: at a gap 1 - a^2 of 1e-5) no digit is promised. In "frame", means, draws and covariances
    keep their digits at any coupling, and the KL loses w eps^2 of its size.

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> prior = jc.JointPrior.orthogonal(np.eye(2), 0.9)
    >>> mu, log_var = [np.ones((1, 2)), np.zeros((1, 2))], [np.full((1, 2), -1.0), np.full((1, 2), -1.0)]
    >>> q = jc.fuse(prior, mu, log_var, np.array([True, False]))
    >>> bool(np.allclose(q.mean()[0], mu[0]) and np.allclose(q.mean()[1], 0.9 * mu[0]))
    True
    """
    kind, given = spread_of(log_vars, std)
    xp, (mu, log_var), bare, form = enter(prior, mask, means=means, **{kind: given})
    check_posterior(mu, log_var, prior.dims, kind)
    check_dtype(**{"means[0]": mu[0]}, **prior.named_arrays)
    like = mu[0]
    bits: list[Array] = [xp.ones_like(like[..., :1])] * len(mu)
    present: list[Array] | None = None
    if bare is not None:
        # What a view says alone is the same for every subset of the views on leading axes of the mask: it is computed once.
        some = xp.any(xp.astype(bare, xp.bool), axis=tuple(range(bare.ndim - like.ndim))) if bare.ndim > like.ndim else bare
        present, (mu, log_var) = bits_of(xp, some, mu, log_var)
        bits, _ = bits_of(xp, bare, mu)
    if kind == "std":
        log_var = twice_log(xp, log_var, present)
    check_evidence(log_var, kind)
    if not isinstance(coordinates, str) or coordinates not in ("latent", "frame"):
        raise ArgumentError(f"coordinates is {coordinates!r}; expected 'latent' or 'frame'")
    loadings = prior.coupling.loadings_of(xp, like)
    if coordinates == "frame" and prior.coupling.rank > 0:
        if not all(map(square, prior.frames)):
            raise ShapeError(
                f"the prior has latent sizes {prior.dims} and {prior.coupling.rank} directions; coordinates='frame' needs "
                "every frame square. Use coordinates='latent', or a prior with as many directions as latents."
            )
        directions = [
            Direction.of(frame, a[..., None, :], r[..., None, :], mean, spread, bit)
            for frame, (a, r), mean, spread, bit in zip(prior.frames, loadings, mu, log_var, bits, strict=True)
        ]
        return FusedInFrames._of(prior, bare, xp, tuple(directions), form)
    frames: Sequence[Frame] = prior.frames
    if prior.coupling.rank == 0:  # one direction of loading 0: independent views by the same formulas
        frames = [eye_like(xp, like, n, 1) for n in prior.dims]
    alone = alone_of_each(xp, prior.coupling.uniform, frames, loadings, mu, log_var, bits)
    source: Any = together(xp, alone)
    return Fused(prior, bare, xp, alone, source, form)
