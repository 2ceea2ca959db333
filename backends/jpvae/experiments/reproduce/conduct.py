"""`jpvae reproduce`: make the pieces that are missing, then the report from all that there are."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...atomic import write_atomically
from ...errors import ConfigError
from ..protocols import protocol_named
from . import classifiers, measuring, report
from .digits import splits
from .pieces import Piece, pieces, wanted, write
from .runs import Run, train_together
from .settings import FULL, Settings

Say = Callable[[str], None]


def reproduce(
    out: Path,
    *,
    protocol: str = "published",
    seeds: int = 5,
    only: Sequence[str] = (),
    settings: Settings = FULL,
    trained: Sequence[Path] = (),
    device: str = "cpu",
    progress: bool | str = False,
    note: Say = lambda _: None,
) -> Path:
    """Train, measure and classify what ``out``/raw does not hold yet, write the report; return its path.

    protocol: "published", "paper" or "ours".  seeds: 0 to seeds - 1.  only: "table1", "figure4", ...; everything by default.
    trained: folders in which finished runs of `jpvae hvdmnist` lie, which are not trained again.
    note: called with one line per piece that is made. Raises ConfigError.
    """
    protocol_named(protocol)
    wanted(only)
    if seeds < 1:
        raise ConfigError(f"seeds is {seeds}; expected at least 1")
    for folder in trained:
        if not folder.is_dir():
            raise ConfigError(
                f"trained is {str(folder)!r}, which is no folder; expected one with finished runs of `jpvae hvdmnist`"
            )
    _claim(out, settings)
    raw = out / "raw"
    missing = [piece for piece in pieces(protocol, seeds, only) if not (raw / piece.place).is_file()]
    train, test = splits() if missing else (None, None)
    if device != "cpu":
        _train_stacks([piece.run for piece in missing if piece.run], out, settings, trained, device, progress, note)
    for number, piece in enumerate(missing, 1):
        if (raw / piece.place).is_file():  # made with an earlier one
            continue
        note(f"{number} of {len(missing)}: {piece.place.with_suffix('')}")
        together = _together(piece, missing, device)
        for each, found in zip(together, _make(together, out, train, test, settings, trained, device, progress), strict=True):
            write(raw, each, found)
    return report.write(raw, out, only=only)


def _train_stacks(
    runs: Sequence[Run],
    out: Path,
    settings: Settings,
    trained: Sequence[Path],
    device: str,
    progress: bool | str,
    note: Say,
) -> None:
    """The seeds of each model side by side: a GPU trains several in little more than the time of one."""
    for model in dict.fromkeys((run.protocol, run.model) for run in runs):
        same = [run for run in dict.fromkeys(runs) if (run.protocol, run.model) == model]
        folders = {run: run.folder(out, trained, settings) for run in same}
        todo = {run: folder for run, folder in folders.items() if not run.is_finished(folder, settings)}
        if todo:
            note(f"training {len(todo)} seeds of {model[0]}/{model[1]}")
            train_together(list(todo), list(todo.values()), settings, device=device, progress=progress)


def _claim(out: Path, settings: Settings) -> None:
    """One folder holds pieces of one length. Raises ConfigError where it was begun with another."""
    out.mkdir(parents=True, exist_ok=True)
    path, ours = out / "settings.json", settings.to_json()
    if path.is_file() and json.loads(path.read_text()) != ours:
        raise ConfigError(f"out is {str(out)!r}, which holds a run of another length ({path.name}); give another folder")
    write_atomically(path, (json.dumps(ours, indent=2) + "\n").encode())


def _together(piece: Piece, missing: Sequence[Piece], device: str) -> list[Piece]:
    """The piece; on a GPU, which trains several in little more than the time of one, a model's classifiers of every seed."""
    if device == "cpu" or piece.kind != "classifiers" or piece.run is None:
        return [piece]
    return [other for other in missing if other.kind == piece.kind and other.run and other.run.model == piece.run.model]


def _make(
    together: Sequence[Piece],
    out: Path,
    train: Any,
    test: Any,
    settings: Settings,
    trained: Sequence[Path],
    device: str,
    progress: bool | str,
) -> list[dict[str, Any]]:
    piece, runs = together[0], [piece.run for piece in together if piece.run]
    if not runs:
        work = out / "work" / "originals" / str(piece.seed)
        epochs = settings.epochs_on_originals
        return [classifiers.of_originals(train, test, work, epochs=epochs, seed=piece.seed, device=device)]
    run, folders = runs[0], [run.folder(out, trained, settings) for run in runs]
    results = [run.train(folder, settings, device=device, progress=progress) for run, folder in zip(runs, folders, strict=True)]
    if piece.kind == "training":
        return results
    if piece.kind == "latents":
        return [measuring.latents(folders[0], train, test)]
    if piece.kind == "likelihood":
        return [measuring.likelihood(folders[0], test, settings)]
    if piece.kind == "bounds":
        return [measuring.bounds(folders[0], test, settings)]
    if piece.kind == "digits":
        return [measuring.digits(folders[0], test)]
    work, seeds = out / "work" / run.protocol / (run.name if len(runs) == 1 else run.model), [run.seed for run in runs]
    return classifiers.of_models(folders, train, test, work, epochs=settings.epochs, seeds=seeds, device=device)
