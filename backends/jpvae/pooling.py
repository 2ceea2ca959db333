"""Rubin's rules: one estimate and its uncertainty from the m estimates Q_k, with variances U_k, of m imputed data sets.

    Q = mean Q_k,   W = mean U_k,   B = sum (Q_k - Q)^2 / (m - 1),   T = W + (1 + 1/m) B        total variance
    r = (1 + 1/m) B / W,   lambda = (1 + 1/m) B / T,   (Q - true) / sqrt(T) ~ Student's t with nu degrees of freedom
    nu_R = (m - 1) / lambda^2 = (m - 1) (1 + 1/r)^2                                             Rubin 1987, Eq. 3.1.6
    1/nu = 1/nu_R + 1/nu_obs,  nu_obs = (nu_c + 1)/(nu_c + 3) nu_c (1 - lambda)                 Barnard and Rubin 1999

nu_c: the degrees of freedom that the analysis would have on complete data. Without it nu = nu_R.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from .errors import ConfigError, MissingDependency, ViewError

_LARGEST = sys.float_info.max
Number = Any  # a float, or an array (...) of them: one per component of the estimate


@dataclass(frozen=True)
class Pooled:
    """What ``pool`` gives; every field is a float, or an array with one number per component of the estimate.

    Attributes
    ----------
    estimate
        The mean of the estimates.
    within, between, total
        The variances W, B and T; T is the pooled estimate's.
    df
        nu; infinite where the estimates agree and the complete data's degrees of freedom are not given.
    relative_increase
        r, of the variance, due to what is missing.
    fraction_missing
        Of the information: (r + 2/(nu_R + 3)) / (r + 1), with Rubin's nu_R. R's mice has another number where
        ``complete_df`` is given (see ``pool``).

    Examples
    --------
    >>> from jpvae import pool
    >>> pooled = pool([1.0, 2.0, 3.0], [0.5, 0.5, 0.5])
    >>> round(float(pooled.std_error), 4)
    1.354
    >>> low, high = pooled.confidence_interval(0.95)
    >>> bool(low < pooled.estimate < high)
    True
    """

    estimate: Number
    within: Number  # W
    between: Number  # B
    total: Number  # T, the pooled estimate's variance
    df: Number  # nu; infinite where the estimates agree and the complete data's degrees of freedom are not given
    relative_increase: Number  # r, of the variance, due to what is missing
    fraction_missing: Number  # of the information: (r + 2/(nu_R + 3)) / (r + 1), with Rubin's nu_R (see ``pool``)

    @property
    def std_error(self) -> Number:
        """sqrt(T)."""
        return np.sqrt(self.total)

    def confidence_interval(self, level: float = 0.95) -> tuple[Number, Number]:
        """Lower and upper end of the interval, estimate -+ t_nu((1 + level)/2) sqrt(T).

        Parameters
        ----------
        level : float
            The probability that the interval is to cover, 0 < level < 1.

        Returns
        -------
        tuple of float or of array
            The two ends, each of the estimate's shape.

        Raises
        ------
        ConfigError
            If ``level`` is not between 0 and 1.
        MissingDependency
            If SciPy, which the base install does not include, is not installed.
        """
        try:
            from scipy.stats import t
        except ModuleNotFoundError as error:
            raise MissingDependency("confidence_interval needs SciPy: pip install 'jpvae[train]'") from error
        if not (isinstance(level, Real) and 0.0 < level < 1.0):
            raise ConfigError(f"level is {level!r}; expected 0 < level < 1, such as 0.95")
        half = t.ppf(0.5 + level / 2.0, self.df) * self.std_error
        return self.estimate - half, self.estimate + half


def pool(estimates: Any, variances: Any, *, complete_df: float | None = None) -> Pooled:
    """Combine the same analysis of m imputed data sets by Rubin's rules, component by component.

    Parameters
    ----------
    estimates : array_like, shape (m,) or (m, ...)
        One estimate per imputed data set, m >= 2. Draw the data sets with ``sample_imputations(..., observation_noise=True)``:
        decoded means alone vary too little.
    variances : array_like, same shape
        The squared standard errors of the estimates.
    complete_df : float, optional
        The degrees of freedom of the analysis on complete data: for a regression, rows minus coefficients. Without it, they
        are taken to be infinite.

    Returns
    -------
    Pooled
        The combined estimate, its variance and degrees of freedom, and the fraction of missing information.

    Raises
    ------
    ViewError
        If there are fewer than two estimates, if the shapes differ, if a value is not finite or a variance is negative.
    ConfigError
        If ``complete_df`` is not positive and finite.

    Notes
    -----
    ``fraction_missing`` is that of Rubin (1987) and uses the degrees of freedom nu_R whether or not ``complete_df`` is
    given. R's mice uses the adjusted nu of Barnard and Rubin (1999) instead when the complete data's degrees of freedom are
    known, so its ``fmi`` is larger then; without ``complete_df`` the two agree.

    Examples
    --------
    >>> from jpvae import pool
    >>> pooled = pool([1.0, 2.0, 3.0], [0.5, 0.5, 0.5])
    >>> pooled.estimate, pooled.within, pooled.between
    (2.0, 0.5, 1.0)
    >>> round(pooled.total, 4), round(pooled.df, 4)
    (1.8333, 3.7812)
    """
    Q, U = (_numbers(name, x) for name, x in (("estimates", estimates), ("variances", variances)))
    if Q.ndim == 0 or len(Q) < 2:
        raise ViewError(f"estimates has shape {Q.shape}; expected (m,) or (m, ...) with m >= 2, one per imputed data set")
    if U.shape != Q.shape:
        raise ViewError(f"variances has shape {U.shape}; expected that of estimates, {Q.shape}")
    if (U < 0).any():
        raise ViewError(f"variances has the negative entry {U.min():g}; expected squared standard errors")
    if complete_df is not None and not (isinstance(complete_df, Real) and 0 < complete_df <= _LARGEST):
        raise ConfigError(f"complete_df is {complete_df!r}; expected a positive number, or None if it is large")
    m = len(Q)
    within, between = U.mean(axis=0), Q.var(axis=0, ddof=1)
    extra = (1.0 + 1.0 / m) * between
    total = within + extra
    with np.errstate(divide="ignore", invalid="ignore"):  # estimates that agree: 1/0 is meant; 0/0 only where all is 0
        share = np.where(extra > 0, extra / total, 0.0)
        increase = np.where(extra > 0, extra / within, 0.0)
        df_rubin = (m - 1) / share**2
        df = df_rubin
        if complete_df is not None:
            df_observed = (complete_df + 1.0) / (complete_df + 3.0) * complete_df * (1.0 - share)
            df = 1.0 / (1.0 / df_rubin + 1.0 / df_observed)
    fraction = share + (1.0 - share) * 2.0 / (df_rubin + 3.0)
    found = (Q.mean(axis=0), within, between, total, df, increase, fraction)
    return Pooled(*(x if np.ndim(x) else float(x) for x in found))


def _numbers(name: str, x: Any) -> np.ndarray:
    try:
        values = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ViewError(f"{name} is not an array of numbers ({error}); expected (m,) or (m, ...)") from error
    if not np.isfinite(values).all():
        raise ViewError(f"{name} has an entry that is not finite; expected a number from each of the imputed data sets")
    return values
