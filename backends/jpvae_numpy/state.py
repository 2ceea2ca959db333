"""A training in progress: parameters, gradients, Adam's moments, each in one buffer, and the networks that use them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

import numpy as np

from jpvae.model.model import Model

from .adam import Adam, Flat
from .layers import Layers
from .threads import Threads


class State:
    """Copies of the parameters, in ``dtype``, with everything that a step needs allocated beside them."""

    def __init__(self, model: Model, parameters: Mapping[str, np.ndarray], dtype: str, threads: int) -> None:
        self.model, self.dtype, self.threads = model, dtype, Threads(threads)

        def group(name: str) -> tuple[bool, float]:  # what decays most first, the slow ones last
            return name in model.coupling_parameters, -model.decay(name, parameters[name].ndim)

        order = sorted(sorted(parameters), key=group)  # not the mapping's: a file has another, and |g| is summed in this one
        shapes = {name: parameters[name].shape for name in order}
        self.parameters, self.gradients = Flat(shapes, dtype), Flat(shapes, dtype)
        for name, x in parameters.items():
            self.parameters.named[name][...] = x
        groups = [(slow, -less, sum(parameters[name].size for name in of)) for (slow, less), of in groupby(order, group)]
        self.adam = Adam(self.parameters, self.gradients, groups, self.threads)
        networks = (self.parameters.named, self.gradients.named)
        self.encoders = [Layers(*networks, f"encoder.{i}") for i in range(model.views)]
        self.decoders = [Layers(*networks, f"decoder.{i}") for i in range(model.views)]

    def asarray(self, x: np.ndarray) -> np.ndarray:
        """In the training's dtype."""
        return np.asarray(x, self.dtype)
