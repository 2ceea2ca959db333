"""How probable a fitted model finds data: log-likelihoods and the ELBO, in nats of the data's units. A part of JPVAE."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from ..errors import ViewError
from ..fitted import Fitted
from ..option_values import draws_of, flag
from ..views.reading import Views
from ..views.units import LogUnits, Scaled
from .importance import warn_of_collapse
from .predictor import Predictor
from .threads import with_its_threads

_LOOSE = "the score is a loose bound. Take more n_draws"


class Scores:
    """The scoring methods of the estimator, which has ``_read``, ``_fitted`` and ``predictor``."""

    _read: Any
    _fitted: Fitted
    predictor: Any

    def score(self, views: Any, mask: Any = None, *, y: Any = None, missing: str | None = None, n_draws: int = 64) -> float:
        """The mean of ``score_samples`` over the rows.

        Parameters
        ----------
        views, mask
            As for ``fit``, any mix of patterns; views by name may be left out, in a list they are None.
        y : ignored
            For scikit-learn's sake.
        missing : {"error", "nan"}, optional
            In place of the option of that name.
        n_draws : int, default 64
            As for ``score_samples``.

        Returns
        -------
        float
            Nats per row in the data's units; higher is better.

        Raises
        ------
        NotFitted, ConfigError, ViewError
            As ``impute`` does.

        Examples
        --------
        >>> model.score([rna, protein], mask) > model.score([rna, protein + 0.2], mask)  # such proteins are less likely
        True
        """
        return float(self.score_samples(views, mask, missing=missing, n_draws=n_draws).mean())

    @with_its_threads
    def score_samples(
        self, views: Any, mask: Any = None, *, missing: str | None = None, n_draws: int = 64, return_error: bool = False
    ) -> Any:
        """log p(x_O) of each row's observed views by K = ``n_draws`` importance-weighted draws.

            log 1/K sum_k p(x_O | z^k) p(z_O^k) / q(z_O^k | x_O),    z^k ~ q

        Its expectation is the ELBO for K = 1, grows with K and has log p(x_O) for its limit [1]_; scores are comparable for
        equal K only.

        Parameters
        ----------
        views, mask
            As for ``fit``, any mix of patterns; views by name may be left out, in a list they are None.
        missing : {"error", "nan"}, optional
            In place of the option of that name.
        n_draws : int, default 64
            K.
        return_error : bool, default False
            Give the Monte Carlo standard error too, by the delta method. It is a guide where the draws are worth several of the
            exact posterior's (``effective_draws``), and infinite where they are worth fewer than two.

        Returns
        -------
        (N,) ndarray
            Nats in the data's units; with ``return_error`` a pair of these. Warns where 8 draws or more are worth fewer than
            1.5 of the exact posterior's in the middle row: the score is then a loose bound.

        Raises
        ------
        NotFitted, ConfigError, ViewError
            As ``impute`` does.

        References
        ----------
        .. [1] Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders.

        Examples
        --------
        >>> model.score_samples([rna, protein], mask, n_draws=8).shape
        (300,)
        """
        n_draws = draws_of(n_draws, least=2 if flag("return_error", return_error) else 1)
        data, scaled, predictor, units = self._read_for_scores(views, mask, missing)
        found = predictor.log_evidence(scaled, data.observed, n_draws)
        warn_of_collapse(found.effective_draws, n_draws, _LOOSE)
        scores = found.log_density - units.total
        return (scores, found.error) if return_error else scores

    @with_its_threads
    def effective_draws(
        self, views: Any, mask: Any = None, *, missing: str | None = None, n_draws: int = 64, seed: int | None = None
    ) -> np.ndarray:
        """How many draws of the model's exact posterior K = ``n_draws`` of the encoders' are worth, row by row.

            (sum_k w_k)^2 / sum_k w_k^2,    w_k = p(x_O | z^k) p(z_O^k) / q(z_O^k | x_O),    z^k ~ q        (Kish)

        K where the encoders' posterior is exact; near 1 where it is far from it, and ``score`` and ``impute(proposals=K)`` hang
        on a single draw.

        Parameters
        ----------
        views, mask
            As for ``fit``, any mix of patterns; views by name may be left out, in a list they are None.
        missing : {"error", "nan"}, optional
            In place of the option of that name.
        n_draws : int, default 64
            K.
        seed : int, optional
            Of the draws; by default the fit's.

        Returns
        -------
        (N,) ndarray
            Between 1 and K.

        Raises
        ------
        NotFitted, ConfigError, ViewError
            As ``impute`` does.

        Examples
        --------
        >>> worth = model.effective_draws([rna, protein], mask, n_draws=8)
        >>> worth.shape, bool((worth >= 1).all()), bool((worth < 8.001).all())
        ((300,), True, True)
        """
        n_draws = draws_of(n_draws)
        data, scaled, predictor, _ = self._read(views, mask, missing, seed=seed)
        worth: np.ndarray = predictor.log_evidence(scaled, data.observed, n_draws).effective_draws
        return worth

    @with_its_threads
    def score_conditional(
        self,
        views: Any,
        mask: Any = None,
        *,
        target: int | str,
        missing: str | None = None,
        n_draws: int = 64,
        return_error: bool = False,
    ) -> Any:
        """log p(x_j | x_O) of one view given a row's other observed views.

        The difference of the importance-weighted log p(x_j, x_O) and log p(x_O) with the same draws of z_O; consistent as K
        grows, a bound on neither side. (Weighing draws of z_j from the conditional, which know nothing of x_j, by p(x_j | z_j)
        is consistent too, but of a view with many columns hardly any such draw explains x_j: one weight then stands for all.)

        Parameters
        ----------
        views, mask
            As for ``fit``, any mix of patterns; views by name may be left out, in a list they are None.
        target : int or str
            View j, by position or name.
        missing : {"error", "nan"}, optional
            In place of the option of that name.
        n_draws : int, default 64
            K.
        return_error : bool, default False
            Give the Monte Carlo standard error too: that of two independent estimates (``score_samples``), more than that of
            these where the same draws explain both.

        Returns
        -------
        (N,) ndarray
            Nats in the data's units; NaN where view j is not observed, log p(x_j) where it is the only one. With
            ``return_error`` a pair of these. Warns as ``score_samples`` does.

        Raises
        ------
        NotFitted, ConfigError, ViewError
            As ``impute`` does; ViewError too for a target that is no view.

        Examples
        --------
        >>> found = model.score_conditional([rna, protein], mask, target=1)
        >>> bool(np.array_equal(np.isnan(found), ~mask[:, 1]))
        True
        """
        n_draws = draws_of(n_draws, least=2 if flag("return_error", return_error) else 1)
        data, scaled, predictor, units = self._read_for_scores(views, mask, missing)
        j = data.names.index(target) if isinstance(target, str) and target in data.names else target
        if not isinstance(j, Integral) or isinstance(j, bool) or not 0 <= int(j) < len(data.names):
            raise ViewError(f"target is {target!r}; expected one of the views {list(data.names)} or its position")
        both, given = predictor.log_evidence_without(scaled, data.observed, n_draws, int(j))
        has = data.observed[:, j]
        if has.any():
            warn_of_collapse(both.effective_draws[has], n_draws, "the score is loose on both sides. Take more n_draws")
        found = np.where(has, both.log_density - given.log_density - units.of(int(j)), np.nan)
        return (found, np.where(has, np.hypot(both.error, given.error), np.nan)) if return_error else found

    @with_its_threads
    def elbo(self, views: Any, mask: Any = None, *, missing: str | None = None, n_draws: int = 1) -> float:
        """The mean over rows of the ELBO (Eq. 5, beta = 1) of each row's observed views.

        Parameters
        ----------
        views, mask
            As for ``fit``, any mix of patterns; views by name may be left out, in a list they are None.
        missing : {"error", "nan"}, optional
            In place of the option of that name.
        n_draws : int, default 1
            Posterior samples to average over.

        Returns
        -------
        float
            Nats per row in the data's units; higher is better.

        Raises
        ------
        NotFitted, ConfigError, ViewError
            As ``impute`` does.

        Examples
        --------
        >>> model.elbo([rna, protein], mask) < model.score([rna, protein], mask)  # a bound on what score estimates
        True
        """
        n_draws = draws_of(n_draws)
        data, scaled, predictor, units = self._read_for_scores(views, mask, missing)
        per_row = predictor.elbo(scaled, data.observed, n_draws)
        return float((per_row - units.total).mean())

    def _read_for_scores(self, views: Any, mask: Any, missing: str | None) -> tuple[Views, list[Scaled], Predictor, LogUnits]:
        """As ``_read``, and what each view's units are worth in nats, found by the pass that checks: no row is read again."""
        units = LogUnits(self._fitted.units)
        data, scaled, predictor, _ = self._read(views, mask, missing, also=units)
        return data, scaled, predictor, units
