"""What families compute of each column: sums over its rows, and the moments of its observed cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from jpvae_core._array_api import X, of_kind

from .family import Floats


def over_rows(xp: Any, entries: X) -> X:
    """Sum over all axes but the last: a feature's own parameter serves all rows.

    Parameters
    ----------
    xp : array-API namespace
    entries : array (..., B, c)

    Returns
    -------
    array (c,)

    Examples
    --------
    >>> import numpy as np
    >>> from jpvae.model.likelihoods import over_rows
    >>> over_rows(np, np.ones((3, 2)))
    array([3., 3.])
    """
    return of_kind(entries, xp.sum(entries, axis=tuple(range(entries.ndim - 1))))


def observed_moments(values: Floats, observed: np.ndarray) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the observed cells, in float64; a constant column keeps scale 1.

    Parameters
    ----------
    values : array (N, c)
        NaN where a cell is left out.
    observed : bool array (N,)

    Returns
    -------
    location, scale : arrays (c,)

    Examples
    --------
    >>> import numpy as np
    >>> from jpvae.model.likelihoods import observed_moments
    >>> observed_moments(np.asarray([[1.0, 5.0], [3.0, 5.0], [9.0, 9.0]]), np.asarray([True, True, False]))
    (array([2., 5.]), array([1., 1.]))
    """
    rows = values[observed].astype(np.float64)
    known = ~np.isnan(rows)
    where: Any = True if known.all() else known  # NumPy adds in another order where there is something to leave out
    scale = rows.std(axis=0, where=where)
    # Where nothing varies, the deviation may be a rounding error instead of 0.
    varies = rows.max(axis=0, where=where, initial=-np.inf) != rows.min(axis=0, where=where, initial=np.inf)
    return rows.mean(axis=0, where=where), np.where(varies & (scale > 0), scale, 1.0)
