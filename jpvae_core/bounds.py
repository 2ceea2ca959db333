"""Correlations s in (-1, 1) from free parameters, with 1 - s and 1 + s kept to full relative precision.

Everything the two-view prior needs is a ratio against 1 - s, 1 + s or 1 - s^2. Each is computed FROM THE PARAMETER in a
form without subtraction, because `1 - s*s` has lost all digits long before s rounds to 1:

             s                    s/(1-s)          -s/(1+s)
    sigmoid  1/(1 + e^-t)         e^t              -1/(2 + e^-t)
    tanh     tanh(t/2)            expm1(t)/2       expm1(-t)/2
    number   alpha                alpha/(1-alpha)  -alpha/(1+alpha)

and x := s^2/(1-s^2) is minus the product of the last two. Then 1/(1-s) = 1 + s/(1-s), 1/(1+s) = 1 - s/(1+s),
1/(1-s^2) = 1 + x and log(1-s^2) = -log1p(x): all smooth through s = 0. (fl(1 - alpha) is correctly rounded, so an
alpha close to 1 is as good as its own last bit.)

A logit t stands for itself up to |t| = LIMIT, where e^|t| is the dtype's largest number but for 0.3 %; beyond it stands for
+-LIMIT, with derivative 0 (``within``). So every parameter value means a correlation in (-1, 1) whose ratios are finite.
"""

from __future__ import annotations

from numbers import Real
from typing import Any, Generic, NamedTuple

from ._array_api import Array, Namespace, X
from ._checks import check_alpha, check_dtype, dtype_name
from ._named import array_of, one_library
from ._xp import asarray_like, public

LIMIT = {"float32": 88.72, "float64": 709.78}


class Bounded(NamedTuple, Generic[X]):
    """A correlation s with |s| < 1 and the ratios that its derivations need, arrays of one shape.

    Attributes
    ----------
    value
        s.
    over_minus
        s/(1-s).
    over_plus
        -s/(1+s).
    excess
        s^2/(1-s^2).

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> s = jc.number_bound(0.5, np.zeros(1))
    >>> float(s.value), float(s.over_minus), float(s.excess.round(6))
    (0.5, 1.0, 0.333333)
    """

    value: X
    over_minus: X  # s/(1-s)
    over_plus: X  # -s/(1+s)
    excess: X  # s^2/(1-s^2)


@public
def sigmoid_bound(logits: X) -> Bounded[X]:
    """``s = sigmoid(logits)`` in (0, 1), with its ratios.

    Relative errors: s 4 (1 + log(1/s)) eps; s/(1-s) 4 eps; -s/(1+s) 5.5 eps; x 10 eps (docs/error-analysis.md).

    Parameters
    ----------
    logits : array (...)
        Free parameters. Those beyond +-88.72 (float64: +-709.78) count as that value, with derivative 0.

    Returns
    -------
    Bounded of arrays (...)

    Raises
    ------
    DtypeError, LibraryError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> jc.sigmoid_bound(np.asarray([0.0, 800.0])).value
    array([0.5, 1. ])
    """
    xp = one_library(logits=logits)
    check_dtype(logits=logits)
    t = within(xp, logits)
    value = xp.exp(-xp.logaddexp(xp.zeros_like(t), -t))
    return _bounded(value, xp.exp(t), -1.0 / (2.0 + xp.exp(-t)))


@public
def tanh_bound(logits: X) -> Bounded[X]:
    """``s = tanh(logits / 2)`` in (-1, 1), the paper's (1 - e^-t)/(1 + e^-t), with its ratios.

    Relative errors: s, s/(1-s), -s/(1+s) 4 eps; x 8.5 eps.

    Parameters
    ----------
    logits : array (...)
        Free parameters. Those beyond +-88.72 (float64: +-709.78) count as that value, with derivative 0.

    Returns
    -------
    Bounded of arrays (...)

    Raises
    ------
    DtypeError, LibraryError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> jc.tanh_bound(2.0 * np.arctanh(np.asarray([-0.5, 0.0]))).value.round(12)
    array([-0.5,  0. ])
    """
    xp = one_library(logits=logits)
    check_dtype(logits=logits)
    t = within(xp, logits)
    return _bounded(xp.tanh(0.5 * t), 0.5 * xp.expm1(t), 0.5 * xp.expm1(-t))


@public
def number_bound(alpha: float | Array, like: X) -> Bounded[X]:
    """The correlation ``alpha`` itself, with its ratios.

    A plain number's ratios are taken in double precision and rounded once, so 1 - 1e-9 is as good in float32 as 0.5.
    Relative errors: s 0 (a number: 1/2 eps); s/(1-s), -s/(1+s) 1 eps; x 2.5 eps.

    Parameters
    ----------
    alpha : number or array (...)
        |alpha| < 1; the values of an array are not checked.
    like : array
        Gives dtype, device and library.

    Returns
    -------
    Bounded of arrays (...), or () for a number

    Raises
    ------
    NotAContraction
        If a plain number is outside (-1, 1).
    DtypeError, LibraryError

    Examples
    --------
    >>> import numpy as np, jpvae_core as jc
    >>> float(jc.number_bound(0.75, np.zeros(1)).over_minus)
    3.0
    """
    held = array_of("alpha", alpha)
    xp = one_library(like=like, **({} if held is None else {"alpha": held}))
    check_alpha(alpha)
    check_dtype(like=like)
    if isinstance(alpha, Real):
        t = float(alpha)
        ratios = (asarray_like(xp, like, x) for x in (t, t / (1.0 - t), -t / (1.0 + t)))
        return _bounded(*ratios)
    s: Any = alpha
    check_dtype(alpha=s, like=like)
    return _bounded(s, s / (1.0 - s), -s / (1.0 + s))


def within(xp: Namespace, logits: Array) -> Array:
    """The logits, those beyond +-LIMIT brought back to it."""
    limit = xp.full_like(logits, LIMIT[dtype_name(logits.dtype)])
    return xp.minimum(xp.maximum(logits, -limit), limit)


def _bounded(value: Any, over_minus: Any, over_plus: Any) -> Bounded[Any]:
    return Bounded(value, over_minus, over_plus, -over_minus * over_plus)
