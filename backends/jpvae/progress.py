"""A progress bar with loss, steps per second and time left on long training; silent where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .inferring import leaves_to_us


@contextmanager
def progress_bar(wanted: bool | str, steps: int, first: int = 0, label: str = "training") -> Iterator[Callable[[float], None]]:
    """Yields ``advance(loss)``, to be called once per step. wanted: True, False, or "auto" (where stderr is a terminal)."""
    if wanted is False or (wanted == "auto" and not sys.stderr.isatty()):
        yield lambda _loss: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("loss {task.fields[loss]:8.2f}"),
        TextColumn("{task.fields[rate]:6.1f} steps/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4) as bar:
        task = bar.add_task(label, total=steps, completed=first, loss=float("nan"), rate=0.0)
        smooth = None

        def advance(loss: float) -> None:
            nonlocal smooth
            smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
            bar.update(task, advance=1, loss=smooth, rate=bar.tasks[task].speed or 0.0)

        yield advance


def show_families(families: Mapping[str, list[tuple[str, str]]], said: Any, wanted: bool | str) -> None:
    """Print which likelihood each column was found to want, where ``said`` leaves some to us; not if progress=False."""
    if wanted is False or not leaves_to_us(said):
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("view", "likelihood", "columns", title="likelihoods", title_justify="left")
    for view, lines in families.items():
        for family, columns in lines:
            table.add_row(view, family, columns)
    Console(stderr=True).print(table)
