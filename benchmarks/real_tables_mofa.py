"""MOFA+ (Argelaguet et al. 2020) as a method of real_tables.py; needs pip install mofapy2, which nothing else here does.

Factors with sparse or dense loadings W, whichever held-out rows prefer, by variational inference, normal likelihoods, columns
standardised, FACTORS of them at first.
MOFA+ fills the rows that it was fitted to; other rows get their factors' posterior mean from its loadings and precisions,
E[z | x_O] = (I + W_O' tau_O W_O)^-1 W_O' tau_O x_O, which is its own update.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version

import numpy as np

from jpvae.tables.fillers import FromRival
from jpvae.views.columns import Columns

FACTORS, ROUNDS = 15, 500


class MOFA:
    """Behind the two methods of a rival. sparse: whether loadings have a spike at 0, as by its default."""

    def __init__(self, *, sparse: bool) -> None:
        self._sparse = sparse

    def fit(self, table: np.ndarray, owner: np.ndarray) -> MOFA:
        """table (N, C), NaN where missing."""
        from mofapy2.run.entry_point import entry_point

        views = [table[:, owner == j] for j in range(int(owner.max()) + 1)]
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = entry_point()
            run.set_data_options(scale_views=False)
            run.set_data_matrix([[view] for view in views], likelihoods=["gaussian"] * len(views))
            run.set_model_options(factors=min(FACTORS, len(table) - 1, table.shape[1]), spikeslab_weights=self._sparse)
            run.set_train_options(iter=ROUNDS, convergence_mode="fast", seed=0, quiet=True, verbose=False)
            run.build()
            run.run()
        nodes = run.model.nodes
        self._W = np.concatenate([np.asarray(W) for W in nodes["W"].getExpectation()], axis=0)
        self._tau = np.concatenate([np.asarray(tau)[0] for tau in nodes["Tau"].getExpectation()])
        self._mean = np.nan_to_num(np.nanmean(table, axis=0))  # which it subtracts
        return self

    def fill(self, table: np.ndarray) -> np.ndarray:
        """The rows (R, C) with NaN filled."""
        known, centred = (~np.isnan(table)).astype(float), np.nan_to_num(table - self._mean)
        k, weighted = self._W.shape[1], self._W * self._tau[:, None]
        P = np.eye(k) + (known @ (weighted[:, :, None] * self._W[:, None, :]).reshape(-1, k * k)).reshape(-1, k, k)
        z = np.linalg.solve(P, (centred @ weighted)[:, :, None])[:, :, 0]
        return np.where(np.isnan(table), z @ self._W.T + self._mean, table)


class FromMOFA(FromRival):
    """As the other rivals: intervals from held-out training rows."""

    def __init__(self, tables: Sequence[np.ndarray], columns: Sequence[Columns], *, seed: int) -> None:
        settings = {"sparse loadings": partial(MOFA, sparse=True), "dense loadings": partial(MOFA, sparse=False)}
        super().__init__(settings, tables, columns, seed=seed)
        self.setting = f"{self.setting}; mofapy2 {version('mofapy2')}"
