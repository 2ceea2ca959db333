"""log N(z; 0, Sigma): the joint prior's log-density, in the KL's canonical form.

A point is a posterior without variance: with m_i = Q_i^T z_i and no v_i, of kl.py's terms there remain

    -2 log p(z) = sum_i | z_i - Q_i Q_i^T z_i |^2       outside the frames
                + [ log|Sigma| + quad(m) ]              the coupling (pair.py, loadings.py)
                + n log(2 pi)

No inverse, factorisation or determinant. A missing view is integrated out: Sigma_OO in place of Sigma, n_O of n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ._bits import bits_of
from ._checks import check_dtype, check_views
from ._xp import Array, X, namespace, without_autocast
from .kl import divergence
from .prior import JointPrior


@without_autocast
def log_density(prior: JointPrior, latents: Sequence[X], mask: Array | None = None) -> X:
    """log N(z_observed; 0, Sigma_observed) per row, in nats.

    latents: one array (..., B, n_i) per view (or (n_i,) for a single row); mask: None (all observed), (M,) or (..., B, M), True
    or 1 where a view is observed. What a missing view's latents hold, NaN included, is ignored and gets gradient 0. A row with
    no view at all has log-density 0.
    -> (..., B) (or () for a single row). Parameters' leading axes broadcast against the data's (a stack of models).
    Error: at most c eps L, L the same sum with every term in absolute value and c as for ``kl_divergence``.
    Raises ShapeError, DtypeError, LibraryError.
    Source: the prior of Eq. 6 and its marginals.

    >>> import numpy as np, jpvae_core as jc
    >>> z = [np.zeros((1, 2)), np.zeros((1, 2))]
    >>> bool(np.isclose(jc.log_density(jc.JointPrior.independent([2, 2]), z)[0], -2 * np.log(2 * np.pi)))
    True
    """
    xp = namespace(*latents, *prior.arrays, mask)
    check_views("latents", latents, prior.dims)
    check_dtype(**{f"latents[{i}]": x for i, x in enumerate(latents)}, **prior.named_arrays)
    if latents[0].ndim == 1:
        return log_density(prior, [z[None, :] for z in latents], mask)[..., 0]
    bits, size = None, sum(prior.dims)
    if mask is not None:
        bits, (latents,) = bits_of(xp, mask, latents)
        size = sum(n * b[..., 0] for n, b in zip(prior.dims, bits, strict=True))
    return -(size * (0.5 * math.log(2.0 * math.pi)) + divergence(xp, prior, latents, None, bits))
