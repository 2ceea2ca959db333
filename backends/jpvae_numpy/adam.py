"""Adam over one buffer of all parameters (Kingma and Ba 2015, algorithm 1, in the order that ends their section 2).

    m += (1 - b1) (g - m)        v = b2 v + (1 - b2) g^2        p -= r m / (sqrt(v) + e)
    r = rate sqrt(1 - b2^t) / (1 - b1^t),    e = eps sqrt(1 - b2^t)

which is rate * m^ / (sqrt(v^) + eps) with the bias-corrected m^ = m/(1 - b1^t) and v^ = v/(1 - b2^t), multiplied out.
A step reads p, g, m, v and writes p, m, v: 28 bytes per float32 parameter. So it goes block by block: a block's four pieces and
one scratch block stay in the cache during the twelve operations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import DTypeLike

from .threads import Threads

BETA_1, BETA_2, EPS = 0.9, 0.999, 1e-8
# Entries of a block, at most: five float32 pieces are 2.5 MB, for the last-level cache. Blocks for the second level are no
# faster on one thread, and slower on two, which then pass the interpreter back and forth too often.
BLOCK = 131_072


class Flat:
    """Arrays by name, of given shapes, as views of one buffer ``whole``, in their order; all 0."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: DTypeLike) -> None:
        sizes = [math.prod(shape) for shape in shapes.values()]
        self.whole = np.zeros(sum(sizes), dtype)
        pieces = np.split(self.whole, np.cumsum(sizes)[:-1])
        self.named = {name: piece.reshape(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}


def clip(gradient: np.ndarray, most: float) -> float:
    """g <- g min(1, most/|g|), in place where |g| is finite; returns |g| (of before), summed in float64."""
    norm = math.sqrt(np.einsum("i,i->", gradient, gradient, dtype=np.float64))
    if most < norm < math.inf:
        np.multiply(gradient, np.asarray(most / norm, gradient.dtype), gradient)
    return norm


class Adam:
    """The optimiser of ``parameters`` by ``gradients``.

    groups: in the parameters' order, whether they have the slow rate, the factor of weight decay, and how many they are.
    """

    def __init__(self, parameters: Flat, gradients: Flat, groups: Sequence[tuple[bool, float, int]], threads: Threads) -> None:
        shapes, dtype = {name: x.shape for name, x in parameters.named.items()}, parameters.whole.dtype
        self.steps, self.threads = 0, threads
        self.m, self.v = Flat(shapes, dtype), Flat(shapes, dtype)
        buffers = (parameters.whole, gradients.whole, self.m.whole, self.v.whole)
        size = len(parameters.whole)
        count = threads.count * -(-size // (threads.count * BLOCK))  # as many for each thread
        length = -(-size // count)
        ends = list(accumulate(entries for *_, entries in groups))
        self._blocks = [
            (decay, moves_slowly, [x[start : min(start + length, end)] for x in buffers])
            for (moves_slowly, decay, entries), end in zip(groups, ends, strict=True)
            for start in range(end - entries, end, length)
        ]
        self._factors = sorted({decay for _, decay, _ in groups})
        self._scratch = [np.empty(length, dtype) for _ in range(threads.count)]

    def step(self, rate: float, slow_rate: float, weight_decay: float = 0.0) -> None:
        """One step by the gradients as they are, after p *= 1 - rate weight_decay factor; slow entries have ``slow_rate``."""
        self.steps += 1
        root = math.sqrt(1.0 - BETA_2**self.steps)
        factor = root / (1.0 - BETA_1**self.steps)
        # Constants are arrays without axes: NumPy takes as long to convert a Python number as to add a few thousand entries.
        constants = (1.0 - BETA_1, BETA_2, 1.0 - BETA_2, EPS * root, rate * factor, slow_rate * factor)
        dtype = self._scratch[0].dtype
        one_less_b1, b2, one_less_b2, e, fast, slow = (np.asarray(x, dtype) for x in constants)
        kept = {decay: np.asarray(1.0 - rate * weight_decay * decay, dtype) for decay in self._factors}

        def share(k: int) -> None:
            for decay, moves_slowly, (p, g, m, v) in self._blocks[k :: self.threads.count]:
                t = self._scratch[k][: len(p)]
                np.subtract(g, m, t)
                np.multiply(t, one_less_b1, t)
                np.add(m, t, m)
                np.multiply(g, g, t)
                np.multiply(t, one_less_b2, t)
                np.multiply(v, b2, v)
                np.add(v, t, v)
                np.sqrt(v, t)
                np.add(t, e, t)
                np.divide(m, t, t)
                np.multiply(t, slow if moves_slowly else fast, t)
                if decay and weight_decay:
                    np.multiply(p, kept[decay], p)
                np.subtract(p, t, p)

        self.threads.each(share, range(self.threads.count))
