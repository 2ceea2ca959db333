"""log Gamma and what counts need of it, written over the array API, which has none.

Stirling's series: log Gamma(z) = (z - 1/2) log z - z + log(2 pi)/2 + S(z), S(z) = sum_k B_2k / (2k (2k - 1) z^(2k-1)).

For z >= 8 seven terms are off by less than the eighth, 3617 / (122400 z^15) < 9e-16 (the series envelops: Whittaker and Watson,
section 12.33). Smaller z are brought there by log Gamma(z) = log Gamma(z + 8) - log(z (z + 1) ... (z + 7)), and so are all
others: an array has no branches. A difference log Gamma(z + n) - log Gamma(z) is not taken of two large numbers; with Z = z + 8

    (Z - 1/2) log(1 + n/Z) + n log(Z + n) - n + S(Z + n) - S(Z) - sum_{k<8} log(1 + n/(z + k))

which keeps its accuracy however large z is; its derivative in z, psi(z + n) - psi(z), is that of each term.

In a probability of a count x the large terms, x log of something, cancel: of 1e6 counts they come to 1e7, and a float32 of that
is off by a nat. The functions here therefore give what is left without them, and poisson.py and negative_binomial.py put the
large ones together by hand.
"""

from __future__ import annotations

import math
from typing import Any

Array = Any

_SHIFT = 8
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)  # B_2k / (2k (2k - 1))


def log_factorial_rest(xp: Any, x: Array) -> Array:
    """T of log x! = x log(x + 9) - (x + 9) + T, x >= 0: what is left is small, a few logs of x."""
    Z = x + (_SHIFT + 1)
    ratios = sum(xp.log1p(-k / Z) for k in range(1, _SHIFT + 1))  # log((x + 1) ... (x + 8)) - 8 log Z
    return 0.5 * xp.log(Z) + 0.5 * math.log(2.0 * math.pi) + _series(Z) - ratios


def log_gamma_rise_rest(xp: Any, z: Array, n: Array) -> Array:
    """R of log Gamma(z + n) - log Gamma(z) = n log(z + n + 8) - n + R, z > 0, n >= 0."""
    Z = z + _SHIFT
    shift = sum(xp.log1p(n / (z + k)) for k in range(_SHIFT))
    return (Z - 0.5) * xp.log1p(n / Z) + (_series(Z + n) - _series(Z)) - shift


def digamma_rise(xp: Any, z: Array, n: Array) -> Array:
    """psi(z + n) - psi(z), the derivative of log Gamma(z + n) - log Gamma(z) in z."""
    Z = z + _SHIFT
    shift = sum(n / ((z + k) * (z + n + k)) for k in range(_SHIFT))
    return xp.log1p(n / Z) + 0.5 * n / (Z * (Z + n)) + (_series_slope(Z + n) - _series_slope(Z)) + shift


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
