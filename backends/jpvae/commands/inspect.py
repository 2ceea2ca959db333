"""`jpvae inspect`: what is in a model file: views, options, training, and how strongly the prior couples the views."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from .. import checkpoints, inspection
from ..estimator import JPVAE
from .arguments import AsJson, ModelFile, console

EXAMPLE = "jpvae inspect model.safetensors --figure correlations.png"
OPTIONS = ("prior", "alpha", "objective", "hidden", "batch_size", "learning_rate", "dtype", "seed")


def command(
    model: ModelFile,
    figure: Annotated[Path | None, typer.Option(help="Draw the correlations between all latents as a heat map, .png.")] = None,
    as_json: AsJson = False,
) -> None:
    """Views, options, length of training, active latents, singular values of every C_ij, smallest eigenvalue of Sigma.

    The smallest eigenvalue comes from the closed form, not from a numerical
    eigensolver. With prior canonical it is enclosed: each direction's matrix is
    diag(1 - a_i^2) + a a^T, whose smallest eigenvalue lies between the two
    smallest 1 - a_i^2.
    """
    from ..heat_map import correlation_figure
    from ..tables.described import described

    if figure is not None:
        checkpoints.check_folder(figure)
    fitted = JPVAE.load(model, backend="numpy", device="cpu")
    tables, prior = described(fitted), inspection.prior_of(fitted)
    report = _report(fitted, tables, prior)
    if figure is not None:
        correlation_figure(prior, fitted.view_names_, figure)
    if as_json:
        typer.echo(json.dumps(report | {"figure": None if figure is None else str(figure)}))
        return
    _print(report, str(model))
    if figure is not None:
        console().print(f"heat map: [bold]{escape(str(figure))}[/]")


def _report(fitted: JPVAE, tables: Any, prior: Any) -> dict[str, Any]:
    shape, names, views = fitted.model_, fitted.view_names_, {}
    for i, name in enumerate(names):
        views[name] = {
            "columns": [str(k) for k in range(shape.features[i])] if tables.columns is None else tables.columns[name],
            "likelihood": shape.likelihood_names[i],
            "latents": shape.latent_dims[i],
            "active": None if tables.activity is None else sum(v > inspection.ACTIVE for v in tables.activity[name]),
        }
    lower, upper = inspection.smallest_eigenvalue(prior)
    last = fitted.history_[-1]
    return {
        "id": tables.id,
        "views": views,
        "options": {name: getattr(fitted, name) for name in OPTIONS},
        "steps": last["step"],
        "loss": last["loss"],
        "singular_values": {f"{names[i]}, {names[j]}": s.tolist() for (i, j), s in inspection.singular_values(prior).items()},
        "smallest_eigenvalue": {"at_least": lower, "at_most": upper},
    }


def _print(report: dict[str, Any], file: str) -> None:
    screen = console()
    views = Table(title=escape(file), title_justify="left")
    for heading in ("view", "columns", "likelihood", "latents", "active", "names"):
        views.add_column(heading, justify="right" if heading in ("columns", "latents", "active") else "left")
    for name, view in report["views"].items():
        active = "–" if view["active"] is None else str(view["active"])
        shown = ", ".join(view["columns"][:4]) + (", ..." if len(view["columns"]) > 4 else "")
        views.add_row(escape(name), str(len(view["columns"])), view["likelihood"], str(view["latents"]), active, escape(shown))
    screen.print(views)
    matched = "position" if report["id"] is None else f"the id {report['id']!r}"
    screen.print(
        f"Rows are matched by {escape(matched)}. Trained {report['steps']:,} steps, loss {report['loss']:.2f} nats per row.\n"
        + escape(", ".join(f"{name} {value}" for name, value in report["options"].items())),
    )
    couplings = Table(title="singular values of the cross-covariances C_ij", title_justify="left")
    couplings.add_column("views")
    couplings.add_column("largest first")
    for pair, values in report["singular_values"].items():
        couplings.add_row(escape(pair), " ".join(f"{s:.3f}" for s in values))
    screen.print(couplings if report["singular_values"] else "The views are independent: every C_ij is 0.")
    lower, upper = report["smallest_eigenvalue"].values()
    place = f"is {lower:.3g}" if lower == upper else f"lies between {lower:.3g} and {upper:.3g}"
    screen.print(f"The smallest eigenvalue of Sigma {place} (closed form): the prior is positive definite.")
