"""What a fitted model puts into the holes of views: means, draws and probabilities. A part of JPVAE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import ConfigError
from ..fitted import Fitted
from ..option_values import at_least, flag, one_of
from ..options import Missing
from ..views import outputs
from ..views.reading import blocks
from ..views.units import Scaled, check_imputed, overflow_is_found
from . import filling
from .filling import Filling
from .importance import Resampling
from .predictor import Predictor
from .threads import with_its_threads

_MOST_PROPOSALS = 100_000


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

    @with_its_threads
    def impute(
        self,
        views: Any,
        mask: Any = None,
        *,
        method: Literal["predictive", "plug-in"] = "predictive",
        n_draws: int = 64,
        moments: Literal["prior", "training"] = "prior",
        missing: Missing | None = None,
        return_std: bool | Literal["mean"] = False,
        proposals: int | None = None,
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
        return_std : bool or "mean", default False
            True: add the standard deviation of the missing value itself given what is observed, the likelihood's noise
            included (the law of total variance over the draws). "mean": that of its decoded mean alone, without the noise.
        proposals : int, optional
            Take the draws from so many by importance resampling: of the encoders' posterior, weighted by what the model itself
            gives them, so that draws come from the model's own p(x_missing | x_observed) as proposals grow, however wrong the
            encoders. None: draws of the encoders' posterior. Warns where the weights collapse; ``effective_draws`` has each
            row's.
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
            (it has no standard deviation, NaN, but ``impute_probabilities``), one-hot groups are probabilities. Counts are
            imputed at size factor 1, cells at that of their row.

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
        if not isinstance(return_std, bool | np.bool_ | str) or return_std not in (False, True, "mean"):
            raise ConfigError(
                f"return_std is {return_std!r}; expected True (of the value), 'mean' (of its mean alone) or False"
            )
        with_std = bool(return_std)
        if method == "plug-in" and with_std:
            raise ConfigError("return_std needs method='predictive': a plug-in imputation is one number per entry")
        n_draws, resampling = at_least("n_draws", n_draws, 2 if with_std else 1), _resampling(proposals, method)
        if method == "plug-in" and moments == "training":
            self.training_moments()
        if out is not None and self.predictor() and self._is_matrix(views):
            raise ConfigError("out is given with one wide matrix; expected None: pass the views by name to write into arrays")
        data, scaled, predictor, give_back = self._read(views, mask, missing, seed=seed, keep=out is None)
        units = self._fitted.units
        results = outputs.begin(data, out, with_std=with_std)
        copied = replace(data, tables=tuple(results[0]))  # the same numbers; the views themselves are not read again
        scaled = [replace(view, data=copied) for view in scaled]
        if method == "plug-in":
            given = self.training_moments() if moments == "training" else None
            fillings = filling.plug_in(predictor, scaled, data.whole, data.observed, given)
        else:
            noise = with_std and return_std != "mean"
            fillings = filling.predictive(
                predictor, scaled, data.whole, data.observed, n_draws, observation_noise=noise, resampling=resampling
            )
        for j, rows, mean, std in _checked(fillings, scaled):
            outputs.fill(results[0][j], rows, units[j].to_table(mean))
            if with_std and std is not None:
                outputs.fill(results[1][j], rows, units[j].std_to_table(std))
        _warn(resampling)
        filled = give_back(results[0], "filled")
        return (filled, give_back(results[1], "numbers")) if with_std else filled

    @with_its_threads
    def impute_probabilities(
        self,
        views: Any,
        mask: Any = None,
        *,
        method: Literal["predictive", "plug-in"] = "predictive",
        n_draws: int = 64,
        missing: Missing | None = None,
        proposals: int | None = None,
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
        n_draws, resampling = at_least("n_draws", n_draws, 1), _resampling(proposals, method)
        data, scaled, predictor, _ = self._read(views, mask, missing, seed=seed)
        units, results = self._fitted.units, []
        for j, each in enumerate(units):
            result = np.empty((len(data.observed), len(each.columns.level_titles)))
            for block in blocks(len(result)):
                result[block] = each.columns.probabilities(each.known(data.read(j, block), data.observed[block, j]))
            results.append(result)
        if method == "plug-in":
            fillings = filling.plug_in(predictor, scaled, data.whole, data.observed, None)
        else:
            fillings = filling.predictive(predictor, scaled, data.whole, data.observed, n_draws, resampling=resampling)
        for j, rows, mean, _ in _checked(fillings, scaled):
            outputs.fill(results[j], rows, units[j].probabilities(mean))
        _warn(resampling)
        return data.give_back_as(results, [each.columns.level_titles for each in units])

    @with_its_threads
    def sample_imputations(
        self,
        views: Any,
        mask: Any = None,
        *,
        n_draws: int = 64,
        missing: Missing | None = None,
        observation_noise: bool = True,
        proposals: int | None = None,
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
        proposals : int, optional
            As for ``impute``; take several times ``n_draws``, for one proposal may be taken more than once.
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
        observation_noise, resampling = flag("observation_noise", observation_noise), _resampling(proposals)
        data, scaled, predictor, give_back = self._read(views, mask, missing, seed=seed, keep=True)
        try:
            result = [np.repeat(table[None], n_draws, axis=0) for table in data.tables]
        except (MemoryError, OverflowError, ValueError) as error:  # which of them depends on how many
            size = n_draws * sum(table.nbytes for table in data.tables)
            raise ConfigError(f"n_draws is {n_draws}, whose copies take {size >> 30:,} GiB; expected fewer") from error
        units = self._fitted.units
        with overflow_is_found():
            for j, which, rows, values in filling.completed_draws(
                *(predictor, scaled, data.whole, data.observed, n_draws),
                observation_noise=observation_noise,
                resampling=resampling,
            ):
                check_imputed(scaled, j, rows, values)
                outputs.fill(result[j], (which, rows), units[j].to_table(values))
        _warn(resampling)
        return give_back(result, "filled")


def _resampling(proposals: int | None, method: str = "predictive") -> Resampling | None:
    if proposals is None:
        return None
    if method == "plug-in":
        raise ConfigError("proposals needs method='predictive': a plug-in imputation draws nothing")
    if at_least("proposals", proposals, 2) > _MOST_PROPOSALS:
        raise ConfigError(
            f"proposals is {proposals}; expected at most {_MOST_PROPOSALS:,}: their weights are kept for every row"
        )
    return Resampling(int(proposals))


def _warn(resampling: Resampling | None) -> None:
    if resampling is not None:
        resampling.warn()


def _checked(fillings: Iterator[Filling], views: Sequence[Scaled]) -> Iterator[Filling]:
    """The fillings, every number found to be finite."""
    with overflow_is_found():
        for one in fillings:
            values = [part for part in (one.mean, one.std) if part is not None]
            check_imputed(views, one.view, one.rows, np.stack(values))
            yield one
