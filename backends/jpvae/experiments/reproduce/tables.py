"""The tables, as cells beside what was published, in CSV (one line per cell) and in Markdown (one block per model)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..protocols import options, protocol_named
from .measuring import FEWER_DRAWS
from .published import NOT_PUBLISHED, OF_THE_TABLES, Published, in_files, in_paper
from .results import IMPUTED, PAIR, Results
from .runs import SWEEP, VARIANTS

LABELS = {"zero": "C = 0", "svd": "σ₁(C) < 1", "orthogonal": "CᵀC = α²I", "originals": "the images"}
_SIGNS = {"1": "X̃₁", "2": "X̃₂", "1|2": "X̃₁|₂", "2|1": "X̃₂|₁"}
_ACCURACIES = ("1 > 1", "1 > 1|2", "1|2 > 1|2", "2 > 2", "2 > 2|1", "2|1 > 2|1")
_BEYOND = ("plug-in", "plug-in, training moments", "predictive", "conditional NLL")
_BOTH = ("[1; 2] > [1; 2]", "[1; 2] > [1; 2|1]", "[1; 2] > [1|2; 2]", "[1; 2] > [1|2; 2|1]")


@dataclass(frozen=True)
class Cell:
    """What was found (NaN: missing), over how many seeds, and what was published."""

    variant: str
    measure: str
    seeds: int
    mean: float
    sd: float
    files: Published
    paper: Published

    @property
    def difference(self) -> float:
        """From the published mean, in published standard deviations."""
        return (self.mean - self.files.mean) / self.files.sd if self.files.sd else math.nan

    @property
    def combined(self) -> float:
        """The same in combined ones, of a number here and a number there; one seed is taken to vary as the published do."""
        own = self.files.sd if math.isnan(self.sd) else self.sd
        total = math.hypot(own, self.files.sd)
        return (self.mean - self.files.mean) / total if total else math.nan


@dataclass(frozen=True)
class Table:
    """rows: (label, cells in the columns' order)."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    digits: int = 2

    @property
    def cells(self) -> list[Cell]:
        """All of them."""
        return [cell for _, cells in self.rows for cell in cells]


def tables(results: Results, protocol: str) -> dict[str, Table]:
    """Every table of a protocol, by name, cells without a number included."""
    moments = ", training moments" if protocol_named(protocol).moments == "training" else ""
    losses = [f"reconstruction {i}" for i in PAIR] + [f"imputation{moments} {i}" for i in IMPUTED]
    loss_titles = list(_SIGNS.values())

    def block(name: str, title: str, measures: Sequence[str], titles: Sequence[str], digits: int = 2) -> Table:
        rows = [(LABELS[v], [_cell(results, protocol, v, m) for m in measures]) for v in VARIANTS]
        return Table(name, title, titles, rows, digits)

    found = [
        block("table1", "Table 1: losses on the test set, nats per image", losses, loss_titles),
        block("table2", "Table 2: active units, % of 40", ["active units"], ["AU"], 1),
        block("table3", "Table 3: (trained on, tested on), accuracy %", _ACCURACIES, [_pair(m) for m in _ACCURACIES]),
        block("figure8", "Figure 8: trained on [X̃₁; X̃₂], tested on …, accuracy %", _BOTH, [_joined(m) for m in _BOTH]),
        _originals(results),
        _sweep(results, protocol, losses),
        block("beyond1", "Beyond Table 1: other ways to impute the test set, nats per image", *_beyond(moments)),
        block("beyond2", "The bound, and the latents", *_latents(), digits=3),
        block("likelihood", "Importance-weighted log-likelihood, nats per image (higher is better)", *_likelihoods()),
        block("bounds", "Its joint bound by the number of draws: what still rises is not the log-likelihood yet", *_bounds()),
    ]
    return {table.name: table for table in found}


def _beyond(moments: str) -> tuple[list[str], list[str]]:
    """moments: those of Table 1's imputations; here are the others too."""
    other = "imputation" if moments else "imputation, training moments"
    measures = [f"{m} {i}" for m in (other, *_BEYOND) for i in IMPUTED]
    return measures, measures


def _latents() -> tuple[list[str], list[str]]:
    measures = ["-ELBO", "cross-correlation norm", "largest singular value"]
    return measures, ["−ELBO, nats", "norm of the cross-correlation", "σ₁(C)"]


def _likelihoods() -> tuple[list[str], list[str]]:
    names = ("joint", "view 1", "view 2", "view 1 given 2", "view 2 given 1")
    return [f"log p, {name}" for name in names], ["x₁, x₂", "x₁", "x₂", "x₁ given x₂", "x₂ given x₁"]


def _bounds() -> tuple[list[str], list[str]]:
    names = [f"joint bound, {count} draws" for count in FEWER_DRAWS]
    return names, [*map(str, FEWER_DRAWS)]


def _cell(results: Results, protocol: str, variant: str, measure: str) -> Cell:
    published = measure.replace(", training moments", "") if measure.startswith("imputation") else measure
    return _counted(results.values(protocol, variant, measure), variant, measure, _files(variant, published), published)


def _files(variant: str, measure: str) -> Published:
    """The result files; the norm of the cross-correlation is printed alone, and of one model."""
    return in_paper(variant, measure) if measure == "cross-correlation norm" else in_files(variant, measure)


def _counted(values: dict[int, float], variant: str, measure: str, files: Published, printed: str) -> Cell:
    numbers = np.asarray(list(values.values()))
    mean = float(numbers.mean()) if numbers.size else math.nan
    sd = float(numbers.std(ddof=1)) if numbers.size > 1 else math.nan
    paper = in_paper(variant, printed) if printed else NOT_PUBLISHED
    return Cell(variant, measure, len(numbers), mean, sd, files, paper)


def _originals(results: Results) -> Table:
    """Below Table 3 and Figure 8: classifiers of the images themselves."""
    measures, of = ("1 > 1", "2 > 2", "[1; 2] > [1; 2]"), "originals"
    cells = [_counted(results.values(of, of, m), of, m, in_files(of, m), m) for m in measures]
    title = "Below Table 3 and Figure 8: classifiers of the images themselves, accuracy %"
    return Table("originals", title, ["(X₁, X₁)", "(X₂, X₂)", "[X₁; X₂]"], [(LABELS[of], cells)])


def _sweep(results: Results, protocol: str, losses: Sequence[str]) -> Table:
    """The orthogonal variant over alpha."""
    rows, own = [], options("orthogonal", protocol)["alpha"]
    for alpha in SWEEP:
        model = "orthogonal" if alpha == own else f"orthogonal-alpha-{alpha}"
        cells = []
        for measure in [*losses, "active units"]:
            printed = measure.replace(", training moments", "")
            printed_here = printed if alpha == OF_THE_TABLES else ""
            found = results.values(protocol, model, measure)
            cells.append(_counted(found, "orthogonal", measure, in_files("orthogonal", printed, alpha), printed_here))
        rows.append((f"α {alpha}" if alpha == "learned" else f"α = {alpha}", cells))
    return Table(
        "sweep", "Sweep over α, orthogonal variant: Table 1's losses and active units", [*_SIGNS.values(), "AU %"], rows
    )


def _pair(measure: str) -> str:
    first, second = measure.split(" > ")
    return f"({_SIGNS[first]}, {_SIGNS[second]})"


def _joined(measure: str) -> str:
    first, second = measure.split(" > ")[1].strip("[]").split("; ")
    return f"[{_SIGNS[first]}; {_SIGNS[second]}]"


def to_csv(table: Table) -> str:
    """One line per cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ("mean", "sd", "published_mean", "published_sd", "printed_mean", "printed_sd", "difference_in_published_sd")
    writer.writerow(["model", "measure", "seeds", *columns])
    for label, cells in table.rows:
        for cell in cells:
            numbers = (cell.mean, cell.sd, cell.files.mean, cell.files.sd, cell.paper.mean, cell.paper.sd, cell.difference)
            writer.writerow([label, cell.measure, cell.seeds, *("" if math.isnan(x) else f"{x:.6g}" for x in numbers)])
    return text.getvalue()


def to_markdown(table: Table) -> str:
    """Per model: found, published, the difference, and what the paper prints where that is another number."""
    lines = [f"| | {' | '.join(_escaped(c) for c in table.columns)} |", "|---" * (len(table.columns) + 1) + "|"]

    def line(label: str, texts: Sequence[str]) -> None:
        lines.append(f"| {label} | {' | '.join(texts)} |")

    for label, cells in table.rows:
        line(f"**{label}**, found", [_found(cell, table.digits) for cell in cells])
        if any(not math.isnan(cell.files.mean) for cell in cells):
            line("published", [_number(cell.files, table.digits) for cell in cells])
        if any(not math.isnan(cell.difference) for cell in cells):
            line("difference, published sd", ["–" if math.isnan(c.difference) else f"{c.difference:+.1f}" for c in cells])
        if any(_differs(cell) for cell in cells):
            line("the paper prints", [_number(cell.paper, table.digits) if _differs(cell) else "the same" for cell in cells])
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _found(cell: Cell, digits: int) -> str:
    if not cell.seeds:
        return "missing"
    spread = "" if math.isnan(cell.sd) else f" ({cell.sd:.2g})"
    return f"**{cell.mean:.{digits}f}**{spread} [{cell.seeds}]"


def _number(published: Published, digits: int) -> str:
    if math.isnan(published.mean):
        return "–"
    return f"{published.mean:.{digits}f}" + ("" if math.isnan(published.sd) else f" ({published.sd:.2g})")


def _differs(cell: Cell) -> bool:
    """Whether paper and files disagree by more than the paper's rounding to four digits."""
    gap = abs(cell.paper.mean - cell.files.mean)
    return gap > 0.51 * 10.0 ** (math.floor(math.log10(abs(cell.files.mean))) - 3) + 1e-9 if not math.isnan(gap) else False
