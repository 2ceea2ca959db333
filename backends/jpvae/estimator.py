"""JPVAE, a scikit-learn estimator: fit on several views of the same subjects with holes, get the holes filled, and how sure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError

from . import fitting
from .course import Begun, File
from .errors import NotFitted
from .figures.shown import Shown
from .model.likelihoods import Likelihood
from .model.posterior import Coordinates, PosteriorName
from .model.prior import Bound, PriorName
from .options import Dtype, Entries, Init, Missing, Objective, OnImpossible, Options, RateSchedule
from .predicting import Predicting
from .processes import share
from .request import Request
from .training.callbacks import Callback
from .training.progress import show_families
from .training.schedules import BetaSchedule
from .views.inferring import families
from .views.opening import open_tables
from .writers import only_writer


class NotFittedJPVAE(NotFitted, NotFittedError):
    """``NotFitted`` that is also scikit-learn's ``NotFittedError``."""


class JPVAE(Predicting, Shown, TransformerMixin, BaseEstimator):
    """A variational autoencoder per view, tied by one joint Gaussian prior over their latents.

    It is fitted to several tables of the same subjects, any of which may lack any table, and fills what is missing.

    Parameters
    ----------
    latent_dims : int, sequence of int or "auto", default "auto"
        Latents of every view, or of each. "auto": 16, or 32 with at least 1,000 rows and a view of 32 columns.
    prior : {"canonical", "independent", "orthogonal", "svd"}, default "canonical"
        How views are coupled: by learned loadings on shared sources (any number of views, any sizes); not at all; C = alpha R
        with a rotation R; C = U diag(s) V^T of two views with learned s.
    alpha : float, default 0.95
        The correlation of "orthogonal"; where those of "svd" and "canonical" start. Learned ones start at 0.99 or more where
        training starts at factor analysis (``init``).
    learn_alpha : bool, default False
        Whether alpha is trained ("orthogonal" with two views).
    rank : int, optional
        How many latent directions "svd" and "canonical" couple; by default all.
    bound : {"sigmoid", "tanh"}, default "sigmoid"
        What keeps the singular values of "svd" below 1; with "tanh" they may be negative.
    likelihood : str, Likelihood, sequence or dict, default "bernoulli"
        What a view's entries are: "bernoulli", "gaussian", "student_t" (outliers), "categorical", "poisson" or
        "negative_binomial" (tables of counts, with size factors; "..._unscaled" without), or "infer". One for all views, one
        per view, or a dict by view, in which a view may have a dict by column, as ``{"clinic": {"age": "gaussian", ("a", "b"):
        "categorical"}}`` (a and b one-hot together). Columns left out are inferred; ``inferred_`` has the result.
    view_weights : sequence of float or dict, optional
        The weight of each view's log-likelihood in the loss; by default 1.
    level_weight : float or "auto", default "auto"
        The weight of zeros and ones and of categories in a row's log-likelihood in the loss, where numbers have 1. What is
        known of a number exactly counts the more the less noise is learned; levels have none (docs/experiments.md). "auto": of
        each column 1 / (1 - R^2), at most 10, R^2 what lines in the other views explain of it (of a category on the mean of
        its levels) in some 400 rows, left-one-out; 1 with objective "elbo", and for 1,000 rows or more of views of 32 columns
        or more.
    entries : {"error", "marginalise"}, default "error"
        What a NaN cell of an observed row is: a mistake, or left out of the likelihood and imputed.
    objective : {"subset", "elbo"}, default "subset"
        "subset": every row also learns to fill each of its views from the others, which imputes better; "elbo": Eq. 5.
    subset_weights : sequence of float, optional
        Of two views: (both, first alone, second alone), by default (1, 0.25, 0.25); of more: (all observed, a random part
        of them), by default (1, 0.5).
    hidden : sequence of int, one per view, or "auto", default "auto"
        Sizes of the encoders' hidden layers; decoders mirror them. ``((64,), (512, 512))`` gives each of two views its own.
        "auto": (64,), or (128,) where "auto" gives 32 latents.
    epochs : float, optional
        Passes over the rows, where ``steps`` is not given; by default 100, at least 500 steps and at most 1,500, twice as many
        where views are related by curves (``cross_weight``), or 30 where that is more. Of N > 20,000 rows 30 sqrt(20,000 / N):
        steps then grow with the root of the rows.
    steps : int, optional
        Adam steps.
    batch_size : int, default 64
        Rows per step.
    learning_rate : float, default 1e-2
        The peak, after a short warm-up.
    learning_rate_schedule : {"cosine", "constant"}, default "cosine"
        What follows the peak.
    coupling_rate : float, default 1
        Learned correlations move at this times the learning rate. Under the factorised posterior 0.1 keeps them from falling
        before the decoders have learned to use them.
    beta : {"constant", "linear", "cyclical"} or object, default "constant"
        The weight of the KL over the training, or an object with ``beta(step, steps)``.
    backend : {"auto", "torch", "numpy"} or Engine, default "auto"
        What trains; "numpy" needs no framework. "auto": NumPy for models of less than a million weights on the CPU, and where
        torch is absent.
    device : str, default "cpu"
        As the backend names it.
    dtype : {"float32", "float64"}, default "float32"
        Of parameters and training.
    seed : int, Generator, RandomState or None, default 0
        An integer fixes the result on one machine; None takes fresh entropy, a generator is drawn from, in each fit.
    posterior : {"fused", "factorised"}, default "fused"
        What the observed views imply for all latents: every view's evidence multiplied into the joint prior, or (the paper's
        Eq. 3) a product over views, whose draws are not the model's own once two views are observed.
    coordinates : {"latent", "frame"}, default "latent"
        In which coordinates the fused posterior's variances are diagonal: the latents' own, or those in which the views are
        coupled direction by direction, which is several times faster. There a canonical prior has no rotations: the networks'
        linear layers can turn the latents.
    linear_skip : bool, default True
        Encoders and decoders with hidden layers are those plus a linear map, from which training starts.
    cell_dropout : float, default 0.5
        With ``entries="marginalise"``: the share of each view's rows, in every batch, that are trained on with some cells only.
    cross_draws : int, default 4
        Draws S in each cross term of the subset objective, log 1/S sum_s p(x_j | z_j^s): more draws shrink associations less.
    cross_weight : float or "auto", default "auto"
        Of the cross terms, beside the subsets' own: they sharpen predictions, and shrink associations (docs/experiments.md).
        "auto": 1, or 10 times the columns over the rows where that is less; and 16 where views are related by curves: where
        kernel regression on some 400 rows predicts more of a view, left-one-out, than lines do, by a tenth of its variance.
    missing : {"error", "nan"}, default "error"
        What a row of NaN is: a mistake, or a view that the row lacks.
    impossible : {"error", "missing"}, default "error"
        What a value is that the fit's likelihoods cannot have (a 2 among zeros and ones, an unseen category) when a fitted
        model meets it: a mistake, or missing, with a warning.
    view_slices : int, sequence or dict, optional
        Where all views come as one matrix X: which columns are whose (``jpvae.views.slices``). Every method then takes (X, y)
        as Pipeline and GridSearchCV call it, y ignored, and gives back one matrix like X.
    layer : str or dict, optional
        Which layer of an AnnData, or of each modality of a MuData, has the numbers; by default X.
    progress : bool or "auto", default "auto"
        Whether a bar is shown; "auto": where stderr is a terminal.
    early_stopping : bool, default False
        Hold out ``validation_fraction`` of the rows, evaluate the objective on them once per pass (at least 50 steps apart),
        stop after ``patience`` evaluations without a better one, and keep the parameters of the best.
    validation_fraction : float, default 0.1
        The part of the rows that early stopping holds out. Columns are standardised over all rows.
    patience : int, default 10
        Evaluations without a better one.
    max_gradient_norm : float or "auto" or None, default "auto"
        Longer gradients are shortened to it; "auto": twice the root of the number of columns.
    weight_decay : float or "auto", default "auto"
        Of the networks' matrices, decoupled as AdamW's; 4 times as much of hidden layers beside a linear path. Nothing of the
        prior or the likelihoods decays. "auto": with r columns for each row 0.3 times the root of r, 0.3 from r = 1 on, 0.12 r
        from r = 2.5 on, at most 3 and 0.1 / learning_rate; of more than 500 steps a part, so that all decay as much as 500.
        Faster in the last third of the steps, up to 16 times as fast and by up to 0.1 / learning_rate, where 20 or more rows of
        ``calibration`` show that hidden layers beside a linear path predict their measurements better if less is made of them.
    calibration : float, default 0.2
        The part of the rows, at most 1,000, that the first two thirds of the steps leave out. On these rows each view is drawn
        from the others, and the likelihoods' variances that predictions use are set by how far the draws are off, so that
        intervals of new rows cover what they should. Of measurements they also set the tails: draws of missing values follow
        Student's t where errors do. A view of which they show that its predictions are worth less than they seem is predicted
        with a slope below 1, its measurements and the rest of its columns each with their own. The last third trains on all
        rows. Where fewer than 60 rows are left out, further models are trained so far, each without as many others, until 60
        have been left out or too few are left; at most 10 models, of wide tables fewer, none in trainings of fewer than 150
        steps. 0: predictions use the variances learned in training, as they do with one view, where no likelihood has
        parameters of its own, with ``early_stopping``, and where fewer than four rows are left out in all.
    networks : dict, optional
        Networks of your own by view (torch): a pair (make_encoder, make_decoder) of functions of (features, latents).
    threads : int, optional
        Of the engine's products; by default one where they are small, and never more than its library was left with by
        threadpoolctl, joblib or OMP_NUM_THREADS.
    ensemble : int, default 1
        So many models, alike but for their seeds, are trained, on a GPU as one program. What is imputed is their mean;
        standard deviations have what they disagree by; draws are shared out among them. Latents, scores and reports are the
        first one's.
    bootstrap : bool, default False
        Each model is trained on as many rows drawn with replacement. With ``ensemble=m`` and m draws each comes with
        parameters of its own, as proper multiple imputation needs.
    init : {"auto", "factor-analysis", "random"}, default "auto"
        Where training starts. "factor-analysis": the linear maps at the factor analysis of all views together (EM on at most
        2,000 rows), where every view has such maps, the prior couples views and likelihoods of your own have ``log_prob_vjp``;
        else as "random". "auto": so where rows outnumber columns, but for large tables (1,000 rows and a view of 32 columns).

    Attributes
    ----------
    parameters_ : dict of ndarray
        Raw parameters by name.
    history_ : list of dict
        The records of the training, with ``held_out``, the loss on rows that early stopping or calibration has left out until
        then; ``n_iter_``, how many steps it made.
    report_ : LatentReport
        Which latents are used, and what to try.
    inferred_, columns_, levels_ : dict
        Each view's likelihoods with their columns; its column names; the columns of ``impute_probabilities``.
    seed_ : int
        The seed that was used.
    model_, view_names_, table_columns_, scaling_, moments_, index_name_, metadata_, versions_
        Sizes and likelihoods; names; columns; location and scale; moments of the training latents; the name of the
            index; what was kept with the model; the versions of what computed it, {} of a file that has none.
    view_columns_, n_features_in_, feature_names_in_
        Of one matrix X: positions by view, the number of columns, and a DataFrame's names.

    Examples
    --------
    Two tables of the same 300 subjects, driven by two numbers that nobody has seen; the second is missing in every third row:

    >>> import numpy as np
    >>> from jpvae import JPVAE
    >>> rng = np.random.default_rng(0)
    >>> hidden = rng.standard_normal((300, 2))
    >>> rna, protein = (hidden @ rng.standard_normal((2, c)) + 0.1 * rng.standard_normal((300, c)) for c in (6, 4))
    >>> mask = np.ones((300, 2), dtype=bool)
    >>> mask[::3, 1] = False
    >>> model = JPVAE(2, likelihood="gaussian", hidden=(32,), steps=600, backend="numpy", progress=False)
    >>> rna_filled, protein_filled = model.fit([rna, protein], mask).impute([rna, protein], mask)
    >>> bool(np.array_equal(protein_filled[1], protein[1]))  # what was observed comes back as it was
    True
    >>> error = np.sqrt(np.mean((protein_filled - protein)[::3] ** 2))
    >>> bool(error < 0.5 * protein.std())
    True
    """

    _not_fitted = NotFittedJPVAE

    def __init__(
        self,
        latent_dims: int | Sequence[int] | Literal["auto"] = "auto",
        *,
        prior: PriorName = "canonical",
        alpha: float = 0.95,
        learn_alpha: bool = False,
        rank: int | None = None,
        bound: Bound = "sigmoid",
        likelihood: str | Likelihood | Sequence[Any] | Mapping[Any, Any] = "bernoulli",
        view_weights: Sequence[float] | Mapping[str, float] | None = None,
        level_weight: float | Literal["auto"] = "auto",
        entries: Entries = "error",
        objective: Objective = "subset",
        subset_weights: Sequence[float] | None = None,
        hidden: Sequence[int] | Sequence[Sequence[int]] | Literal["auto"] = "auto",
        epochs: float | None = None,
        steps: int | None = None,
        batch_size: int = 64,
        learning_rate: float = 1e-2,
        learning_rate_schedule: RateSchedule = "cosine",
        coupling_rate: float = 1.0,
        beta: Literal["constant", "linear", "cyclical"] | BetaSchedule = "constant",
        backend: str | Callable[..., Any] = "auto",
        device: str = "cpu",
        dtype: Dtype = "float32",
        seed: int | np.random.Generator | np.random.RandomState | None = 0,
        posterior: PosteriorName = "fused",
        coordinates: Coordinates = "latent",
        linear_skip: bool = True,
        cell_dropout: float = 0.5,
        cross_draws: int = 4,
        cross_weight: float | Literal["auto"] = "auto",
        missing: Missing = "error",
        impossible: OnImpossible = "error",
        view_slices: Any = None,
        layer: str | Mapping[str, str | None] | None = None,
        progress: bool | Literal["auto"] = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        max_gradient_norm: float | Literal["auto"] | None = "auto",
        weight_decay: float | Literal["auto"] = "auto",
        calibration: float = 0.2,
        networks: Mapping[str, tuple[Any, Any]] | None = None,
        threads: int | None = None,
        ensemble: int = 1,
        bootstrap: bool = False,
        init: Init = "auto",
    ) -> None:
        self.latent_dims = latent_dims
        self.prior = prior
        self.alpha = alpha
        self.learn_alpha = learn_alpha
        self.rank = rank
        self.bound = bound
        self.likelihood = likelihood
        self.view_weights = view_weights
        self.level_weight = level_weight
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
        self.posterior = posterior
        self.coordinates = coordinates
        self.linear_skip = linear_skip
        self.cell_dropout = cell_dropout
        self.cross_draws = cross_draws
        self.cross_weight = cross_weight
        self.missing = missing
        self.impossible = impossible
        self.view_slices = view_slices
        self.layer = layer
        self.progress = progress
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.max_gradient_norm = max_gradient_norm
        self.weight_decay = weight_decay
        self.calibration = calibration
        self.networks = networks
        self.threads = threads
        self.ensemble = ensemble
        self.bootstrap = bootstrap
        self.init = init

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
        metadata: Mapping[str, Any] | None = None,
    ) -> JPVAE:
        """Train on rows with any pattern of missing views.

        Each row's bound uses its observed views and their exact prior. A fit that fails leaves the estimator as it was.
        In a process group of torch.distributed every process calls ``fit`` with the same data and trains on its share of each
        batch; the first one writes the checkpoint and calls the listeners.

        Parameters
        ----------
        views : list or dict of tables
            One (N, p_i) table per view: arrays, DataFrames, AnnData or tensors; or a MuData, whose cells lack the modalities
            that do not have them; with ``view_slices`` one matrix (N, C).
        mask : (N, M) array of bool, optional
            True where a row has a view; with ``view_slices`` scikit-learn's y, which is ignored.
        y : ignored
            For scikit-learn's sake.
        missing : {"error", "nan"}, optional
            In place of the option of that name.
        checkpoint : path, optional
            A file to write every ``checkpoint_every`` steps and at the end, and to go on from where it exists: a run that was
            killed and started again gives the same parameters, bit for bit, as one that was not.
        checkpoint_every : int, default 1000
            Steps.
        on_log : function, optional
            Called with each record of the history.
        callbacks : sequence of Callback
            Listeners (``jpvae.training.callbacks``: JSONLines, TensorBoard, your own), which may raise StopTraining.
        metadata : dict, optional
            Anything that JSON can hold, kept with the model and in its file, as ``metadata_``: how its tables were read, say.

        Returns
        -------
        JPVAE
            Itself, fitted.

        Raises
        ------
        ViewError, ConfigError
            Where the data or the options do not fit, before the training.
        CheckpointError
            Where the file cannot be written, is written by another process, or belongs to another training.
        TrainingDiverged
            At the first loss, gradient norm, checkpoint or end that is not finite; the checkpoint is the last good one.
        ProcessLost
            Where another process of the group has ended.

        Examples
        --------
        >>> model.fit({"rna": rna, "protein": protein}, mask).view_names_
        ('rna', 'protein')
        """
        request = Request(missing, checkpoint, checkpoint_every, on_log, callbacks, metadata)
        with self._begun(views, mask, request) as begun:
            self._become(*fitting.run(begun))
        return self

    @contextmanager
    def _begun(self, views: Any, mask: Any, request: Request) -> Iterator[Begun]:
        """All of ``fit`` before its first step; the checkpoint is this process's own meanwhile."""
        request, (rank, ranks) = request.checked(self.seed), share()
        options, slices = Options.of(self), None
        if options.view_slices is not None:
            views, slices, mask = *self._learn_slices(views, mask), None
        missing = self.missing if request.missing is None else request.missing
        file = None if request.checkpoint is None else File(request.checkpoint, request.checkpoint_every)
        with nullcontext() if file is None or rank else only_writer(file.path):
            opened = open_tables(views, mask, layer=options.layer)
            kept = file is not None or ranks > 1
            start, plan, data, fingerprint = fitting.begin(options, opened, missing, slices, kept=kept)
            show_families(families(data.names, data.columns), options.likelihood, options.progress and not rank)
            start = replace(start, metadata=request.metadata or {})
            yield Begun(start, data, plan, file, request.listeners(options.progress), fingerprint)

    def fit_transform(self, views: Any, mask: Any = None, **options: Any) -> np.ndarray:
        """``fit(views, mask, **options)``, then ``transform(views, mask)``.

        Parameters
        ----------
        views, mask
            As for ``fit``.
        **options
            The others of ``fit``.

        Returns
        -------
        (N, sum n_i) ndarray
            As of ``transform``.

        Examples
        --------
        >>> model.fit_transform([rna, protein], mask).shape
        (300, 4)
        """
        return self.fit(views, mask, **options).transform(views, mask, missing=options.get("missing"))

    transform = Predicting.transform  # scikit-learn's set_output wraps what a class defines itself

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_predictor")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.view_slices is not None  # else a list or dict of tables
        tags.transformer_tags.preserves_dtype = []  # latents have the option's dtype
        return tags
