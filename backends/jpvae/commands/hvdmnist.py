"""`jpvae hvdmnist`: the paper's experiment, one model at a time."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from .arguments import AsJson, Protocol, Seed, TrainingEngine, choices, console, one_of

EXAMPLE = "jpvae hvdmnist --variant orthogonal --protocol published --seed 0 --out runs/orthogonal-published"


class Variant(StrEnum):
    """The priors that the experiment compares."""

    ZERO = "zero"
    SVD = "svd"
    ORTHOGONAL = "orthogonal"


def command(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Run folder. An unfinished run in it is resumed.")],
    variant: Annotated[
        Variant, typer.Option(metavar="NAME", parser=one_of(Variant), help=f"The prior: {choices(Variant)}.")
    ] = Variant.ORTHOGONAL,
    protocol: Annotated[
        Protocol, typer.Option(metavar="NAME", parser=one_of(Protocol), help=f"The recipe: {choices(Protocol)}.")
    ] = Protocol.OURS,
    seed: Seed = 0,
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Fewer optimiser steps, for a trial run.")] = None,
    backend: TrainingEngine = "torch",
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
