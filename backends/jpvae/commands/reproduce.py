"""`jpvae reproduce`: the paper's tables and figures, from new trainings or from existing results, in one report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..errors import ConfigError
from .arguments import AsJson, Protocol, choices, console

EXAMPLE = "jpvae reproduce --quick --out runs/quick"
SEEDS = 5  # as published


def command(
    out: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Folder for the report, its results and the trainings; resumed if unfinished."),
    ],
    protocol: Annotated[Protocol, typer.Option(metavar="NAME", help=f"The recipe: {choices(Protocol)}.")] = Protocol.PUBLISHED,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Number of seeds, counted from 0.")] = SEEDS,
    only: Annotated[
        str,
        typer.Option(
            metavar="A,B,...",
            help="Only these parts: table1 to table3, sweep, likelihood, figure1, ...",
        ),
    ] = "",
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Write the report from the results in this folder, without training."),
    ] = None,
    trained: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="A folder with finished hvdmnist runs. Repeatable.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One seed at a tenth of the length, without the sweep.")] = False,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="Device of the engine: cpu, cuda, ...")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """Reproduce the paper's tables and figures and compare them with the published numbers in one report.

    A full run takes hours on a CPU. Finished results are kept, so an interrupted
    run resumes where it stopped and ends with the same numbers.
    """
    from ..experiments.reproduce import conduct, pieces, report
    from ..experiments.reproduce.settings import FULL, QUICK

    names = [name.strip() for name in only.split(",") if name.strip()]
    screen = console()
    if quick and seeds not in (1, SEEDS):
        raise ConfigError(f"quick trains one seed, but seeds is {seeds}; leave out one of the two")
    if source is not None:
        if protocol is not Protocol.PUBLISHED or seeds != SEEDS or trained or quick or device != "cpu":
            raise ConfigError("from shows every result in its folder; leave out protocol, seeds, trained, quick and device")
        path = report.write(source, out, only=names)
    else:
        path = conduct.reproduce(
            out,
            protocol=protocol.value,
            seeds=1 if quick else seeds,
            only=names or (pieces.QUICK if quick else ()),
            settings=QUICK if quick else FULL,
            trained=trained or [],
            device=device,
            progress=False if as_json else "auto",
            note=(lambda _: None) if as_json else (lambda line: screen.print(escape(line))),
        )
    if as_json:
        typer.echo(json.dumps({"report": str(path)}))
        return
    screen.print(f"report: [bold]{escape(str(path))}[/]")
