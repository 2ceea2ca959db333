"""JPVAE, a scikit-learn estimator: fit on several views of the same subjects with holes, get the holes filled, and how sure."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from numbers import Integral
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import validate_data

from . import fitting
from .atomic import check_folder
from .errors import ConfigError, NotFitted, ViewError
from .files import saving
from .fitted import Fitted
from .inference import filling
from .inference.predictor import Predictor
from .inference.scores import Scores
from .model.priors import Bound, PriorName
from .options import Dtype, Entries, Missing, Objective, OnImpossible, Options, RateSchedule, at_least
from .planning import engine_of, with_networks
from .training.callbacks import Callback, OnLog, check
from .training.progress import progress_bar, show_families
from .training.schedules import BetaSchedule
from .views import outputs
from .views.dataframes import give_back as as_table
from .views.impossible import Impossible
from .views.inferring import families
from .views.opening import open_views
from .views.reading import Views, checked, impossible_rows
from .views.slices import Slices
from .views.survey import Survey
from .views.units import Scaled, check_imputed, overflow_is_found
from .writers import only_writer


class NotFittedJPVAE(NotFitted, NotFittedError):
    """``NotFitted``, which scikit-learn knows for its own."""


class JPVAE(Scores, TransformerMixin, BaseEstimator):
    """A variational autoencoder per view, tied by one joint Gaussian prior over their latents.

    latent_dims: one size, or one per view.  prior: "independent", "orthogonal" (C = alpha * rotation), "svd" (two views,
    singular values learned), "canonical" (any views and sizes, loadings learned).  alpha: the correlation of "orthogonal",
    the starting correlation of "svd" and "canonical".  learn_alpha: train it ("orthogonal", two views).  rank: how many
    latent directions are coupled (all, by default).  bound: "sigmoid" or "tanh", for "svd".
    likelihood: "bernoulli", "gaussian", "student_t" (outliers), "categorical", "poisson" or "negative_binomial" (tables of
    counts, with size factors; "..._unscaled" without), or "infer"; one for all views, one per view, or a dict by view, in which
    a view may have a dict by column: {"clinic": {"age": "gaussian", ("a", "b", "c"): "categorical"}} (a, b, c: one-hot
    together; columns left out are inferred: inferring.py; what was is printed, and kept in ``inferred_``).
    view_weights: one number per view, or by name: weighs its log-likelihood in the loss.  entries: "error", or "marginalise":
    NaN cells of an observed row are left out of the likelihood, and imputed.
    objective: "subset" (every row also learns to fill each
    of its views from the others: imputes well) or "elbo" (Eq. 5, the paper).  subset_weights: for two views (both, first
    alone, second alone), for more (all observed, a random part); default (1, .5, .5) and (1, 1).
    hidden: sizes of the encoders' layers (decoders mirror them).  epochs: passes over the rows, or steps: Adam steps.
    learning_rate_schedule: "cosine" or "constant".  beta: "constant", "linear", "cyclical" or a schedule object.
    early_stopping: hold out validation_fraction of the rows (which ones: by the seed), evaluate the objective on them once per
    pass over the others (at least 50 steps apart), stop after ``patience`` evaluations without a better one, and keep the
    parameters of the best. Columns are standardised, and moments taken, over all rows.
    max_gradient_norm: longer gradients (their Euclidean norm over all parameters) are shortened to it; 1 to 10 calm a training
    that diverges. None: no limit.
    coupling_rate: learned correlations move at this times the learning rate (at full rate they fall before the decoders
    have learned to use them).
    backend: "torch", or "numpy" (the CPU, no framework; fastest with OPENBLAS_NUM_THREADS=1).  device: as torch names it.
    dtype: "float32" or "float64".
    seed: an integer fixes the result on one machine; None: fresh entropy each fit; or a NumPy Generator or RandomState to draw
    from.  missing: "error", or "nan": a row of NaN is a missing view.  impossible: what a fitted model does with a value that
    its likelihoods cannot have (a 2 where fit saw zeros and ones, an unseen category): "error", or "missing": the cell, or the
    row's view under entries="error", is imputed, with a warning.
    view_slices: where all views come as one matrix X, which columns are whose (wide.py has the forms); every method then takes
    (X, y), y ignored, as Pipeline and GridSearchCV call it, and gives back one matrix like X where else it gives views.
    progress: True, False, or "auto" (only where stderr is a terminal).

    After fit: parameters_, history_, scaling_, moments_, model_, view_names_, seed_ (the integer that was used), report_,
    columns_, inferred_, index_name_ (the DataFrames' index's, or None); of one matrix X also view_columns_ (positions by view),
    n_features_in_ and, for a DataFrame, feature_names_in_.

    >>> model = JPVAE(latent_dims=8, prior="orthogonal", likelihood="gaussian")   # doctest: +SKIP
    >>> model.fit([rna, protein], mask)                                           # doctest: +SKIP
    >>> filled = model.impute([rna, protein], mask)                               # doctest: +SKIP
    """

    def __init__(
        self,
        latent_dims: int | Sequence[int] = 20,
        *,
        prior: PriorName = "orthogonal",
        alpha: float = 0.95,
        learn_alpha: bool = False,
        rank: int | None = None,
        bound: Bound = "sigmoid",
        likelihood: Any = "bernoulli",
        view_weights: Sequence[float] | Mapping[str, float] | None = None,
        entries: Entries = "error",
        objective: Objective = "subset",
        subset_weights: Sequence[float] | None = None,
        hidden: Sequence[int] | Sequence[Sequence[int]] = (512, 512),
        epochs: float = 30,
        steps: int | None = None,
        batch_size: int = 64,
        learning_rate: float = 2e-3,
        learning_rate_schedule: RateSchedule = "cosine",
        coupling_rate: float = 0.1,
        beta: str | BetaSchedule = "constant",
        backend: Literal["torch", "numpy"] | str = "torch",
        device: str = "cpu",
        dtype: Dtype = "float32",
        seed: int | np.random.Generator | np.random.RandomState | None = 0,
        missing: Missing = "error",
        impossible: OnImpossible = "error",
        view_slices: Any = None,
        progress: bool | Literal["auto"] = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        max_gradient_norm: float | None = None,
        weight_decay: float = 0.0,
        networks: Mapping[str, tuple[Any, Any]] | None = None,
    ) -> None:
        self.latent_dims = latent_dims
        self.prior = prior
        self.alpha = alpha
        self.learn_alpha = learn_alpha
        self.rank = rank
        self.bound = bound
        self.likelihood = likelihood
        self.view_weights = view_weights
        self.entries = entries
        self.objective = objective
        self.subset_weights = subset_weights
        self.hidden = hidden
        self.epochs = epochs
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.coupling_rate = coupling_rate
        self.beta = beta
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.seed = seed
        self.missing = missing
        self.impossible = impossible
        self.view_slices = view_slices
        self.progress = progress
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.max_gradient_norm = max_gradient_norm
        self.weight_decay = weight_decay
        self.networks = networks

    def fit(
        self,
        views: Any,
        mask: Any = None,
        *,
        y: Any = None,
        missing: Missing | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1000,
        on_log: Callable[[dict[str, Any]], None] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> JPVAE:
        """Train on rows with any pattern of missing views. Each row's bound uses its observed views and their exact prior.

        views: list or dict of (N, c_i) tables; mask: (N, M), True where observed; missing: in place of the
        option of that name.  y: ignored.  With view_slices one matrix (N, C) comes for the views and y for the mask.
        checkpoint: a file to write every ``checkpoint_every`` steps and at the end, and to go on from where it exists:
        a run that was killed and started again gives the same parameters, bit for bit, as one that was not.
        on_log: called with each record of the history.  callbacks: listeners (jpvae.training.callbacks: JSONLines,
        TensorBoard, your own), which may raise StopTraining. ``history_`` says how it went, ``report_`` which latents are used.
        Raises ViewError, ConfigError, CheckpointError; TrainingDiverged at the first loss, gradient norm, checkpoint or end
        that is not finite: the checkpoint file then is the last good one, which ``load`` reads.
        """
        check(callbacks)
        if on_log is not None and not callable(on_log):
            raise ConfigError(f"on_log is {on_log!r}; expected a function that takes a record, or None")
        checkpoint_every = at_least("checkpoint_every", checkpoint_every, 1)
        if checkpoint is not None:
            check_folder(checkpoint)
            if not isinstance(self.seed, Integral):
                raise ConfigError(f"seed is {self.seed!r}; expected an integer with checkpoint, so that the run can go on")
        options, slices = Options.of(self), None
        if options.view_slices is not None:
            views, slices, mask = *self._learn_slices(views, mask), None
        missing = self.missing if missing is None else missing
        file = None if checkpoint is None else fitting.File(checkpoint, checkpoint_every)
        with nullcontext() if file is None else only_writer(file.path):
            opened = open_views(views, mask, likelihood=options.likelihood)
            start, plan, data = fitting.begin(options, opened, missing, slices)
            show_families(families(data.names, data.columns), options.likelihood, options.progress)
            listeners = [*progress_bar(options.progress), *callbacks, *([OnLog(on_log)] if on_log else [])]
            self._become(*fitting.run(start, data, plan, file, listeners))
        return self

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
        out: Any = None,
    ) -> Any:
        """Fill the missing views, in data units; observed rows come back as they were. Any mix of patterns in one call.

        method="predictive": the mean of the decoded means over ``n_draws`` draws of the missing latents given what is
        observed: the better imputation by far. return_std=True adds these means' standard deviation per entry (0 where
        observed), without the likelihood's own noise.  method="plug-in" (the paper): decode the conditional mean once;
        moments="prior" takes the closed form under
        the prior, "training" Eq. 12 with the moments of training latents.
        -> views in the container they came in (list or dict) of (N, p_i) tables: arrays, or for DataFrames DataFrames with
        their index, columns and, where a column had no hole, dtype; with return_std a pair of these. A category, coded or text,
        is imputed as the most probable one (and has no std: NaN); one-hot groups as probabilities.
        Counts are imputed at size factor 1, missing cells at that of their row.

        out: arrays to write into and give back, formed as the result, of each view's dtype (float32, else float64); they may be
        the views themselves. Blocks of rows are read, checked and written one by one: with memory-mapped views and ``out``,
        memory does not grow with the rows (but for the mask's few bytes per row). Mistakes are found before anything is
        written; a row that is not imputed yet is NaN, so that a run that was stopped leaves no number that is none.

        >>> rna, protein = (np.load(f"{name}.npy", mmap_mode="r") for name in ("rna", "protein"))    # doctest: +SKIP
        >>> create = np.lib.format.open_memmap                                                       # doctest: +SKIP
        >>> out = [create(f"filled-{i}.npy", "w+", v.dtype, v.shape) for i, v in enumerate((rna, protein))]  # doctest: +SKIP
        >>> model.impute([rna, protein], mask, out=out)                                              # doctest: +SKIP
        """
        if method not in ("predictive", "plug-in"):
            raise ConfigError(f"method is {method!r}; expected 'predictive' or 'plug-in'")
        if moments not in ("prior", "training"):
            raise ConfigError(f"moments is {moments!r}; expected 'prior' or 'training'")
        if method == "plug-in" and return_std:
            raise ConfigError("return_std=True needs method='predictive': a plug-in imputation is one number per entry")
        n_draws = at_least("n_draws", n_draws, 2 if return_std else 1)
        if method == "plug-in" and moments == "training":
            self.training_moments()
        if out is not None and self.predictor() and self._is_matrix(views):
            raise ConfigError(
                "out is given with one wide matrix; expected None: hand in the views by name to write into arrays"
            )
        data, scaled, predictor, give_back = self._read(views, mask, missing, keep=out is None)
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
        observation_noise: bool = False,
    ) -> Any:
        """``n_draws`` completed copies of every view, (n_draws, N, p_i) in data units (of a DataFrame, a list of DataFrames):
        what was observed repeated, holes drawn.

        A draw is the decoded mean of one draw of the latents; observation_noise=True also draws x from its likelihood, as
        multiple imputation wants (zeros and ones, counts, categories). Their mean is what ``impute`` returns for the same
        n_draws, but for coded categories.
        """
        n_draws = at_least("n_draws", n_draws, 1)
        data, scaled, predictor, give_back = self._read(views, mask, missing, keep=True)
        result, units = [np.repeat(table[None], n_draws, axis=0) for table in data.tables], self._fitted.units
        with overflow_is_found():
            for j, which, rows, values in filling.completed_draws(
                predictor, scaled, data.whole, data.observed, n_draws, observation_noise=observation_noise
            ):
                check_imputed(scaled, j, rows, values)
                outputs.fill(result[j], (which, rows), units[j].to_table(values))
        return give_back(result, "filled")

    def fit_transform(self, views: Any, mask: Any = None, **options: Any) -> np.ndarray:
        """``fit(views, mask, **options)``, then ``transform(views, mask)``."""
        return self.fit(views, mask, **options).transform(views, mask, missing=options.get("missing"))

    def transform(self, views: Any, mask: Any = None, *, missing: Missing | None = None) -> np.ndarray:
        """Latents (N, sum n_i): posterior means of the observed views, their conditional means for the missing ones."""
        data, scaled, predictor, _ = self._read(views, mask, missing)
        parts = []
        for block in predictor.blocks(scaled, data.observed):
            latents = predictor.conditional_latents(block)
            parts.append(np.concatenate([predictor.engine.numpy(z)[: block.size] for z in latents], axis=-1))
        return np.concatenate(parts)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of ``transform``'s columns: <view>_latent<k>. input_features (scikit-learn's) has no part in it."""
        dims = self.predictor().model.latent_dims
        sizes = zip(self.view_names_, dims, strict=True)
        return np.asarray([f"{name}_latent{k}" for name, n in sizes for k in range(n)], dtype=object)

    def reconstruct(self, views: Any, mask: Any = None, *, missing: Missing | None = None) -> Any:
        """Every view decoded from its latent mean (``transform``), in data units; list or dict of (N, c_i) arrays."""
        data, scaled, predictor, give_back = self._read(views, mask, missing)
        result, units = [np.empty((len(data.observed), p)) for p in data.features], self._fitted.units
        for block in predictor.blocks(scaled, data.observed):
            for j, z in enumerate(predictor.conditional_latents(block)):
                mean = predictor.engine.numpy(predictor.decoded_mean(j, z, block.views[j]))[: block.size]
                result[j][block.rows] = units[j].to_table(mean)
        return give_back(result)

    def sample(self, n: int, *, seed: int = 0) -> list[np.ndarray]:
        """``n`` new subjects from the prior: coherent decoded means of all views, a list of (n, p_i) arrays in data units."""
        predictor = self.predictor()
        means = predictor.prior_means(at_least("n", n, 1), at_least("seed", seed, 0))
        tables = [units.to_table(m) for m, units in zip(means, self._fitted.units, strict=True)]
        return [
            as_table(t, columns, None, None, kind="decoded") for t, columns in zip(tables, self.table_columns_, strict=True)
        ]

    def find_impossible(self, views: Any, mask: Any = None) -> np.ndarray:
        """(N, M) bool: the rows of each view that hold a value which the fit's likelihoods cannot have."""
        self.predictor()
        if self._is_matrix(views):
            (views, _), mask = self._cut(views, mask), None
        opened = open_views(views, mask, names=self._fitted.view_names, columns=self._fitted.columns)
        return impossible_rows(opened, self._impossible())

    def predictor(self) -> Predictor:
        """The fitted model with its parameters, for measures and experiments. Raises NotFitted before ``fit``."""
        if not hasattr(self, "_predictor"):
            raise NotFittedJPVAE("this JPVAE has no parameters yet; call fit(views) first, or JPVAE.load(path)")
        return self._predictor

    def training_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of the training latents (one posterior sample per row that had every view), float64."""
        self.predictor()
        if self.moments_ is None:
            raise NotFitted("moments='training' needs more rows with every view in training than latents; use moments='prior'")
        return self.moments_

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one .safetensors file (whole, or not at all)."""
        self.predictor()
        check_folder(path)
        with only_writer(path):
            saving.write(self._fitted, path, saving.Progress(self._fitted.steps))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        backend: str | Callable[..., Any] | None = None,
        device: str | None = None,
        networks: Mapping[str, tuple[Any, Any]] | None = None,
    ) -> JPVAE:
        """Read what ``save`` or a finished ``fit(checkpoint=...)`` wrote. Raises CheckpointError for any other file.

        backend, device: where to predict, if not where it was trained, e.g. ``load(path, backend="numpy", device="cpu")``.
        networks: the factories of the training, where it had networks of your own. Raises ConfigError where they do not fit.
        """
        given = {"backend": backend, "device": device, "networks": networks}
        chosen = {name: value for name, value in given.items() if value is not None}
        fitted = saving.read(path, **chosen)
        options = fitted.options
        self = cls(**{field.name: getattr(options, field.name) for field in fields(options)})
        made = engine_of(options, fitted.model, fitted.view_names)
        parameters = with_networks(made, fitted.model, fitted.parameters, fitted.seed)
        native = {name: made.asarray(x) for name, x in parameters.items()}
        self._become(fitted, Predictor(made, fitted.model, native, fitted.seed))
        return self

    def _read(
        self, views: Any, mask: Any, missing: str | None, *, keep: bool = False
    ) -> tuple[Views, list[Scaled], Predictor, Callable[..., Any]]:
        """The views in the data's units and in the model's, every value checked; the predictor; results in the views' form.

        Every table is read once for that; keep: into arrays of the result's own, from which all else is read then.
        """
        predictor, join, fitted = self.predictor(), None, self._fitted
        if self._is_matrix(views):
            (views, slices), matrix, mask = self._cut(views, mask), views, None

            def join(made: Mapping[str, Any]) -> Any:
                return slices.join(made, matrix)

        opened = open_views(views, mask, names=fitted.view_names, columns=fitted.columns)
        survey, units, dtype = Survey(opened, fitted.model.likelihoods), fitted.units, fitted.options.dtype

        def visit(view: int, rows: slice, values: np.ndarray, observed: np.ndarray) -> None:
            survey(view, rows, values, observed)
            units[view].prepare(values, observed, dtype, rows.start)

        missing = self.missing if missing is None else missing
        entries = fitted.model.entries  # the fit's: the option may have been set to another since
        if self.impossible not in ("error", "missing"):
            raise ConfigError(f"impossible is {self.impossible!r}; expected 'error' or 'missing'")
        leaving_out = self._impossible() if self.impossible == "missing" else None
        data = checked(opened, missing=missing, entries=entries, visit=visit, keep=keep, leaving_out=leaving_out)
        scaled = [Scaled(data, i, each, dtype) for i, each in enumerate(units)]

        def give_back(results: Sequence[Any], *kind: str) -> Any:
            given = data.give_back(results, *kind)
            return given if join is None else join(given)

        return data, scaled, predictor, give_back

    def _impossible(self) -> tuple[Impossible, ...]:
        fitted = self._fitted
        cells = fitted.model.entries == "marginalise"
        return tuple(Impossible(c, f, cells) for c, f in zip(fitted.columns, fitted.model.likelihoods, strict=True))

    def _become(self, fitted: Fitted, predictor: Predictor) -> None:
        """Take over what a fit left, and nothing of an earlier one."""
        for name in [name for name in vars(self) if name.endswith("_")]:
            del vars(self)[name]
        vars(self).update(fitted.attributes(), _fitted=fitted, _predictor=predictor)

    def _learn_slices(self, X: Any, y: Any) -> tuple[dict[str, Any], Slices]:
        """The views of the matrix X to fit to, and which columns are whose. Raises ViewError, ConfigError and ValueError."""
        if isinstance(X, Mapping) and not hasattr(X, "shape"):  # (one of SciPy's sparse matrices is a dict)
            raise ViewError(
                "view_slices is set and X is a dict; expected one (N, C) matrix, or view_slices=None for views by name"
            )
        frame, scratch = hasattr(X, "iloc"), type(self)(view_slices=self.view_slices)  # scikit-learn sets attributes
        X = validate_data(scratch, X, reset=True, skip_check_array=frame, ensure_all_finite=False)
        slices = Slices.of(self.view_slices, scratch.n_features_in_, getattr(scratch, "feature_names_in_", None))
        slices.check_y(y, len(X))
        return slices.cut(X), slices

    def _is_matrix(self, views: Any) -> bool:
        return self._fitted.slices is not None and not isinstance(views, Mapping)

    def _cut(self, X: Any, y: Any) -> tuple[dict[str, Any], Slices]:
        """The views of another matrix than the fit's, a DataFrame's found by name in any order."""
        slices = self._fitted.slices.in_order_of(X)
        if slices is None:
            slices = self._fitted.slices
            X = validate_data(self, X, reset=False, skip_check_array=hasattr(X, "iloc"), ensure_all_finite=False)
        slices.check_y(y, len(X))
        return slices.cut(X), slices

    @property
    def columns_(self) -> dict[str, tuple[str | int, ...] | None]:
        """Each view's column names, None where it came as an array."""
        return {view: columns.names for view, columns in zip(self.view_names_, self.table_columns_, strict=True)}

    @property
    def inferred_(self) -> dict[str, list[tuple[str, str]]]:
        """Each view's families with the columns that have them, as they were said or inferred."""
        return families(self.view_names_, self.table_columns_)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_predictor")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.view_slices is not None  # else a list or dict of tables
        tags.transformer_tags.preserves_dtype = []  # latents have the option's dtype
        return tags
