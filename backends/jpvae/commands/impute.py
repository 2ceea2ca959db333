"""`jpvae impute`: reads tables with missing views or cells and writes filled tables, each in its own format and order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import ConfigError
from . import reporting
from .arguments import AsJson, Engine, ModelFile, Threads, ViewFiles, console, one_of
from .reading_options import reads_tables

if TYPE_CHECKING:
    from ..inference.importance import Proposals
    from ..tables.results import Wanted

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
            min=0,
            metavar="N",
            help="Take the draws from N proposals by importance resampling, which corrects for inaccurate encoders. By default "
            "for subjects with single empty cells alone; 0 for none.",
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
            parser=one_of(Impossible),
            help="A value that the model cannot produce, such as a category absent from training: error refuses it; missing "
            "imputes it, with a warning.",
        ),
    ] = Impossible.ERROR,
    backend: Engine = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="Device of the engine: cpu, cuda, ... By default the one used in training."),
    ] = None,
    threads: Threads = None,
    rows: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Fill N rows at a time, which is all that is held in memory: .parquet, .csv or .tsv files that have the same "
            "subjects in the same order. Numbers come back as floats.",
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEDULER",
            help="Fill the files of a dataset on a Dask cluster: local, an address such as tcp://host:8786, or a scheduler's "
            "file.",
        ),
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

    A view may also be a folder or a pattern of files, such as
    --view rna='rna/*.parquet'. Files that have the same name in every view hold
    the same subjects. Each is filled by itself and written under its name; a run
    that was interrupted continues with the files that are not finished.
    """
    from ..inference import bounds as bounds_of
    from ..tables import results
    from ..tables.partitions import is_dataset

    if match is not None and not draws:
        raise ConfigError(f"--match is {match} without --draws; expected both: donors' values are draws")
    limits = bounds_of.from_words(bounds or [], whole or [])
    resampled: Proposals = "auto" if proposals is None else proposals or None
    wanted = results.Wanted(draws, std, probabilities, resampled, *limits, match)
    options = {"impossible": impossible.value, "backend": backend, "device": device, "threads": threads}
    if is_dataset(view) or rows is not None:
        for option, value in (("--report", report), ("--match", match)):
            if value is not None:
                expected = "one file for each view, without --rows"
                raise ConfigError(f"{option} looks at all rows, which are not in memory together here; expected {expected}")
    if is_dataset(view):
        if rows is not None:
            raise ConfigError(f"--rows is {rows} and the views are datasets; expected one file for each view")
        _fill_dataset(model, view, words, out, wanted, options, dask, as_json=as_json)
        return
    if dask is not None:
        raise ConfigError(
            f"--dask is {dask!r} with one file for each view; expected folders or patterns, such as rna='rna/*.csv'"
        )
    if rows is not None:
        _fill_rows(model, view, words, out, wanted, options, rows, as_json=as_json)
        return
    from ..predicting import Predicting
    from ..tables import formats_of_options, writing
    from ..tables.dialect import dialects, stored
    from ..tables.joining import join
    from ..tables.sources import sources

    given = sources(view)
    formats_of_options.check(words, given)
    writing.check_new_folder(out)
    reporting.check(report)
    fitted = Predicting.load(model, backend=backend, device=device, threads=threads)
    how = stored(fitted.metadata_, fitted.view_names_, str(model), fitted.index_name_)
    joined = join(given, dialects(words, how), names=fitted.view_names_, columns=fitted.table_columns_)
    if fitted.index_name_ is not None:
        results.check_names(fitted, draws=draws > 0)
    if impossible is Impossible.MISSING:
        fitted.impossible = impossible.value
        joined.whole[fitted.find_impossible(joined.views, joined.observed)] = False  # these rows are imputed too
    with writing.new_folder(out) as folder:
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


def _fill_rows(
    model: Path,
    view: Sequence[str],
    words: Mapping[str, Sequence[str]],
    out: Path,
    wanted: Wanted,
    options: Mapping[str, Any],
    rows: int,
    *,
    as_json: bool,
) -> None:
    from ..tables.blockwise import fill
    from ..tables.partitions import Task
    from ..tables.sources import sources

    found = fill(sources(view), Task(str(model.resolve()), str(out), dict(words), wanted, **options), rows)
    if as_json:
        typer.echo(json.dumps({"folder": str(out), "files": sorted(path.name for path in out.iterdir()), **found}))
        return
    console().print(f"{found['subjects']:,} subjects, {rows:,} rows at a time, in the folder {escape(str(out))}")
    console().print(_counts(found["imputed"]))


def _counts(imputed: Mapping[str, int]) -> str:
    return "rows in which at least one cell was filled: " + ", ".join(f"{name} {k:,}" for name, k in imputed.items())


def _fill_dataset(
    model: Path,
    view: Sequence[str],
    words: Mapping[str, Sequence[str]],
    out: Path,
    wanted: Wanted,
    options: Mapping[str, Any],
    dask: str | None,
    *,
    as_json: bool,
) -> None:
    from rich.progress import track

    from ..tables import partitions, writing
    from ..tables.on_dask import on_dask
    from ..writers import only_writer

    parts = partitions.partitions(view)
    if not (out / partitions.RUN).is_file():
        writing.check_new_folder(out)
    task = partitions.Task(str(model.resolve()), str(out.resolve()), dict(words), wanted, **options)
    with only_writer(out):
        partitions.begin(task)
        left = [part for part in parts if partitions.done(part, task) is None]
        filled = partitions.here(left, task) if dask is None else on_dask(left, task, dask) if left else iter(())
        for _ in track(filled, "filling", len(left), console=Console(stderr=True), disable=as_json):
            pass
        partitions.tidy(task)
    found = [partitions.fill(part, task) for part in parts]  # all are done: what stands in their marks
    counts = {name: sum(one["imputed"][name] for one in found) for name in found[0]["imputed"]}
    subjects, before = sum(one["subjects"] for one in found), len(parts) - len(left)
    if as_json:
        result = {"folder": str(out), "partitions": len(parts), "filled_before": before, "subjects": subjects}
        typer.echo(json.dumps(result | {"imputed": counts}))
        return
    also = f" ({before:,} of them before)" if before else ""
    console().print(f"{subjects:,} subjects in {len(parts):,} files of each view{also}, in the folder {escape(str(out))}")
    console().print(_counts(counts))
