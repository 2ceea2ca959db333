"""`jpvae verify`: a proof that the joint prior in a model file is positive definite."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer
from rich.markup import escape

from .arguments import AsJson, ModelFile, console

EXAMPLE = "jpvae verify model.safetensors"


def command(model: ModelFile, as_json: AsJson = False) -> None:
    """Prove, in ball arithmetic, that a stored prior is positive definite.

    Prints proven bounds of its smallest eigenvalue and of how far the stored
    rotations are from orthogonal. Exit code 1 where no proof was found.
    """
    from ..inference.verification import certify
    from ..predicting import Predicting

    fitted = Predicting.load(model, backend="numpy", device="cpu")
    found = certify(fitted.model_.joint_prior(fitted.parameters_), fitted.dtype)
    typer.echo(json.dumps(asdict(found))) if as_json else console().print(escape(str(found)))
    if not found.positive_definite:
        raise typer.Exit(1)
