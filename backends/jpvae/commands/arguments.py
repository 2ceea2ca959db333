"""What the commands on tables share: options by the same name, and the console that they print to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

ViewFiles = Annotated[
    list[str],
    typer.Option("--view", metavar="NAME=PATH", help="A view and its file: .csv .tsv .parquet .xlsx .npy .npz. Once per view."),
]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="The .safetensors file that jpvae fit wrote.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")]
Engine = Annotated[str | None, typer.Option(help="torch | numpy; by default as it was fitted.")]


def console() -> Console:
    """As wide as the terminal; 100 columns in a file or a pipe."""
    return Console(width=None if Console().is_terminal else 100, highlight=False)
