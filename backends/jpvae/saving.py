"""What of a JPVAE goes into a checkpoint and comes back: options, model, columns, raw parameters, scaling, moments, Adam."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from . import checkpoints, schedules
from .columns import Columns
from .errors import CheckpointError
from .model import Model
from .options import likelihood_from_json, likelihood_to_json

if TYPE_CHECKING:
    from .estimator import JPVAE

Arrays = Mapping[str, np.ndarray]


def write(
    model: JPVAE,
    path: str | os.PathLike[str],
    parameters: Arrays,
    optimizer: Arrays | None = None,
    *,
    step: int,
    fingerprint: int | None = None,
) -> None:
    """Write ``model`` with these parameters; with the optimiser's arrays and the data's fingerprint, training can go on."""
    tensors = {f"parameters.{name}": x for name, x in parameters.items()}
    tensors |= {f"adam.{name}": x for name, x in (optimizer or {}).items()}
    for i, (location, scale) in enumerate(model.scaling_):
        tensors |= {f"scaling.{i}.location": location, f"scaling.{i}.scale": scale}
    if model.moments_ is not None:
        tensors |= {"moments.mean": model.moments_[0], "moments.covariance": model.moments_[1]}
    header = _identity(model) | {"step": step, "history": model.history_, "fingerprint": fingerprint}
    checkpoints.save(path, tensors, header)


def read(cls: type[JPVAE], path: str | os.PathLike[str], **changed: str) -> JPVAE:
    """An estimator with everything that ``write`` kept but the options ``changed``, no engine yet. Raises CheckpointError."""
    tensors, header = checkpoints.load(path)
    try:
        given = header["options"]
        decoded = {"beta": schedules.from_json(given["beta"]), "likelihood": likelihood_from_json(given["likelihood"])}
        model = cls(**given | decoded | changed)
        model.model_ = Model.from_json(header["model"])
        model.table_columns_ = tuple(Columns.from_json(columns) for columns in header["columns"])
        if tuple((c.width, c.spec) for c in model.table_columns_) != model.model_.widths_and_likelihoods:
            raise CheckpointError(f"{str(path)!r}: its columns do not fit its model; the file is damaged")
        model.view_names_, model.history_ = tuple(header["view_names"]), header["history"]
        if not _fits(tensors, model.model_):
            raise CheckpointError(f"{str(path)!r}: its arrays do not fit its header; the file is damaged")
        pairs = [(f"scaling.{i}.location", f"scaling.{i}.scale") for i in range(model.model_.views)]
        model.scaling_ = [(tensors[location], tensors[scale]) for location, scale in pairs]
        if len(model.view_names_) != model.model_.views or not isinstance(model.history_, list):
            raise CheckpointError(f"{str(path)!r} has a damaged header (view names or history)")
    except (KeyError, TypeError, IndexError) as error:
        raise CheckpointError(f"{str(path)!r} lacks {error}; the file is damaged") from error
    except CheckpointError:
        raise
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"{str(path)!r} has a damaged header ({error})") from error
    model.parameters_ = checkpoints.select(tensors, "parameters.")
    moments = checkpoints.select(tensors, "moments.")
    model.moments_ = (moments["mean"], moments["covariance"]) if moments else None
    return model


def resume(
    model: JPVAE, path: str | os.PathLike[str] | None, fingerprint: int | None, steps: int
) -> tuple[int, Arrays, Arrays | None, list[dict[str, Any]]]:
    """First step, parameters, Adam's arrays and history: fresh, or from a checkpoint of the same training.

    Which backend and device it ran on until then does not matter: files have one layout.
    """
    if path is None or not os.path.exists(path):
        return 0, model.model_.initial_parameters(model.seed, model.scaling_), None, []
    tensors, header = checkpoints.load(path)
    for part, ours in (_identity(model) | {"fingerprint": fingerprint}).items():
        theirs = header.get(part)
        if part == "options" and isinstance(theirs, dict):
            theirs = theirs | {name: ours[name] for name in ("backend", "device")}
        if theirs != ours:
            raise CheckpointError(
                f"checkpoint {str(path)!r} is of another training ({part}: {header.get(part)}; here {ours}). "
                "Give another path, or delete the file to start anew."
            )
    adam = checkpoints.select(tensors, "adam.")
    parameters = checkpoints.select(tensors, "parameters.")
    moments = {f"{m}.{name}": x.shape for m in "mv" for name, x in parameters.items()} | {"step": ()}
    whole = _fits(tensors, model.model_) and {name: x.shape for name, x in adam.items()} == moments
    step, history = header.get("step"), header.get("history")
    if not whole or not isinstance(history, list) or not isinstance(step, int) or not 0 < step <= steps:
        raise CheckpointError(f"checkpoint {str(path)!r} is damaged; delete the file to start anew")
    return step, parameters, adam, history


def _fits(tensors: Arrays, model: Model) -> bool:
    """Whether names and shapes are those of this model (Adam's arrays aside)."""
    expected = {f"parameters.{name}": x.shape for name, x in model.initial_parameters(0).items()}
    expected |= {f"scaling.{i}.{part}": (c,) for i, c in enumerate(model.features) for part in ("location", "scale")}
    if any(name.startswith("moments.") for name in tensors):
        n = sum(model.latent_dims)
        expected |= {"moments.mean": (n,), "moments.covariance": (n, n)}
    return {name: x.shape for name, x in tensors.items() if not name.startswith("adam.")} == expected


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays, and sequences such as ranges, as JSON knows them."""
    return value.tolist() if hasattr(value, "tolist") else list(value)


def _identity(model: JPVAE) -> dict[str, Any]:
    """What makes two trainings the same: options, model and view names, as plain JSON."""
    names = inspect.signature(type(model).__init__).parameters.keys() - {"self", "progress"}
    options = {name: getattr(model, name) for name in sorted(names)}
    options |= {"beta": schedules.to_json(model.beta), "likelihood": likelihood_to_json(model.likelihood)}
    columns = [each.to_json() for each in model.table_columns_]
    identity = {"options": options, "model": asdict(model.model_), "view_names": model.view_names_, "columns": columns}
    plain: dict[str, Any] = json.loads(json.dumps(identity, default=_plain))
    return plain
