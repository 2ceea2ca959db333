"""Results that no machine holds, and draws that nobody waits for, are refused before anything is made."""

import inspect

import numpy as np
import pytest
from synthetic import fitted, three_views

from jpvae import JPVAE, memory
from jpvae.errors import ConfigError

VIEWS, MASK = three_views(30, 1)
METHODS = {name: inspect.signature(method) for name, method in inspect.getmembers(JPVAE, inspect.isfunction)}
DRAWING = [name for name, found in METHODS.items() if "n_draws" in found.parameters and not name.startswith("set_")]


def test_samples_beyond_memory(monkeypatch):
    model = fitted()  # before memory shrinks
    for n in (10**12, 10**30, 10**400):
        with pytest.raises(ConfigError, match=r"^n is 10*, whose results take [\d,]+ GiB of memory, and this machine has"):
            model.sample(n)
    monkeypatch.setattr(memory, "of_machine", lambda: 30 * 12 * 12)  # rows, columns, bytes of a number as float32 and float64
    assert [len(view) for view in model.sample(30)] == [30, 30, 30]
    with pytest.raises(ConfigError, match="n is 31, whose results take"):
        model.sample(31)


def test_tables_beyond_memory(monkeypatch):
    model = fitted()
    monkeypatch.setattr(memory, "of_machine", lambda: 8 * 30 * 12 * 4)
    assert len(model.sample_imputations(VIEWS, MASK, n_draws=4)[0]) == 4
    with pytest.raises(ConfigError, match="n_draws is 5, whose results take"):
        model.sample_imputations(VIEWS, MASK, n_draws=5)
    monkeypatch.setattr(memory, "of_machine", lambda: 8 * 30 * 12)
    assert len(model.reconstruct(VIEWS, MASK)[0]) == 30
    monkeypatch.setattr(memory, "of_machine", lambda: 8 * 30 * 12 - 1)
    with pytest.raises(ConfigError, match="the number of rows is 30, whose results take"):
        model.reconstruct(VIEWS, MASK)


def test_a_sample_of_one_and_none():
    assert [view.shape[0] for view in fitted().sample(1)] == [1, 1, 1]
    with pytest.raises(ConfigError, match="n is 0; expected at least 1"):
        fitted().sample(0)


@pytest.mark.parametrize("name", DRAWING)
@pytest.mark.parametrize("n_draws", [1_000_001, 10**12, 10**400], ids=["1e6 + 1", "1e12", "1e400"])
def test_draws_that_nobody_waits_for(name, n_draws):
    more = {"target": 0} if name == "score_conditional" else {}
    with pytest.raises(ConfigError, match=r"^n_draws is \d+, whose|^n_draws is \d+; expected at most 1,000,000"):
        getattr(fitted(), name)(VIEWS, MASK, n_draws=n_draws, **more)


def test_the_draws_of_an_elbo_are_made_a_few_at_a_time(monkeypatch):
    """The same noise and the same mean, whatever the size of the groups."""
    expected = fitted().elbo(VIEWS, MASK, n_draws=5)
    monkeypatch.setattr("jpvae.inference.predictor.ENTRIES", 2 * 512 * 5)
    assert fitted().elbo(VIEWS, MASK, n_draws=5) == pytest.approx(expected, rel=100 * np.finfo(float).eps)
