"""Correlations s in (-1, 1) from free parameters, with 1 - s and 1 + s kept to full relative precision.

Everything the two-view prior needs is a ratio against 1 - s, 1 + s or 1 - s^2. Each is computed FROM THE PARAMETER in a
form without subtraction, because `1 - s*s` has lost all digits long before s rounds to 1:

             s                    s/(1-s)          -s/(1+s)          s^2/(1-s^2) =: x
    sigmoid  1/(1 + e^-t)         e^t              -e^t/(1+2e^t)     e^t e^t/(1+2e^t)
    tanh     tanh(t/2)            expm1(t)/2       expm1(-t)/2       sinh(t/2)^2
    number   alpha                alpha/(1-alpha)  -alpha/(1+alpha)  alpha^2/((1-alpha)(1+alpha))

Then 1/(1-s) = 1 + s/(1-s), 1/(1+s) = 1 - s/(1+s), 1/(1-s^2) = 1 + x and log(1-s^2) = -log1p(x): all smooth through s = 0.
(fl(1 - alpha) is correctly rounded, so a number alpha close to 1 is as good as its own last bit.)
"""

from __future__ import annotations

from numbers import Real
from typing import NamedTuple

from ._checks import check_alpha, check_dtype
from ._xp import Array, asarray_like, namespace


class Bounded(NamedTuple):
    """A correlation s with |s| < 1 and the ratios that its derivations need, all arrays of one shape."""

    value: Array
    over_minus: Array  # s/(1-s)
    over_plus: Array  # -s/(1+s)
    excess: Array  # s^2/(1-s^2)


def sigmoid_bound(logits: Array) -> Bounded:
    """``s = sigmoid(logits)`` in (0, 1). logits: (...) -> Bounded of (...). Accurate for |logits| <= 80 (float32)."""
    xp = namespace(logits)
    check_dtype(logits=logits)
    odds = xp.exp(logits)
    ratio = odds / (1.0 + 2.0 * odds)
    return Bounded(xp.exp(-xp.logaddexp(xp.zeros_like(logits), -logits)), odds, -ratio, odds * ratio)


def tanh_bound(logits: Array) -> Bounded:
    """``s = tanh(logits / 2)`` in (-1, 1), the paper's (1 - e^-t)/(1 + e^-t). logits: (...) -> Bounded of (...)."""
    xp = namespace(logits)
    check_dtype(logits=logits)
    half_sinh = xp.sinh(0.5 * logits)
    return Bounded(xp.tanh(0.5 * logits), 0.5 * xp.expm1(logits), 0.5 * xp.expm1(-logits), half_sinh * half_sinh)


def number_bound(alpha: float | Array, like: Array) -> Bounded:
    """The correlation ``alpha`` itself, |alpha| < 1. alpha: a number or (...); ``like`` gives dtype and device.

    Raises NotAContraction where a plain number is outside (-1, 1).
    """
    xp = namespace(like)
    check_alpha(alpha)
    s: Array = asarray_like(xp, like, alpha) if isinstance(alpha, Real) else alpha
    check_dtype(alpha=s, like=like)
    return Bounded(s, s / (1.0 - s), -s / (1.0 + s), s * s / ((1.0 - s) * (1.0 + s)))
