"""The hyper-parameters that `jpvae fit` takes where none are given: from the tables' sizes, so that anyone can work them out.

latent dims of a view     half its columns, at least 1 and at most 16
prior                     canonical (any number of views, unequal sizes); independent for one view
steps                     100 passes over the rows, at least 2,000 and at most 20,000 steps of Adam
backend                   torch where it is installed, else numpy
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec


def latent_dims(features: Sequence[int]) -> tuple[int, ...]:
    """Per view, from its number of columns."""
    return tuple(min(16, max(1, c // 2)) for c in features)


def prior(views: int) -> str:
    """The prior's name."""
    return "canonical" if views > 1 else "independent"


def steps(rows: int, batch_size: int) -> int:
    """Steps of Adam."""
    return min(20_000, max(2_000, 100 * rows // batch_size))


def backend() -> str:
    """The engine's name."""
    return "torch" if find_spec("torch") is not None else "numpy"
