"""`jpvae fit`: trains a model on tables. What was found in the tables is printed before training starts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.table import Table

from ..atomic import check_folder
from ..errors import ConfigError
from ..model.likelihoods.registry import UnknownLikelihood, family_of
from ..model.likelihoods.registry import names as kinds
from ..processes import joined as together
from ..processes import launched
from ..training.callbacks import Callback, Run
from ..training.progress import families_table, progress_bar
from ..views.inferring import INFER, families
from . import fit_options as options
from . import reporting
from .arguments import AsJson, Seed, Threads, ViewFiles, choices, console, typed
from .reading_options import reads_tables, to_file

if TYPE_CHECKING:
    from ..tables.joining import Joined
    from ..tables.sources import Source

EXAMPLE = "jpvae fit --view rna=rna.csv --view protein=protein.parquet --id subject --out model.safetensors"


@reads_tables
def command(
    context: typer.Context,
    view: ViewFiles,
    out: options.Out,
    words: Mapping[str, Sequence[str]],
    likelihood: options.Likelihood = None,
    entries: options.EntriesRule = options.Entries.ERROR,
    view_weight: options.ViewWeight = None,
    latent_dims: options.LatentDims = None,
    prior: options.Prior = None,
    alpha: options.Alpha = None,
    hidden: options.Hidden = None,
    epochs: options.Epochs = None,
    steps: options.Steps = None,
    batch_size: options.BatchSize = None,
    learning_rate: options.LearningRate = None,
    early_stopping: options.EarlyStopping = None,
    max_gradient_norm: options.MaxGradientNorm = None,
    weight_decay: options.WeightDecay = None,
    ensemble: options.Ensemble = None,
    bootstrap: options.Bootstrap = False,
    seed: Seed = 0,
    backend: options.Backend = None,
    device: options.Device = "cpu",
    threads: Threads = None,
    config: options.Config = None,  # noqa: ARG001  (its callback has read it)
    write_config: options.WriteConfig = None,
    report: reporting.TestedReport = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on tables of the same subjects.

    Tables are outer-joined on the --id column. A subject absent from a table is
    treated as missing that view.

    Arrays (.npy, .npz) have no id column: rows are matched by position, and a
    row of NaN marks a missing view.

    A view may also be a folder or a pattern of files, such as
    --view rna='rna/*.parquet', which may be larger than memory. Files that have
    the same name in every view hold the same subjects. Their numbers are first
    copied into the folder MODEL.cache, which is deleted after the training.

    Started by torchrun, the processes train one model together.
    """
    from ..estimator import JPVAE
    from ..tables import formats_of_options
    from ..tables.cache import cached, remove
    from ..tables.dialect import Dialect, dialects
    from ..tables.joining import join
    from ..tables.partitions import is_dataset, partitions
    from ..tables.sources import Source, sources, split_word

    check_folder(out)
    reporting.check(report)
    parts = partitions(view) if is_dataset(view) else []
    if parts and report is not None:
        raise ConfigError("--report looks at all rows, and the views are datasets; expected one file for each view")
    given = [Source(name, Path(path)) for name, path in map(split_word, view)] if parts else sources(view)
    formats_of_options.check(words, [] if parts else given)
    how = dialects(words, {source.view: Dialect() for source in given})
    if write_config is not None:
        check_folder(write_config)
        to_file(context, write_config)
    kept_rows = out.with_name(f"{out.name}.cache")
    joined = cached(parts, how, kept_rows) if parts else join(given, how)
    how |= {name: table.dialect for name, table in joined.tables.items()}
    dims = () if latent_dims is None else _integers("--latent-dims", latent_dims)
    if epochs is not None and steps is not None:
        raise ConfigError(f"--epochs is {epochs:g} and --steps is {steps}; expected only one of the two")
    given_options = {
        "latent_dims": (dims[0] if len(dims) == 1 else dims) if dims else None,
        "prior": prior.value if prior else None,
        "alpha": alpha,
        "hidden": None if hidden is None else _integers("--hidden", hidden),
        "epochs": epochs,
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "max_gradient_norm": max_gradient_norm,
        "weight_decay": weight_decay,
        "ensemble": ensemble,
        "backend": backend,
        "threads": threads,
    }
    chosen: dict[str, Any] = {
        **{name: value for name, value in given_options.items() if value is not None},  # all else is as JPVAE has it
        "likelihood": _likelihoods(likelihood or [], joined),
        "view_weights": _weights(view_weight or [], joined.names),
        "entries": entries.value,
        "missing": "nan",
        "seed": seed,
        "device": device,
        "bootstrap": bootstrap,
        **_early_stopping(early_stopping),
    }
    announcement = Announcement(joined, given, silent=as_json)
    listeners = [announcement, *progress_bar(False if as_json else "auto")]
    kept = {"command": typed()} | ({"tables": {name: each.to_json() for name, each in how.items()}} if joined.tables else {})
    options_of_fit: dict[str, Any] = {"checkpoint": out, "callbacks": listeners, "metadata": kept}
    with together(device) as own_device:
        model = JPVAE(**chosen | {"device": own_device}, progress=False)
        model.fit(joined.views, joined.observed, **options_of_fit)
    if parts:
        remove(kept_rows)
    if launched():
        return
    if report is not None:
        reporting.write(report, out, model, joined, given, evaluated=reporting.evaluation(model, joined, quiet=as_json))
    last, latents = model.history_[-1], model.report_
    if as_json:
        patterns = [
            {"observed": [n for n, seen in zip(joined.names, p, strict=True) if seen], "rows": k} for p, k in joined.patterns()
        ]
        active = {name: found["active"] for name, found in latents.views.items()}
        result = {"file": str(out), "rows": len(joined.observed), "patterns": patterns, "began_at": announcement.began_at}
        result |= {"likelihoods": model.inferred_, "empty_cells": joined.empty_cells()}
        result |= {"steps": last["step"], "loss": last["loss"], "active_units": active, "advice": latents.advice}
        typer.echo(json.dumps(result | {"options": chosen}))
        return
    words_of_views = " ".join(f"--view {escape(word)}" for word in view)
    units = ", ".join(f"{name} {found['active']} of {found['latents']}" for name, found in latents.views.items())
    console().print(
        f"Trained {last['step']} steps: loss {last['loss']:.2f} nats per row; active latents: {escape(units)}.\n"
        f"{escape(latents.advice)}\n"
        f"Wrote the model to [bold]{escape(str(out))}[/]. Next:\n"
        f"  jpvae inspect {escape(str(out))}\n"
        f"  jpvae report {escape(str(out))} {words_of_views} --out report.html\n"
        f"  jpvae impute {escape(str(out))} {words_of_views} --out filled",
        soft_wrap=True,
    )
    if report is not None:
        console().print(f"report: [bold]{escape(str(report))}[/]")


class Announcement(Callback):
    """Prints what was found in the tables and what will be trained, once everything is checked and training starts."""

    def __init__(self, joined: Joined, given: Sequence[Source], *, silent: bool) -> None:
        self.joined, self.given, self.silent = joined, given, silent
        self.began_at = 0

    def on_start(self, run: Run, step: int, steps: int) -> None:
        """One screen."""
        self.began_at = step
        if self.silent:
            return
        screen, joined, N = console(), self.joined, len(self.joined.observed)
        found = Table(title=f"{N:,} subjects in {len(self.given)} views", title_justify="left")
        for heading in ("view", "file", "rows", "columns", "latents"):
            found.add_column(heading, justify="left" if heading in ("view", "file") else "right")
        for source, rows, columns, n in zip(
            self.given, joined.observed.sum(axis=0), run.columns, run.model.latent_dims, strict=True
        ):
            found.add_row(escape(source.view), escape(str(source.path)), f"{rows:,}", f"{columns.count:,}", str(n))
        screen.print(found)
        screen.print(families_table(families(run.view_names, run.columns)))
        patterns = Table(title="observed views", title_justify="left")
        for name in joined.names:
            patterns.add_column(escape(name), justify="center")
        patterns.add_column("rows", justify="right")
        patterns.add_column("", justify="right")
        for pattern, count in joined.patterns():
            patterns.add_row(*("yes" if seen else "–" for seen in pattern), f"{count:,}", f"{100 * count / N:.1f} %")
        screen.print(patterns)
        if empty := joined.empty_cells():
            screen.print(f"{empty:,} single cells are empty; they are left out of the likelihood and imputed.")
        options = run.options
        stop = f", or until {options.validation_fraction:g} of the rows stop improving" if options.early_stopping else ""
        screen.print(
            f"prior {options.prior}, {steps:,} steps of {options.batch_size} rows{stop}, backend {options.backend}, "
            f"seed {run.seed}"
        )
        if step:
            screen.print(f"Resuming the unfinished run in this file at step {step:,}.")


def _integers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.removesuffix(",").split(","))
    except ValueError as error:
        raise ConfigError(f"{option} is {text!r}; expected integers separated by commas, such as 128,128") from error


def _likelihoods(words: Sequence[str], joined: Joined) -> dict[str, Any]:
    """By view, from kind (for all), view=kind or view:column=kind; other columns take their view's kind."""
    names = joined.names
    chosen: dict[str, Any] = dict.fromkeys(names, INFER)
    columns: dict[str, dict[str, str]] = {}
    for word in words:
        place, equals, kind = word.rpartition("=")
        name, colon, column = place.partition(":")
        if equals and name not in chosen:
            raise ConfigError(
                f"--likelihood is {word!r}; expected KIND, or VIEW=KIND or VIEW:COLUMN=KIND where VIEW is one of {list(names)}"
            )
        _check_kind(word, kind)
        if colon:
            columns.setdefault(name, {})[column] = kind
        else:
            chosen |= {name: kind} if equals else dict.fromkeys(names, kind)
    for name, given in columns.items():
        if chosen[name] != INFER:
            raise ConfigError(
                f"--likelihood sets view {name!r} to {chosen[name]!r} and also sets its columns {list(given)}; expected one "
                "or the other (a view's remaining columns are inferred)"
            )
    counts = [name for name in names if name in joined.counts and (chosen | columns)[name] == INFER]
    return chosen | columns | dict.fromkeys(counts, "negative_binomial")


def _check_kind(word: str, kind: str) -> None:
    try:
        family_of("gaussian" if kind == INFER else kind)
    except UnknownLikelihood:
        raise ConfigError(f"--likelihood is {word!r}; expected KIND to be one of {choices((*kinds(), INFER))}") from None


def _weights(words: Sequence[str], names: Sequence[str]) -> Mapping[str, float] | None:
    weights = dict.fromkeys(names, 1.0)
    for word in words:
        name, _, number = word.rpartition("=")
        try:
            weights[name] = float(number)
        except ValueError:
            name = ""
        if name not in names:
            raise ConfigError(f"--view-weight is {word!r}; expected VIEW=NUMBER where VIEW is one of {list(names)}")
    return weights if words else None


def _early_stopping(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    part, _, patience = text.partition(",")
    try:
        chosen = {"validation_fraction": float(part)} | ({"patience": int(patience)} if patience else {})
    except ValueError as error:
        raise ConfigError(
            f"--early-stopping is {text!r}; expected a fraction of the rows, such as 0.1, or a fraction and a number of "
            "evaluations, such as 0.1,20"
        ) from error
    return {"early_stopping": True, **chosen}
