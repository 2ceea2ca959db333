"""What a fitted model shows without data: sizes, training, and how its prior couples the views.

Singular values of C_ij = Q_i diag(c_ij) Q_j^T are |c_ij| exactly, because the frames are semi-orthogonal. The eigenvalues of
Sigma are 1 (outside the frames) and those of each direction's M x M correlation matrix:

    two views (jpvae_core/pair.py)       1 - s and 1 + s: the smallest is 1 - |s|
    any number (jpvae_core/loadings.py)  diag(d) + a a^T with d_i = 1 - a_i^2: by interlacing the smallest is at least the
                                         smallest d_i, and at most the next

So the lower end is positive for every parameter value: it certifies that Sigma is positive definite. Everything in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import jpvae_core as jc

from ..model.model import Model

NUMPY: Any = np  # as an array library, which its stubs do not declare


def prior_of(model: Model, parameters: Mapping[str, np.ndarray]) -> jc.JointPrior:
    """The joint prior of a model with these parameters, in NumPy float64."""
    return model.joint_prior({name: np.asarray(x, np.float64) for name, x in parameters.items() if name.startswith("prior.")})


def singular_values(prior: jc.JointPrior) -> dict[tuple[int, int], np.ndarray]:
    """The singular values (d,) of C_ij, largest first, for i < j; none where views are independent."""
    pairs = [(i, j) for j in range(len(prior.dims)) for i in range(j) if prior.coupling.rank]
    return {(i, j): np.sort(np.abs(np.asarray(prior.coupling.correlation(NUMPY, i, j))))[::-1] for i, j in sorted(pairs)}


def smallest_eigenvalue(prior: jc.JointPrior) -> tuple[float, float]:
    """(lower, upper) with lower <= smallest eigenvalue of Sigma <= upper, lower > 0; equal for at most two coupled views."""
    lower, upper = prior.coupling.eigenvalue_bounds(NUMPY)
    return float(np.asarray(lower)), float(np.asarray(upper))
