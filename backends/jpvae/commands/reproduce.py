"""`jpvae reproduce`: the paper's tables and figures, from trainings or from results that lie there, in one report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from .arguments import AsJson, console

EXAMPLE = "jpvae reproduce --quick --out runs/quick"


def command(
    out: Annotated[Path, typer.Option(help="Folder of the report, the results it is made of, and the trainings. Resumes.")],
    protocol: Annotated[str, typer.Option(help="published | paper | ours")] = "published",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0 to SEEDS - 1.")] = 5,
    only: Annotated[str, typer.Option(help="Some of table1, table2, table3, sweep, likelihood, figure1, ...: a,b,c.")] = "",
    source: Annotated[Path | None, typer.Option("--from", help="Results that were made: only the report is written.")] = None,
    trained: Annotated[list[Path] | None, typer.Option(help="Folder with finished runs of hvdmnist. Repeatable.")] = None,
    quick: Annotated[bool, typer.Option(help="One seed at a tenth of the length: minutes, to try it out.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, ... for trainings and classifiers")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """The paper's tables and figures: train, measure, classify, and write one report beside the published numbers.

    In full that is hours on a CPU. Each result is kept once it is there, so a
    command that was stopped goes on where it was, to the same numbers.
    """
    from ..experiments.reproduce import conduct, report
    from ..experiments.reproduce.settings import FULL, QUICK

    names = [name.strip() for name in only.split(",") if name.strip()]
    screen = console()
    if source is not None:
        path = report.write(source, out, only=names)
    else:
        path = conduct.reproduce(
            out,
            protocol=protocol,
            seeds=1 if quick else seeds,
            only=names,
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
