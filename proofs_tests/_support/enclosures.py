"""What an enclosure proves: how far floats can be from the exact values, and how much it leaves open.

``error(x, balls)`` is a proof, not a sample: no float of x is farther from the exact value.
"""

from __future__ import annotations

from typing import Any

import flint
import numpy as np
from balls import Balls


def _above(x: Any) -> float:
    """A float that is not below x >= 0 (float() rounds to nearest)."""
    return float(np.nextafter(float(x), np.inf)) if x > 0 else 0.0


_upper = np.frompyfunc(lambda x, ball: _above((flint.arb(float(x)) - ball).abs_upper()), 2, 1)
_middle = np.frompyfunc(lambda ball: float(ball.mid()), 1, 1)
_radius = np.frompyfunc(lambda ball: _above(ball.rad()), 1, 1)


def error(x: Any, enclosure: Balls) -> np.ndarray:
    """A certified upper bound of |x - exact|, entry by entry."""
    return np.asarray(_upper(np.asarray(x, dtype=np.float64), enclosure.data), dtype=np.float64)


def floats(enclosure: Balls) -> np.ndarray:
    """The midpoints, rounded to float64."""
    return np.asarray(_middle(enclosure.data), dtype=np.float64)


def radii(enclosure: Balls) -> np.ndarray:
    """The radii: how much the enclosure leaves open."""
    return np.asarray(_radius(enclosure.data), dtype=np.float64)
