"""What of a JPVAE goes into a checkpoint and comes back: options, model, columns, raw parameters, scaling, moments, latent
report; and, where training may go on, Adam's state and the best parameters so far of a training with early stopping."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ..atomic import clear
from ..errors import CheckpointError
from ..inference.latent_report import LatentReport
from ..model.model import Model
from ..options import check_types, likelihood_from_json, likelihood_to_json, seed_of
from ..training import schedules
from ..training.early_stopping import Best
from ..views import slices as wide
from ..views.columns import Columns
from . import checkpoints

if TYPE_CHECKING:
    from ..estimator import JPVAE

Arrays = Mapping[str, np.ndarray]


def write(
    model: JPVAE,
    path: str | os.PathLike[str],
    parameters: Arrays,
    optimizer: Arrays | None = None,
    *,
    step: int,
    fingerprint: int | None = None,
    best: Best | None = None,
) -> None:
    """Write ``model`` with these parameters; with the optimiser's arrays and the data's fingerprint, training can go on."""
    tensors = {f"parameters.{name}": x for name, x in parameters.items()}
    tensors |= {f"adam.{name}": x for name, x in (optimizer or {}).items()}
    for i, (location, scale) in enumerate(model.scaling_):
        tensors |= {f"scaling.{i}.location": location, f"scaling.{i}.scale": scale}
    if model.moments_ is not None:
        tensors |= {"moments.mean": model.moments_[0], "moments.covariance": model.moments_[1]}
    tensors |= {f"best.{name}": x for name, x in best.parameters.items()} if best else {}
    header = _identity(model) | {"step": step, "history": model.history_, "fingerprint": fingerprint}
    header["best"] = {"step": best.step, "loss": best.loss, "since": best.since} if best else None
    header["report"] = asdict(model.report_) if model.report_ else None
    header["index_name"] = model.index_name_
    checkpoints.save(path, tensors, header)


def read(cls: type[JPVAE], path: str | os.PathLike[str], **changed: str) -> JPVAE:
    """An estimator with everything that ``write`` kept but the options ``changed``, no engine yet. Raises CheckpointError."""
    tensors, header = checkpoints.load(path)
    try:
        given = header["options"]
        decoded = {"beta": schedules.from_json(given["beta"]), "likelihood": likelihood_from_json(given["likelihood"])}
        model = cls(**given | decoded | changed)
        check_types(model)
        model.model_, model.seed_ = Model.from_json(header["model"]), seed_of(model.seed)
        model.table_columns_ = tuple(Columns.from_json(columns) for columns in header["columns"])
        if tuple((c.width, c.spec) for c in model.table_columns_) != model.model_.widths_and_likelihoods:
            raise CheckpointError(f"{str(path)!r}: its columns do not fit its model; the file is damaged")
        if model.view_slices is not None:
            wide.restore(model, header["feature_names"])
        model.view_names_, model.history_ = tuple(header["view_names"]), header["history"]
        model.index_name_ = header.get("index_name")
        if not _fits(tensors, model.model_):
            raise CheckpointError(f"{str(path)!r}: its arrays do not fit its header; the file is damaged")
        pairs = [(f"scaling.{i}.location", f"scaling.{i}.scale") for i in range(model.model_.views)]
        latents = dict(zip(model.view_names_, model.model_.latent_dims, strict=True))
        model.report_ = LatentReport.from_json(header.get("report"), latents)
        model.scaling_ = [(tensors[location], tensors[scale]) for location, scale in pairs]
        if len(model.view_names_) != model.model_.views or not isinstance(model.history_, list):
            raise CheckpointError(f"{str(path)!r} has a damaged header (view names or history)")
        if not isinstance(model.index_name_, str | None):
            raise CheckpointError(f"{str(path)!r} has a damaged header (the name of its index)")
    except CheckpointError:
        raise
    except KeyError as error:
        raise CheckpointError(f"{str(path)!r} lacks {error}; the file is damaged") from error
    except (TypeError, IndexError, AttributeError, ValueError, ArithmeticError) as error:
        raise CheckpointError(f"{str(path)!r} has a damaged header ({error}); the file is damaged") from error
    # What a training that is not over yet would give if it ended here.
    model.parameters_ = checkpoints.select(tensors, "best.") or checkpoints.select(tensors, "parameters.")
    moments = checkpoints.select(tensors, "moments.")
    model.moments_ = (moments["mean"], moments["covariance"]) if moments else None
    return model


def resume(
    model: JPVAE, path: str | os.PathLike[str] | None, fingerprint: int | None, steps: int
) -> tuple[int, Arrays, Arrays | None, list[dict[str, Any]], Best | None]:
    """First step, parameters, Adam's arrays, history and the best so far: fresh, or from a checkpoint of the same training.

    Which backend and device it ran on until then does not matter: files have one layout.
    """
    if path is not None:
        clear(path)
    if path is None or not os.path.exists(path):
        return 0, model.model_.initial_parameters(model.seed_, model.scaling_), None, [], None
    tensors, header = checkpoints.load(path)
    for part, ours in (_identity(model) | {"fingerprint": fingerprint}).items():
        theirs = header.get(part)
        if part == "options" and isinstance(theirs, dict):
            theirs = _defaults(model) | theirs | {name: ours[name] for name in ("backend", "device")}
        if theirs != ours:
            if isinstance(theirs, dict) and isinstance(ours, dict):
                differing = [name for name in ours if name not in theirs or theirs[name] != ours[name]] or list(theirs)
                theirs, ours = ({name: found.get(name) for name in differing} for found in (theirs, ours))
            raise CheckpointError(
                f"checkpoint {str(path)!r} is of another training ({part}: {theirs}; here {ours}). "
                "Give another path, or delete the file to start anew."
            )
    adam = checkpoints.select(tensors, "adam.")
    parameters = checkpoints.select(tensors, "parameters.")
    moments = {f"{m}.{name}": x.shape for m in "mv" for name, x in parameters.items()} | {"step": ()}
    whole = _fits(tensors, model.model_) and {name: x.shape for name, x in adam.items()} == moments
    step, history, best = header.get("step"), header.get("history"), header.get("best")
    best_parameters = checkpoints.select(tensors, "best.")
    whole = whole and (set(best) == {"step", "loss", "since"} if best_parameters else best is None)
    if not whole or not isinstance(history, list) or not isinstance(step, int) or not 0 < step <= steps:
        raise CheckpointError(f"checkpoint {str(path)!r} is damaged; delete the file to start anew")
    return step, parameters, adam, history, Best(parameters=best_parameters, **best) if best else None


def _fits(tensors: Arrays, model: Model) -> bool:
    """Whether names and shapes are those of this model (Adam's arrays aside)."""
    if not _plausible(tensors, model):
        return False
    shapes = {name: x.shape for name, x in model.initial_parameters(0).items()}
    expected = {f"parameters.{name}": shape for name, shape in shapes.items()}
    if any(name.startswith("best.") for name in tensors):
        expected |= {f"best.{name}": shape for name, shape in shapes.items()}
    expected |= {f"scaling.{i}.{part}": (c,) for i, c in enumerate(model.features) for part in ("location", "scale")}
    if any(name.startswith("moments.") for name in tensors):
        n = sum(model.latent_dims)
        expected |= {"moments.mean": (n,), "moments.covariance": (n, n)}
    return {name: x.shape for name, x in tensors.items() if not name.startswith("adam.")} == expected


def _plausible(tensors: Arrays, model: Model) -> bool:
    """Whether the file has the layers and the prior that the header claims: found before any of them is made."""

    def has(name: str, shape: tuple[int, ...]) -> bool:
        return f"parameters.{name}" in tensors and tensors[f"parameters.{name}"].shape == shape

    return all(  # one by one: a header may claim any number
        has(f"{part}.{i}.{k}.weight", shape)
        for i in range(model.views)
        for part in ("encoder", "decoder")
        for k, shape in enumerate(model.layers(part, i))
    ) and all(has(name, shape) for name, shape in model.joint.shapes().items())


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays, and sequences such as ranges, as JSON knows them."""
    return value.tolist() if hasattr(value, "tolist") else list(value)


def _defaults(model: JPVAE) -> dict[str, Any]:
    """The options that a training depends on, as they are where nobody sets them: a file may be older than an option."""
    parameters = inspect.signature(type(model).__init__).parameters
    return {name: option.default for name, option in parameters.items() if name not in ("self", "progress")}


def _identity(model: JPVAE) -> dict[str, Any]:
    """What makes two trainings the same: options, model and view names, as plain JSON."""
    options = {name: getattr(model, name) for name in sorted(_defaults(model))}
    options |= {"beta": schedules.to_json(model.beta), "likelihood": likelihood_to_json(model.likelihood)}
    options |= {"seed": model.seed_, "view_slices": getattr(model, "view_columns_", None)}  # what they came to
    columns = [each.to_json() for each in model.table_columns_]
    identity = {"options": options, "model": asdict(model.model_), "view_names": model.view_names_, "columns": columns}
    identity["feature_names"] = getattr(model, "feature_names_in_", None)
    plain: dict[str, Any] = json.loads(json.dumps(identity, default=_plain))
    return plain
