"""`jpvae evaluate`: compares the model with simpler imputers on hidden views of held-out rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ..figures import saving
from . import reporting
from .arguments import AsJson, Engine, ModelFile, SplitSeed, ViewFiles, console
from .reading_options import reads_tables

EXAMPLE = "jpvae evaluate model.safetensors --view rna=rna.csv --view protein=protein.parquet"


@reads_tables
def command(
    model: ModelFile,
    view: ViewFiles,
    words: Mapping[str, Sequence[str]],
    held_out: Annotated[
        float, typer.Option(metavar="PART", help="Fraction of the rows to hold out; no method is trained on them.")
    ] = 0.2,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A method to compare with; repeatable. By default 'column means', 'nearest neighbours', ridge, PLS, "
            "'factor analysis' and softImpute; also available: 'extra trees' and IterativeImputer.",
        ),
    ] = None,
    seed: SplitSeed = 0,
    backend: Engine = None,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Save the calibration of the model's intervals, .png, .pdf, .svg or .jpg."),
    ] = None,
    report: reporting.Report = None,
    as_json: AsJson = False,
) -> None:
    """Compare the model with simpler imputers on held-out rows.

    Each view of the held-out rows is hidden in turn and imputed. The model in the
    file may have been trained on these rows, so a new model with the same options
    is trained on the remaining rows.

    Errors are root mean square, with each column in units of its standard
    deviation. For categories and columns of zeros and ones, the table shows the
    fraction imputed correctly and the log loss in nats. Coverage is the fraction
    of hidden values inside their 95 % interval. Ridge and PLS are fitted once per
    pattern of missing views; the settings of the other methods, and all their
    intervals, come from a validation part of the training rows.
    """
    from ..estimator import JPVAE
    from ..figures.axes import draw_calibration
    from ..figures.calibration import calibration
    from ..report.evaluated import evaluated
    from ..report.samples import sample_of_known
    from ..tables import formats_of_options
    from ..tables.dialect import dialects, stored
    from ..tables.evaluation import JPVAE_NAME, USUAL
    from ..tables.joining import join
    from ..tables.sources import sources

    saving.check(figure)
    reporting.check(report)
    given, fitted = sources(view), JPVAE.load(model, backend=backend)
    formats_of_options.check(words, given)
    how = stored(fitted.metadata_, fitted.view_names_, str(model), fitted.index_name_)
    joined = join(given, dialects(words, how), names=fitted.view_names_, columns=fitted.table_columns_)
    fitted.set_params(progress=False if as_json else "auto")
    on_method = reporting.shows(quiet=as_json)
    tested = evaluated(fitted, joined, part=held_out, seed=seed, methods=method or USUAL, on_method=on_method)
    result = tested.result
    if figure is not None:
        intervals = calibration(sample_of_known(tested.model, tested.held_out))
        saving.save(lambda axis: draw_calibration(intervals, axis), figure, (5.0, 5.0))
    reporting.write(report, model, fitted, joined, given, evaluated=tested)
    if as_json:
        typer.echo(json.dumps(result))
        return
    rows, views = result["rows"], result["views"]
    names = list(result["seconds"])
    title = f"error on {rows['held_out']:,} held-out rows ({rows['train']:,} to learn from), in standard deviations"
    table = Table(title=title, title_justify="left")
    table.add_column("hidden view", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right")
    won = lines = 0
    for name, found in views.items():
        for measure, best_of, form in _LINES:
            scores = found[measure]
            if scores is None:
                continue
            what = _label(measure, found)
            cells = [form.format(scores[m]) for m in names]
            if best_of is not None:
                best = best_of(scores.values())
                cells = [f"[bold]{cell}[/]" if scores[m] == best else cell for m, cell in zip(names, cells, strict=True)]
                won, lines = won + (scores[JPVAE_NAME] == best), lines + 1
            table.add_row(escape(name + what), *cells)
    table.add_section()
    table.add_row("seconds", *(f"{s:.1f}" for s in result["seconds"].values()))
    console().print(table)
    console().print(f"{JPVAE_NAME} is the best, or as good as the best, in {won} of {lines} lines.")
    if figure is not None:
        console().print(f"calibration: [bold]{escape(str(figure))}[/]")
    if report is not None:
        console().print(f"report: [bold]{escape(str(report))}[/]")


_LINES: tuple[tuple[str, Callable[..., float] | None, str], ...] = (
    ("error", min, "{:.3f}"),
    ("coverage_95", None, "{:.0%}"),
    ("accuracy", max, "{:.0%}"),
    ("log_loss", min, "{:.3f}"),
)


def _label(measure: str, found: Mapping[str, Any]) -> str:
    """What stands after a view's name."""
    if measure == "error":
        return f" ({found['rows']:,} rows)"
    if measure == "coverage_95":
        return ": in 95 % interval"
    shown = [*found["classes"][:3], *(["..."] if len(found["classes"]) > 3 else [])]
    return f": {', '.join(shown)} " + ("right" if measure == "accuracy" else "log loss")
