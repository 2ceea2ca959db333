"""softImpute (Mazumder, Hastie and Tibshirani 2010): the matrix Z that minimises

    1/2 sum over known cells (x_rc - Z_rc)^2 + penalty ||Z||_*          ||Z||_*: the sum of the singular values

by Z <- S(known cells of X, Z elsewhere), where S subtracts the penalty from every singular value, down to 0. With Z = A B',
B = V D^(1/2), the same Z minimises 1/2 sum (x - AB')^2 + penalty/2 (||A||^2 + ||B||^2): so a new row's a is a ridge regression
of its known cells on B, and a training row's is the same.
"""

from __future__ import annotations

import numpy as np

MOST_ROUNDS, ENOUGH = 200, 1e-5


class SoftImpute:
    """share: the penalty, in parts of the largest singular value of the table with its holes at 0 (from 1 on, Z = 0).

    After ``fit``: penalty_, and components_, which is B (C, rank).
    """

    def __init__(self, share: float) -> None:
        self._share = share

    def fit(self, table: np.ndarray, owner: np.ndarray) -> SoftImpute:
        """table (N, C): columns of mean 0, NaN where missing.

        Rounds end when Z moves by less than ENOUGH (squared, of itself).
        """
        known, X = ~np.isnan(table), np.nan_to_num(table)
        self.penalty_ = self._share * float(np.linalg.norm(X, 2))
        Z = np.zeros_like(X)
        for _ in range(MOST_ROUNDS):
            U, s, V = _svd(np.where(known, X, Z))
            s = np.maximum(s - self.penalty_, 0.0)
            before, Z = Z, (U * s) @ V
            if ((Z - before) ** 2).sum() <= ENOUGH * max((before**2).sum(), 1e-30):
                break
        self.components_ = V[s > 0].T * np.sqrt(s[s > 0])
        return self

    def fill(self, table: np.ndarray) -> np.ndarray:
        """The rows (R, C) with NaN filled."""
        known, X, B = (~np.isnan(table)).astype(np.float64), np.nan_to_num(table), self.components_
        k = B.shape[1]
        gram = (known @ (B[:, :, None] * B[:, None, :]).reshape(len(B), -1)).reshape(-1, k, k) + self.penalty_ * np.eye(k)
        a = np.linalg.solve(gram, (X @ B)[:, :, None])[:, :, 0]
        return np.where(np.isnan(table), a @ B.T, table)


def _svd(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The thin SVD, by the eigenvalues of the smaller Gram matrix: several times as fast, and what is below 1e-8 is cut off."""
    if X.shape[0] > X.shape[1]:
        V, s, U = _svd(X.T)
        return U.T, s, V.T
    values, U = np.linalg.eigh(X @ X.T)
    s = np.sqrt(np.maximum(values, 0.0))
    kept = s > 1e-8 * s[-1] if s[-1] > 0 else np.zeros(len(s), bool)
    U, s = U[:, kept], s[kept]
    return U, s, (U / s).T @ X
