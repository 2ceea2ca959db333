"""`jpvae inspect`: summarises a model file: views, options, training, and how strongly the prior couples the views."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ..figures import saving
from ..inference import inspection
from ..training.progress import families_table
from .arguments import AsJson, ModelFile, console

if TYPE_CHECKING:
    from ..predicting import Predicting

EXAMPLE = "jpvae inspect model.safetensors --figure correlations.png"
OPTIONS = ("prior", "alpha", "objective", "hidden", "batch_size", "learning_rate", "dtype", "seed")


def command(
    model: ModelFile,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Save a heat map of the latents' correlations, .png, .pdf, .svg or .jpg."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Summarise a fitted model: views, likelihoods, training, active latents and the coupling of the views.

    The coupling is reported as the singular values of each cross-covariance C_ij
    and the smallest eigenvalue of the prior covariance Sigma. The eigenvalue is
    computed in closed form, without a numerical eigensolver. For the canonical
    prior it is bracketed: each direction's matrix is diag(1 - a_i^2) + a a^T,
    whose smallest eigenvalue lies between the two smallest values of 1 - a_i^2.
    """
    from ..figures.axes import draw_correlations
    from ..figures.correlations import correlations
    from ..predicting import Predicting

    saving.check(figure)
    fitted = Predicting.load(model, backend="numpy", device="cpu")
    prior = inspection.prior_of(fitted.model_, fitted.parameters_)
    report = _report(fitted, prior)
    if figure is not None:
        found = correlations(prior, fitted.view_names_, most=sum(prior.dims))
        saving.save(lambda axis: draw_correlations(found, axis), figure, (7.6, 6.4))
    if as_json:
        typer.echo(json.dumps(report | {"figure": None if figure is None else str(figure)}))
        return
    _print(report, str(model))
    if figure is not None:
        console().print(f"heat map: [bold]{escape(str(figure))}[/]")


def _report(fitted: Predicting, prior: Any) -> dict[str, Any]:
    names, views = fitted.view_names_, {}
    latents = {} if fitted.report_ is None else fitted.report_.views  # none before the end of a training
    for name, columns, n in zip(names, fitted.table_columns_, fitted.model_.latent_dims, strict=True):
        found = latents.get(name, {})
        views[name] = {
            "columns": [str(columns.title(j)) for j in range(columns.count)],
            "likelihoods": fitted.inferred_[name],
            "latents": n,
            "active": found.get("active"),
            "kl": found.get("kl"),
        }
    lower, upper = inspection.smallest_eigenvalue(prior)
    last = fitted.history_[-1]
    return {
        "id": fitted.index_name_,
        "views": views,
        "options": {name: getattr(fitted, name) for name in OPTIONS} | {"hidden": fitted.model_.hidden},
        "steps": last["step"],
        "loss": last["loss"],
        "advice": None if fitted.report_ is None else fitted.report_.advice,
        "singular_values": {f"{names[i]}, {names[j]}": s.tolist() for (i, j), s in inspection.singular_values(prior).items()},
        "smallest_eigenvalue": {"at_least": lower, "at_most": upper},
    }


def _print(report: dict[str, Any], file: str) -> None:
    from ..inference.latent_report import largest

    screen = console()
    views = Table(title=escape(file), title_justify="left")
    for heading in ("view", "columns", "latents", "active", "KL of each latent in nats, largest first"):
        views.add_column(heading, justify="right" if heading in ("columns", "latents", "active") else "left")
    for name, view in report["views"].items():
        active = "–" if view["active"] is None else str(view["active"])
        views.add_row(escape(name), str(len(view["columns"])), str(view["latents"]), active, largest(view["kl"] or []))
    screen.print(views)
    screen.print(families_table({name: view["likelihoods"] for name, view in report["views"].items()}))
    if report["advice"] is not None:
        screen.print(escape(report["advice"]))
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
