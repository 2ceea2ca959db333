"""What of a fit goes into a checkpoint and comes back: options, model, columns, parameters, scaling, moments, report; and,
where training may go on, Adam's state, the steps since the last record and the best parameters so far."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from warnings import warn

from ..atomic import clear
from ..engines import AUTO, ENGINES, arguments, engine_name, nameable
from ..errors import CheckpointError, ConfigError, JPVAEWarning
from ..fitted import Arrays, Fitted
from ..inference.latent_report import LatentReport
from ..inference.predictive import HEAD
from ..model.likelihoods import UnknownLikelihood, names_in
from ..model.likelihoods.registry import check_kept, class_of, source_of, title
from ..model.model import Model
from ..option_values import seed_of
from ..options import BEFORE, Options
from ..training.early_stopping import Best
from ..views.inferring import per_view
from ..views.kept_columns import columns_of_json
from ..views.names import unfit
from ..views.slices import Slices
from . import checkpoints
from .contents import check_best, check_decay, check_history, check_numbers, check_versions, check_window, fits, members_in

_OURS = (AUTO, *ENGINES, "jax")
Reports = Sequence[Mapping[str, Any]]


class Progress(NamedTuple):
    """Where a training stands: steps done, Adam's arrays, the best so far, the reports since the history's last record,
    what was calibrated, by parameter, and the weight decay since, None for the plan's."""

    step: int
    optimizer: Arrays | None = None
    best: Best | None = None
    window: Reports = ()
    calibrated: Arrays = MappingProxyType({})
    weight_decay: float | None = None


def write(fitted: Fitted, path: str | os.PathLike[str], progress: Progress, *, fingerprint: str | None = None) -> None:
    """Write a fit; with the optimiser's arrays and the data's fingerprint, its training can go on.

    What is written is read back before it takes its place. Raises CheckpointError.
    """
    check_families(fitted)
    best = progress.best
    tensors = {f"{_head(name)}{name}": x for name, x in fitted.parameters.items()}
    tensors |= {f"adam.{name}": x for name, x in (progress.optimizer or {}).items()}
    for i, (location, scale) in enumerate(fitted.scaling):
        tensors |= {f"scaling.{i}.location": location, f"scaling.{i}.scale": scale}
    if fitted.moments is not None:
        tensors |= {"moments.mean": fitted.moments[0], "moments.covariance": fitted.moments[1]}
    tensors |= {f"best.{name}": x for name, x in best.parameters.items()} if best else {}
    tensors |= {f"member.{k}.{name}": x for k, p in enumerate(fitted.others, 1) for name, x in p.items()}
    tensors |= {f"calibrated.{name}": x for name, x in progress.calibrated.items()}
    header = identity(fitted)
    if not nameable(fitted.options.backend):
        warn(
            f"backend is {fitted.options.backend!r}, which another program cannot import: the file will be loaded with "
            "backend='auto'. Put the engine into a module, or give it to load(path, backend=...).",
            JPVAEWarning,
            stacklevel=2,
        )
        header["options"]["backend"] = AUTO
    elif given := arguments(fitted.options.backend):
        header["backend_arguments"] = given
    header |= {"step": progress.step, "history": fitted.history, "fingerprint": fingerprint}
    header["best"] = {"step": best.step, "loss": best.loss, "since": best.since} if best else None
    header["report"] = asdict(fitted.report) if fitted.report else None
    header["index_name"] = fitted.index_name
    header |= {"metadata": dict(fitted.metadata)} if fitted.metadata else {}
    header |= {"versions": dict(fitted.versions)} if fitted.versions else {}
    if progress.window:
        header["window"] = progress.window
    header |= {} if progress.weight_decay is None else {"weight_decay": progress.weight_decay}
    header |= {"families": sources} if (sources := _sources(fitted.model)) else {}
    checkpoints.save(path, tensors, header, check=lambda written: _fitted(written, *checkpoints.load(written)))


def _head(name: str) -> str:
    """Of a parameter in a file: what calibration alone gives is no part of the model's layout."""
    return "calibrated." if name.startswith(HEAD) else "parameters."


def add_members(path: str | os.PathLike[str], others: Sequence[Arrays]) -> None:
    """Add the parameters of an ensemble's other models to the file of the first one's finished training."""
    tensors, header = checkpoints.load(path)
    tensors = {**tensors, **{f"member.{k}.{name}": x for k, p in enumerate(others, 1) for name, x in p.items()}}
    checkpoints.save(path, tensors, header, check=lambda written: _fitted(written, *checkpoints.load(written)))


def check_families(fitted: Fitted) -> None:
    """Raise CheckpointError where a file of this fit could not be read again, for want of a likelihood."""
    try:
        for name in chain.from_iterable(map(names_in, fitted.model.likelihood_names)):
            check_kept(name)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error


def read(path: str | os.PathLike[str], **changed: Any) -> Fitted:
    """Everything that ``write`` kept but the options ``changed``. Raises CheckpointError for any other file.

    Of a training that is not over yet: what it would give if it ended here.
    """
    tensors, header = checkpoints.load(path)
    fitted = _fitted(path, tensors, header)
    if (given := header.get("backend_arguments")) and "backend" not in changed:
        warn(
            f"{str(path)!r} was fitted with arguments of the backend that the file does not keep ({', '.join(given)}): another "
            f"fit would use backend={fitted.options.backend!r} without them. To keep them, give load(path, backend=...).",
            JPVAEWarning,
            stacklevel=3,
        )
    return replace(fitted, options=replace(fitted.options, **changed))


def _fitted(path: str | os.PathLike[str] | Path, tensors: Arrays, header: Mapping[str, Any]) -> Fitted:
    damaged = f"{str(path)!r} has a damaged header"
    try:
        options, model = Options.from_json(header["options"]), Model.from_json(header["model"])
        columns = tuple(map(columns_of_json, header["columns"]))
        if tuple((c.width, c.spec) for c in columns) != model.widths_and_likelihoods:
            raise CheckpointError(f"{str(path)!r}: its columns do not match its model; the file is damaged")
        slices = None
        if options.view_slices is None and header.get("feature_names") is not None:
            raise CheckpointError(f"{damaged} (names of one matrix)")
        if options.view_slices is not None:
            slices = Slices.from_json(options.view_slices, header["feature_names"])
        if slices is not None and not all(
            each.names is None or slices.names is None or each.names == tuple(slices.names[k] for k in at)
            for each, at in zip(columns, slices.positions.values(), strict=True)
        ):
            raise CheckpointError(f"{damaged} (names of one matrix that its views do not have)")
        if not fits(tensors, model):
            raise CheckpointError(f"{str(path)!r}: its arrays do not match its header; the file is damaged")
        check_numbers(tensors, model, str(path))
        names, history, index_name = tuple(header["view_names"]), header["history"], header.get("index_name")
        latents = dict(zip(names, model.latent_dims, strict=True))
        if len(latents) != model.views or not all(isinstance(name, str) for name in names):
            raise CheckpointError(f"{damaged} (view names)")
        for name in names:
            if reason := unfit(name):
                raise CheckpointError(f"{str(path)!r} has a view named {name!r}, which {reason}; the file is damaged or forged")
        for said in per_view(options.likelihood, names):
            if not all(isinstance(part, str) for part in (said.values() if isinstance(said, Mapping) else [said])):
                raise CheckpointError(f"{damaged} (its likelihood)")
        if not isinstance(index_name, str | None):
            raise CheckpointError(f"{damaged} (the name of its index)")
        if not isinstance(metadata := header.get("metadata", {}), dict):
            raise CheckpointError(f"{damaged} (its metadata)")
        given = header.get("backend_arguments", [])
        if not isinstance(given, list) or not all(isinstance(name, str) and name.isidentifier() for name in given):
            raise CheckpointError(f"{damaged} (arguments of its backend)")
        check_versions(versions := header.get("versions", {}), str(path))
        check_history(history, header["step"], model.views, str(path))
        check_best(header.get("best"), header["step"], str(path))
        check_window(header.get("window", []), header["step"], model.views, str(path))
        check_decay(header.get("weight_decay"), str(path))
        moments, others = checkpoints.select(tensors, "moments."), members_in(tensors)
        if others not in (0, options.ensemble - 1):
            raise CheckpointError(f"{damaged} (it has {1 + others} models of an ensemble of {options.ensemble})")
        return Fitted(
            options=options,
            seed=seed_of(options.seed),
            model=model,
            view_names=names,
            columns=columns,
            scaling=[(tensors[f"scaling.{i}.location"], tensors[f"scaling.{i}.scale"]) for i in range(model.views)],
            index_name=index_name,
            metadata=metadata,
            versions=versions,
            slices=slices,
            parameters={
                **(checkpoints.select(tensors, "best.") or checkpoints.select(tensors, "parameters.")),
                **checkpoints.select(tensors, "calibrated."),
            },
            steps=header["step"],
            history=tuple(history),
            moments=(moments["mean"], moments["covariance"]) if moments else None,
            report=LatentReport.from_json(header.get("report"), latents),
            others=tuple(checkpoints.select(tensors, f"member.{k}.") for k in range(1, others + 1)),
        )
    except CheckpointError:
        raise
    except UnknownLikelihood as error:
        raise _without_family(path, error.name, header.get("families")) from error
    except KeyError as error:
        raise CheckpointError(f"{str(path)!r} lacks {error}; the file is damaged") from error
    except (TypeError, IndexError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        raise CheckpointError(f"{damaged} ({error}); the file is damaged") from error


def resume(
    start: Fitted,
    path: str | os.PathLike[str] | None,
    fingerprint: str | None,
    steps: int,
    former_fingerprint: Callable[[], int],
) -> tuple[Fitted, Progress]:
    """``start`` with fresh parameters, or with those and the history of a checkpoint of the same training.

    former_fingerprint: reads the data for the checksum that older checkpoints have, a number.
    Which backend and device it ran on until then does not matter: files have one layout. Nor does where it started.
    """
    if path is not None:
        clear(path)
    if path is None or not os.path.exists(path):
        return replace(start, parameters=start.model.initial_parameters(start.seed, start.scaling)), Progress(0)
    tensors, header = checkpoints.load(path)
    for part, ours in (identity(start) | {"fingerprint": fingerprint}).items():
        theirs = header.get(part)
        if part == "fingerprint" and isinstance(theirs, int):
            ours = former_fingerprint()
        if part == "options" and isinstance(theirs, dict):
            theirs = Options().to_json() | BEFORE | theirs | {name: ours[name] for name in ("backend", "device", "init")}
        if part == "model" and isinstance(theirs, dict):
            theirs = json.loads(json.dumps(Model.ADDED)) | theirs
            if theirs["reads_within"] is None:  # of an older release, which had no limit: it goes on without
                start = replace(start, model=replace(start.model, reads_within=None))
                ours = identity(start)[part]
        if theirs != ours:
            if isinstance(theirs, dict) and isinstance(ours, dict):
                differing = [name for name in ours if name not in theirs or theirs[name] != ours[name]] or list(theirs)
                theirs, ours = ({name: found.get(name) for name in differing} for found in (theirs, ours))
            raise CheckpointError(
                f"checkpoint {str(path)!r} belongs to a different training run ({part}: {theirs}; here {ours}). "
                "Choose another path, or delete the file to start over."
            )
    found = _fitted(path, tensors, header)
    adam, best_parameters = checkpoints.select(tensors, "adam."), checkpoints.select(tensors, "best.")
    parameters = checkpoints.select(tensors, "parameters.")
    dense = {name: x.shape for name, x in parameters.items() if not start.model.is_own(name)}
    moments = {f"{m}.{name}": shape for m in "mv" for name, shape in dense.items()} | {"step": ()}
    theirs = {name: x.shape for name, x in adam.items() if not start.model.is_own(name[2:])}
    best, window = header.get("best"), header.get("window", [])
    # An optimiser of the user's own has other arrays; whether they are all that it needs is found by its engine.
    elsewhere = len(adam) > 0 or engine_name(start.options.backend) not in _OURS  # which keep Adam's; others may keep none
    whole = "state" in adam or theirs == moments or (elsewhere and not theirs.keys() & moments.keys())
    whole = whole and (set(best or ()) == {"step", "loss", "since"} if best_parameters else best is None)
    if not whole or not 0 < found.steps <= steps:
        raise CheckpointError(f"checkpoint {str(path)!r} is damaged; delete the file to start over")
    # A training that was ended early has a record of its last steps, which are those in the window: they are recorded anew.
    history = tuple(record for record in found.history if record["step"] <= found.steps - len(window))
    kept = Best(parameters=best_parameters, **best) if best else None
    calibrated = checkpoints.select(tensors, "calibrated.")
    stand = Progress(found.steps, adam, kept, window, calibrated, header.get("weight_decay"))
    return replace(start, parameters=parameters, history=history), stand


def _sources(model: Model) -> dict[str, str]:
    """Where each likelihood that is not built in comes from: its "module:class", by name."""
    found = {name: source_of(name) for spec in model.likelihood_names for name in names_in(spec)}
    return {str(name): source for name, source in found.items() if source is not None}


def _without_family(path: str | os.PathLike[str], name: Any, sources: Any) -> CheckpointError:
    source = sources.get(name) if isinstance(sources, dict) and isinstance(name, str) else None
    if not isinstance(source, str):
        return CheckpointError(f"{str(path)!r} uses the unknown likelihood {name!r}; the file is damaged, or of a new release")
    module, _, family = source.partition(":")
    if ":" in name and class_of(name) is not None:
        return CheckpointError(
            f"{str(path)!r} uses the likelihood {title(name)!r}, whose options class {family!r} of module {module!r} does not "
            "take here. Install the version of it with which the model was fitted, and load the file again."
        )
    return CheckpointError(
        f"{str(path)!r} uses the likelihood {title(name)!r}, class {family!r} of module {module!r}, which is not available "
        f"here. Install the package that provides it, run `import {module}`, and load the file again."
    )


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays, and sequences such as ranges, as JSON knows them."""
    return value.tolist() if hasattr(value, "tolist") else list(value)


def identity(fitted: Fitted) -> dict[str, Any]:
    """What makes two trainings the same: options, model and view names, as plain JSON."""
    slices = fitted.slices
    options = fitted.options.to_json()
    options |= {"seed": fitted.seed, "view_slices": None if slices is None else slices.positions}  # what they came to
    found = {
        "options": options,
        "model": asdict(fitted.model),
        "view_names": fitted.view_names,
        "columns": [each.to_json() for each in fitted.columns],
        "feature_names": None if slices is None else slices.names,
    }
    plain: dict[str, Any] = json.loads(json.dumps(found, default=_plain))
    return plain
