"""How probable each level of a category is that a row lacks. A part of JPVAE."""

from __future__ import annotations

from typing import Any, Literal

from ..fitted import Fitted
from ..option_values import draws_of, one_of
from ..options import Missing
from ..views import outputs
from ..views.units import KnownLevels
from . import filling
from .importance import Proposals, resampling_of, warn
from .threads import with_its_threads


class Probabilities:
    """A method of the estimator, which has a fit and reads views by it."""

    _fitted: Fitted
    _read: Any

    @with_its_threads
    def impute_probabilities(
        self,
        views: Any,
        mask: Any = None,
        *,
        method: Literal["predictive", "plug-in"] = "predictive",
        n_draws: int = 64,
        missing: Missing | None = None,
        proposals: Proposals = "auto",
        seed: int | None = None,
    ) -> Any:
        """How probable each level of each coded or text category is; ``impute`` gives the most probable one.

        Parameters
        ----------
        views, mask
            As for ``fit``, any mix of patterns; views by name may be left out, in a list they are None.
        method, n_draws, missing, proposals, seed
            As for ``impute``: with the same ones, these are the probabilities behind its result.

        Returns
        -------
        list or dict of tables
            For each view (N, L), a column for each level of each category, in the order of ``levels_`` ("column=level"), as a
            DataFrame where the view came as one; L is 0 without categories. An observed category has 1 for its level. Of one
            wide matrix, a dict by view. (Zeros and ones, and one-hot groups, have their probabilities in ``impute``.)

        Raises
        ------
        NotFitted, ConfigError, ViewError
            As ``impute`` does.

        Examples
        --------
        >>> model.levels_["view1"], model.impute_probabilities([rna, protein], mask)[1].shape  # a view without categories
        ((), (300, 0))
        """
        one_of("method", method, ("predictive", "plug-in"))
        n_draws, resampling = draws_of(n_draws), resampling_of(proposals, method)
        units, known = self._fitted.units, KnownLevels(self._fitted.units)
        data, scaled, predictor, _ = self._read(views, mask, missing, seed=seed, also=known)
        results = known.of
        seen = filling.Seen(scaled, data.observed, data.whole)
        if method == "plug-in":
            fillings = filling.plug_in(predictor, seen, None)
        else:
            fillings = filling.predictive(predictor, seen, n_draws, spread=False, resampling=resampling)
        for j, rows, mean, *_ in filling.checked(fillings, scaled):
            outputs.fill(results[j], rows, units[j].probabilities(mean))
        warn(resampling)
        return data.give_back_as(results, [each.columns.level_titles for each in units])
