"""The `jpvae` command: the commands on tables (one file each), `demo` and `hvdmnist`. With --json, only JSON is printed."""

from __future__ import annotations

import json
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jpvae_core import JPVAEError, __version__

from ..engines import ENGINES
from ..errors import JPVAEWarning, ProcessLost
from ..processes import launched
from . import evaluate, fit, impute, inspect, report, reproduce, verify
from .arguments import AsJson, Protocol, Seed, choices, console

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Joint-prior multi-view VAEs: impute the views that are missing.",
    epilog="Example: jpvae demo --out demo",
)

for module in (fit, impute, inspect, evaluate, report, verify, reproduce):
    name = module.__name__.rpartition(".")[2]
    app.command(name, epilog=f"Example: {module.EXAMPLE}")(module.command)

Backend = Annotated[str, typer.Option(metavar="ENGINE", help=f"Engine: {choices(ENGINES)}.")]


class Variant(StrEnum):
    """The priors that the experiment compares."""

    ZERO = "zero"
    SVD = "svd"
    ORTHOGONAL = "orthogonal"


def run() -> None:
    """The command; a JPVAEError or an unusable path ends it with one message and exit code 2."""
    screen = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)  # ":x:" is a person's text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if launched() else "always", JPVAEWarning)
        warnings.showwarning = lambda message, *_: screen.print(f"[bold yellow]warning:[/] {escape(str(message))}")
        try:
            app()
        except (JPVAEError, OSError) as error:
            if not (launched() and isinstance(error, ProcessLost)):  # of many processes the first one tells
                screen.print(f"[bold red]error:[/] {escape(str(error))}")
            raise SystemExit(2) from error


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jpvae {__version__}")
        raise typer.Exit


@app.callback(epilog="Example: jpvae demo --out demo")
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Joint-prior multi-view VAEs: impute the views that are missing."""


@app.command(epilog="Example: jpvae demo --out demo")
def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the figure and the numbers.")] = Path("demo"),
    seed: Seed = 0,
    backend: Backend = "torch",
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


@app.command(
    epilog="Example: jpvae hvdmnist --variant orthogonal --protocol published --seed 0 --out runs/orthogonal-published"
)
def hvdmnist(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Run folder. An unfinished run in it is resumed.")],
    variant: Annotated[Variant, typer.Option(metavar="NAME", help=f"The prior: {choices(Variant)}.")] = Variant.ORTHOGONAL,
    protocol: Annotated[Protocol, typer.Option(metavar="NAME", help=f"The recipe: {choices(Protocol)}.")] = Protocol.OURS,
    seed: Seed = 0,
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Fewer optimiser steps, for a trial run.")] = None,
    backend: Backend = "torch",
    device: Annotated[str, typer.Option(metavar="DEVICE", help="Device of the engine.")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """Run the paper's experiment: train and measure one model on the halves of MNIST digits.

    The run folder receives config.json, metrics.jsonl, a checkpoint and
    result.json.
    """
    from ..experiments import hvdmnist as experiment

    progress: Literal[False, "auto"] = False if as_json else "auto"
    result = experiment.run(
        variant.value, protocol.value, out, seed=seed, steps=steps, backend=backend, device=device, progress=progress
    )
    if as_json:
        typer.echo(json.dumps(result))
        return
    _print_result(result)


def _print_result(result: dict[str, Any]) -> None:
    table = Table(title=f"{result['variant']}, protocol {result['protocol']}, seed {result['seed']}: MNIST test set, nats")
    for heading in ("measure", "view 1 (1|2)", "view 2 (2|1)"):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    rows = {
        "reconstruction (Table 1)": result["table_1"]["reconstruction"],
        "imputation (Table 1)": result["table_1"]["imputation"],
        "plug-in under the prior": result["plug_in"],
        "predictive, 64 draws": result["predictive"],
        "conditional NLL, 64 draws": result["conditional_nll"],
    }
    for name, (first, second) in rows.items():
        table.add_row(name, f"{first:.2f}", f"{second:.2f}")
    screen = console()
    screen.print(table)
    screen.print(
        f"-ELBO {result['negative_elbo']:.2f}; active units {result['table_2']['active_units_percent']:.1f} % (Table 2); "
        f"cross-correlation norm {result['cross_correlation_norm']:.2f}; trained in {result['seconds']['training']:.0f} s"
    )
