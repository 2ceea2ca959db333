"""The options of `jpvae fit`: their types, their help texts and the panels in which `jpvae fit --help` shows them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..engines import names as engine_names
from ..model.likelihoods.registry import names
from ..options import Options
from ..views.inferring import INFER
from .arguments import choices, engine, one_of
from .reading_options import from_file


class PriorName(StrEnum):
    """The names in ``jpvae.model.priors.PRIORS``."""

    CANONICAL = "canonical"
    ORTHOGONAL = "orthogonal"
    SVD = "svd"
    INDEPENDENT = "independent"


class Entries(StrEnum):
    """How rows with single empty cells are treated."""

    ERROR = "error"
    MARGINALISE = "marginalise"


def _option(metavar: str, help: str, panel: str | None = None, **limits: Any) -> Any:
    return typer.Option(metavar=metavar, help=help, rich_help_panel=panel, **limits)


_MODEL, _TRAINING = "Model", "Training"

Out = Annotated[
    Path,
    _option(
        "PATH", "The model file to write, .safetensors. If it holds an unfinished run of the same training, resume that run."
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="A TOML file with options of this command.", callback=from_file, is_eager=True),
]
WriteConfig = Annotated[Path | None, _option("PATH", "Write the options given here into a file for --config.")]
EntriesRule = Annotated[
    Entries,
    _option(
        "RULE",
        "Rows with single empty cells: error refuses them; marginalise leaves those cells out of the loss and imputes them.",
        parser=one_of(Entries),
    ),
]
Backend = Annotated[
    str | None,
    _option(
        "ENGINE",
        f"Engine: {choices(engine_names())}. By default numpy for small models on the CPU, else torch.",
        parser=engine,
    ),
]
Device = Annotated[str, _option("DEVICE", "Device of the engine: cpu, cuda, ...")]

Likelihood = Annotated[
    list[str] | None,
    _option(
        "RULE",
        "KIND for every view, VIEW=KIND for one view, or VIEW:COLUMN=KIND for one column; repeatable. KIND is "
        f"{choices((*names(), INFER))}. By default the likelihood of each column is inferred, and printed.",
        _MODEL,
    ),
]
ViewWeight = Annotated[list[str] | None, _option("VIEW=W", "Weight of a view in the loss, by default 1; repeatable.", _MODEL)]
LatentDims = Annotated[
    str | None,
    _option(
        "SIZES",
        "Latent dimensions: one number, or one per view, such as 8,8,4. By default 16 for every view, 32 for large tables.",
        _MODEL,
    ),
]
Prior = Annotated[
    PriorName | None,
    _option("NAME", f"Joint prior: {choices(PriorName)}. By default {Options.prior}.", _MODEL, parser=one_of(PriorName)),
]
Alpha = Annotated[
    float | None,
    _option(
        "A",
        f"Correlation of the orthogonal prior; initial correlation of svd and canonical (0.99 or more where training starts "
        f"at factor analysis). By default {Options.alpha}.",
        _MODEL,
    ),
]
Hidden = Annotated[
    str | None,
    _option(
        "SIZES",
        "Hidden layers of the encoders and decoders, beside a linear map, such as 128,128. By default 64, or 128 for large "
        "tables.",
        _MODEL,
    ),
]

Epochs = Annotated[float | None, _option("N", "Passes over the rows, in place of --steps.", _TRAINING)]
Steps = Annotated[
    int | None,
    _option(
        "N",
        "Optimiser steps. By default 500 to 1,500, or 30 passes over the rows; fewer passes beyond 20,000 rows.",
        _TRAINING,
        min=1,
    ),
]
BatchSize = Annotated[int | None, _option("N", f"Rows per step. By default {Options.batch_size}.", _TRAINING, min=1)]
LearningRate = Annotated[
    float | None,
    _option(
        "RATE", f"Initial learning rate, which falls to 0 along a cosine. By default {Options.learning_rate:g}.", _TRAINING
    ),
]
WeightDecay = Annotated[
    float | None,
    _option(
        "W",
        "Decoupled weight decay of the networks. By default set by the numbers of rows and columns, at most 3.",
        _TRAINING,
        min=0,
    ),
]
EarlyStopping = Annotated[
    str | None,
    _option(
        "PART[,N]",
        "Hold out this part of the rows, such as 0.1, and stop after N evaluations in a row without improvement.",
        _TRAINING,
    ),
]
Ensemble = Annotated[
    int | None,
    _option(
        "K", "Train K models that differ by their seeds; imputations are their mean, draws are shared out.", _TRAINING, min=1
    ),
]
Bootstrap = Annotated[
    bool,
    typer.Option(
        "--bootstrap",
        help="Train each model of the ensemble on rows drawn with replacement, for proper multiple imputation.",
        rich_help_panel=_TRAINING,
    ),
]
MaxGradientNorm = Annotated[
    float | None,
    _option("G", "Rescale longer gradients to this norm. By default twice the root of the number of columns.", _TRAINING),
]
