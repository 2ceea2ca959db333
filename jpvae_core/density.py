"""log N(z; 0, Sigma): the joint prior's log-density, in the KL's canonical form.

A point is a posterior without variance: with m_i = Q_i^T z_i and no v_i, of kl.py's terms there remain

    -2 log p(z) = sum_i | z_i - Q_i Q_i^T z_i |^2       outside the frames
                + [ log|Sigma| + quad(m) ]              the coupling (pair.py, loadings.py)
                + n log(2 pi)

No inverse, factorisation or determinant. A missing view is integrated out: Sigma_OO in place of Sigma, n_O of n.
"""

from __future__ import annotations

import math
from typing import Any

from ._array_api import Array, X, of_kind
from ._bits import bits_of
from ._checks import check_dtype, check_views
from ._door import Mask, Views, enter
from ._xp import public
from .kl import divergence
from .prior import JointPrior


@public
def log_density(prior: JointPrior, latents: Views[X], mask: Mask | None = None) -> X:
    """log N(z_observed; 0, Sigma_observed) per row, in nats.

    A row without any view has log-density 0. Parameters' leading axes broadcast against the data's (a stack of models).
    Error: at most c eps L, L the same sum with every term in absolute value and c as for ``kl_divergence``.
    Source: the prior of Eq. 6 and its marginals.

    Parameters
    ----------
    prior : JointPrior
    latents : list of M arrays (..., B, n_i), or a dict by the prior's names
        What a missing view holds, NaN included, is ignored and gets gradient 0.
    mask : None, array (M,) or (..., B, M), or a list or dict by view
        As that of ``kl_divergence``.

    Returns
    -------
    array (..., B), or () for a single row

    Raises
    ------
    ShapeError, DtypeError, LibraryError, ArgumentError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> z = [np.zeros((1, 2)), np.zeros((1, 2))]
    >>> bool(np.isclose(jc.log_density(jc.JointPrior.independent([2, 2]), z)[0], -2 * np.log(2 * np.pi)))
    True
    """
    xp, (rows,), bare, form = enter(prior, mask, latents=latents)
    check_views("latents", rows, prior.dims)
    check_dtype(**{f"latents[{i}]": x for i, x in enumerate(rows)}, **prior.named_arrays)
    bits: list[Array] | None = None
    size: Any = sum(prior.dims)
    if bare is not None:
        bits, (rows,) = bits_of(xp, bare, rows)
        size = sum(n * b[..., 0] for n, b in zip(prior.dims, bits, strict=True))
    total = size * (0.5 * math.log(2.0 * math.pi)) + divergence(xp, prior, rows, None, bits)
    return of_kind(rows[0], form.rows(-total))
