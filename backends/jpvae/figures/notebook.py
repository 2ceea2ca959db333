"""What a notebook shows of an estimator: its state in one sentence, its views, and which views the training's rows had.

Names come from files: everything is escaped. Colours are the notebook's own, so that light and dark both work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..fitted import Fitted
from ..model.likelihoods.registry import title

MOST_PATTERNS, MOST_VIEWS = 8, 30
_CELL = "padding:.15em .8em .15em 0;text-align:{};border:0"
_LINE = "border-bottom:1px solid currentColor"


def estimator_html(options: Mapping[str, Any], fitted: Fitted | None) -> str:
    """options: those that differ from the defaults."""
    words = ", ".join(f"{name}={_short(repr(value))}" for name, value in options.items())
    head = f"<p style='margin:0 0 .4em'><b>JPVAE</b>({_text(words)})</p>"
    if fitted is None:
        todo = "Not fitted: call <code>fit(views)</code>, or <code>JPVAE.load(path)</code>."
        return f"<div>{head}<p style='margin:0'>{todo}</p></div>"
    state = f"Fitted: {fitted.steps:,} steps, seed {fitted.seed}"
    if fitted.history:
        state += f", last loss {fitted.history[-1]['loss']:.2f} nats per row"
    advice = f" {fitted.report.advice}" if fitted.report is not None else ""
    parts = [head, f"<p style='margin:0 0 .4em'>{_text(state + '.' + advice)}</p>", _views(fitted)]
    if fitted.report is not None and fitted.report.patterns:
        parts.append(_patterns(fitted.view_names, fitted.report.patterns, fitted.report.rows))
    return f"<div>{''.join(parts)}</div>"


def _views(fitted: Fitted) -> str:
    rows = []
    for name, columns, latents in zip(fitted.view_names, fitted.columns, fitted.model.latent_dims, strict=True):
        found = fitted.report.views.get(name, {}) if fitted.report is not None else {}
        used = f"{found['active']} of {latents}" if "active" in found else str(latents)
        families = ", ".join(f"{title(group.likelihood)} ({len(group.columns)})" for group in columns.groups)
        rows.append([name, f"{columns.count:,}", used, _short(families)])
    more = [["...", "", "", f"{len(rows) - MOST_VIEWS} further views"]] if len(rows) > MOST_VIEWS else []
    return _table(["view", "columns", "active latents", "likelihoods"], [*rows[:MOST_VIEWS], *more], right=(1, 2))


def _patterns(names: Sequence[str], patterns: Sequence[tuple[tuple[bool, ...], int]], rows: int) -> str:
    shown = [
        [*("●" if seen else "○" for seen in has), f"{count:,}", f"{100 * count / rows:.1f} %"]
        for has, count in patterns[:MOST_PATTERNS]
    ]
    rest = rows - sum(count for _, count in patterns[:MOST_PATTERNS])
    if rest:
        shown.append([*[""] * len(names), f"{rest:,}", "others"])
    M = len(names)
    title = "<p style='margin:.6em 0 .2em'>Observed views in training (● observed, ○ missing):</p>"
    return title + _table([*names, "rows", ""], shown, right=(M, M + 1))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int]) -> str:
    def cells(tag: str, row: Sequence[str], line: str = "") -> str:
        sides = ["right" if k in right else "left" for k in range(len(row))]
        styles = [f"{_CELL.format(side)}{line}" for side in sides]
        return "".join(f"<{tag} style='{style}'>{_text(c)}</{tag}>" for c, style in zip(row, styles, strict=True))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    top = f"<thead><tr>{cells('th', head, ';' + _LINE)}</tr></thead>"
    return f"<table style='border-collapse:collapse'>{top}<tbody>{body}</tbody></table>"


def _short(text: str, most: int = 120) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _text(text: str) -> str:
    return escape(text, quote=True)
