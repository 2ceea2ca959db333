"""The page docs/fused-posterior.md, from committed results: what the fused posterior changed in Gaussian worlds and on digits.

python benchmarks/fused_page.py           write the page
python benchmarks/fused_page.py --check   only say whether the page is what the results make
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from suites import ROOT

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "fused-posterior.md"
RUNS = {"zero-0": "published, C = 0", "svd-0": "published, σ₁ < 1", "orthogonal-0": "published, orthogonal"}
# Of the same networks and images, by rough scripts that are not in this repository: they are here for scale.
PEERS = {
    "direct regression between the halves": ("–", "–", "58.84 / 62.67", "–", "–"),
    "MoPoE": ("90.4", "24.80 / 24.81", "59.00 / 63.00", "51.63 / 54.03", "40.9 / 41.2"),
    "JMVAE": ("–", "47.39 / 45.53", "63.38 / 67.58", "47.23 / 50.22", "–"),
    "two conditional VAEs": ("–", "–", "66.32 / 71.20", "45.90 / 45.68", "–"),
}


def read(path: str) -> Any:
    """A result."""
    return json.loads((RESULTS / path).read_text())


def by_setting(runs: Sequence[Mapping[str, Any]], scores: Sequence[str]) -> list[str]:
    """One line of a table per setting, in order: the mean over seeds, and how many."""
    lines = []
    for name in dict.fromkeys(run["setting"] for run in runs):
        own = [run for run in runs if run["setting"] == name]
        lines.append(f"| {name} | " + " | ".join(f"{mean(run[s] for run in own):.3f}" for s in scores) + f" | {len(own)} |")
    return lines


def pair(values: Sequence[float], sign: float = 1.0) -> str:
    """Two views' numbers."""
    return " / ".join(f"{sign * x:.1f}" for x in values)


def digits(training: str, label: str) -> str:
    """One line of the table of digits; training: the file of a run's results."""
    r, run = read(training), Path(training).parent.name
    likelihood = RESULTS / Path(training).parent / "likelihood.json"
    conditional, joint = "–", "–"
    if likelihood.exists():
        found = json.loads(likelihood.read_text())
        marginals = [found[f"view {i}"]["mean"] for i in (1, 2)]
        given = [found[f"view {i} given {3 - i}"]["mean"] for i in (1, 2)]
        apart = run.startswith("zero")  # the joint is then the product of the marginals
        conditional = pair(marginals if apart else given, -1.0)
        joint = f"{-(sum(marginals) if apart else found['joint']['mean']):.1f}"
    alone = r["table_1"]["reconstruction"]
    cells = [f"{r['negative_elbo']:.1f}", pair(alone), pair(r["predictive"]), pair(r["conditional_nll"]), conditional, joint]
    return f"| {label} | " + " | ".join(cells) + " |"


TEXT = """\
# What the fused posterior changed

The posterior of the paper (Eq. 3) is a product over views: what one view implies for the latents of another enters only after
it. The [fused posterior](core.md) carries every observed view's evidence through the joint prior to all latents, so that draws
are draws of the model's own p(x_missing | x_observed) where the encoders give the exact evidence of each view, and as near to
it as they do elsewhere. This page is made by `python benchmarks/fused_page.py` from results in the repository; each table names
the command that measured it.

## Where the truth is a formula

Three linear-Gaussian views of five columns each, 2,000 training rows; the third view of new rows is drawn from the other two.
*slope* is that of the mean of the draws on the exact conditional mean, *error* the root mean square error over the exact one's,
*coefficient* a regression coefficient estimated from imputed tables over the true one, *cover* the share of true values inside
the central 95 % of the draws. The models "set by hand" are the truth, not trained: there only inference differs.
`python benchmarks/linear_gaussian.py --out benchmarks/results/linear_gaussian.json`

| model | slope | error | coefficient | cover | seeds |
|---|---|---|---|---|---|
{linear}

## Single cells

The same world; training rows lack cells at random, test rows show one cell of five in each view, and the empty ones are drawn.
The exact conditional mean's correlation with the truth is {best:.3f}. `proposals` is importance resampling of the draws: by
default twice as many as draws where single cells are missing. In release 0.1.0 encoders read 0 for an empty cell, as for a
mean, no cell was hidden in training, and there was no resampling: most of what a cell implies for the others was lost.
Coverage does not show it, for intervals that are too wide cover as well.
`python benchmarks/empty_cells.py --out benchmarks/results/empty_cells.json`

| training | slope | error | correlation | cover | seeds |
|---|---|---|---|---|---|
{cells}

## Halves of digits

The paper's networks and 600,000 training images. Protocol [published](reproduction.md) has Eq. 3's posterior, protocol ours the
fused one; one line is one model, with everything measured on it. Nats per test image. `jpvae reproduce --protocol ours`

| | −ELBO | reconstruction | predictive | −log mean p, 64 draws | −log p of a half given the other | −log p of both |
|---|---|---|---|---|---|---|
{digits}

Reconstructions are of each half from itself alone. With more draws the column of 64 falls, for it averages densities that few
draws come near. On the first 1,000 test images (`python benchmarks/conditional_draws.py`): {more}.

For scale, other models with the same networks, images and recipe, measured by rough scripts that are not kept here (the last
column with 256 samples, on 150 images):

| | −ELBO | reconstruction | predictive | −log mean p, 64 draws | −log p of a half given the other |
|---|---|---|---|---|---|
{peers}

## Cross terms

Cross terms train a view's decoder on latents that are drawn from the other views. They make imputations better and cost a part
of the bound, which is at its best without them. `python benchmarks/cross_terms.py`

| weight, draws | −ELBO | reconstruction | predictive | −log mean p, 64 draws |
|---|---|---|---|---|
{cross}
"""


def page() -> str:
    """The page."""
    ours = sorted(path.name for path in (RESULTS / "paper" / "ours").iterdir())
    cells = [
        run | {"setting": run["setting"] + ("" if run["proposals"] == "auto" else f", `proposals={run['proposals']}`")}
        for run in read("empty_cells.json")
    ]
    lines = {
        "linear": by_setting(read("linear_gaussian.json"), ("slope", "rmse", "beta", "cover")),
        "cells": by_setting(cells, ("slope", "rmse", "correlation", "cover")),
        "digits": [
            *(digits(f"paper/published/{run}/training.json", f"{label}, seed 0") for run, label in RUNS.items()),
            digits("hvdmnist/orthogonal-ours-0.1.0.json", "ours as 0.1.0 had it (Eq. 3), orthogonal, seed 0"),
            *(
                digits(
                    f"paper/ours/{run}/training.json",
                    "ours, " + run.replace("-", ", seed ").replace("svd", "σ₁ < 1").replace("zero", "C = 0"),
                )
                for run in ours
            ),
        ],
        "peers": [f"| {name} | " + " | ".join(numbers) + " |" for name, numbers in PEERS.items()],
        "cross": cross_terms(),
    }
    more = [
        f"{name.replace('-', ', seed ')}, {pair(found['64']['conditional_nll'])} nats with 64 draws and "
        f"{pair(found['1024']['conditional_nll'])} with 1,024"
        for name, found in read("hvdmnist/conditional_draws.json").items()
    ]
    tables = {name: "\n".join(found) for name, found in lines.items()}
    return TEXT.format(best=mean(run["best"] for run in cells), more="; ".join(more), **tables)


def cross_terms() -> list[str]:
    """The lines of results/hvdmnist/cross_terms.csv, test set."""
    with (RESULTS / "hvdmnist" / "cross_terms.csv").open() as file:
        rows = sorted((r for r in csv.DictReader(file) if r["split"] == "test"), key=lambda r: float(r["cross_weight"]))
    lines = []
    for r in rows:
        measured = ("reconstruction_alone", "predictive", "conditional_nll")
        pairs = [pair([float(r[f"{name}_{j}"]) for j in (1, 2)]) for name in measured]
        first = [f"{float(r['cross_weight']):g}, {r['cross_draws']}", f"{float(r['negative_elbo']):.1f}"]
        lines.append("| " + " | ".join([*first, *pairs]) + " |")
    return lines


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.exists() and PAGE.read_text() == page() else f"{PAGE} is not what the results make")
    PAGE.write_text(page())
