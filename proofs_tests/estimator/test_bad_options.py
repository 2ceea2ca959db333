"""Options that contradict themselves, each other or the data's number of views are refused before any training, by a message
that names the argument, what was found and what was expected."""

import sys

import numpy as np
import pytest
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.errors import CheckpointError, ConfigError, JPVAEWarning, MissingDependency, ViewError
from jpvae.training.callbacks import Callback
from jpvae.training.schedules import Linear

A, B, C = (v[:20] for v in three_views(20, 0)[0])  # 5, 4 and 3 columns

OPTION_ERRORS = {
    "unequal sizes": (
        {"prior": "orthogonal", "latent_dims": (3, 2, 2)},
        r"latent_dims is \(3, 2, 2\) with prior='orthogonal'.*expected equal sizes.*Use prior='svd'.*or prior='canonical'",
    ),
    "alpha 1": ({"alpha": 1.0}, r"alpha is 1\.0; expected -1 < alpha < 1"),
    "alpha -1.5": ({"alpha": -1.5}, r"alpha is -1\.5; expected -1 < alpha < 1"),
    "alpha nan": ({"alpha": float("nan")}, r"alpha is nan; expected -1 < alpha < 1"),
    "alpha 0": ({"alpha": 0.0}, r"alpha is 0\.0; expected 0 < alpha < 1 for prior='canonical' with 3 views"),
    "latent count": (
        {"latent_dims": (2, 2)},
        r"latent_dims is \(2, 2\); expected one positive size, or one per view",
    ),
    "latent size": ({"latent_dims": (2, 0, 2)}, r"latent_dims is \(2, 0, 2\); expected one positive size"),
    "rank": ({"rank": 3}, r"rank is 3; expected 1 <= rank <= 2, the smallest latent size"),
    "prior": ({"prior": "flow"}, r"prior is 'flow'; expected one of \['independent', 'orthogonal', 'svd', 'canonical'\]"),
    "svd": ({"prior": "svd"}, r"prior='svd' couples two views, found 3; use prior='canonical'"),
    "learn alpha": (
        {"learn_alpha": True},
        r"learn_alpha=True needs prior='orthogonal' and two views, found ",
    ),
    "bound": ({"bound": "relu"}, r"bound is 'relu'; expected 'sigmoid' or 'tanh'"),
    "likelihood": ({"likelihood": "flow"}, r"likelihood is 'flow'; expected one of \['bernoulli', 'categorical', 'gaussian', "),
    "likelihoods": (
        {"likelihood": ("gaussian",) * 2},
        r"likelihood names 2 views; expected one name, or one per view",
    ),
    "hidden": ({"hidden": (8, 0)}, r"hidden is \(8, 0\); expected positive layer sizes"),
    "objective": ({"objective": "iwae"}, r"objective is 'iwae'; expected 'elbo' \(Eq\. 5\) or 'subset'"),
    "too many weights": (
        {"subset_weights": (1, 1, 1)},
        r"subset_weights has 3 entries; expected 2 for 3 views:",
    ),
    "no weights": ({"subset_weights": ()}, r"subset_weights is \(\); expected non-negative numbers, at least one positive"),
    "negative": ({"subset_weights": (1, -0.5)}, r"subset_weights is \(1\.0, -0\.5\); expected non-negative numbers"),
    "zero": (
        {"subset_weights": (0, 0)},
        r"subset_weights is \(0\.0, 0\.0\); expected non-negative numbers, at least one positive",
    ),
    "steps": ({"steps": 0}, r"steps is 0 and batch_size 32; expected at least 1"),
    "batch size": ({"batch_size": 0}, r"steps is 200 and batch_size 0; expected at least 1"),
    "batch size, epochs": ({"batch_size": 0, "steps": None}, r"batch_size 0; expected at least 1"),
    "impossible": ({"impossible": "drop"}, r"impossible is 'drop'; expected 'error' or 'missing'"),
    "rate": ({"learning_rate": -1.0}, r"learning_rate is -1\.0; expected a positive number"),
    "infinite rate": ({"learning_rate": float("inf")}, r"learning_rate is inf; expected a positive number"),
    "array of no axis": ({"hidden": np.array("6")}, r"hidden is '6'; expected a sequence of layer sizes"),
    "array of one text": ({"subset_weights": np.array("a")}, r"subset_weights is 'a'; expected "),
    "rate shape": ({"learning_rate_schedule": "step"}, r"learning_rate_schedule is 'step'; expected 'constant' or 'cosine'"),
    "coupling rate": ({"coupling_rate": -0.1}, r"coupling_rate is -0\.1; expected a finite number of at least 0"),
    "beta": ({"beta": "warm"}, r"beta is 'warm'; expected one of \['constant', 'cyclical', 'linear'\]"),
    "backend": ({"backend": "tensorflow"}, r"backend is 'tensorflow'; expected one of \['jax', 'numpy', 'torch'\]"),
    "dtype": ({"dtype": "float16"}, r"dtype is 'float16'; expected 'float32' or 'float64'"),
    "no count": ({"steps": 2.5}, r"steps is 2\.5; expected an integer or None"),
    "float batch": ({"batch_size": 8.0}, r"batch_size is 8\.0; expected an integer"),
    "bool seed": ({"seed": True}, r"seed is True; expected an integer"),
    "huge seed": ({"seed": 2**64}, r"seed is \d+; expected 0 <= seed < 2\*\*64"),
    "no epochs": ({"epochs": 0, "steps": None}, r"epochs is 0; expected a positive number"),
    "text alpha": ({"alpha": "0.9"}, r"alpha is '0\.9'; expected a number"),
    "one layer": ({"hidden": 8}, r"hidden is 8; expected a sequence of layer sizes"),
    "one weight": ({"subset_weights": 0.5}, r"subset_weights is 0\.5; expected a sequence of weights or None"),
    "no likelihood": ({"likelihood": None}, r"likelihood is None; expected a name or a Likelihood object, or one per view"),
    "progress": ({"progress": "nope"}, r"progress is 'nope'; expected True, False or 'auto'"),
    "orthogonal rank": (
        {"prior": "orthogonal", "rank": 1, "latent_dims": 2},
        r"rank is 1 with prior='orthogonal', which couples every direction",
    ),
    "text latents": ({"latent_dims": "3"}, r"latent_dims is '3'; expected an integer, one per view, or 'auto'"),
    "negative ramp": ({"beta": Linear(-1.0)}, r"beta is Linear\(ramp=-1\.0\); expected a ramp of at least 0"),
    "gradient norm": ({"max_gradient_norm": 0.0}, r"max_gradient_norm is 0\.0; expected a positive number, or None"),
    "text norm": ({"max_gradient_norm": "1"}, r"max_gradient_norm is '1'; expected a number or 'auto' or None"),
    "early stopping": ({"early_stopping": 1}, r"early_stopping is 1; expected True or False"),
    "patience": ({"patience": 0}, r"patience is 0; expected at least 1"),
    "float patience": ({"patience": 2.0}, r"patience is 2\.0; expected an integer"),
    "fraction": ({"validation_fraction": 1.0}, r"validation_fraction is 1\.0; expected 0 < validation_fraction < 1"),
    "all held out": (
        {"early_stopping": True, "validation_fraction": 0.99},
        r"early_stopping=True holds out every row \(validation_fraction 0\.99\); expected more rows, or False",
    ),
    "device": ({"device": "abacus"}, r"device is 'abacus', which backend='torch' cannot use here"),
    "a device that is not built in": ({"device": "maia"}, r"^device is 'maia', which backend='torch' cannot use.{,300}$"),
    "a device of a package that is not there": ({"device": "hpu"}, r"^device is 'hpu', which backend='torch' cannot use"),
    "networks beyond the memory": (
        {"hidden": (2**24, 2**24)},
        r"training takes at least [0-9,]{7,} GiB of memory, and this machine has .* GiB; expected a smaller network",
    ),
}


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("changes", "message"), OPTION_ERRORS.values(), ids=OPTION_ERRORS.keys())
def test_options(changes, message):
    with pytest.raises(ConfigError, match=message) as caught:
        JPVAE(**OPTIONS | changes).fit([A, B, C])
    assert isinstance(caught.value, ValueError)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("callbacks", [[print], [Callback], [None]])
def test_what_is_no_callback(callbacks):
    with pytest.raises(
        ConfigError, match=r"callbacks has .*; expected objects of a subclass of jpvae\.training\.callbacks\.Callback"
    ):
        JPVAE(**OPTIONS).fit([A, B, C], callbacks=callbacks)


@pytest.mark.usefixtures("no_training")
def test_a_view_that_only_held_out_rows_have():
    mask = [[True, True, i == 8] for i in range(20)]
    with pytest.raises(
        ViewError, match=r"view 'view2' is observed in no row that is left to train on, after 18 of 20 were held"
    ):
        JPVAE(**OPTIONS | {"early_stopping": True, "validation_fraction": 0.9}).fit([A, B, C], mask)


@pytest.mark.usefixtures("no_training")
def test_checkpoints_that_cannot_be_written(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere/c'.*folder that does not exist; create it first"):
        JPVAE(**OPTIONS).fit([A, B, C], checkpoint=tmp_path / "nowhere" / "c")
    with pytest.raises(ConfigError, match="checkpoint_every is 0; expected at least 1"):
        JPVAE(**OPTIONS).fit([A, B, C], checkpoint=tmp_path / "c", checkpoint_every=0)


@pytest.mark.usefixtures("no_training")
def test_a_framework_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "jpvae_torch", None)
    with pytest.raises(MissingDependency, match=r"backend='torch' needs .*pip install 'jpvae\[torch\]'"):
        JPVAE(**OPTIONS | {"backend": "torch"}).fit([A, B, C])


@pytest.mark.usefixtures("no_training")
def test_more_latents_than_columns_are_a_warning_that_says_what_to_do():
    views = [np.random.default_rng(0).standard_normal((9, c)) for c in (3, 1)]
    for dims, prior, message in (
        (
            2,
            "orthogonal",
            r"\(view 'view1' has 2 for 1\).*give latent_dims=\(2, 1\), and a prior for unequal sizes, 'canonical'",
        ),
        (4, "canonical", r"\(view 'view0' has 4 for 3, 'view1' has 4 for 1\).*give latent_dims=\(3, 1\)$"),
    ):
        model = JPVAE(latent_dims=dims, prior=prior, likelihood="gaussian", hidden=(2,), backend="numpy", progress=False)
        with pytest.warns(JPVAEWarning, match=message), pytest.raises(AssertionError, match="training began"):
            model.fit(views)


@pytest.mark.usefixtures("no_training")
def test_a_small_table_may_have_as_many_latents_as_the_prior_couples():
    """Fewer there would be fewer coupled directions for all views. (A warning would be raised here as an error.)"""
    views = [np.random.default_rng(0).standard_normal((9, c)) for c in (4, 1, 5)]
    options = {"likelihood": "gaussian", "hidden": (2,), "backend": "numpy", "progress": False, "prior": "canonical"}
    with pytest.raises(AssertionError, match="training began"):
        JPVAE(latent_dims=3, **options).fit(views)
    with pytest.warns(JPVAEWarning, match="'view1' has 4 for 1"), pytest.raises(AssertionError, match="training began"):
        JPVAE(latent_dims=(3, 4, 3), **options).fit(views)
