"""What a fitted model puts into the holes of views: means, draws and probabilities. A part of JPVAE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import ConfigError
from ..fitted import Fitted
from ..memory import check_result
from ..option_values import at_least, draws_of, flag, one_of
from ..options import Missing
from ..views import outputs
from ..views.checking import Kept
from ..views.units import check_imputed, overflow_is_found
from . import filling
from .bounds import bounds_of
from .importance import Proposals, resampling_of, warn
from .matching import Donors
from .predictor import Predictor
from .threads import with_its_threads


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
        proposals: Proposals = "auto",
        bounds: Mapping[str, Mapping[Any, tuple[float | None, float | None]]] | None = None,
        whole: Mapping[str, Sequence[Any]] | None = None,
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
            Of the predictive mean. An even number of them, four or more, are pairs on opposite sides of the posterior's mean
            (antithetic), so that what the decoder is linear in is exact, but for rows that are resampled (``proposals``). Of
            an ensemble, at least so many together, an even number of each model.
        moments : {"prior", "training"}, default "prior"
            Of the plug-in: in closed form under the prior, or Eq. 12 with the moments of training latents.
        missing : {"error", "nan"}, optional
            In place of the option of that name.
        return_std : bool or "mean", default False
            True: add the standard deviation of the missing value itself given what is observed, the likelihood's noise
            included (the law of total variance over the draws). "mean": that of its decoded mean alone, without the noise.
        proposals : "auto", int or None, default "auto"
            Take the draws from so many by importance resampling: of the encoders' posterior, weighted by what the model itself
            gives them, so that draws come from the model's own p(x_missing | x_observed) as proposals grow, however wrong the
            encoders. Warns where the weights collapse; ``effective_draws`` has each row's. None: draws of the encoders'
            posterior. "auto": twice ``n_draws`` (at least 32) for rows that lack cells of a view that is there, which encoders
            know least about, and where those are worth at least 8; None for all other rows. Warns where in half of the rows
            that lack cells they are worth less than 1.5.
        bounds : dict, optional
            ``{view: {column: (low, high)}}``, None for no bound: imputations beyond a bound become the bound. (Standard
            deviations stay those without bounds.)
        whole : dict, optional
            ``{view: [column, ...]}``: imputations there become the nearest whole number. With ``bounds`` these are the answers
            of an ordinal scale.
        seed : int, optional
            Of the draws; by default the fit's. A row keeps its draws wherever it stands: they depend on its DataFrame's index
            (unless that is whole numbers without a name, as pandas counts rows) or else on its content.
        out : list or dict of ndarray, optional
            Arrays to write into and give back, formed as the result, of each view's dtype (float32, else float64); they may be
            the views themselves. Blocks of rows are read, checked and written one by one: with memory-mapped views and ``out``,
            memory does not grow with the rows, but for the mask's few bytes per row. Arrays of zeros, as they are created, are
            written while the views are checked, and are zeros again after a mistake; others are written once all is checked,
            which reads the views twice. Rows not yet imputed hold NaN, so that an interrupted run never leaves a value that
            only looks valid.

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
        with_std = _with_std(method, moments, return_std)
        n_draws, resampling = draws_of(n_draws, 2 if with_std else 1), resampling_of(proposals, method)
        given = self.training_moments() if method == "plug-in" and moments == "training" else None
        limits = bounds_of(bounds, whole, self._fitted.view_names, self._fitted.columns)
        if out is not None and self._is_matrix(views):
            raise ConfigError("out is given with one wide matrix; expected None: pass the views by name to write into arrays")
        into = None if out is None else outputs.Into(out, with_std=with_std)
        data, scaled, predictor, give_back = self._read(views, mask, missing, seed=seed, copies=into or Kept())
        units = self._fitted.units
        if into is None:
            results = [list(data.tables), *([[*map(outputs.zeros_where_known, data.tables)]] if with_std else [])]
        else:
            into.rest(data)
            results = into.results
        copied = replace(data, tables=tuple(results[0]))  # the same numbers; the views themselves are not read again
        scaled = [replace(view, data=copied) for view in scaled]
        seen = filling.Seen(scaled, data.observed, data.whole)
        if method == "plug-in":
            fillings = filling.plug_in(predictor, seen, given)
        else:
            noise = with_std and return_std != "mean"
            fillings = filling.predictive(
                *(predictor, seen, n_draws), spread=with_std, observation_noise=noise, resampling=resampling
            )
        for j, rows, mean, std, _ in filling.checked(fillings, scaled):
            made = units[j].to_table(mean)
            outputs.fill(results[0][j], rows, made if limits is None else limits[j].applied(made))
            if with_std and std is not None:
                outputs.fill(results[1][j], rows, units[j].std_to_table(std))
        warn(resampling)
        filled = give_back(results[0], "filled")
        return (filled, give_back(results[1], "numbers")) if with_std else filled

    @with_its_threads
    def sample_imputations(
        self,
        views: Any,
        mask: Any = None,
        *,
        n_draws: int = 64,
        missing: Missing | None = None,
        observation_noise: bool = True,
        proposals: Proposals = "auto",
        bounds: Mapping[str, Mapping[Any, tuple[float | None, float | None]]] | None = None,
        whole: Mapping[str, Sequence[Any]] | None = None,
        matching: int | None = None,
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
        proposals : "auto", int or None, default "auto"
            As for ``impute``; take several times ``n_draws``, for one proposal may be taken more than once.
        bounds, whole : dict, optional
            As for ``impute``, of every draw: a bound gets the probability of all that lies beyond it.
        matching : int, optional
            Predictive mean matching: each number is taken from one of so many donors, rows of these tables that have it and
            whose predictive mean is nearest (5 is usual). Categories are drawn as ever.
        seed : int, optional
            Of the draws; by default the fit's. A row keeps its draws wherever it stands: they depend on its DataFrame's index
            (unless that is whole numbers without a name, as pandas counts rows) or else on its content.

        Returns
        -------
        list or dict
            (n_draws, N, p_i) in the data's units, or for a DataFrame a list of DataFrames. Without the noise their mean is what
            ``impute`` gives, up to what so few draws leave to chance, but for coded categories.

        Raises
        ------
        NotFitted, ConfigError, ViewError
            As ``impute`` does; ConfigError too where the copies do not fit into memory.

        Examples
        --------
        >>> model.sample_imputations([rna, None], n_draws=5, seed=1)[1].shape
        (5, 300, 4)
        """
        n_draws = draws_of(n_draws)
        observation_noise, resampling = flag("observation_noise", observation_noise), resampling_of(proposals)
        limits = bounds_of(bounds, whole, self._fitted.view_names, self._fitted.columns)
        if matching is not None and not observation_noise:
            raise ConfigError("matching needs observation_noise=True: a donor's value has its noise")
        data, scaled, predictor, give_back = self._read(views, mask, missing, seed=seed, copies=Kept())
        check_result("n_draws", n_draws, n_draws * sum(table.nbytes for table in data.tables))
        result = [np.repeat(table[None], n_draws, axis=0) for table in data.tables]
        units = self._fitted.units
        donors = None if matching is None else Donors(predictor, scaled, data, units, at_least("matching", matching, 1))
        with overflow_is_found():
            for one in filling.completed_draws(
                *(predictor, filling.Seen(scaled, data.observed, data.whole), n_draws),
                observation_noise=observation_noise,
                resampling=resampling,
                matching=donors is not None,
            ):
                j, made = one.view, units[one.view].to_table(one.values)
                check_imputed(scaled, j, one.rows, one.values)
                if donors is not None:
                    assert one.chance is not None
                    made = donors.matched(j, made, units[j].to_table(one.means), one.chance)
                made = made if limits is None else limits[j].applied(made)
                outputs.fill(result[j], (one.which, one.rows), made)
        warn(resampling)
        return give_back(result, "filled")


def _with_std(method: str, moments: str, return_std: Any) -> bool:
    """Whether standard deviations are wanted. Raises ConfigError for unknown options, and for some that exclude each other."""
    one_of("method", method, ("predictive", "plug-in"))
    one_of("moments", moments, ("prior", "training"))
    if not isinstance(return_std, bool | np.bool_ | str) or return_std not in (False, True, "mean"):
        raise ConfigError(f"return_std is {return_std!r}; expected True (of the value), 'mean' (of its mean alone) or False")
    if method == "plug-in" and return_std:
        raise ConfigError("return_std needs method='predictive': a plug-in imputation is one number per entry")
    return bool(return_std)
