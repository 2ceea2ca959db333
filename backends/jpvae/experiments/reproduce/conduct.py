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
from .pieces import Piece, pieces, write
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
    if seeds < 1:
        raise ConfigError(f"seeds is {seeds}; expected at least 1")
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
        if piece.kind == "classifiers" and piece.run and device != "cpu":
            same = [p for p in missing if p.kind == piece.kind and p.run and p.run.model == piece.run.model]
            for each, found in zip(same, _classified(same, out, train, test, settings, trained, device), strict=True):
                write(raw, each, found)
            continue
        write(raw, piece, _make(piece, out, train, test, settings, trained, device, progress))
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


def _make(
    piece: Piece,
    out: Path,
    train: Any,
    test: Any,
    settings: Settings,
    trained: Sequence[Path],
    device: str,
    progress: bool | str,
) -> dict[str, Any]:
    run = piece.run
    if run is None:
        work = out / "work" / "originals" / str(piece.seed)
        epochs = settings.epochs_on_originals
        return classifiers.of_originals(train, test, work, epochs=epochs, seed=piece.seed, device=device)
    folder = run.folder(out, trained, settings)
    result = run.train(folder, settings, device=device, progress=progress)
    if piece.kind == "training":
        return result
    if piece.kind == "latents":
        return measuring.latents(folder, train, test)
    if piece.kind == "likelihood":
        return measuring.likelihood(folder, test, settings)
    if piece.kind == "bounds":
        return measuring.bounds(folder, test, settings)
    if piece.kind == "digits":
        return measuring.digits(folder, test)
    return _classified([piece], out, train, test, settings, trained, device)[0]


def _classified(
    pieces: Sequence[Piece], out: Path, train: Any, test: Any, settings: Settings, trained: Sequence[Path], device: str
) -> list[dict[str, Any]]:
    """The classifiers of the seeds of one model, side by side."""
    runs = [piece.run for piece in pieces if piece.run]
    folders, seeds = [run.folder(out, trained, settings) for run in runs], [run.seed for run in runs]
    work = out / "work" / runs[0].protocol / (runs[0].name if len(runs) == 1 else runs[0].model)
    return classifiers.of_models(folders, train, test, work, epochs=settings.epochs, seeds=seeds, device=device)
