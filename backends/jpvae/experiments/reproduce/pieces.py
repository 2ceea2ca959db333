"""The experiment cut into pieces: one small JSON file each, made once. Whatever is shown is made from these files alone.

    RAW/<protocol>/<model>-<seed>/training.json | latents.json | likelihood.json | bounds.json | digits.json | classifiers.json
    RAW/originals/<seed>/classifiers.json

A piece that has its file is not made again, so a run that is stopped anywhere goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...atomic import write_atomically
from ...errors import ConfigError
from ..hvdmnist import provenance
from .runs import Run, main_runs, sweep_runs

KINDS = ("training", "latents", "digits", "likelihood", "bounds", "classifiers")
ORIGINALS = "originals"
SHOWN = {  # what the pieces are for
    "table1": ("training", "latents"),
    "table2": ("training",),
    "table3": ("classifiers",),
    "beyond": ("training", "latents"),
    "sweep": (),
    "likelihood": ("training", "likelihood", "bounds"),
    "figure1": ("training", "digits", "classifiers"),
    "figure4": ("latents",),
    "figure5": ("training", "digits"),
    "figure6": ("training", "digits"),
    "figure7": ("training", "digits"),
    "figure8": ("classifiers",),
    "figure9": ("classifiers",),
}
PICTURED = ("zero", "orthogonal")  # in Figures 1, 5, 6 and 7
_PICTURED_SEEDS = 2  # Figures 1 and 6 show one seed, 5 and 7 another


@dataclass(frozen=True)
class Piece:
    """run: None for the classifiers on the images themselves, which are of no model."""

    run: Run | None
    kind: str
    seed: int

    @property
    def place(self) -> Path:
        """Its file, relative to RAW."""
        name = Path(ORIGINALS, str(self.seed)) if self.run is None else Path(self.run.protocol, self.run.name)
        return name / f"{self.kind}.json"


def wanted(only: Sequence[str]) -> tuple[str, ...]:
    """What is to be shown: everything, or what was named. Raises ConfigError for another name."""
    for name in only:
        if name not in SHOWN:
            raise ConfigError(f"only is {name!r}; expected some of {', '.join(SHOWN)}, separated by commas")
    return tuple(only) or tuple(SHOWN)


QUICK = tuple(name for name in SHOWN if name != "sweep")  # the sweep takes five more trainings per seed


def pieces(protocol: str, seeds: int, only: Sequence[str]) -> Iterator[Piece]:
    """All that has to be made for what is wanted: first what is trained, seed by seed, the long classifiers last."""
    shown = wanted(only)
    needed = {kind for name in shown for kind in SHOWN[name]}
    runs = main_runs(protocol, seeds)
    for kind in KINDS:
        if kind in needed:
            yield from (Piece(run, kind, run.seed) for run in runs if kind != "digits" or _is_pictured(run))
    if "classifiers" in needed:
        yield from (Piece(None, "classifiers", seed) for seed in range(seeds))
    if "sweep" in shown:
        yield from (Piece(run, "training", run.seed) for run in sweep_runs(protocol, seeds))


def _is_pictured(run: Run) -> bool:
    return run.variant in PICTURED and run.seed < _PICTURED_SEEDS


def write(raw: Path, piece: Piece, found: dict[str, Any]) -> None:
    """Keep a piece with what made it."""
    path = raw / piece.place
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"made_by": found.pop("made_by", None) or provenance("torch")}
    write_atomically(path, (json.dumps(found | about) + "\n").encode())


def read(path: Path) -> dict[str, Any]:
    """A piece. Raises ConfigError where the file is damaged."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        found["made_by"]["commit"], found["made_by"]["machine"]  # what every piece has
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise damaged(path, error) from error
    return found


def damaged(path: Path, error: Exception) -> ConfigError:
    """What to raise for a piece that cannot be used."""
    reason = f"it lacks {error}" if isinstance(error, KeyError) else error
    return ConfigError(f"{str(path)!r} is damaged ({reason}); delete it, and it is made again")
