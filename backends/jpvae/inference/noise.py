"""Noise that belongs to a row: its draws depend on the seed and on who or what the row is, never on its place or its batch.

A row's key is a hash of its identity (a DataFrame's own index) or else of its content. Rows of equal keys are numbered in the
order in which they come, and each number has noise of its own, so that subjects who happen to have the same answers are drawn
apart. Two tables that are imputed in two calls share noise only where they share rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..streams import Stream

Keys = np.ndarray[Any, np.dtype[np.uint64]]


def content_keys(values: Sequence[np.ndarray]) -> Keys:
    """One number per row from its content: values (R, c_i) of each view, zeros where missing -> (R,)."""
    parts = [np.ascontiguousarray(v) for v in values]
    return np.array([_hash(b"".join(part[r].tobytes() for part in parts)) for r in range(len(parts[0]))], np.uint64)


def identity_keys(labels: Sequence[Any]) -> Keys:
    """One number per row from its label, whose type counts too: 1 and "1" are two subjects."""
    return np.array([_hash(f"{type(label).__name__} {label!r}".encode()) for label in labels], np.uint64)


class Occurrences:
    """Numbers rows of equal keys 0, 1, 2, ... over all blocks of a call. Keeps 8 bytes per distinct row."""

    def __init__(self) -> None:
        self._seen: list[Keys] = []  # sorted; each is longer than twice the next, so that there are few
        self._counts: dict[int, int] = {}  # of the keys that came more than once

    def number(self, keys: Keys) -> np.ndarray:
        """How often each key came before, (R,); from now on these count as well."""
        known = np.zeros(len(keys), bool)
        for run in self._seen:
            known |= run[np.minimum(np.searchsorted(run, keys), len(run) - 1)] == keys
        distinct, counts = np.unique(keys, return_counts=True)
        before = np.zeros(len(keys), np.int64)
        again = np.isin(keys, distinct[counts > 1], kind="sort")  # NumPy 2.0 overflows on a table of numbers beyond an int64
        for r in np.flatnonzero(known | again):
            before[r] = self._counts.setdefault(int(keys[r]), int(known[r]))
            self._counts[int(keys[r])] += 1
        self._remember(distinct)
        return before

    def _remember(self, run: Keys) -> None:
        while self._seen and len(self._seen[-1]) <= 2 * len(run):
            run = np.union1d(self._seen.pop(), run)
        self._seen.append(run)


class RowNoise:
    """Standard normals, row by row, each row from a generator of its own.

    keys, occurrences: (R,), of the real rows of a block of ``size``: the padding after them gets zeros. part: of the stream, a
    view's number for instance. mirrored: normals come in pairs e, -e (antithetic), of which the means of what is linear in them
    are exact. The same calls give the same numbers.
    """

    def __init__(
        self,
        seed: int,
        stream: Stream,
        keys: Keys,
        occurrences: np.ndarray,
        *,
        part: int = 0,
        size: int | None = None,
        mirrored: bool = False,
    ) -> None:
        own = np.array([seed, part], np.uint64)
        self._mirrored = mirrored
        self._size = len(keys) if size is None else size
        self._generators = [
            np.random.Generator(np.random.Philox(key=own, counter=np.array([0, k, key, stream], np.uint64)))
            for key, k in zip(keys, occurrences, strict=True)
        ]

    def normal(self, draws: int, size: int) -> np.ndarray:
        """(draws, R, size): what one call gives in two pieces, two calls give as well; mirrored ones in even pieces."""
        made = np.zeros((draws, self._size, size))
        drawn = made[::2] if self._mirrored else made
        for r, rng in enumerate(self._generators):
            drawn[:, r] = rng.standard_normal((len(drawn), size))
        if self._mirrored:
            made[1::2] = -made[: draws - draws % 2 : 2]
        return made

    def uniform(self) -> np.ndarray:
        """(R,) numbers in [0, 1)."""
        made = np.zeros(self._size)
        made[: len(self._generators)] = [rng.random() for rng in self._generators]
        return made

    def each(self, draw: Callable[[np.ndarray, np.random.Generator], np.ndarray], means: np.ndarray) -> np.ndarray:
        """``draw(means[:, r], generator of row r)`` of every real row; means (S, R, c) -> (S, R, c), the padding as it was."""
        made = means.copy()
        for r, rng in enumerate(self._generators):
            made[:, r] = draw(means[:, r], rng)
        return made


def _hash(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
