"""Factor analysis of a table with holes, by EM: x = W z + m + e,  z ~ N(0, I_k),  e_c ~ N(0, psi_c).

E, row by row over its known cells O:   P = I + W_O' psi_O^-1 W_O,   z | x_O ~ N( P^-1 W_O' psi_O^-1 (x_O - m_O), P^-1 )
M, column by column over its known rows: (W_c, m_c) by least squares of x_c on (E z, 1) with E[z z'], psi_c the mean residual.

log p(x_O) = -1/2 sum_O [log 2 pi psi_c + (x_c - m_c)^2 / psi_c] + 1/2 E[z]' P E[z] - 1/2 log det P, which no step lowers.
"""

from __future__ import annotations

import numpy as np

MOST_ROUNDS, ENOUGH, LEAST_NOISE = 200, 1e-5, 1e-3


class FactorAnalysis:
    """factors: k.  After ``fit``: loadings_ (C, k), mean_ (C,), noise_ (C,), log_likelihoods_, one per round."""

    def __init__(self, factors: int) -> None:
        self._factors = factors

    def fit(self, table: np.ndarray, owner: np.ndarray) -> FactorAnalysis:
        """table (N, C), NaN where missing. Rounds end when the gain per known cell falls below ENOUGH nats."""
        known, X = (~np.isnan(table)).astype(np.float64), np.nan_to_num(table)
        count = np.maximum(known.sum(axis=0), 1.0)
        self.mean_ = X.sum(axis=0) / count
        centred = known * (X - self.mean_)
        k = min(self._factors, *X.shape)
        _, s, V = np.linalg.svd(centred, full_matrices=False)  # where the rounds begin: principal components, holes at the mean
        self.loadings_ = V[:k].T * s[:k] / len(X) ** 0.5
        self.noise_ = np.maximum((centred**2).sum(axis=0) / count - (self.loadings_**2).sum(axis=1), 0.1)
        self.log_likelihoods_: list[float] = []
        for _ in range(MOST_ROUNDS):
            z, cov, likelihood = self._posterior(X, known)
            self.log_likelihoods_.append(float(likelihood.sum()))
            gained = np.diff(self.log_likelihoods_[-2:])
            if gained.size and gained[0] < ENOUGH * known.sum():
                break
            z1 = np.concatenate([z, np.ones((len(z), 1))], axis=1)
            second = z1[:, :, None] * z1[:, None, :]
            second[:, :k, :k] += cov
            A = (known.T @ second.reshape(len(z), -1)).reshape(-1, k + 1, k + 1)
            b = X.T @ z1  # X is 0 where it is not known
            ridge = 1e-9 * np.eye(k + 1)  # a column that no row has keeps loadings of 0
            coefficients = np.linalg.solve(A + ridge, b[:, :, None])[:, :, 0]
            self.loadings_, self.mean_ = coefficients[:, :k], coefficients[:, k]
            residual = (X**2).sum(axis=0) - (coefficients * b).sum(axis=1)
            self.noise_ = np.maximum(residual / count, LEAST_NOISE)
        return self

    def fill(self, table: np.ndarray) -> np.ndarray:
        """The rows (R, C) with NaN filled by E[x | x_O]."""
        z, _, _ = self._posterior(np.nan_to_num(table), (~np.isnan(table)).astype(np.float64))
        return np.where(np.isnan(table), z @ self.loadings_.T + self.mean_, table)

    def log_likelihood(self, table: np.ndarray) -> np.ndarray:
        """log p(x_O) of each row (R,), in nats."""
        return self._posterior(np.nan_to_num(table), (~np.isnan(table)).astype(np.float64))[2]

    def _posterior(self, X: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means (R, k) and covariances (R, k, k) of the factors, and log p of each row's known cells (R,)."""
        k = self.loadings_.shape[1]
        W, centred = self.loadings_ / self.noise_[:, None], known * (X - self.mean_)
        outer = (W[:, :, None] * self.loadings_[:, None, :]).reshape(-1, k * k)
        P = np.eye(k) + (known @ outer).reshape(-1, k, k)
        weighted = centred @ W
        cov = np.linalg.inv(P)
        z = (cov @ weighted[:, :, None])[:, :, 0]
        squares = known @ np.log(2.0 * np.pi * self.noise_) + (centred**2 / self.noise_).sum(axis=1)
        likelihood = -0.5 * (squares - (weighted * z).sum(axis=1) + np.linalg.slogdet(P)[1])
        return z, cov, likelihood
