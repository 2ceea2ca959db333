"""What a fitted model decodes: views from their latents, and new subjects. A part of JPVAE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..fitted import Fitted
from ..memory import check_result
from ..option_values import at_least, seed_of
from ..options import Missing
from ..views.returning import give_back as as_table
from .predictor import Predictor
from .threads import with_its_threads


class Generation:
    """Methods of the estimator, which has a fit and reads views by it."""

    _fitted: Fitted
    _read: Any

    if TYPE_CHECKING:

        def predictor(self) -> Predictor:
            """The fitted model."""

    @with_its_threads
    def reconstruct(self, views: Any, mask: Any = None, *, missing: Missing | None = None) -> Any:
        """Every view decoded from its latent mean (``transform``).

        Parameters
        ----------
        views, mask
            As for ``fit``, any mix of patterns; views by name may be left out, in a list they are None.
        missing : {"error", "nan"}, optional
            In place of the option of that name.

        Returns
        -------
        list or dict of (N, p_i) tables
            In the data's units, in the container that the views came in.

        Raises
        ------
        NotFitted, ViewError
            As ``impute`` does.

        Examples
        --------
        >>> [view.shape for view in model.reconstruct([rna, protein], mask)]
        [(300, 6), (300, 4)]
        """
        data, scaled, predictor, give_back = self._read(views, mask, missing)
        check_result("the number of rows", len(data.observed), 8 * len(data.observed) * sum(data.features))
        result, units = [np.empty((len(data.observed), p)) for p in data.features], self._fitted.units
        for block in predictor.blocks(scaled, data.observed, drawing=False):
            for j, z in enumerate(predictor.conditional_latents(block)):
                mean = predictor.engine.numpy(predictor.decoded_mean(j, z, block.views[j]))[: block.size]
                result[j][block.rows] = units[j].to_table(mean)
        return give_back(result)

    @with_its_threads
    def sample(self, n: int, *, seed: int = 0) -> list[np.ndarray]:
        """New subjects from the prior: coherent decoded means of all views.

        Parameters
        ----------
        n : int
            How many.
        seed : int, default 0
            Of the draws.

        Returns
        -------
        list of (n, p_i) ndarray
            In the data's units.

        Raises
        ------
        NotFitted, ConfigError
            Before ``fit``; where ``n`` or ``seed`` is no such integer, or ``n`` rows take more memory than there is.

        Examples
        --------
        >>> [view.shape for view in model.sample(3)]
        [(3, 6), (3, 4)]
        """
        predictor, n = self.predictor(), at_least("n", n, 1)
        check_result("n", n, n * sum(4 * columns.width + 8 * columns.count for columns in self._fitted.columns))
        means = predictor.prior_means(n, seed_of(at_least("seed", seed, 0)))
        tables = [units.to_table(m) for m, units in zip(means, self._fitted.units, strict=True)]
        return [
            as_table(t, columns, None, None, kind="decoded") for t, columns in zip(tables, self._fitted.columns, strict=True)
        ]
