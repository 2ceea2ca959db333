"""A progress bar with loss, steps per second and time left on long training; silent where stderr is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..views.inferring import leaves_to_us
from .callbacks import Callback, Run

if TYPE_CHECKING:
    from rich.table import Table


def progress_bar(wanted: bool | str) -> list[Callback]:
    """The bar, or nothing. wanted: True, False, or "auto" (where stderr is a terminal)."""
    return [ProgressBar()] if (sys.stderr.isatty() if wanted == "auto" else wanted) else []


class ProgressBar(Callback):
    """On stderr; the loss is smoothed over some 50 steps."""

    def __init__(self, label: str = "training") -> None:
        self._label, self._loss = label, float("nan")

    def on_start(self, run: Run, step: int, steps: int) -> None:
        """Show it."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("loss {task.fields[loss]:8.2f}"),
            TextColumn("{task.fields[rate]:6.1f} steps/s"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        self._task = self._bar.add_task(self._label, total=steps, completed=step, loss=self._loss, rate=0.0)
        self._bar.start()

    def on_step(self, step: int, report: Mapping[str, Any]) -> None:
        """Move it."""
        loss = report["loss"]
        self._loss = loss if self._loss != self._loss else 0.98 * self._loss + 0.02 * loss
        rate = self._bar.tasks[self._task].speed or 0.0
        self._bar.update(self._task, description=self._label, completed=step, loss=self._loss, rate=rate)

    def on_fold(self, fold: int, folds: int) -> None:
        """Say why it stands still."""
        self._bar.update(self._task, description=f"calibrating, {fold} of {folds}")

    def on_end(self) -> None:
        """Leave it as it is."""
        self._bar.stop()


def show_families(families: Mapping[str, list[tuple[str, str]]], said: Any, wanted: bool | str) -> None:
    """Print the likelihood inferred for each column, where ``said`` leaves some open; not if progress=False."""
    if wanted is not False and leaves_to_us(said):
        from rich.console import Console

        Console(stderr=True, emoji=False).print(families_table(families))


def families_table(families: Mapping[str, list[tuple[str, str]]]) -> Table:
    """Which likelihood each column has."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("view", "likelihood", "columns", title="likelihoods", title_justify="left")
    for view, lines in families.items():
        for family, columns in lines:
            table.add_row(escape(view), family, escape(columns))
    return table
