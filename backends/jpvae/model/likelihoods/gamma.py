"""What the probability of a count needs of log Gamma, written over the array API, which has none.

Stirling's formula, log Gamma(z) = (z - 1/2) log z - z + log(2 pi)/2 + delta(z), leaves an error delta that is small: a
probability's large terms, x log of something, are put together by hand (poisson.py, negative_binomial.py; the idea is Loader's,
"Fast and accurate computation of binomial probabilities", 2000), and what is left of log Gamma is delta. With log Gamma itself,
a count of 1e9 would be off by 1,000 nats in float32.

    z >= 8:  delta(z) = S(z) = sum_k B_2k / (2k (2k - 1) z^(2k-1)),  k = 1 ... 8
    z < 8:   delta(z) = S(Z) - 8 + (z + 1/2) log(1 + 8/z) - sum_{j=1..7} log(1 - j/Z),  Z = z + 8

Eight terms are off by less than the ninth, 43867 / (244188 z^17) < 9e-17 (the series envelops: Whittaker and Watson, section
12.33); the second line is log Gamma(z) = log Gamma(z + 8) - log(z (z + 1) ... (z + 7)).
"""

from __future__ import annotations

import math
from typing import Any

Array = Any

_SHIFT = 8
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)  # B_2k / (2k (2k - 1))
_ATANH = tuple(1 / (2 * j + 3) for j in range(9))  # atanh u = u + u^3 (1/3 + u^2/5 + ...)
_NEAR = 0.25


def stirling_error(xp: Any, z: Array) -> Array:
    """delta(z), z > 0: accurate to a few eps of its own size for z >= 8, to a few eps of log(1/z) + 8 below."""
    eight = xp.full_like(z, _SHIFT)
    small = z < eight
    low = xp.minimum(z, eight)  # the branch that `where` leaves out must be finite as well, for autograd's sake
    product = xp.ones_like(z)
    for j in range(1, _SHIFT):
        product = product * (1.0 - j / (low + _SHIFT))
    shift = (low + 0.5) * xp.log1p(_SHIFT / low) - _SHIFT - xp.log(product)
    return _series(xp.where(small, z + _SHIFT, z)) + xp.where(small, shift, xp.zeros_like(z))


def stirling_error_slope(xp: Any, z: Array) -> Array:
    """delta'(z)."""
    eight = xp.full_like(z, _SHIFT)
    small = z < eight
    low = xp.minimum(z, eight)
    Z = low + _SHIFT
    shift = xp.log1p(_SHIFT / low) - _SHIFT * (low + 0.5) / (low * Z)
    for j in range(1, _SHIFT):
        shift = shift - j / ((Z - j) * Z)
    return _series_slope(xp.where(small, z + _SHIFT, z)) + xp.where(small, shift, xp.zeros_like(z))


def log_factorial_rest(xp: Any, x: Array) -> Array:
    """log x! - (x log x - x) = log(2 pi x)/2 + delta(x), x >= 1: what a count's probability needs of x!."""
    return 0.5 * xp.log(x) + 0.5 * math.log(2.0 * math.pi) + stirling_error(xp, x)


def log1p_rest(xp: Any, v: Array, log: Array | None = None) -> Array:
    """log(1 + v) - v, v > -1: about -v^2/2, to a few eps of itself, and so is its slope -v/(1 + v) under autograd.

    Near 0, with u = v/(2 + v): log(1 + v) = 2 atanh u and v - 2u = u v, so that it is 2 u^3 (1/3 + u^2/5 + ...) - u v; u is at
    most 1/7 where |v| <= 1/4, and the tenth term below 49^-9. ``log``: log(1 + v) for v < -1/2, where 1 + v has lost digits.
    """
    near = xp.abs(v) <= _NEAR
    zero, low = xp.zeros_like(v), xp.full_like(v, -0.5)
    n = xp.where(near, v, zero)
    u = n / (2.0 + n)
    total = xp.full_like(v, _ATANH[-1])
    for c in reversed(_ATANH[:-1]):
        total = c + u * u * total
    far = xp.log1p(v) if log is None else xp.where(v < low, log, xp.log1p(xp.where(v < low, low, v)))
    return xp.where(near, 2.0 * u * u * u * total - u * n, far - v)


def _series(z: Array) -> Array:
    """S(z), by Horner's rule in 1/z^2."""
    w = 1.0 / (z * z)
    total = _STIRLING[-1]
    for b in reversed(_STIRLING[:-1]):
        total = b + w * total
    return total / z


def _series_slope(z: Array) -> Array:
    """S'(z) = -sum_k (2k - 1) B_2k / (2k (2k - 1)) / z^2k."""
    w = 1.0 / (z * z)
    total = 0.0
    for k in reversed(range(len(_STIRLING))):
        total = (2 * k + 1) * _STIRLING[k] + w * total
    return -w * total
