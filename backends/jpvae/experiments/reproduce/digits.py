"""The experiment's images and labels: training and test split, as halves with ink or none, and as raw bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import hvdmnist
from ..data import halves, mnist


@dataclass(frozen=True)
class Split:
    """images: (N, 28, 28) uint8; labels: (N,)."""

    images: np.ndarray
    labels: np.ndarray

    @property
    def views(self) -> list[np.ndarray]:
        """Two (N, 392) arrays of zeros and ones."""
        return halves(self.images)


def splits() -> tuple[Split, Split]:
    """The training images and the test images."""
    images, labels = mnist("train")
    count = hvdmnist.TRAINING_IMAGES
    return Split(images[:count], labels[:count]), Split(*mnist("test"))
