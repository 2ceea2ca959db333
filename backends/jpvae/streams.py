"""Every random stream's number in one place, and counter-based generators: nothing random is carried from step to step."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a seed's random numbers are for. A number, once given, is never given to something else: results depend on it."""

    SHUFFLE = 1  # the order of the rows in each pass
    NOISE = 2  # of a training step
    SUBSETS = 3  # which views of a row a training step hides
    DRAWS = 4  # of latents, block by block
    OBSERVATION = 5  # the likelihood's own noise on a draw
    PRIOR = 6  # new subjects
    SPLIT = 7  # which rows are held out
    CELLS = 8  # which cells a training step hides from the encoders
    CLASSIFIER = 9  # of the paper's experiment: their initial weights, and the order of the images
    RESAMPLE = 10  # which of the weighted draws are taken, and what completes them
    DONORS = 12  # which of the nearest donors gives its value
    SHRINKAGE = 14  # what a missing view's latents are drawn with where the others are trusted less than the model does
    TAILS = 15  # the scale of a row's draw, where errors have longer tails than a normal distribution
    BOOTSTRAP = 13  # which rows, some of them several times, a model is trained on
    CALIBRATION = 11  # of held-out rows: which views are seen when one is hidden, and the values drawn for it


def generator(seed: int, stream: Stream, index: int, part: int = 0) -> np.random.Generator:
    """A counter-based generator for one (seed, stream, index, part): no state to save."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, part, index, stream]))
