"""`jpvae fit`: tables in, one model file out; says what it found in the tables before it trains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from .. import checkpoints
from ..errors import ConfigError
from ..estimator import JPVAE
from ..inspection import ACTIVE, posterior_variances
from .arguments import AsJson, ViewFiles, console

EXAMPLE = "jpvae fit --view rna=rna.csv --view protein=protein.parquet --id subject --out model.safetensors"


def command(
    view: ViewFiles,
    out: Annotated[Path, typer.Option(help="The model file, .safetensors. An unfinished one of the same training goes on.")],
    id_column: Annotated[
        str | None, typer.Option("--id", help="The column that says which subject a row is; not for arrays.")
    ] = None,
    likelihood: Annotated[
        list[str] | None, typer.Option(metavar="[NAME=]KIND", help="gaussian (the default) | bernoulli.")
    ] = None,
    latent_dims: Annotated[
        str | None, typer.Option(help="One size, or one per view as 8,8,4. By default half the columns, at most 16.")
    ] = None,
    prior: Annotated[str | None, typer.Option(help="canonical (the default) | orthogonal | svd | independent.")] = None,
    alpha: Annotated[float, typer.Option(help="The correlation of orthogonal; where svd and canonical start.")] = 0.95,
    hidden: Annotated[str, typer.Option(help="Sizes of the encoders' layers.")] = "128,128",
    epochs: Annotated[float | None, typer.Option(help="Passes over the rows, instead of steps.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Adam steps. By default 100 passes, at least 2,000 steps and at most 20,000.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows per step.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="The highest rate of the cosine.")] = 2e-3,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = 0,
    backend: Annotated[str | None, typer.Option(help="torch | numpy. torch where it is installed.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """Train a model on tables that are outer-joined on an id. Who is not in a table has that view missing.

    Arrays (.npy, .npz) have no ids: their rows are matched by position, and a
    missing view is a row of NaN.
    """
    from ..tables import defaults
    from ..tables.described import Described, record
    from ..tables.joining import join
    from ..tables.sources import sources

    checkpoints.check_folder(out)
    given = sources(view)
    joined = join(given, id_column)
    features = [v.shape[1] for v in joined.views.values()]
    dims = defaults.latent_dims(features) if latent_dims is None else _integers("--latent-dims", latent_dims)
    if epochs is not None and steps is not None:
        raise ConfigError(f"--epochs is {epochs:g} and --steps is {steps}; expected one of them")
    if epochs is None and steps is None:
        steps = defaults.steps(len(joined.observed), batch_size)
    options: dict[str, Any] = {
        "latent_dims": dims * len(features) if len(dims) == 1 else dims,
        "prior": prior or defaults.prior(len(features)),
        "alpha": alpha,
        "likelihood": _likelihoods(likelihood or [], joined.names),
        "hidden": _integers("--hidden", hidden),
        "epochs": 30 if epochs is None else epochs,
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        "backend": backend or defaults.backend(),
        "device": device,
        "progress": False if as_json else "auto",
    }
    model = JPVAE(**options)
    columns = {name: list(table.frame.columns) for name, table in joined.tables.items()} or None
    tables = Described(id_column, columns)
    model.tables_ = tables.to_json()
    begun = checkpoints.load(out)[1].get("step") if out.exists() else None
    if not as_json:
        _print_plan(joined, given, options, begun)
    model.fit(joined.views, joined.observed, checkpoint=out)
    variances = posterior_variances(model, joined.views, joined.observed)
    activity = {name: v.tolist() for name, v in zip(joined.names, variances, strict=True)}
    record(out, Described(id_column, columns, activity))
    last, active = model.history_[-1], {name: int((v > ACTIVE).sum()) for name, v in zip(joined.names, variances, strict=True)}
    if as_json:
        patterns = [
            {"observed": [n for n, seen in zip(joined.names, p, strict=True) if seen], "rows": k} for p, k in joined.patterns()
        ]
        result = {"file": str(out), "rows": len(joined.observed), "patterns": patterns, "began_at": begun or 0}
        typer.echo(
            json.dumps(result | {"steps": last["step"], "loss": last["loss"], "active_units": active, "options": options})
        )
        return
    units = ", ".join(f"{name} {active[name]} of {n}" for name, n in zip(joined.names, model.model_.latent_dims, strict=True))
    console().print(
        f"Trained {last['step']} steps: loss {last['loss']:.2f} nats per row; active latents: {escape(units)}.\n"
        f"The model is in [bold]{escape(str(out))}[/]. Next:\n"
        f"  jpvae inspect {escape(str(out))}\n"
        f"  jpvae impute {escape(str(out))} {' '.join(f'--view {escape(word)}' for word in view)} --out filled",
        soft_wrap=True,
    )


def _print_plan(joined: Any, given: Sequence[Any], options: dict[str, Any], begun: int | None) -> None:
    screen, N, dims = console(), len(joined.observed), options["latent_dims"]
    found = Table(title=f"{N:,} subjects in {len(given)} views", title_justify="left")
    for heading in ("view", "file", "rows", "columns", "likelihood", "latents"):
        found.add_column(heading, justify="left" if heading in ("view", "file", "likelihood") else "right")
    for i, (source, values) in enumerate(zip(given, joined.views.values(), strict=True)):
        rows, kind, latents = f"{joined.observed[:, i].sum():,}", options["likelihood"][i], dims[i] if i < len(dims) else "?"
        found.add_row(escape(source.view), escape(str(source.path)), rows, f"{values.shape[1]:,}", kind, str(latents))
    screen.print(found)
    patterns = Table(title="who has which views", title_justify="left")
    for name in joined.names:
        patterns.add_column(escape(name), justify="center")
    patterns.add_column("rows", justify="right")
    patterns.add_column("", justify="right")
    for pattern, count in joined.patterns():
        patterns.add_row(*("yes" if seen else "–" for seen in pattern), f"{count:,}", f"{100 * count / N:.1f} %")
    screen.print(patterns)
    length = f"{options['steps']:,} steps" if options["steps"] is not None else f"{options['epochs']:g} epochs"
    screen.print(
        f"prior {options['prior']}, {length} of {options['batch_size']} rows, backend {options['backend']}, "
        f"seed {options['seed']}"
    )
    if begun is not None:
        screen.print(f"The file exists: if it is of this training, it goes on at step {begun:,}.")


def _integers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(",") if word)
    except ValueError as error:
        raise ConfigError(f"{option} is {text!r}; expected integers with commas between them, as 128,128") from error


def _likelihoods(words: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """One per view, from name=kind, or kind for all."""
    chosen = dict.fromkeys(names, "gaussian")
    for word in words:
        name, equals, kind = word.rpartition("=")
        if equals and name not in chosen:
            raise ConfigError(
                f"--likelihood is {word!r}; expected name=kind with a view's name, among {list(names)}, or kind for all"
            )
        chosen |= {name: kind} if equals else dict.fromkeys(names, kind)
    return tuple(chosen.values())
