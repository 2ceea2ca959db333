"""The error bounds of everything that eliminates (Cayley, the reference KLs, Eq. 12), in units of eps: docs/error-analysis.md.

Gaussian elimination with partial pivoting computes a column x_j of A X = B with (A + E_j) x_j^ = b_j, |E_j| <= 3n u |L^||U^|,
u = eps/2 (Higham, Accuracy and Stability of Numerical Algorithms, Theorem 9.4). So, to first order,

    |X^ - X|_F <= 3n u growth(A) |A^-1|_2 |X|_F,   growth(A) = | |L||U| |_F

The second order adds a factor 1/(1 - t), t = 3n u growth(A) |A^-1|; the tests keep t below 1/2 and each bound has the factor 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.linalg
from error_bounds import F, Floats


def growth(A: Floats) -> float:
    """| |L| |U| |_F of partial pivoting."""
    _, L, U = scipy.linalg.lu(A)
    return float(np.linalg.norm(np.abs(L) @ np.abs(U)))


def inverse_norm(A: Floats) -> float:
    """|A^-1|_2."""
    return 1.0 / float(np.linalg.svd(A, compute_uv=False)[-1])


def solve(A: Floats, X: Floats) -> float:
    """|X^ - X|_F of A X = B, where A and B are exact."""
    return 3.0 * len(A) * growth(A) * inverse_norm(A) * float(np.linalg.norm(X))


def frame(A: Floats, Q: Floats) -> float:
    """A Cayley frame's |Q^ - Q|_F: I - A and I + A are formed without rounding, signs are exact.

    Entry by entry, which is far less than in norm where |A| is large: |Q^ - Q| <= 3n u |M| (P|L||U|) |Q|, M = (I - A)^-1.
    """
    system = np.eye(len(A)) - A
    P, L, U = scipy.linalg.lu(system)
    return 3.0 * len(A) * float(np.linalg.norm(np.abs(np.linalg.inv(system)) @ (P @ np.abs(L) @ np.abs(U)) @ np.abs(Q)))


def inverse_cayley(Q: Floats) -> float:
    """|A^ - A|_F: Q + I and Q - I round on the diagonal, where no entry exceeds 2; the projection rounds once."""
    plus = Q + np.eye(len(Q))
    S = np.linalg.solve(plus, Q - np.eye(len(Q)))
    rounded = 2.0 * inverse_norm(plus) * (float(np.linalg.norm(S)) + np.sqrt(len(Q)))
    return solve(plus, S) + rounded + float(np.linalg.norm(S))


def kl_eq9(means: Sequence[Floats], log_vars: Sequence[Floats], C: Floats) -> Floats:
    """kl_eq9, (B,): D_1 and D_2 are off by |D|^2 times the errors of I - C^T C (a product of length n) and of its inversion."""
    (m1, m2), (n2, n1) = means, C.shape
    total, off = np.zeros(len(m1)), []
    for m, v, S, inner in ((m1, log_vars[0], np.eye(n1) - C.T @ C, n2), (m2, log_vars[1], np.eye(n2) - C @ C.T, n1)):
        D, formed = np.linalg.inv(S), (inner / 2 + 1) * float(np.linalg.norm(np.abs(C)) ** 2) + np.sqrt(len(S))
        off.append(solve(S, D) + 2 * formed * inverse_norm(S) * float(np.linalg.norm(D)))
        log_det = off[-1] + (F + len(S)) * float(np.abs(np.linalg.slogdet(S)[1]))
        rounding = _form(np.abs(m), np.abs(D), np.abs(m)) + np.exp(v) @ np.diag(D) + np.abs(v).sum(axis=1) + len(S)
        total += off[-1] * ((m**2).sum(axis=1) + np.exp(v).sum(axis=1)) + log_det + (F + n1 + n2 + 6) * rounding
        total += (n1 + n2 + 6) * _form(np.abs(m1), np.abs(C).T @ np.abs(np.linalg.inv(np.eye(n2) - C @ C.T)), np.abs(m2))
    return (total + sum(off) * np.linalg.norm(m1, axis=1) * np.linalg.norm(m2, axis=1)) / 2


def kl_eq16(means: Sequence[Floats], log_vars: Sequence[Floats], rotation: Floats, alpha: float) -> Floats:
    """kl_eq16, (B,): 1 - alpha^2 is off by alpha^2 u, so gamma by (gamma/2 + 1) eps."""
    gamma, n = 1 / (1 - alpha**2), len(rotation)
    measure = n * (np.abs(np.log(gamma)) + 2)
    for m, v in zip(means, log_vars, strict=True):
        measure = measure + gamma * (m**2 + np.exp(v)).sum(axis=1) + np.abs(v).sum(axis=1)
    measure = measure + 2 * gamma * abs(alpha) * _form(np.abs(means[1]), np.abs(rotation), np.abs(means[0]))
    return (n + F + gamma / 2 + 8) * measure / 2


def kl_dense(means: Sequence[Floats], log_vars: Sequence[Floats], covariance: Floats) -> Floats:
    """kl_dense, (B,)."""
    m, v, N, P = np.concatenate(means, axis=1), np.concatenate(log_vars, axis=1), len(covariance), np.linalg.inv(covariance)
    off = solve(covariance, P)
    rounding = _form(np.abs(m), np.abs(P), np.abs(m)) + np.exp(v) @ np.diag(P) + np.abs(v).sum(axis=1) + N
    log_det = off + (F + N) * float(np.abs(np.linalg.slogdet(covariance)[1]))
    return (off * ((m**2).sum(axis=1) + np.exp(v).sum(axis=1)) + log_det + (F + N + 6) * rounding) / 2


def condition_gaussian(mean: Floats, cov: Floats, observed: Sequence[int], values: Floats) -> tuple[Floats, Floats]:
    """condition_gaussian's means (B, n_h) and covariance (n_h, n_h)."""
    o, h = list(observed), [k for k in range(len(cov)) if k not in observed]
    S_oo, S_ho = cov[np.ix_(o, o)], cov[np.ix_(h, o)]
    gain = np.linalg.solve(S_oo, S_ho.T)
    off, centred = solve(S_oo, gain), values - mean[o]
    means = off * np.linalg.norm(centred, axis=1, keepdims=True) + (len(o) / 2 + 2) * np.abs(centred) @ np.abs(gain)
    reached = np.abs(mean[h]) + np.abs(centred) @ np.abs(gain)
    covariance = off * np.linalg.norm(S_ho, axis=1, keepdims=True) + (len(o) / 2 + 1) * np.abs(S_ho) @ np.abs(gain)
    return means + reached, covariance + np.abs(cov[np.ix_(h, h)])


def _form(x: Floats, A: Floats, y: Floats) -> Floats:
    return ((x @ A) * y).sum(axis=1)
