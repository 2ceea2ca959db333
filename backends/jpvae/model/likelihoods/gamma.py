"""What the probability of a count needs of log Gamma, written over the array API, which has none.

Stirling's formula, log Gamma(z) = (z - 1/2) log z - z + log(2 pi)/2 + delta(z), leaves an error delta that is small: a
probability's large terms, x log of something, are put together by hand (poisson.py, negative_binomial.py; the idea is Loader's,
"Fast and accurate computation of binomial probabilities", 2000), and what is left of log Gamma is delta. With log Gamma itself,
a count of 1e9 would be off by 1,000 nats in float32.

    z >= 8:    delta(z) = S(z) = sum_k B_2k / (2k (2k - 1) z^(2k-1)),  k = 1 ... 8
    any z > 0: delta(z) = S(Z) - 8 + (z + 1/2) log(1 + 8/z) - sum_{j=1..7} log(1 - j/Z),  Z = z + 8

Eight terms are off by less than the ninth, 43867 / (244188 z^17) < 9e-17 (the series envelops: Whittaker and Watson, section
12.33), in float32 three by less than the fourth, 1/(1680 z^7) < 3e-10; the second line is log Gamma(z) = log Gamma(z + 8) -
log(z (z + 1) ... (z + 7)). A choice between the two, or between a series and a logarithm, multiplies by 0 and 1 here: both
are finite, and ``where`` takes 20 times as long as a product.
"""

from __future__ import annotations

import math
from typing import Any

from jpvae_core._array_api import Array, X, of_kind

_SHIFT = 8
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)  # B_2k / (2k (2k - 1))
_ATANH = tuple(1 / (2 * j + 3) for j in range(9))  # atanh u = u + u^3 (1/3 + u^2/5 + ...)
_SLOPES = tuple((2 * k + 1) * c for k, c in enumerate(_STIRLING))  # S'(z) = -(1/z^2) sum of these / z^2k
_NEAR = 0.25


def stirling_error_rise(xp: Any, z: X, n: X) -> X:
    """delta(z + n) - delta(z), z > 0, n >= 0: to a few eps of delta(z) for z >= 8, of log(1/z) + 8 below; 0 where n is."""
    low = xp.astype(z < _SHIFT, z.dtype)
    return of_kind(z, _error(xp, z + n, low) - _error(xp, z, low))


def stirling_error_rise_slope(xp: Any, z: X, n: X) -> X:
    """delta'(z + n) - delta'(z)."""
    low = xp.astype(z < _SHIFT, z.dtype)
    return of_kind(z, _error_slope(xp, z + n, low) - _error_slope(xp, z, low))


def log_factorial_rest(xp: Any, x: X) -> X:
    """log x! - (x log x - x) = log(2 pi x)/2 + delta(x), x >= 1: what a count's probability needs of x!."""
    return of_kind(x, 0.5 * xp.log(x) + 0.5 * math.log(2.0 * math.pi) + _error(xp, x, 1.0))


def log1p_rest(xp: Any, v: X, log: X) -> X:
    """log(1 + v) - v, v > -1, given log(1 + v): about -v^2/2, to a few eps of itself, as is its slope -v/(1 + v) by autograd.

    Where |v| <= 1/4, with u = v/(2 + v): log(1 + v) = 2 atanh u and v - 2u = u v, so that it is
    2 u^3 (1/3 + u^2/5 + ...) - u v; u is at most 1/7, and the tenth term below 49^-9, the fifth (float32) below 49^-4.
    """
    near = xp.astype(xp.abs(v) <= _NEAR, v.dtype)
    n = near * v
    u = n / (2.0 + n)
    square = u * u
    series = _horner(_ATANH[: 4 if _single(xp, v) else 9], square)
    return of_kind(v, u * (2.0 * square * series - n) + (1.0 - near) * (log - v))


def _error(xp: Any, z: X, low: X | float) -> X:
    """delta(z), by the second line where low is 1, by the first where it is 0."""
    shift = _SHIFT * low
    y = 1.0 / (z + shift)
    square = y * y
    b = 1.0 - shift * y  # (1 - j y)(1 - (8 - j) y) = b + j (8 - j) y^2
    q = low * square
    product = (b + 7.0 * q) * (b + 12.0 * q) * ((b + 15.0 * q) * (1.0 - 4.0 * low * y))
    series = y * _horner(_STIRLING[: 3 if _single(xp, z) else 8], square)
    return of_kind(z, series + low * ((z + 0.5) * xp.log1p(_SHIFT / z) - _SHIFT - xp.log(product)))


def _error_slope(xp: Any, z: X, low: X | float) -> X:
    Y, y = z + _SHIFT, 1.0 / (z + _SHIFT * low)
    shift = xp.log1p(_SHIFT / z) - _SHIFT * (z + 0.5) / (z * Y)
    for j in range(1, _SHIFT):
        shift = shift - j / ((Y - j) * Y)
    return of_kind(z, -y * y * _horner(_SLOPES[: 3 if _single(xp, z) else 8], y * y) + low * shift)


def _horner(coefficients: tuple[float, ...], w: X) -> X:
    """c_0 + c_1 w + c_2 w^2 + ..."""
    *others, last = coefficients
    total: Any = last
    for c in reversed(others):
        total = c + w * total
    return of_kind(w, total)


def _single(xp: Any, x: Array) -> bool:
    """Whether the dtype is float32 or coarser, for which few terms are enough."""
    return bool(xp.finfo(x.dtype).eps > 1e-9)
