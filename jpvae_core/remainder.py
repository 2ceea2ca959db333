"""r(x) = e^x - 1 - x, to a few eps also next to its zero: twice what a posterior's log-variance costs on its own, in nats.

expm1(x) - x loses all digits as x -> 0, where r is x^2/2 and its two terms are x. There, E = expm1(x) and Bernoulli's numbers,

    x/E = 1 - x/2 + B_2 x^2/2! + B_4 x^4/4! + ...     give     r(x) = E - x = (E x/2) (1 - x (b_1 + b_2 x^2 + b_3 x^4 + ...))

with b_k = 2 B_2k/(2k)!, about 2 (2 pi)^(-2k) in size: for |x| <= 1/2 nothing cancels, and three terms are enough for float32.
Elsewhere the series is taken at y, the nearer of +-1/2, and t = x - y (exact in floating point) is added to it:

    r(y + t) = r(y) + e^y expm1(t) - t

Inside, t = 0 adds nothing, so one expression serves all x, without a choice in its value or its gradient.
"""

from __future__ import annotations

from ._array_api import Array, Namespace

# 1/6, -1/360, 1/15120, ...: as many as float64 needs (test_remainder.py computes them).
SERIES = (
    0.16666666666666666,
    -0.002777777777777778,
    6.613756613756614e-05,
    -1.6534391534391535e-06,
    4.17535139757362e-08,
    -1.0568380277374986e-09,
    2.6765073061369358e-11,
)


def remainder(xp: Namespace, x: Array) -> Array:
    """e^x - 1 - x. Relative error: (2.3F + 3) eps = 12.5 eps, F of docs/error-analysis.md; never negative."""
    eps = float(xp.finfo(x.dtype).eps)
    if eps < 1e-20:  # numbers wider than float64 have digits to spare
        return xp.expm1(x) - x
    half = xp.full_like(x, 0.5)
    y = xp.minimum(xp.maximum(x, -half), half)
    t, e, square = x - y, xp.expm1(y), y * y
    first, *others = terms_of(eps)
    series: Array | float = first
    for b in others:
        series = series * square + b
    return 0.5 * e * y * (1.0 - y * series) + ((1.0 + e) * xp.expm1(t) - t)


def terms_of(eps: float) -> list[float]:
    """The series' coefficients that a dtype of this eps can tell apart from none, the last first."""
    return [b for k, b in enumerate(SERIES) if 4.0 * abs(b) > eps * 2.0 ** (2 * k + 1)][::-1]
