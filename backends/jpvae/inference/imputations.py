"""What a fitted model makes of views: imputations, latents, reconstructions and new subjects. A part of JPVAE."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import ConfigError
from ..fitted import Fitted
from ..options import Missing, at_least, flag, one_of, seed_of
from ..views import outputs
from ..views.dataframes import give_back as as_table
from ..views.units import check_imputed, overflow_is_found
from . import filling
from .predictor import Predictor


class Imputations:
    """Methods of the estimator, which has a fit and reads views by it."""

    _fitted: Fitted
    _read: Any
    _is_matrix: Any

    if TYPE_CHECKING:

        def predictor(self) -> Predictor:
            """The fitted model."""

        def training_moments(self) -> tuple[np.ndarray, np.ndarray]:
            """Of the latents."""

    def impute(
        self,
        views: Any,
        mask: Any = None,
        *,
        method: Literal["predictive", "plug-in"] = "predictive",
        n_draws: int = 64,
        moments: Literal["prior", "training"] = "prior",
        missing: Missing | None = None,
        return_std: bool = False,
        seed: int | None = None,
        out: Any = None,
    ) -> Any:
        """Fill the missing views, in the data's units; what was observed comes back as it was.

        Parameters
        ----------
        views, mask
            As for ``fit``, any mix of patterns; views by name may be left out, in a list they are None.
        method : {"predictive", "plug-in"}, default "predictive"
            The mean of the decoded means over draws of the missing latents given what is observed, the better imputation by
            far; or (the paper) the conditional mean, decoded once.
        n_draws : int, default 64
            Of the predictive mean.
        moments : {"prior", "training"}, default "prior"
            Of the plug-in: in closed form under the prior, or Eq. 12 with the moments of training latents.
        missing : {"error", "nan"}, optional
            In place of the option of that name.
        return_std : bool, default False
            Add the standard deviation of the decoded means over the draws, without the likelihood's own noise.
        seed : int, optional
            Of the draws; by default the fit's. A row keeps its draws wherever it stands: they depend on its DataFrame's index
            (unless that only counts the rows) or else on its content.
        out : list or dict of ndarray, optional
            Arrays to write into and give back, formed as the result, of each view's dtype (float32, else float64); they may be
            the views themselves. Blocks of rows are read, checked and written one by one: with memory-mapped views and ``out``,
            memory does not grow with the rows, but for the mask's few bytes per row. Mistakes are found before anything is
            written. Rows not yet imputed hold NaN, so that an interrupted run never leaves a value that only looks valid.

        Returns
        -------
        list or dict of tables
            In the container that the views came in: arrays, or for DataFrames DataFrames with their index, columns and, where
            nothing was missing, dtype; with ``return_std`` a pair of these. A coded or text category is the most probable one
            (its std is NaN), one-hot groups are probabilities. Counts are imputed at size factor 1, cells at that of their row.

        Raises
        ------
        NotFitted, ConfigError
            Before ``fit``; where the arguments contradict each other.
        ViewError
            Where the views are not those of the fit, or ``out`` does not fit them.

        Examples
        --------
        >>> mean, std = model.impute([rna, None], return_std=True)
        >>> mean[1].shape, bool((std[1] > 0).all()), bool((std[0] == 0).all())
        ((300, 4), True, True)

        Between memory-mapped files, in the memory of a block of rows:

        >>> rna, protein = (np.load(f"{name}.npy", mmap_mode="r") for name in ("rna", "protein"))    # doctest: +SKIP
        >>> create = np.lib.format.open_memmap                                                       # doctest: +SKIP
        >>> out = [create(f"filled-{i}.npy", "w+", v.dtype, v.shape) for i, v in enumerate((rna, protein))]  # doctest: +SKIP
        >>> model.impute([rna, protein], mask, out=out)                                              # doctest: +SKIP
        """
        one_of("method", method, ("predictive", "plug-in"))
        one_of("moments", moments, ("prior", "training"))
        return_std = flag("return_std", return_std)
        if method == "plug-in" and return_std:
            raise ConfigError("return_std=True needs method='predictive': a plug-in imputation is one number per entry")
        n_draws = at_least("n_draws", n_draws, 2 if return_std else 1)
        if method == "plug-in" and moments == "training":
            self.training_moments()
        if out is not None and self.predictor() and self._is_matrix(views):
            raise ConfigError("out is given with one wide matrix; expected None: pass the views by name to write into arrays")
        data, scaled, predictor, give_back = self._read(views, mask, missing, seed=seed, keep=out is None)
        units = self._fitted.units
        results = outputs.begin(data, out, with_std=return_std)
        copied = replace(data, tables=tuple(results[0]))  # the same numbers; the views themselves are not read again
        scaled = [replace(view, data=copied) for view in scaled]
        if method == "plug-in":
            given = self.training_moments() if moments == "training" else None
            fillings = filling.plug_in(predictor, scaled, data.whole, data.observed, given)
        else:
            fillings = filling.predictive(predictor, scaled, data.whole, data.observed, n_draws)
        with overflow_is_found():
            for j, rows, mean, std in fillings:
                check_imputed(scaled, j, rows, np.stack([mean, std]))
                to_table = (units[j].to_table(mean), units[j].std_to_table(std))
                for arrays, values in zip(results, to_table, strict=False):
                    outputs.fill(arrays[j], rows, values)
        filled = give_back(results[0], "filled")
        return (filled, give_back(results[1], "numbers")) if return_std else filled

    def sample_imputations(
        self,
        views: Any,
        mask: Any = None,
        *,
        n_draws: int = 64,
        missing: Missing | None = None,
        observation_noise: bool = True,
        seed: int | None = None,
    ) -> Any:
        """Completed copies of every view: what was observed repeated, holes drawn.

        Parameters
        ----------
        views, mask
            As for ``fit``, any mix of patterns; views by name may be left out, in a list they are None.
        n_draws : int, default 64
            How many copies.
        missing : {"error", "nan"}, optional
            In place of the option of that name.
        observation_noise : bool, default True
            Whether x is drawn from its likelihood too, as multiple imputation wants (zeros and ones, counts, categories); else
            a draw is the decoded mean of one draw of the latents.
        seed : int, optional
            Of the draws; by default the fit's. A row keeps its draws wherever it stands: they depend on its DataFrame's index
            (unless that only counts the rows) or else on its content.

        Returns
        -------
        list or dict
            (n_draws, N, p_i) in the data's units, or for a DataFrame a list of DataFrames. Without the noise their mean is what
            ``impute`` gives for the same ``n_draws``, but for coded categories.

        Raises
        ------
        NotFitted, ConfigError, ViewError
            As ``impute`` does; ConfigError too where the copies do not fit into memory.

        Examples
        --------
        >>> model.sample_imputations([rna, None], n_draws=5, seed=1)[1].shape
        (5, 300, 4)
        """
        n_draws = at_least("n_draws", n_draws, 1)
        observation_noise = flag("observation_noise", observation_noise)
        data, scaled, predictor, give_back = self._read(views, mask, missing, seed=seed, keep=True)
        try:
            result = [np.repeat(table[None], n_draws, axis=0) for table in data.tables]
        except (MemoryError, OverflowError, ValueError) as error:  # which of them depends on how many
            size = n_draws * sum(table.nbytes for table in data.tables)
            raise ConfigError(f"n_draws is {n_draws}, whose copies take {size >> 30:,} GiB; expected fewer") from error
        units = self._fitted.units
        with overflow_is_found():
            for j, which, rows, values in filling.completed_draws(
                predictor, scaled, data.whole, data.observed, n_draws, observation_noise=observation_noise
            ):
                check_imputed(scaled, j, rows, values)
                outputs.fill(result[j], (which, rows), units[j].to_table(values))
        return give_back(result, "filled")

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
        result, units = [np.empty((len(data.observed), p)) for p in data.features], self._fitted.units
        for block in predictor.blocks(scaled, data.observed):
            for j, z in enumerate(predictor.conditional_latents(block)):
                mean = predictor.engine.numpy(predictor.decoded_mean(j, z, block.views[j]))[: block.size]
                result[j][block.rows] = units[j].to_table(mean)
        return give_back(result)

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
            Before ``fit``; where ``n`` or ``seed`` is no such integer.

        Examples
        --------
        >>> [view.shape for view in model.sample(3)]
        [(3, 6), (3, 4)]
        """
        predictor = self.predictor()
        means = predictor.prior_means(at_least("n", n, 1), seed_of(at_least("seed", seed, 0)))
        tables = [units.to_table(m) for m, units in zip(means, self._fitted.units, strict=True)]
        return [
            as_table(t, columns, None, None, kind="decoded") for t, columns in zip(tables, self._fitted.columns, strict=True)
        ]
