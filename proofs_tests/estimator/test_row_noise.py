"""Noise by row: a function of seed, stream, and who or what the row is; not of its place, its block, or the other rows."""

import numpy as np
import pandas as pd
import pytest
from synthetic import fitted, three_views

from jpvae import JPVAE
from jpvae.inference import predictor
from jpvae.inference.noise import Occurrences, RowNoise, content_keys, identity_keys
from jpvae.streams import Stream


def counted(keys):
    """The oracle: how often each key stands before its place."""
    return [list(keys[:r]).count(key) for r, key in enumerate(keys)]


@pytest.mark.parametrize("distinct", [1, 3, 40, 10_000])
@pytest.mark.parametrize("block", [1, 7, 64])
def test_equal_keys_are_numbered_in_order_whatever_the_blocks(distinct, block):
    keys = np.random.default_rng(distinct).integers(0, distinct, 400).astype(np.uint64)
    numbers = Occurrences()
    found = [numbers.number(keys[start : start + block]) for start in range(0, len(keys), block)]
    assert np.concatenate(found).tolist() == counted(keys)


def test_a_row_is_its_content():
    rng = np.random.default_rng(0)
    values = [rng.standard_normal((50, 3)), rng.standard_normal((50, 2))]
    keys, order = content_keys(values), rng.permutation(50)
    assert len(set(keys.tolist())) == 50
    assert (content_keys([v[order] for v in values]) == keys[order]).all()
    changed = [values[0].copy(), values[1]]
    changed[0][7, 2] = np.nextafter(changed[0][7, 2], 9.0)
    assert (content_keys(changed) != keys).nonzero()[0].tolist() == [7]


def test_a_label_counts_with_its_type():
    assert len(set(identity_keys([1, "1", 1.0, True, ("1",), "2"]).tolist())) == 6


def test_noise_follows_the_row():
    keys, order = np.arange(30, dtype=np.uint64), np.random.default_rng(1).permutation(30)
    first = np.zeros(30, np.int64)
    noise = RowNoise(3, Stream.DRAWS, keys, first).normal(4, 5)
    assert np.array_equal(RowNoise(3, Stream.DRAWS, keys[order], first).normal(4, 5), noise[:, order])
    pieces = RowNoise(3, Stream.DRAWS, keys, first)
    assert np.array_equal(np.concatenate([pieces.normal(1, 5), pieces.normal(3, 5)]), noise)


@pytest.mark.parametrize("change", ["seed", "stream", "key", "occurrence", "part"])
def test_everything_that_names_the_noise_changes_it(change):
    names = {"seed": 2**64 - 1, "stream": Stream.DRAWS, "key": 2**63 + 5, "occurrence": 0, "part": 0}

    def made(seed, stream, key, occurrence, part):
        return RowNoise(seed, stream, np.array([key], np.uint64), np.array([occurrence]), part=part).normal(1, 2000)[0, 0]

    other = names | {
        change: Stream.OBSERVATION if change == "stream" else names[change] - 1 if change in ("seed", "key") else 1
    }
    one, two = made(**names), made(**other)
    # Independent normals: the mean of 2,000 products is N(0, 1/2000), and each sample passes its own moments.
    for value in (np.mean(one * two), np.mean(one), np.mean(two), np.mean(one**2 - 1) / np.sqrt(2)):
        assert abs(value) < 5 / np.sqrt(2000)


def test_each_hands_every_row_its_own_generator():
    noise = RowNoise(0, Stream.OBSERVATION, np.arange(3, dtype=np.uint64), np.zeros(3, np.int64), part=1)
    again = RowNoise(0, Stream.OBSERVATION, np.arange(3, dtype=np.uint64), np.zeros(3, np.int64), part=1).normal(4, 2)
    drawn = noise.each(lambda mean, rng: mean + rng.standard_normal(mean.shape), np.zeros((4, 3, 2)))
    assert np.array_equal(drawn, again)


def test_the_padding_has_no_noise():
    keys = np.arange(3, dtype=np.uint64)
    padded = RowNoise(0, Stream.DRAWS, keys, np.zeros(3, np.int64), size=5).normal(2, 4)
    assert np.array_equal(padded[:, :3], RowNoise(0, Stream.DRAWS, keys, np.zeros(3, np.int64)).normal(2, 4))
    assert not padded[:, 3:].any()


def test_rows_are_hashed_only_where_draws_are_wanted(monkeypatch):
    """Plug-in results are functions of the parameters: with no way to make keys they come out the same, and draws do not."""
    views, mask = three_views(50, 21)
    model = fitted()
    calls = (
        lambda: model.transform(views, mask),
        lambda: np.concatenate(model.reconstruct(views, mask), axis=1),
        lambda: np.concatenate(model.impute(views, mask, method="plug-in"), axis=1),
    )
    expected = [call() for call in calls]

    def no_keys(_):
        raise AssertionError("rows were hashed")

    monkeypatch.setattr(predictor, "content_keys", no_keys)
    for call, result in zip(calls, expected, strict=True):
        assert np.array_equal(call(), result)
    with pytest.raises(AssertionError, match="rows were hashed"):
        model.impute(views, mask, n_draws=1)
    whole = [np.nan_to_num(v) for v in views]
    block = next(model.predictor().blocks(whole, mask, drawing=False))
    with pytest.raises(ValueError, match="the block has no keys"):
        model.predictor().noise(block)


def tables(seed, index=None):
    """Two views of 80 rows as DataFrames, the second one missing everywhere."""
    first = pd.DataFrame(three_views(80, seed)[0][0], index=index, columns=list("abcde"))
    return {"one": first, "two": pd.DataFrame(np.full((80, 4), np.nan), index=index, columns=list("wxyz"))}


@pytest.fixture(scope="module")
def model():
    views, _ = three_views(80, 0)
    frames = {"one": pd.DataFrame(views[0], columns=list("abcde")), "two": pd.DataFrame(views[1], columns=list("wxyz"))}
    options = {"hidden": (8,), "steps": 30, "backend": "numpy", "missing": "nan", "progress": False}
    return JPVAE(2, likelihood="gaussian", **options).fit(frames)


def noise_of(model, views):
    """Twenty draws of the second view less their mean, by place."""
    drawn = np.stack([frame.to_numpy() for frame in model.sample_imputations(views, n_draws=20)["two"]])
    return drawn - drawn.mean(axis=0)


@pytest.mark.parametrize("numbers", ["counted", "mixed"])
def test_strangers_that_share_their_rows_numbers_share_no_noise(model, numbers):
    """Of 20 x 80 x 4 numbers the correlation of independent noise is below 5/sqrt(6400)."""
    index = np.arange(80) if numbers == "counted" else np.random.default_rng(1).permutation(80)
    one, other = (noise_of(model, tables(seed, pd.Index(index))) for seed in (1, 2))
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(one.size)


def test_a_mixed_or_filtered_table_keeps_each_row_s_noise(model):
    views, order = tables(1), np.random.default_rng(2).permutation(80)[:50]
    whole, part = noise_of(model, views), noise_of(model, {name: frame.iloc[order] for name, frame in views.items()})
    np.testing.assert_allclose(part, whole[:, order], rtol=0, atol=1e-5 * np.abs(whole).max())


def test_whole_numbers_with_a_name_are_names(model):
    index = pd.Index(np.arange(80), name="subject")
    one, other = (noise_of(model, tables(seed, index)) for seed in (1, 2))
    assert (
        np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.8
    )  # the same persons, measured anew: the same draws of what is normal
