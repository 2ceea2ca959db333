"""What a checkpoint says of the tables that its model was fitted on: the id's name, the columns, how active the latents were.

It is the header's entry "tables", plain JSON; a model that was fitted on arrays has none.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .. import checkpoints
from ..errors import CheckpointError

if TYPE_CHECKING:
    from ..estimator import JPVAE


@dataclass(frozen=True)
class Described:
    """id: the name of the id's column; columns: per view, in the model's order; both None for arrays.

    activity: per view the variance over its rows of each latent's posterior mean, None before the end of a training.
    """

    id: str | None = None
    columns: dict[str, list[str]] | None = None
    activity: dict[str, list[float]] | None = None

    def to_json(self) -> dict[str, Any]:
        """For the header."""
        return asdict(self)


def described(model: JPVAE) -> Described:
    """What ``model``, loaded from a file, was fitted on. Raises CheckpointError where the header is damaged."""
    found = getattr(model, "tables_", None)
    if found is None:
        return Described()
    sizes = dict(zip(model.view_names_, model.model_.features, strict=True))
    latents = dict(zip(model.view_names_, model.model_.latent_dims, strict=True))
    good = (
        isinstance(found, dict)
        and found.keys() == {"id", "columns", "activity"}
        and (found["id"] is None) == (found["columns"] is None)
        and isinstance(found["id"], str | None)
        and _lists(found["columns"], sizes, str)
        and _lists(found["activity"], latents, float)
    )
    if not good:
        raise CheckpointError("the file has a damaged header (its entry on the tables does not fit the model)")
    return Described(**found)


def record(path: str | os.PathLike[str], tables: Described) -> None:
    """Change what the checkpoint at ``path`` says of the tables; all else stays."""
    tensors, header = checkpoints.load(path)
    checkpoints.save(path, tensors, header | {"tables": tables.to_json()})


def _lists(value: Any, lengths: dict[str, int], kind: type) -> bool:
    """None, or one list of that many of that kind per view."""
    if value is None:
        return True
    if not isinstance(value, dict) or value.keys() != lengths.keys():
        return False
    return all(
        isinstance(v, list) and len(v) == lengths[name] and all(isinstance(x, kind) for x in v) for name, v in value.items()
    )
