"""Options that several commands share, under the same names, and the console that they print to."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from ..engines import AUTO
from ..engines import names as engine_names

C = TypeVar("C", bound=StrEnum)


def choices(names: Iterable[str]) -> str:
    """The names as a sentence lists them: "a, b or c"."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def one_of(kind: type[C]) -> Callable[[str], C]:
    """What makes a choice of an option's word, or refuses it."""

    def choice(word: str) -> C:
        try:
            return kind(word)
        except ValueError:
            raise _unknown(word, map(str, kind)) from None

    return choice


def engine(word: str) -> str:
    """The name of an engine, "auto" included."""
    if word not in (known := [*engine_names(), AUTO]):
        raise _unknown(word, known)
    return word


def _unknown(word: str, known: Iterable[str]) -> typer.BadParameter:
    return typer.BadParameter(f"{word!r} is not one of {', '.join(map(repr, known))}.")


ViewFiles = Annotated[
    list[str],
    typer.Option(
        "--view",
        metavar="NAME=PATH",
        help="A view's name and its file: .csv, .tsv, .parquet, .xlsx, .h5ad, .h5mu, .npy or .npz. Repeat for each view.",
    ),
]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A .safetensors file written by jpvae fit.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print only the result, as JSON.")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all random numbers.")]
SplitSeed = Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the split into training and held-out rows.")]


Engine = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="ENGINE",
        parser=engine,
        help=f"Engine: {choices(engine_names())}. By default the one used in training.",
    ),
]
TrainingEngine = Annotated[
    str, typer.Option("--backend", metavar="ENGINE", parser=engine, help=f"Engine: {choices(engine_names())}.")
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, metavar="N", help="Threads of the engine. By default one where its products are small."),
]


class Protocol(StrEnum):
    """The recipes of ``jpvae.experiments.hvdmnist``."""

    PUBLISHED = "published"
    PAPER = "paper"
    OURS = "ours"


def typed() -> str:
    """The command that is running, as a shell reads it; bytes in it that are no UTF-8 as \\udc80 to \\udcff."""
    return shlex.join(["jpvae", *sys.argv[1:]]).encode(errors="backslashreplace").decode()


def console() -> Console:
    """As wide as the terminal; 100 columns in a file or a pipe."""
    return Console(width=None if Console().is_terminal else 100, highlight=False, emoji=False)
