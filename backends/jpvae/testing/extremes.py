"""Priors at the edge of what is promised: logits of +-30 and 80, alpha next to 1, coupling so weak that log|Sigma| is 1e-26.

The frames are identities, so that each direction is an M x M matrix (1 on its diagonal) on its own, inverted in 150 digits.
Bounds are those of docs/error-analysis.md, in its notation: F, g, F_a, K.
"""

from __future__ import annotations

import decimal
import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np

import jpvae_core as jc

from . import exact
from .elementary import F
from .examples import float32

Pair = tuple[Any, Any]  # a value and the bound on errors from it
D = 2  # directions


@dataclass(frozen=True)
class Extreme:
    """kind: "sigmoid", "tanh" (D logits), "alpha" (D times the same number) or "source" (M rows of D logits)."""

    kind: Literal["sigmoid", "tanh", "alpha", "source"]
    values: Any

    @property
    def views(self) -> int:
        """M."""
        return len(self.values) if self.kind == "source" else 2


EXTREMES = {
    "sigmoid, strong": Extreme("sigmoid", (30.0, 80.0)),
    "sigmoid, weak": Extreme("sigmoid", (-30.0, -31.0)),
    "tanh, strong": Extreme("tanh", (30.0, -80.0)),
    "tanh, weak": Extreme("tanh", (-(2.0**-30), 2.0**-31)),
    "alpha near 1": Extreme("alpha", (1.0 - 2.0**-30,) * D),
    "alpha near -1": Extreme("alpha", (-1.0 + 2.0**-30,) * D),
    "source, strong": Extreme("source", ((30.0, 80.0), (80.0, 80.0), (31.0, 79.0))),
    "source, mixed": Extreme("source", ((30.0, -30.0), (0.0, 30.0), (-30.0, 0.0))),
    "source, weak": Extreme("source", ((-30.0, -31.0), (-30.0, -29.0), (-32.0, -30.0))),
}


def inputs(case: Extreme) -> dict[str, Any]:
    """The logits (an alpha is handed over as a number), the identity, and a posterior with three rows."""
    rng = np.random.default_rng(4)
    means, log_vars = rng.standard_normal((case.views, 3, D)), rng.uniform(-2, 1, (case.views, 3, D))
    posterior = {"means": [float32(x) for x in means], "log_vars": [float32(x) for x in log_vars]}
    return {"logits": float32(case.values), "one": np.eye(D)} | posterior


def functions(case: Extreme, x: dict[str, Any]) -> dict[str, Any]:
    """What is promised to relative accuracy, by name."""
    one, logits = x["one"], x["logits"]
    if case.kind == "alpha":
        prior = jc.JointPrior.orthogonal(one, case.values[0])
    elif case.kind == "source":
        prior = jc.JointPrior.canonical([one] * case.views, logits)
    else:
        prior = jc.JointPrior.svd(one, logits, one, bound=case.kind)
    return {
        "JointPrior.log_det": [prior.log_det()],
        "JointPrior.precision": [prior.precision()],
        "kl_divergence": [jc.kl_divergence(prior, x["means"], x["log_vars"])],
    }


@functools.cache
def answers(case: Extreme, eps: float) -> dict[str, list[Pair]]:
    """log|Sigma|, relatively; Sigma^-1, by entry; the KL, relative to K. (Rounding them to float64: half its eps more.)"""
    M, x, counts, eps = case.views, inputs(case), _counts(case), eps + 2.0**-53
    precision, kls, scales = np.zeros((M * D, M * D)), [Decimal(0)] * 3, [Decimal(0)] * 3
    with decimal.localcontext(exact.CONTEXT):
        log_det = Decimal(0)
        for k in range(D):
            S, quadratic = _direction(case, k)
            P, det = exact.eliminate(S, [[Decimal(int(i == j)) for j in range(M)] for i in range(M)])
            log_det += det.ln()
            precision[k::D, k::D] = np.asarray(P, dtype=np.float64)
            for row in range(3):
                m = [Decimal(float(view[row, k])) for view in x["means"]]
                log_var = [Decimal(float(view[row, k])) for view in x["log_vars"]]
                square = sum(m[i] * P[i][j] * m[j] for i in range(M) for j in range(M))
                trace = sum(P[i][i] * v.exp() - 1 - v for i, v in enumerate(log_var))
                kls[row] += (det.ln() + square + trace) / 2
                excess = sum(abs(exact.expm1(v)) + abs(v) + (P[i][i] - 1) * v.exp() for i, v in enumerate(log_var))
                scales[row] += (abs(det.ln()) + quadratic([abs(t) for t in m]) + excess) / 2
    size = np.eye(M * D) + np.abs(precision)  # I + |Sigma^-1 - I| at least
    return {
        "JointPrior.log_det": [(float(log_det), counts["log_det"] * eps * abs(float(log_det)))],
        "JointPrior.precision": [(precision, counts["precision"] * eps * size)],
        "kl_divergence": [(np.asarray(kls, dtype=np.float64), counts["kl"] * eps * np.asarray(scales, dtype=np.float64))],
    }


def _counts(case: Extreme) -> dict[str, float]:
    """The roundings of each result. n = D: no frame has a complement. An alpha's 1 - s is one rounding more at most."""
    M, x = case.views, 3 * F + 1.5
    kl = 1.5 * D + D + M / 2 + 4 * F + 6
    g = max(np.logaddexp(0.0, np.abs(np.ravel(case.values)).max()), 1.0)
    if case.kind != "source":
        r_s = F * (1 + g)
        return {"log_det": x + F + 1 + D / 2, "precision": D / 2 + 1 + r_s + x + 1, "kl": kl}
    F_a = F * (1 + g / 2)
    return {
        "log_det": 4 * F + 2 * M + 3 + D / 2,
        "precision": D / 2 + 1 + 2 * F_a + 3 * F + M + 3,
        "kl": kl + 2 * F_a + M * (M + 1) / 4 + 1.5 * M + 2,
    }


def _direction(case: Extreme, k: int) -> tuple[exact.Matrix, Any]:
    """Sigma in direction k, and the quadratic form with every difference a sum."""
    if case.kind != "source":
        t = Decimal(case.values[k])
        s = {"sigmoid": exact.sigmoid(t), "tanh": exact.tanh(t / 2), "alpha": t}[case.kind]
        return [[Decimal(1), s], [s, Decimal(1)]], lambda m: (m[0] + m[1]) ** 2 * (1 / (1 - s) + 1 / (1 + s)) / 2
    squared = [exact.sigmoid(Decimal(row[k])) for row in case.values]
    a, h = [s.sqrt() for s in squared], [1 / (1 - s) for s in squared]
    tau = sum(h) - len(h) + 1

    def quadratic(m: Sequence[Decimal]) -> Decimal:
        pairs = itertools.combinations(range(len(m)), 2)
        own = sum((w * t * t for w, t in zip(h, m, strict=True)), Decimal(0))
        return (own + sum(h[i] * h[j] * (a[j] * m[i] + a[i] * m[j]) ** 2 for i, j in pairs)) / tau

    return [[Decimal(1) if i == j else p * q for j, q in enumerate(a)] for i, p in enumerate(a)], quadratic
