"""From how many proposals draws are resampled, when that is worth it, when it is warned of, and which scores have an error."""

import functools
import warnings

import numpy as np
import pytest
from synthetic import fitted, three_views

from jpvae.errors import ConfigError, JPVAEWarning
from jpvae.inference.importance import Resampling, resampling_of, warn_of_collapse

VIEWS, MASK = three_views(30, 1)


def test_which_rows_are_resampled_and_from_how_many_proposals():
    lacking = np.asarray([True, False, True])
    assert Resampling(None).rows(lacking).tolist() == [True, False, True]
    assert Resampling(7).rows(lacking).tolist() == [True] * 3
    assert [Resampling(None).proposals(draws) for draws in (1, 16, 17, 1000, 1001, 10**6)] == [32, 32, 34, 2000, 2000, 2000]
    assert [Resampling(7).proposals(draws) for draws in (1, 100)] == [7, 7]


@pytest.mark.parametrize(("proposals", "expected"), [(None, [False, True, False, True]), (20, [True] * 4)])
def test_by_default_a_row_whose_draws_are_worth_less_than_eight_keeps_its_own(proposals, expected):
    """Of 20 draws so many count alike, and the others nothing: they are worth as many."""
    weights = np.stack([np.where(np.arange(20) < alike, 0.0, -np.inf) for alike in (7, 9, 1, 20)], axis=1)
    taken, worth = Resampling(proposals).take(weights, np.full(4, 0.5), 10, np.ones(4, dtype=bool))
    assert worth.tolist() == expected
    assert taken.shape == (10, 4)
    assert (taken.max(axis=0) < [7, 9, 1, 20]).all()


def test_how_many_proposals_there_may_be():
    assert [resampling_of(many).proposals(5) for many in (2, 100_000)] == [2, 100_000]
    for wrong in (1, 100_001, "all"):
        with pytest.raises(ConfigError, match="proposals is"):
            resampling_of(wrong)
    assert resampling_of(None) is resampling_of("auto", "plug-in") is resampling_of(None, "plug-in") is None
    assert resampling_of("auto").proposals(1) == 32
    with pytest.raises(ConfigError, match="proposals needs method='predictive'"):
        resampling_of(5, "plug-in")


@pytest.mark.parametrize(("draws", "worth", "warned"), [(8, 1.4, True), (7, 1.4, False), (100, 1.6, False), (100, 1.0, True)])
def test_weights_that_have_collapsed_are_warned_of(draws, worth, warned):
    """In the middle of three rows, where there are eight draws at least."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warn_of_collapse(np.array([100.0, worth, 1.0]), draws, "careful")
    assert [f"{draws} draws are worth {worth:.1f}" in str(one.message) for one in heard] == [True] * warned


def test_a_resampling_warns_of_the_rows_that_were_asked_for_alone():
    """Ten rows of which five are real, of which the first two are asked for: there one weight has all."""
    good, bad = np.zeros(20), np.where(np.arange(20) == 3, 0.0, -np.inf)
    weights = np.stack([bad, bad, *[good] * 8], axis=1)
    asked = np.arange(5) < 2
    for proposals, words in ((20, "hang on single draws"), (None, "keep the encoders' own draws")):
        one = Resampling(proposals)
        one.warn()  # of nothing yet
        one.take(weights, np.full(10, 0.5), 4, asked)
        with pytest.warns(JPVAEWarning, match=f"20 draws are worth 1.0.*{words}"):
            one.warn()
        other = Resampling(proposals)
        other.take(weights, np.full(10, 0.5), 4, ~asked)
        other.warn()


SCORED = {"score_samples": {}, "score_conditional": {"target": 1}}


@pytest.mark.parametrize("method", SCORED)
def test_one_draw_has_a_score_and_no_error(method):
    call = functools.partial(getattr(fitted(), method), VIEWS, MASK, **SCORED[method])
    assert call(n_draws=1).shape == (30,)
    assert [part.shape for part in call(n_draws=2, return_error=True)] == [(30,)] * 2
    for few in ({"n_draws": 0}, {"n_draws": 1, "return_error": True}):
        with pytest.raises(ConfigError, match="n_draws is"):
            call(**few)


def test_a_conditional_score_warns_where_some_rows_have_the_target(monkeypatch):
    heard = []
    monkeypatch.setattr("jpvae.inference.scores.warn_of_collapse", lambda effective, *_: heard.append(len(effective)))
    for target in range(3):
        fitted().score_conditional(VIEWS, MASK, target=target, n_draws=2)
    assert heard == MASK.sum(axis=0).tolist()
    assert 0 < min(heard) < max(heard) < 30


@pytest.mark.parametrize("call", ["impute", "impute_probabilities"])
def test_an_unknown_method_is_refused(call):
    with pytest.raises(ConfigError, match="method is 'median'"):
        getattr(fitted(), call)(VIEWS, MASK, method="median")
