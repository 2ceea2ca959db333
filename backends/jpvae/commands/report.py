"""`jpvae report`: a fitted model on tables as one page, tested on rows that were held out from a second training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from . import reporting
from .arguments import AsJson, Engine, ModelFile, SplitSeed, ViewFiles, console
from .reading_options import reads_tables

EXAMPLE = "jpvae report model.safetensors --view rna=rna.csv --view protein=protein.parquet --out report.html"


@reads_tables
def command(
    model: ModelFile,
    view: ViewFiles,
    words: Mapping[str, Sequence[str]],
    out: Annotated[Path, typer.Option(metavar="PATH", help="The page to write, .html.")],
    evaluation: Annotated[
        bool,
        typer.Option(
            "--evaluation/--no-evaluation",
            help="Test on held-out rows: train a new model, and simpler methods, without them. Takes as long as a training.",
        ),
    ] = True,
    held_out: Annotated[float, typer.Option(metavar="PART", help="Fraction of the rows to hold out.")] = 0.2,
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A method to compare with, as for jpvae evaluate; repeatable."),
    ] = None,
    subjects: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Single subjects to show; 0: no identifier and no single value on the page."),
    ] = reporting.SUBJECTS,
    seed: SplitSeed = 0,
    backend: Engine = None,
    as_json: AsJson = False,
) -> None:
    """Write a report on a model and tables: one page that opens without a network.

    It begins with whether the filled values can be trusted, view by view, and
    with what could mislead. Then it shows how well each view is filled from each
    other one, the errors of simpler methods, whether the intervals hold, which
    subjects have which views, each column's observed and imputed values, single
    subjects, a map of the latents, and the training.
    """
    from ..estimator import JPVAE
    from ..tables import formats_of_options
    from ..tables.dialect import dialects, stored
    from ..tables.joining import join
    from ..tables.sources import sources

    reporting.check(out)
    given, fitted = sources(view), JPVAE.load(model, backend=backend)
    formats_of_options.check(words, given)
    how = stored(fitted.metadata_, fitted.view_names_, str(model), fitted.index_name_)
    joined = join(given, dialects(words, how), names=fitted.view_names_, columns=fitted.table_columns_)
    tested = None
    if evaluation:
        tested = reporting.evaluation(fitted, joined, part=held_out, seed=seed, methods=method, quiet=as_json)
    reporting.write(out, model, fitted, joined, given, evaluated=tested, subjects=subjects)
    if as_json:
        typer.echo(json.dumps({"report": str(out), "bytes": out.stat().st_size}))
        return
    console().print(f"report: [bold]{escape(str(out))}[/] ({out.stat().st_size / 1e6:.1f} MB); open it in any browser")
