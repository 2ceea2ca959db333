"""`jpvae impute`: tables with holes in, a folder of filled tables out, each in the format and order that it came in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from .arguments import AsJson, Engine, ModelFile, ViewFiles, console

EXAMPLE = "jpvae impute model.safetensors --view rna=new.csv --out filled --draws 20"


def command(
    model: ModelFile,
    view: ViewFiles,
    out: Annotated[Path, typer.Option(help="A new folder. It appears once everything in it is complete.")],
    draws: Annotated[int, typer.Option(min=0, help="Draws for multiple imputation, in a long table per view.")] = 0,
    backend: Engine = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; by default as it was fitted.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fill the missing views of every subject in the tables. Views that are not given are filled for everyone.

    What was observed comes back bit for bit; the column "imputed" marks the rows
    in which anything was filled, be it a single cell. Of arrays these are marked in an array of their own; a .npy
    goes through in blocks and may be larger than the memory.
    """
    from ..estimator import JPVAE
    from ..tables import results, writing
    from ..tables.joining import join
    from ..tables.sources import sources

    given = sources(view)
    writing.check_new_folder(out)
    fitted = JPVAE.load(model, backend=backend, device=device)
    joined = join(given, fitted.index_name_, names=fitted.view_names_)
    if fitted.index_name_ is not None:
        results.check_names(fitted, draws=draws > 0)
    with writing.new_folder(out) as folder:
        if fitted.index_name_ is None:
            imputed = results.write_arrays(folder, fitted, joined, given, draws)
        else:
            imputed = results.write_tables(folder, fitted, joined, given[0].format, draws)
    files = sorted(path.name for path in out.iterdir())
    if as_json:
        counts = {name: {"rows": len(flags), "imputed": int(flags.sum())} for name, flags in imputed.items()}
        typer.echo(json.dumps({"folder": str(out), "files": files, "views": counts, "draws": draws}))
        return
    table = Table(title=f"{len(joined.observed):,} subjects, in the folder {escape(str(out))}", title_justify="left")
    for heading in ("view", "rows", "imputed", "files"):
        table.add_column(heading, justify="right" if heading in ("rows", "imputed") else "left")
    for name, flags in imputed.items():
        own = ", ".join(file for file in files if file.split(".")[0] == name)
        table.add_row(escape(name), f"{len(flags):,}", f"{flags.sum():,}", escape(own))
    console().print(table)
