"""`jpvae impute`: reads tables with missing views or cells and writes filled tables, each in its own format and order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ..errors import ConfigError
from . import reporting
from .arguments import AsJson, Engine, ModelFile, ViewFiles, console
from .reading_options import reads_tables

EXAMPLE = "jpvae impute model.safetensors --view rna=new.csv --out filled --draws 20"


class Impossible(StrEnum):
    """What becomes of a value that the model cannot produce."""

    ERROR = "error"
    MISSING = "missing"


@reads_tables
def command(
    model: ModelFile,
    view: ViewFiles,
    words: Mapping[str, Sequence[str]],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to create. It appears only when complete.")],
    draws: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Draws for multiple imputation, written to one long table per view."),
    ] = 0,
    std: Annotated[
        bool,
        typer.Option(
            "--std",
            help="Also write each view's standard deviations: of the missing value itself, noise included; 0 where observed.",
        ),
    ] = False,
    probabilities: Annotated[
        bool,
        typer.Option("--probabilities", help="Also write the probability of each level of each category."),
    ] = False,
    proposals: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            help="Take the draws from N proposals by importance resampling, which corrects for inaccurate encoders.",
        ),
    ] = None,
    bounds: Annotated[
        list[str] | None,
        typer.Option(
            "--bounds",
            metavar="VIEW:COLUMN=LOW..HIGH",
            help="A range: imputations and draws beyond it become its end; either end may be left out. Repeatable.",
        ),
    ] = None,
    whole: Annotated[
        list[str] | None,
        typer.Option("--whole", metavar="VIEW:COLUMN", help="Imputations and draws become whole numbers. Repeatable."),
    ] = None,
    match: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="K",
            help="Predictive mean matching: draws take the values of K donors, rows of these tables that are predicted alike.",
        ),
    ] = None,
    impossible: Annotated[
        Impossible,
        typer.Option(
            metavar="RULE",
            help="A value that the model cannot produce, such as a category absent from training: error refuses it; missing "
            "imputes it, with a warning.",
        ),
    ] = Impossible.ERROR,
    backend: Engine = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="Device of the engine: cpu, cuda, ... By default the one used in training."),
    ] = None,
    report: reporting.Report = None,
    as_json: AsJson = False,
) -> None:
    """Fill the missing views of every subject in the given tables.

    A view without a table is filled for every subject. Observed values are
    copied bit for bit, and the column "imputed" marks each row in which at
    least one cell was filled.

    For arrays, the marks are written to a separate array. A .npy file is
    processed in blocks and may be larger than memory.
    """
    from ..estimator import JPVAE
    from ..inference import bounds as bounds_of
    from ..tables import results, writing
    from ..tables.dialect import dialects, stored
    from ..tables.joining import join
    from ..tables.sources import sources

    if match is not None and not draws:
        raise ConfigError(f"--match is {match} without --draws; expected both: donors' values are draws")
    limits = bounds_of.from_words(bounds or [], whole or [])
    given = sources(view)
    writing.check_new_folder(out)
    reporting.check(report)
    fitted = JPVAE.load(model, backend=backend, device=device)
    how = stored(fitted.metadata_, fitted.view_names_, str(model), fitted.index_name_)
    joined = join(given, dialects(words, how), names=fitted.view_names_, columns=fitted.table_columns_)
    if fitted.index_name_ is not None:
        results.check_names(fitted, draws=draws > 0)
    if impossible is Impossible.MISSING:
        fitted.set_params(impossible=impossible.value)
        joined.whole[fitted.find_impossible(joined.views, joined.observed)] = False  # these rows are imputed too
    with writing.new_folder(out) as folder:
        wanted = results.Wanted(draws, std, probabilities, proposals, *limits, match)
        if fitted.index_name_ is None:
            imputed = results.write_arrays(folder, fitted, joined, given, wanted)
        else:
            imputed = results.write_tables(folder, fitted, joined, given[0].format, wanted)
    files = sorted(path.name for path in out.iterdir())
    reporting.write(report, model, fitted, joined, given)
    if as_json:
        counts = {name: {"rows": len(flags), "imputed": int(flags.sum())} for name, flags in imputed.items()}
        typer.echo(json.dumps({"folder": str(out), "files": files, "views": counts, "draws": draws, "std": std}))
        return
    table = Table(title=f"{len(joined.observed):,} subjects, in the folder {escape(str(out))}", title_justify="left")
    for heading in ("view", "rows", "imputed", "files"):
        table.add_column(heading, justify="right" if heading in ("rows", "imputed") else "left")
    for name, flags in imputed.items():
        own = ", ".join(file for file in files if file.split(".")[0] in (name, results.together(joined)))
        table.add_row(escape(name), f"{len(flags):,}", f"{flags.sum():,}", escape(own))
    console().print(table)
    if report is not None:
        console().print(f"report: [bold]{escape(str(report))}[/]")
