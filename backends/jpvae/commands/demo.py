"""`jpvae demo`: a minute's training on real digits, with a table and a figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from .arguments import AsJson, Seed, TrainingEngine, console

EXAMPLE = "jpvae demo --out demo"


def command(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the figure and the numbers.")] = Path("demo"),
    seed: Seed = 0,
    backend: TrainingEngine = "torch",
    as_json: AsJson = False,
) -> None:
    """Train on 4,000 real digits, impute one hidden half of 1,000 others, and save a figure.

    Takes about a minute.
    """
    from ..experiments import demo as experiment

    result = experiment.run(out, seed=seed, backend=backend, progress=False if as_json else "auto")
    if as_json:
        typer.echo(json.dumps(result))
        return
    models = result["models"]
    table = Table(title="1,000 test digits: nats per half, lower is better", title_justify="left")
    table.add_column("")
    for model in models:
        table.add_column(model["name"].replace(", ", ",\n"), justify="right")
    measures = {
        "reconstruction": "reconstruction",
        "plug-in, Eq. 12": "plug_in_training",
        "plug-in, prior": "plug_in",
        "predictive": "predictive",
    }
    for label, key in measures.items():
        table.add_row(label, *(f"{m[key][0]:.1f} / {m[key][1]:.1f}" for m in models))
    table.add_row("active units", *(f"{m['active_units']} of {m['latents']}" for m in models))
    table.add_row("cross-correlation", *(f"{m['cross_correlation_norm']:.2f}" for m in models))
    screen = console()
    screen.print(table)
    screen.print(
        "Each cell: top half / bottom half. A half is imputed from the other half alone.\n"
        "Plug-in decodes one conditional mean: from training moments (Eq. 12), or under the\n"
        "prior, which carries no information where C = 0. Predictive averages 64 draws.\n"
        "Cross-correlation: Frobenius norm, between the latents of the two halves."
    )
    screen.print(f"{result['seconds']:.0f} s in all; figure: [bold]{escape(result['figure'])}[/]")
