"""The `jpvae` command: its commands, one file each, of which those that are not run need not be loaded."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import Annotated

import typer

COMMANDS = {  # in the order of --help: the first line of what stands in its file
    "fit": "Train a model on tables of the same subjects.",
    "impute": "Fill the missing views of every subject in the given tables.",
    "inspect": "Summarise a fitted model: views, likelihoods, training, active latents and the coupling of the views.",
    "evaluate": "Compare the model with simpler imputers on held-out rows.",
    "report": "Write a report on a model and tables: one page that opens without a network.",
    "verify": "Prove, in ball arithmetic, that a stored prior is positive definite.",
    "reproduce": "Reproduce the paper's tables and figures and compare them with the published numbers in one report.",
    "demo": "Train on 4,000 real digits, impute one hidden half of 1,000 others, and save a figure.",
    "hvdmnist": "Run the paper's experiment: train and measure one model on the halves of MNIST digits.",
}


def program(loaded: Collection[str] = tuple(COMMANDS)) -> typer.Typer:
    """All commands, of which those that are ``loaded`` can be run; the others are there by name."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Joint-prior multi-view VAEs: impute the views that are missing.",
        epilog="Example: jpvae demo --out demo",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(epilog="Example: jpvae demo --out demo")(_root)
    for name, summary in COMMANDS.items():
        if name in loaded:
            module = import_module(f".{name}", __package__)
            app.command(name, epilog=f"Example: {module.EXAMPLE}")(module.command)
        else:
            app.command(name, help=summary)(_not_loaded)
    return app


def _not_loaded() -> None:
    raise AssertionError("a command that is run is loaded")


def _print_version(wanted: bool) -> None:
    if wanted:
        from jpvae_core import __version__

        typer.echo(f"jpvae {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Joint-prior multi-view VAEs: impute the views that are missing."""
