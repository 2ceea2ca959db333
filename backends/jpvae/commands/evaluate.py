"""`jpvae evaluate`: would the model fill hidden views better than what is usually done? On rows that it was not trained on."""

from __future__ import annotations

import inspect
import json
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ..estimator import JPVAE
from .arguments import AsJson, Engine, ModelFile, ViewFiles, console

EXAMPLE = "jpvae evaluate model.safetensors --view rna=rna.csv --view protein=protein.parquet"


def command(
    model: ModelFile,
    view: ViewFiles,
    held_out: Annotated[float, typer.Option(help="The part of the rows that nobody is trained on.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split into training and held-out rows.")] = 0,
    backend: Engine = None,
    as_json: AsJson = False,
) -> None:
    """Hide each view of held-out rows in turn, fill it, and compare with column means, nearest neighbours and IterativeImputer.

    MODEL gives the options: a model with these options is trained anew on a part
    of the tables' rows, as the file's own may have seen them all. Errors: root
    mean square, each column in units of its standard deviation.
    """
    from ..tables.described import described
    from ..tables.evaluation import JPVAE_NAME, evaluate
    from ..tables.joining import join
    from ..tables.sources import sources

    given, fitted = sources(view), JPVAE.load(model, backend=backend)
    tables = described(fitted)
    joined = join(given, tables.id, columns=tables.columns, names=fitted.view_names_)
    options: dict[str, Any] = {name: getattr(fitted, name) for name in inspect.signature(JPVAE).parameters}
    result = evaluate(options | {"progress": False if as_json else "auto"}, joined, part=held_out, seed=seed)
    if as_json:
        typer.echo(json.dumps(result))
        return
    rows, views = result["rows"], result["views"]
    title = f"error on {rows['held_out']:,} held-out rows ({rows['train']:,} to learn from), in standard deviations"
    table = Table(title=title, title_justify="left")
    table.add_column("hidden view")
    for method in result["seconds"]:
        table.add_column(method, justify="right")
    for name, found in views.items():
        best = min(found["error"].values())
        cells = [f"[bold]{e:.3f}[/]" if e == best else f"{e:.3f}" for e in found["error"].values()]
        table.add_row(f"{escape(name)} ({found['rows']:,} rows)", *cells)
    table.add_section()
    table.add_row("seconds", *(f"{s:.1f}" for s in result["seconds"].values()))
    console().print(table)
    means = [name for name, found in views.items() if found["error"][JPVAE_NAME] == min(found["error"].values())]
    console().print(f"{JPVAE_NAME} has the smallest error on {len(means)} of {len(views)} views.")
