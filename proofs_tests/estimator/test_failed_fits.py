"""A fit that fails, at whatever stage, leaves the estimator as it was before: the same attributes, the same objects."""

import numpy as np
import pytest
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.errors import CheckpointError, ConfigError, NotFitted, ViewError
from jpvae.training.callbacks import Callback

VIEWS, MASK = three_views(30, 3)
X = np.concatenate(VIEWS, axis=1)
SHORT = OPTIONS | {"steps": 60, "hidden": (4,), "backend": "numpy"}
LARGE = [v.copy() for v in VIEWS]
LARGE[1][:2] = [[1e308], [-1e308]]  # no variance


class Mine(Exception):
    """What a callback raises."""


class Raises(Callback):
    """At one of its methods."""

    def __init__(self, where):
        setattr(self, where, self.fail)

    def fail(self, *_):
        raise Mine


# Stage -> (options changed before the call, what is handed in, how it is called, what is raised), in the order of a fit.
STAGES = {
    "callbacks": ({}, VIEWS, {"callbacks": [print]}, ConfigError),
    "on_log": ({}, VIEWS, {"on_log": 5}, ConfigError),
    "checkpoint": ({}, VIEWS, {"checkpoint": "/no/such/folder/c"}, CheckpointError),
    "options": ({"alpha": "high"}, VIEWS, {}, ConfigError),
    "slices": ({"view_slices": (7, 7)}, X, {}, ViewError),
    "rows": ({}, [VIEWS[0][1:], *VIEWS[1:]], {}, ViewError),
    "a matrix's value": ({"view_slices": (5, 4, 3)}, np.where(X[3, 3] == X, np.nan, X), {}, ViewError),
    "a value": ({}, [np.where(VIEWS[0] == VIEWS[0][3, 3], np.nan, VIEWS[0]), *VIEWS[1:]], {}, ViewError),
    "model": ({"prior": "svd"}, VIEWS, {}, ConfigError),
    "plan": ({"subset_weights": (0, 0)}, VIEWS, {}, ConfigError),
    "likelihood": ({"likelihood": "bernoulli"}, VIEWS, {}, ViewError),
    "scaling": ({}, LARGE, {}, ViewError),
    "engine": ({"dtype": "float16"}, VIEWS, {}, ConfigError),
    "on_start": ({}, VIEWS, {"callbacks": [Raises("on_start")]}, Mine),
    "a step": ({}, VIEWS, {"callbacks": [Raises("on_step")]}, Mine),
    "a record": ({}, VIEWS, {"callbacks": [Raises("on_log")]}, Mine),
    "the end": ({}, VIEWS, {"callbacks": [Raises("on_end")]}, Mine),
}


@pytest.mark.parametrize(("options", "views", "call", "error"), STAGES.values(), ids=STAGES.keys())
def test_a_failed_fit_changes_nothing(options, views, call, error):
    fresh = JPVAE(**SHORT | options)
    before = dict(vars(fresh))
    with pytest.raises(error):
        fresh.fit(views, **call)
    assert vars(fresh) == before
    with pytest.raises(NotFitted):
        fresh.impute(VIEWS)

    model = JPVAE(**SHORT | {"steps": 2}).fit(VIEWS, MASK)
    filled = model.impute(VIEWS, MASK, n_draws=2)
    model.set_params(**{"steps": 60} | options)
    before = dict(vars(model))
    with pytest.raises(error):
        model.fit(views, **call)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    assert all(np.array_equal(a, b) for a, b in zip(model.impute(VIEWS, MASK, n_draws=2), filled, strict=True))
