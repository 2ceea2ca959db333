"""Factor analysis of a table with holes, by EM: x = W z + m + e,  z ~ N(0, I_k),  e_c ~ N(0, psi_c).

E, row by row over its known cells O:   P = I + W_O' psi_O^-1 W_O,   z | x_O ~ N( P^-1 W_O' psi_O^-1 (x_O - m_O), P^-1 )
M, column by column over its known rows: (W_c, m_c) by least squares of x_c on (E z, 1) with E[z z'], psi_c the mean residual.

log p(x_O) = -1/2 sum_O [log 2 pi psi_c + (x_c - m_c)^2 / psi_c] + 1/2 E[z]' P E[z] - 1/2 log det P, which no step lowers.

Columns that are known in the same rows, those of a view that is missing as a whole say, are one group, with one sum of E[z z']
and one term of P; rows that know the same groups have one P.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

MOST_ROUNDS, ENOUGH, LEAST_NOISE = 200, 1e-5, 1e-3


class _Groups(NamedTuple):
    """columns: those of each group; known (R, G): whether a row knows them; patterns (D, G), of_row (R,): known's different
    rows, and which of them each is."""

    columns: list[np.ndarray]
    known: np.ndarray
    patterns: np.ndarray
    of_row: np.ndarray


class FactorAnalysis:
    """factors: k.  After ``fit``: loadings_ (C, k), mean_ (C,), noise_ (C,), log_likelihoods_, one per round."""

    def __init__(self, factors: int, *, rounds: int = MOST_ROUNDS, enough: float = ENOUGH) -> None:
        self._factors, self._rounds, self._enough = factors, rounds, enough

    def fit(self, table: np.ndarray, owner: np.ndarray | None = None) -> FactorAnalysis:
        """table (N, C), NaN where missing; owner: not used. Rounds end when the gain per known cell falls below enough nats."""
        known, X = ~np.isnan(table), np.nan_to_num(table)
        groups, cells = _groups(known), known.sum()
        count = np.maximum(known.sum(axis=0), 1.0)
        self.mean_ = X.sum(axis=0) / count
        centred = np.where(known, X - self.mean_, 0.0)
        k = min(self._factors, *X.shape)
        s, V = _right_singular(centred)  # where the rounds begin: principal components, holes at the mean
        self.loadings_ = V[:, :k] * s[:k] / len(X) ** 0.5
        self.noise_ = np.maximum((centred**2).sum(axis=0) / count - (self.loadings_**2).sum(axis=1), 0.1)
        squares = (X**2).sum(axis=0)
        shared = np.stack([np.bincount(groups.of_row[there], minlength=len(groups.patterns)) for there in groups.known.T])
        self.log_likelihoods_: list[float] = []
        for _ in range(self._rounds):
            z, cov, likelihood = self._posterior(X, known, groups)
            self.log_likelihoods_.append(float(likelihood.sum()))
            gained = np.diff(self.log_likelihoods_[-2:])
            if gained.size and gained[0] < self._enough * cells:
                break
            z1 = np.concatenate([z, np.ones((len(z), 1))], axis=1)
            b, coefficients = X.T @ z1, np.empty((X.shape[1], k + 1))  # X is 0 where it is not known
            covariances = np.tensordot(shared, cov, axes=1)
            for g, columns in enumerate(groups.columns):
                there = groups.known[:, g]
                A = z1[there].T @ z1[there] + 1e-9 * np.eye(k + 1)  # a column that no row has keeps loadings of 0
                A[:k, :k] += covariances[g]
                coefficients[columns] = np.linalg.solve(A, b[columns].T).T
            self.loadings_, self.mean_ = coefficients[:, :k], coefficients[:, k]
            self.noise_ = np.maximum((squares - (coefficients * b).sum(axis=1)) / count, LEAST_NOISE)
        return self

    def fill(self, table: np.ndarray) -> np.ndarray:
        """The rows (R, C) with NaN filled by E[x | x_O]."""
        z, _, _ = self._of(table)
        return np.where(np.isnan(table), z @ self.loadings_.T + self.mean_, table)

    def log_likelihood(self, table: np.ndarray) -> np.ndarray:
        """log p(x_O) of each row (R,), in nats."""
        return self._of(table)[2]

    def _of(self, table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        known = ~np.isnan(table)
        return self._posterior(np.nan_to_num(table), known, _groups(known))

    def _posterior(self, X: np.ndarray, known: np.ndarray, groups: _Groups) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means (R, k) and, of each different row of ``known``, covariance (D, k, k) of the factors; log p of each row's known
        cells (R,)."""
        k = self.loadings_.shape[1]
        W, centred = self.loadings_ / self.noise_[:, None], np.where(known, X - self.mean_, 0.0)
        outer = np.array([W[columns].T @ self.loadings_[columns] for columns in groups.columns]).reshape(-1, k * k)
        P = np.eye(k) + (groups.patterns.astype(np.float64) @ outer).reshape(-1, k, k)
        cov, weighted = np.linalg.inv(P), centred @ W
        z = np.empty_like(weighted)
        for d in range(len(P)):
            rows = groups.of_row == d
            z[rows] = weighted[rows] @ cov[d]
        squares = known @ np.log(2.0 * np.pi * self.noise_) + centred**2 @ (1.0 / self.noise_)
        likelihood = -0.5 * (squares - (weighted * z).sum(axis=1) + np.linalg.slogdet(P)[1][groups.of_row])
        return z, cov, likelihood


def _groups(known: np.ndarray) -> _Groups:
    packed = np.packbits(known, axis=0)
    _, first, group = np.unique(packed, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    columns = np.split(order, np.cumsum(np.bincount(group.ravel()))[:-1])
    patterns, of_row = np.unique(known[:, first], axis=0, return_inverse=True)
    return _Groups(columns, known[:, first], patterns, of_row.ravel())


def _right_singular(X: np.ndarray) -> tuple[Any, np.ndarray]:
    """Singular values and right singular vectors, by the smaller of the two products of X with itself."""
    if X.shape[1] <= X.shape[0]:
        squares, V = np.linalg.eigh(X.T @ X)
        return np.sqrt(np.maximum(squares[::-1], 0.0)), V[:, ::-1]
    squares, U = np.linalg.eigh(X @ X.T)
    s, U = np.sqrt(np.maximum(squares[::-1], 0.0)), U[:, ::-1]
    return s, X.T @ (U / np.where(s > 1e-7 * s[0], s, np.inf))
