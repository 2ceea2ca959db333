"""`jpvae evaluate`: would the model fill hidden views better than what is usually done? On rows that it was not trained on."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

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
    mean square, each column in units of its standard deviation; of categories,
    how many are filled right. The other methods fill columns of zeros and ones for
    them, and the level with the most is taken: column means then give the most
    frequent one, and neighbours vote.
    """
    from ..estimator import JPVAE
    from ..tables.evaluation import JPVAE_NAME, evaluate
    from ..tables.joining import join
    from ..tables.sources import sources

    given, fitted = sources(view), JPVAE.load(model, backend=backend)
    joined = join(given, fitted.index_name_, names=fitted.view_names_)
    fitted.set_params(progress=False if as_json else "auto")
    result = evaluate(fitted, joined, part=held_out, seed=seed)
    if as_json:
        typer.echo(json.dumps(result))
        return
    rows, views = result["rows"], result["views"]
    title = f"error on {rows['held_out']:,} held-out rows ({rows['train']:,} to learn from), in standard deviations"
    table = Table(title=title, title_justify="left")
    table.add_column("hidden view")
    for method in result["seconds"]:
        table.add_column(method, justify="right")
    won = lines = 0
    for name, found in views.items():
        for measure, best_of, form in (("error", min, "{:.3f}"), ("accuracy", max, "{:.0%}")):
            scores = found[measure]
            if scores is None:
                continue
            best = best_of(scores.values())
            cells = [f"[bold]{form.format(score)}[/]" if score == best else form.format(score) for score in scores.values()]
            what = f" ({found['rows']:,} rows)" if measure == "error" else f": {', '.join(found['categories'])} right"
            table.add_row(escape(name + what), *cells)
            won, lines = won + (scores[JPVAE_NAME] == best), lines + 1
    table.add_section()
    table.add_row("seconds", *(f"{s:.1f}" for s in result["seconds"].values()))
    console().print(table)
    console().print(f"{JPVAE_NAME} is the best, or as good as the best, in {won} of {lines} lines.")
