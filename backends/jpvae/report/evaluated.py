"""An evaluation on held-out rows, with the model that was trained for it: the report looks closer at what this model fills."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..estimator import JPVAE
from ..tables.evaluation import evaluate
from ..tables.fillers import FromJPVAE, Imputer
from ..tables.joining import Joined


@dataclass(frozen=True)
class Evaluated:
    """result: of ``tables.evaluation.evaluate``; model: the one that it trained; trained, held_out: each view of the rows that
    this model was trained on and of those that it has not seen, (R, p) numbers and codes."""

    result: Mapping[str, Any]
    model: JPVAE
    trained: Sequence[np.ndarray]
    held_out: Sequence[np.ndarray]


def evaluated(
    fitted: JPVAE,
    joined: Joined,
    *,
    part: float,
    seed: int,
    methods: Sequence[str],
    on_method: Callable[[str], object],
) -> Evaluated:
    """``evaluate`` with these arguments, and what it leaves behind. Raises what it raises."""
    kept: list[tuple[JPVAE, list[np.ndarray], list[np.ndarray]]] = []

    def keep(_: str, filler: Imputer, trained: list[np.ndarray], held_out: list[np.ndarray]) -> None:
        if isinstance(filler, FromJPVAE):
            kept.append((filler.model, trained, held_out))

    result = evaluate(fitted, joined, part=part, seed=seed, methods=methods, on_method=on_method, on_filler=keep)
    return Evaluated(result, *kept[0])
