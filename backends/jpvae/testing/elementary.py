"""What the error analysis assumes of an array library (docs/error-analysis.md), checked function by function.

exp, expm1, log, log1p, logaddexp(0, x) and tanh within F = 4 eps of the exact value, sqrt within 1 eps, and linear solves
with partial pivoting: |X^ - X|_F <= 3n u | |L||U| |_F |A^-1| |X|_F (Higham, Theorem 9.4), here with eps for u, which covers
the second order and rows of equal pivots. Exact values come from exact.py.
"""

from __future__ import annotations

import decimal
import functools
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

import jpvae_core as jc
from jpvae_core._xp import namespace

from . import exact
from .examples import float32

Pair = tuple[Any, Any]  # a value and the bound on errors from it

F, SQRT = 4.0, 1.0  # in eps
OF_ALL: dict[str, Callable[[Decimal], Decimal]] = {
    "exp": Decimal.exp,
    "expm1": exact.expm1,
    "tanh": exact.tanh,
    "logaddexp": exact.softplus,
}
OF_POSITIVE: dict[str, Callable[[Decimal], Decimal]] = {"log": Decimal.ln, "log1p": exact.log1p, "sqrt": Decimal.sqrt}
LARGEST = {"float32": 1e3, "float64": 1e6}  # entries of a skew matrix; with 1e6 no digit of a float32 frame is certain
# Skew 4 x 4 matrices: entries of all sizes, one that is large, and all large.
SKEW = ((1e-3, -1.0, 0.03, 0.1, -0.3, 1.0), (0.0, 0.0, 1.0, -1e-6, 0.0, 1e-6), (1.0, -0.7, 0.9, 0.8, -1.0, 0.6))
# Elimination without row exchanges stops at a 0 pivot, or loses all digits at a small one.
PIVOTING = (
    ((0.0, 1.0), (1.0, 0.0)),
    ((2.0**-60, 1.0), (1.0, 1.0)),
    ((1.0, 1.0, 2.0), (1.0, 1.0 + 2.0**-20, 1.0), (2.0, 0.0, -1.0)),
)


def inputs(dtype: str) -> dict[str, Any]:
    """Arguments of that dtype: +-80, 1e-12 ... 1 and, where they are positive, up to 1e30 and around 1."""
    small, large = np.geomspace(1e-12, 1.0, 60), np.linspace(1.0, 80.0, 80)
    around = 1.0 + np.ldexp([-1.0, 1.0], -np.arange(2, 20)[:, None]).ravel()
    x = np.concatenate([-large, -small, [0.0], small, large])
    positive = np.concatenate([small, around, large, np.geomspace(80.0, 1e30, 80)])
    systems = [np.asarray(A) for A in PIVOTING]
    return {
        "x": x.astype(dtype).astype(np.float64),
        "positive": positive.astype(dtype).astype(np.float64),
        "systems": systems,
        "right": [float32(np.random.default_rng(n).standard_normal((len(A), 2))) for n, A in enumerate(systems)],
        "skew": float32(np.asarray(SKEW) * LARGEST[dtype]),
    }


def functions(x: dict[str, Any]) -> dict[str, Any]:
    """The functions as the core calls them, and the frames that a solve makes."""
    xp = namespace(x["x"])  # the functions that the core calls
    results = {name: [getattr(xp, name)(x["x"])] for name in OF_ALL if name != "logaddexp"}
    results |= {name: [getattr(xp, name)(x["positive"])] for name in OF_POSITIVE}
    zero = xp.zeros_like(x["x"])
    results["logaddexp"] = [xp.logaddexp(zero, x["x"]), xp.logaddexp(x["x"], zero)]
    results["solve"] = [xp.linalg.solve(A, b) for A, b in zip(x["systems"], x["right"], strict=True)]
    results["frame"] = [jc.frame(x["skew"], 4, 4)]
    return results


@functools.cache
def answers(dtype: str) -> dict[str, list[Pair]]:
    """The exact values, rounded to float64 (half of its eps more), with their bounds."""
    x, eps = inputs(dtype), float(np.finfo(dtype).eps)

    def relative(values: Sequence[Decimal], count: float) -> Pair:
        exactly = np.asarray([float(v) for v in values])
        return exactly, (count * eps + 2.0**-53) * np.abs(exactly)

    found: dict[str, list[Pair]] = {}
    with decimal.localcontext(exact.CONTEXT):
        for table, at in ((OF_ALL, x["x"]), (OF_POSITIVE, x["positive"])):
            for name, function in table.items():
                values = [function(Decimal(float(t))) for t in at]
                found[name] = [relative(values, SQRT if name == "sqrt" else F)]
    found["logaddexp"] *= 2
    found["solve"] = [solution(A, b, eps) for A, b in zip(x["systems"], x["right"], strict=True)]
    frames = []
    for entries in x["skew"]:
        A = np.zeros((4, 4))
        A[np.triu_indices(4, 1)] = entries
        frames.append(solution(np.eye(4) - A + A.T, np.eye(4) + A - A.T, eps))
    # Within e of an orthogonal matrix in Frobenius norm, so |Q^T Q - I| <= 2e + e^2.
    found["frame"] = [(np.stack([Q for Q, _ in frames]), np.asarray([e for _, e in frames])[:, None, None])]
    return found


def solution(A: np.ndarray, B: np.ndarray, eps: float) -> Pair:
    """A^-1 B from Fractions, and the bound on each entry's error."""
    X = np.asarray(exact.eliminate(rational(A), rational(B))[0], dtype=np.float64)
    bound = 3 * len(A) * (eps + 2.0**-53) * growth(A) * np.linalg.norm(np.linalg.inv(A), 2) * np.linalg.norm(X)
    return X, bound


def rational(A: np.ndarray) -> exact.Matrix:
    """The same matrix of Fractions."""
    return [[Fraction(float(x)) for x in row] for row in A]


def growth(A: np.ndarray) -> float:
    """| |L||U| |_F of elimination with partial pivoting."""
    U, L = A.copy(), np.zeros_like(A)
    for k in range(len(A)):
        swap = [k, k + int(np.argmax(np.abs(U[k:, k])))]
        U[swap], L[swap] = U[swap[::-1]], L[swap[::-1]]
        L[k:, k] = U[k:, k] / U[k, k]
        U[k + 1 :] -= np.outer(L[k + 1 :, k], U[k])
    return float(np.linalg.norm(np.abs(L) @ np.abs(U)))
