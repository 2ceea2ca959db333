"""Numbers with as many digits as are wanted: linear systems over any exact field, and functions in 150 decimal digits.

No digit of an answer is lost here: where 1 - s is 1e-35 and its square is needed, 80 digits are left. Python's ``decimal`` and
``fractions`` share nothing with the libraries that are checked.
"""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

Matrix = list[list[Any]]  # of Fractions or Decimals

CONTEXT = decimal.Context(prec=150)


def eliminate(A: Sequence[Sequence[Any]], B: Sequence[Sequence[Any]]) -> tuple[Matrix, Any]:
    """A^-1 B and det A by Gauss-Jordan elimination; any non-zero pivot will do where nothing is rounded."""
    rows, det = [[*a, *b] for a, b in zip(A, B, strict=True)], 1
    for k in range(len(rows)):
        p = max(range(k, len(rows)), key=lambda i: abs(rows[i][k]))
        if p != k:
            rows[k], rows[p], det = rows[p], rows[k], -det
        det = det * rows[k][k]
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i, row in enumerate(rows):
            if i != k:
                rows[i] = [x - row[k] * y for x, y in zip(row, rows[k], strict=True)]
    return [row[len(rows) :] for row in rows], det


def expm1(x: Decimal) -> Decimal:
    """e^x - 1: for |x| of 1e-35, 115 digits are left."""
    return x.exp() - 1


def log1p(x: Decimal) -> Decimal:
    """log(1 + x)."""
    return (1 + x).ln()


def softplus(x: Decimal) -> Decimal:
    """log(e^0 + e^x)."""
    return log1p(x.exp())


def sigmoid(x: Decimal) -> Decimal:
    """1/(1 + e^-x)."""
    return 1 / (1 + (-x).exp())


def tanh(x: Decimal) -> Decimal:
    """(e^2x - 1)/(e^2x + 1)."""
    return expm1(2 * x) / ((2 * x).exp() + 1)
