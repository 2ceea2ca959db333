"""``Options`` has the arguments of ``JPVAE`` under the same names and defaults, and holds plain values only."""

import inspect
from dataclasses import fields

import numpy as np
import pytest

from jpvae import JPVAE
from jpvae.errors import ConfigError
from jpvae.options import Options

# Of what is not of its kind, per option; booleans are no numbers, texts no sequences, whole numbers no booleans.
ODD = {
    "latent_dims": (True, "64", 2.0, None, (True, 2), (2.0, 2), b"ab", {2: 2}),
    "hidden": ("64", b"64", 64, True, (True,), ((8,), 8), (8, (8,)), ("64",), (6.5,), None, (((8,),),), {8}),
    "rank": (True, 1.0, "1"),
    "steps": (True, 1.0, "1"),
    "batch_size": (True, 1.0, None),
    "patience": (True, 1.0, None),
    "alpha": (True, "0.5", None, 1j),
    "epochs": (True, "3"),
    "learning_rate": (True, "3", None),
    "coupling_rate": (True, "3", None),
    "validation_fraction": (True, "3", None),
    "level_weight": (True, "3", None),
    "max_gradient_norm": (True, "3", [1.0]),
    "subset_weights": ((True, 1.0), "11", ("1", 1.0), 1.0, {1.0}),
    "view_weights": ((True, 1.0), "11", {"a": "1"}, {"a": True}, 1.0),
    "likelihood": (None, 3, b"gaussian", {"gaussian"}),
    "learn_alpha": (1, 0, "yes", None),
    "early_stopping": (1, 0, "yes", None),
    "progress": (1, 0, "yes", None, np.ones(2)),
    **dict.fromkeys(("prior", "bound", "objective", "learning_rate_schedule", "device", "dtype", "entries"), (None, 1, b"x")),
}


def test_names_and_defaults_are_those_of_the_estimator():
    arguments = {name: p.default for name, p in inspect.signature(JPVAE.__init__).parameters.items() if name != "self"}
    assert {field.name: field.default for field in fields(Options)} == arguments


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ODD.items() for value in values])
def test_what_is_not_of_its_kind_is_named(name, value):
    with pytest.raises(ConfigError, match=rf"^{name} is .*; expected "):
        Options(**{name: value})


def test_numpy_s_numbers_become_plain_ones():
    made = Options(
        latent_dims=np.array([2, 3]),
        hidden=[np.int64(8)],
        alpha=np.float64(0.5),
        steps=np.int32(7),
        subset_weights=np.array([1.0, 0.5]),
        early_stopping=np.bool_(True),
        view_weights={"a": np.float64(2.0)},
    )
    plain = (made.latent_dims, made.hidden, made.alpha, made.steps, made.subset_weights, made.early_stopping, made.view_weights)
    assert plain == ((2, 3), (8,), 0.5, 7, (1.0, 0.5), True, {"a": 2.0})
    assert {type(n) for n in (*made.latent_dims, *made.hidden, made.steps)} == {int}
    assert {type(x) for x in (made.alpha, *made.subset_weights, *made.view_weights.values())} == {float}
    assert Options(hidden=[[8], np.array([16, 16])]).hidden == ((8,), (16, 16))


def test_sizes_that_no_training_has():
    views = [np.random.default_rng(i).standard_normal((9, 3)) for i in range(2)]
    options = {"latent_dims": 2, "likelihood": "gaussian", "progress": False, "backend": "numpy"}
    for changes, message in (
        ({"hidden": (10**30,)}, r"hidden is \(10{30},\); expected positive layer sizes, at most"),
        ({"hidden": ((8,), (10**30,))}, "expected positive layer sizes, at most"),
        ({"hidden": ((8,), (8,), (8,))}, "expected layer sizes for all views, or for each of the 2 views"),
        ({"steps": 10**30}, r"steps is 10{30}, which is more than 1,000,000,000 steps"),
        ({"epochs": 1e308}, r"epochs is 1e\+308, which is more than 1,000,000,000 steps"),
        ({"epochs": float("inf")}, r"epochs is inf; expected a positive number"),
    ):
        with pytest.raises(ConfigError, match=message):
            JPVAE(**options | changes).fit(views)
