"""log Gamma and what counts need of it, written over the array API, which has none.

Stirling's series: log Gamma(z) = (z - 1/2) log z - z + log(2 pi)/2 + S(z), S(z) = sum_k B_2k / (2k (2k - 1) z^(2k-1)).

For z >= 8 seven terms are off by less than the eighth, 3617 / (122400 z^15) < 9e-16 (the series envelops: Whittaker and Watson,
section 12.33). Smaller z are brought there by log Gamma(z) = log Gamma(z + 8) - log(z (z + 1) ... (z + 7)), and so are all
others: an array has no branches. A difference log Gamma(z + n) - log Gamma(z) is not taken of two large numbers; with Z = z + 8

    (Z - 1/2) log(1 + n/Z) + n log(Z + n) - n + S(Z + n) - S(Z) - sum_{k<8} log(1 + n/(z + k))

which keeps its accuracy however large z is; its derivative in z, psi(z + n) - psi(z), is that of each term.
"""

from __future__ import annotations

import math
from typing import Any

Array = Any

_SHIFT = 8
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)  # B_2k / (2k (2k - 1))


def log_gamma(xp: Any, z: Array) -> Array:
    """log Gamma(z), 0 < z <= 1e9 (then no product of four overflows a float32)."""
    Z = z + _SHIFT
    low, high = ((z + a) * (z + (a + 1)) * (z + (a + 2)) * (z + (a + 3)) for a in (0, 4))
    return (Z - 0.5) * xp.log(Z) - Z + 0.5 * math.log(2.0 * math.pi) + _series(Z) - (xp.log(low) + xp.log(high))


def log_gamma_rise(xp: Any, z: Array, n: Array) -> Array:
    """log Gamma(z + n) - log Gamma(z), z > 0, n >= 0."""
    Z = z + _SHIFT
    shift = sum(xp.log1p(n / (z + k)) for k in range(_SHIFT))
    return (Z - 0.5) * xp.log1p(n / Z) + n * xp.log(Z + n) - n + (_series(Z + n) - _series(Z)) - shift


def digamma_rise(xp: Any, z: Array, n: Array) -> Array:
    """psi(z + n) - psi(z), the derivative of ``log_gamma_rise`` in z."""
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
