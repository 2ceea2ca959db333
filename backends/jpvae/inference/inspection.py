"""What a fitted model says of itself, without data: sizes, training, and how its prior couples the views.

Singular values of C_ij = Q_i diag(c_ij) Q_j^T are |c_ij| exactly, because the frames are semi-orthogonal. The eigenvalues of
Sigma are 1 (outside the frames) and those of each direction's M x M correlation matrix:

    two views (pair.py)       1 - s and 1 + s: the smallest is 1 - |s|, from s/(1-s) and s/(1+s) without subtraction
    any number (loadings.py)  diag(d) + a a^T with d_i = 1 - a_i^2: by interlacing the smallest is at least d_(1), the smallest
                              d_i, and at most d_(2), the next; a^2 = sigmoid(t) gives d_i = 1/(1 + e^t) without subtraction

So the lower end is positive for every parameter value: it certifies that Sigma is positive definite. Everything in float64.
"""

from __future__ import annotations

from collections.abc import Mapping

import array_api_compat.numpy as xp
import numpy as np

import jpvae_core as jc
from jpvae_core.loadings import Source
from jpvae_core.pair import Pair

from ..model.model import Model


def prior_of(model: Model, parameters: Mapping[str, np.ndarray]) -> jc.JointPrior:
    """The joint prior of a model with these parameters, in NumPy float64."""
    return model.joint_prior({name: np.asarray(x, np.float64) for name, x in parameters.items() if name.startswith("prior.")})


def singular_values(prior: jc.JointPrior) -> dict[tuple[int, int], np.ndarray]:
    """The singular values (d,) of C_ij, largest first, for i < j; none where views are independent."""
    if prior.coupling is None:
        return {}
    pairs = [(i, j) for j in range(len(prior.dims)) for i in range(j)]
    return {(i, j): np.sort(np.abs(prior.coupling.correlation(xp, i, j)))[::-1] for i, j in sorted(pairs)}


def smallest_eigenvalue(prior: jc.JointPrior) -> tuple[float, float]:
    """(lower, upper) with lower <= smallest eigenvalue of Sigma <= upper, lower > 0; equal for at most two coupled views."""
    if isinstance(prior.coupling, Pair):
        _, over_minus, over_plus, _ = prior.coupling.bounded
        # 1/(1 - s) = 1 + s/(1 - s), 1/(1 + s) = 1 - s/(1 + s)
        found = float(1.0 / np.max(np.maximum(1.0 + over_minus, 1.0 + over_plus)))
        return found, found
    if isinstance(prior.coupling, Source):
        _, _, e = prior.coupling.loadings
        d = np.sort(1.0 / (1.0 + e), axis=0)
        return float(d[0].min()), float(d[1].min())
    return 1.0, 1.0
