"""The pieces that draws are made of, each against its definition: noise of rows, numbers of equal rows, means, weights."""

import itertools

import numpy as np
import pytest
from scipy import special, stats

from jpvae.errors import ConfigError, JPVAEWarning
from jpvae.inference.filling import DrawStatistics
from jpvae.inference.importance import Resampling, Weights, log_mean_exp, resample, resampling_of, warn
from jpvae.inference.noise import Occurrences, RowNoise
from jpvae.streams import Stream

KEYS = np.array([5, 2**63 + 1, 7], np.uint64)


def noise(seed=0, stream=Stream.NOISE, keys=KEYS, times=(0, 0, 0), **more):
    return RowNoise(seed, stream, keys, np.array(times), **more)


def test_each_row_has_noise_of_its_own_wherever_it_stands():
    one = noise().normal(3, 4)
    np.testing.assert_array_equal(noise(keys=KEYS[::-1]).normal(3, 4), one[:, ::-1])
    pieces = noise()
    np.testing.assert_array_equal(np.concatenate([pieces.normal(1, 4), pieces.normal(2, 4)]), one)
    others = [
        noise(seed=1),
        noise(stream=Stream.OBSERVATION),
        noise(times=(1, 1, 1)),
        noise(part=1),
        noise(keys=KEYS + np.uint64(1)),
    ]
    every = [one, *(other.normal(3, 4) for other in others)]
    assert np.unique(every).size == 6 * one.size


def test_the_padding_gets_zeros():
    padded = noise(size=5)
    assert np.all(padded.normal(2, 3)[:, 3:] == 0)
    uniform = noise(size=5).uniform()
    assert np.all(uniform[3:] == 0)
    assert np.all((uniform[:3] > 0) & (uniform[:3] < 1))
    means = np.arange(30.0).reshape(2, 5, 3)
    drawn = noise(size=5).each(lambda mean, rng: mean + rng.random(), means)
    np.testing.assert_array_equal(drawn[:, 3:], means[:, 3:])
    assert np.all(drawn[:, :3] != means[:, :3])


def test_noise_is_standard_normal():
    made = noise(keys=np.arange(400, dtype=np.uint64), times=np.zeros(400, int)).normal(10, 10).ravel()
    assert stats.kstest(made, "norm").pvalue > 1e-4


def test_equal_rows_are_numbered_over_all_blocks():
    rng = np.random.default_rng(0)
    blocks = [rng.integers(0, 2**64, size=12, dtype=np.uint64)[rng.integers(0, 12, size=rng.integers(1, 20))] for _ in range(3)]
    pool = np.concatenate(blocks)
    blocks += [rng.choice(pool, size=k) for k in (1, 2, 5, 9, 1, 30)]
    numbers, seen = Occurrences(), {}
    for block in blocks:
        expected = []
        for key in block.tolist():
            expected.append(seen.get(key, 0))
            seen[key] = expected[-1] + 1
        assert numbers.number(block).tolist() == expected


def test_few_runs_are_kept():
    """Each is longer than twice the next: of N distinct rows at most log2(N) + 1."""
    numbers = Occurrences()
    for k in range(300):
        numbers.number(np.array([k], np.uint64))
        lengths = [len(run) for run in numbers._seen]
        assert all(a > 2 * b for a, b in itertools.pairwise(lengths))
        assert np.array_equal(np.sort(np.concatenate(numbers._seen)), np.arange(k + 1))
    assert not numbers._counts  # only of keys that came more than once


@pytest.mark.parametrize("draws", [1, 2, 7])
def test_running_mean_and_deviation(draws):
    rng = np.random.default_rng(draws)
    values, variances = 1e3 + rng.standard_normal((draws, 4, 3)), rng.random((draws, 4, 3))
    running = DrawStatistics((4, 3))
    for start in range(0, draws, 3):
        running.update(values[start : start + 3], variances[start : start + 3])
    spread = np.var(values, axis=0, ddof=1) if draws > 1 else 0.0
    # Differences of numbers near 1e3: errors of 1e3 eps in each of at most 7 terms.
    np.testing.assert_allclose(running.mean, values.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(running.std, np.sqrt(spread + variances.mean(axis=0)), rtol=1e-11)


def test_the_variance_of_pairs_is_right_on_average():
    """Pairs whose draws' correlation is -1, 0 and 1/2, of variance 4: their mean's is 4 (1 + rho)/n. Of 4,000 columns."""
    for rho in (-1.0, 0.0, 0.5):
        rng, n = np.random.default_rng(7), 6
        e = rng.standard_normal((n // 2, 2, 1, 4000))
        pair = np.stack([e[:, 0], rho * e[:, 0] + np.sqrt(1.0 - rho**2) * e[:, 1]], axis=1)
        running = DrawStatistics((1, 4000), paired=True)
        for part in np.split(2.0 * pair.reshape(n, 1, 4000), [2]):
            running.update(part)
        # A variance of two degrees of freedom deviates by itself: five standard errors, 5/sqrt(4000) of it.
        assert np.mean(running.sampling) == pytest.approx(4.0 * (1.0 + rho) / n, rel=0.08, abs=1e-12)
        assert np.mean(running.std**2) == pytest.approx(4.0, rel=0.08)


@pytest.mark.parametrize("shift", [0.0, 800.0, -800.0])
def test_log_mean_exp(shift):
    values = np.random.default_rng(0).normal(shift, 30.0, (6, 5))
    expected = special.logsumexp(values, axis=0) - np.log(6)
    np.testing.assert_allclose(log_mean_exp(np, values), expected, rtol=1e-13)


@pytest.mark.parametrize("shift", [0.0, 5000.0, -5000.0])
def test_weights_in_groups(shift):
    """log mean w, its Monte Carlo error sd(w)/(mean(w) sqrt(K)), and (sum w)^2 / sum w^2."""
    logs = np.random.default_rng(1).normal(0.0, 2.0, (40, 3))
    w, total = np.exp(logs), Weights(3)
    for start in (0, 1, 15):
        total.add(shift + logs[start : {0: 1, 1: 15, 15: 40}[start]])
    found = total.evidence()
    np.testing.assert_allclose(found.log_density, shift + np.log(w.mean(axis=0)), rtol=1e-12)
    np.testing.assert_allclose(found.error, w.std(axis=0) / w.mean(axis=0) / np.sqrt(40), rtol=1e-9)
    np.testing.assert_allclose(found.effective_draws, w.sum(axis=0) ** 2 / (w**2).sum(axis=0), rtol=1e-9)


def test_systematic_resampling_takes_each_draw_as_often_as_it_weighs():
    rng = np.random.default_rng(2)
    logs, uniform = rng.normal(0.0, 2.0, (9, 500)), rng.random(500)
    taken = resample(logs + 700.0, uniform, 6)
    shares = special.softmax(logs, axis=0)
    counts = (taken[:, :, None] == np.arange(9)).sum(axis=0).T  # (9, 500)
    assert np.all((counts >= np.floor(6 * shares)) & (counts <= np.ceil(6 * shares)))
    # The mean over rows of counts - 6 shares, whose spread is below 1/2 each.
    assert np.abs((counts - 6 * shares).mean(axis=1)).max() < 5 * 0.5 / np.sqrt(500)


def test_which_rows_are_worth_it():
    """By default those whose 50 draws are worth at least 8; with proposals asked for all of them."""
    logs = np.concatenate([np.where(np.arange(50) < count, 0.0, -np.inf)[:, None] for count in (1, 7, 9, 50)], axis=1)
    half, every = np.full(4, 0.5), np.ones(4, dtype=bool)
    assert Resampling(None).take(logs, half, 3, every)[1].tolist() == [False, False, True, True]
    assert Resampling(50).take(logs, half, 3, every)[1].all()
    lacking = np.array([True, False])
    assert Resampling(None).rows(lacking).tolist() == [True, False]
    assert Resampling(50).rows(lacking).tolist() == [True, True]


@pytest.mark.parametrize("proposals", [None, 40])
def test_collapse_is_judged_by_the_rows_that_are_resampled(proposals):
    """By default those that lack cells: the middle one's 40 draws are worth 1, or 2, whatever the others' are."""
    worth = np.array([1, 1, 1, 2, 2, 2, 2])
    logs = np.where(np.arange(40)[:, None] < worth, 0.0, -np.inf)
    for lacking, collapsed in (([0, 1, 2, 3, 4], True), ([2, 3, 4, 5, 6], False), ([0, 1, 2, 3, 4, 5, 6], False)):
        asked, resampling = np.isin(np.arange(7), lacking), Resampling(proposals)
        resampling.take(np.column_stack([logs, logs[:, :1]]), np.full(8, 0.5), 4, asked)  # one row of padding
        if collapsed:
            with pytest.warns(
                JPVAEWarning,
                match="in the middle row 40 draws are worth 1.0.*" + ("own draws" if proposals is None else "single"),
            ):
                resampling.warn()
        else:
            resampling.warn()
    Resampling(proposals).warn()  # nothing was resampled


@pytest.mark.parametrize(("draws", "expected"), [(1, 32), (16, 32), (17, 34), (999, 1998), (1000, 2000), (5000, 2000)])
def test_how_many_proposals(draws, expected):
    """By default twice as many as draws, at least 32 and at most 2,000; else as many as asked for."""
    assert Resampling(None).proposals(draws) == expected
    assert resampling_of("auto").proposals(draws) == expected
    assert resampling_of(7).proposals(draws) == 7


def test_the_option_of_proposals():
    assert resampling_of(None) is resampling_of("auto", "plug-in") is resampling_of(None, "plug-in") is None
    assert resampling_of(100_000).proposals(1) == 100_000
    assert resampling_of(2).proposals(1) == 2
    warn(None)
    for odd in (1, 100_001, "all", True, 2.5):
        with pytest.raises(ConfigError, match="proposals is "):
            resampling_of(odd)
    with pytest.raises(ConfigError, match="proposals needs method='predictive'"):
        resampling_of(64, "plug-in")
