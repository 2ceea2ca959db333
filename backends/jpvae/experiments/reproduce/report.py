"""report.md: all tables and figures that the pieces allow, beside the published numbers, and how each number was made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...atomic import write_atomically
from ...errors import ConfigError
from . import conclusions, figures
from .pieces import wanted
from .results import Results
from .tables import LABELS, Table, tables, to_csv, to_markdown

_TABLES = {  # by what is asked for, where it has another name
    "table3": ("table3", "originals"),
    "beyond": ("beyond1", "beyond2"),
    "likelihood": ("likelihood", "bounds"),
}
_ABOUT = {
    "published": "what the paper's tables were computed with (α = 0.9, β = 1, 18,750 steps; Eq. 12 with the moments of the "
    "evaluated split)",
    "paper": "the paper's text at its word (α = 0.95, 30 passes, cyclical annealing; Eq. 12 with training moments)",
    "ours": "the fused posterior and the subset objective on the same networks and as many images (Eq. 12 as in published)",
}
_HEAD = """# The paper's tables and figures, reproduced

Each cell: mean over seeds (standard deviation) [number of seeds]; **missing** where no run has finished. "Published" are the
means over five seeds in the authors' result files; where the paper prints another number, a line gives it. A difference is
counted in published standard deviations; two combined ones are twice the root of the sum of both variances, found and
published. Losses are nats per test image, lower is better.
"""
_NOTES = {  # below a table's title, what its columns are
    "beyond1": "Imputation: as in Table 1, but with the other moments, of training latents or of the evaluated split's.\n"
    "Plug-in: the decoder at E[z_j | μ_i] under the prior or, with training moments, by Eq. 12; μ_i is the mean of view i.\n"
    "Predictive: pixel by pixel, −log of the mean probability over 64 draws of z_j given the seen view. Conditional NLL: the\n"
    "same of the whole half, −log of the mean over draws of p(x_j | z_j).\n\n",
}


def write(raw: Path, out: Path, *, only: Sequence[str] = ()) -> Path:
    """Write ``out``/report.md with its tables (CSV) and figures (PNG), from the pieces in ``raw``; return the report's path.

    Raises ConfigError where ``raw`` holds no piece.
    """
    results, shown = Results(raw), wanted(only)
    if not results.protocols:
        raise ConfigError(
            f"{str(raw)!r} holds no results; expected <protocol>/<model>-<seed>/training.json and the like, as in a run's raw/"
        )
    (out / "tables").mkdir(parents=True, exist_ok=True)
    (out / "figures").mkdir(exist_ok=True)
    parts = [_HEAD, f"## What the paper concludes\n\n{conclusions.to_markdown(results)}\n"]
    for protocol in results.protocols:
        parts.append(f"## Protocol {protocol}: {_ABOUT[protocol]}\n")
        parts += _section(results, protocol, shown, out)
    parts.append(_provenance(results))
    path = out / "report.md"
    write_atomically(path, ("\n".join(parts).rstrip() + "\n").encode())
    return path


def _section(results: Results, protocol: str, shown: Sequence[str], out: Path) -> Iterator[str]:
    made = tables(results, protocol)
    for name in shown:
        if name.startswith("figure"):
            path = out / "figures" / f"{protocol}-{name}.png"
            caption = _figure(results, protocol, name, made, path)
            title = name.replace("figure", "Figure ")
            yield f"### {title}\n\n" + (f"![{title}](figures/{path.name})\n\n{caption}\n" if caption else "Missing.\n")
        for table in (made[n] for n in _TABLES.get(name, (name,)) if n in made):
            write_atomically(out / "tables" / f"{protocol}-{table.name}.csv", to_csv(table).encode())
            heading = "#### Numbers of" if name.startswith("figure") else "###"
            yield f"{heading} {table.title}\n\n{_NOTES.get(table.name, '')}{to_markdown(table)}\n" + _agreement(table, protocol)


def _figure(results: Results, protocol: str, name: str, made: dict[str, Table], path: Path) -> str | None:
    if name in figures.DIGITS:
        return figures.digits(results, protocol, name, path)
    if name == "figure4":
        return figures.correlations(results, protocol, path)
    if name == "figure8":
        return figures.accuracies([made["figure8"]], path, "Trained on [X̃₁; X̃₂], tested on …")
    caption = figures.accuracies([made["table3"]], path, "(trained on, tested on)")
    return f"{caption} The numbers are Table 3's." if caption else None


def _agreement(table: Table, protocol: str) -> str:
    """How many of a table's cells lie within two combined standard deviations of the published mean, which do not; how many are
    missing. Protocol "ours" is not meant to repeat the published numbers."""
    compared = [(label, cell) for label, cells in table.rows for cell in cells if not math.isnan(cell.combined)]
    away = [f"{label}, {cell.measure}: {cell.combined:+.1f}" for label, cell in compared if abs(cell.combined) > 2]
    missing = sum(not cell.seeds for cell in table.cells)
    lines = []
    if compared and protocol != "ours":
        near = (
            f"{len(compared) - len(away)} of {len(compared)} cells lie within 2 combined standard deviations of the published"
        )
        lines.append(f"{near} mean" + (f"; beyond: {'; '.join(away)}." if away else "."))
    if missing:
        lines.append(f"Missing cells: {missing} of {len(table.cells)}.")
    return f"\n{' '.join(lines)}\n" if lines else ""


def _provenance(results: Results) -> str:
    """Which commit and machine made the pieces, and how long that took."""
    lines = [
        "## How the numbers were made\n",
        "| protocol | model | kind | seeds | seconds | commits | machine |",
        "|---" * 7 + "|",
    ]
    for protocol in [*results.protocols, "originals"]:
        grouped: dict[tuple[str, str], list[tuple[int, dict[str, Any]]]] = {}
        for model, seed, kind, piece in results.made_by(protocol):
            grouped.setdefault((model, kind), []).append((seed, piece))
        for (model, kind), entries in grouped.items():
            made = [piece["made_by"] for _, piece in entries]
            commits = sorted({str(m["commit"])[:7] for m in made})
            machines = sorted({str(m["machine"]) for m in made})
            seconds = [s for _, piece in entries if (s := _seconds(piece)) is not None]
            spent = f"{sum(seconds) / len(seconds):.0f} each" if seconds else "–"
            seeds = ", ".join(str(seed) for seed, _ in entries)
            label = LABELS.get(model, model)
            lines.append(
                f"| {protocol} | {label} | {kind} | {seeds} | {spent} | {', '.join(commits)} | {', '.join(machines)} |"
            )
    return "\n".join(lines)


def _seconds(piece: dict[str, object]) -> float | None:
    """Of training, by the wall; of classifiers, of the CPU."""
    found = piece.get("cpu_seconds", piece.get("seconds"))
    if isinstance(found, dict):
        return float(found["training"])
    return float(found) if isinstance(found, int | float) else None
