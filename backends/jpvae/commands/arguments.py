"""Options that several commands share, under the same names, and the console that they print to."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..engines import ENGINES


def choices(names: Iterable[str]) -> str:
    """The names as a sentence lists them: "a, b or c"."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


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
    typer.Option("--backend", metavar="ENGINE", help=f"Engine: {choices(ENGINES)}. By default the one used in training."),
]
TrainingEngine = Annotated[str, typer.Option("--backend", metavar="ENGINE", help=f"Engine: {choices(ENGINES)}.")]
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
