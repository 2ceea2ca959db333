"""The option --report of fit, impute and evaluate, and the command `jpvae report`: a model on tables, as one page."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..atomic import check_folder

if TYPE_CHECKING:
    from ..estimator import JPVAE
    from ..report.evaluated import Evaluated
    from ..tables.joining import Joined
    from ..tables.sources import Source

SUBJECTS = 30  # single subjects on a page

Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="PATH", help="Also write a report, one .html file that opens without a network."),
]


def check(path: Path | None) -> None:
    """Raise what would be raised when the report is written: before the work, not after it."""
    if path is not None:
        from ..report.page import check_installed

        check_installed()
        check_folder(path)


def write(
    path: Path | None,
    file: Path,
    model: JPVAE,
    joined: Joined,
    given: Sequence[Source],
    *,
    evaluated: Evaluated | None = None,
    subjects: int = SUBJECTS,
) -> None:
    """Write the report of the model in ``file`` on these tables; nothing where there is no path."""
    if path is None:
        return
    from ..report.content import content
    from ..report.page import write as write_page
    from ..report.provenance import provenance

    command = shlex.join(["jpvae", *sys.argv[1:]])
    files = [("model", file), *((f"view {source.view}", source.path) for source in given)]
    made = content(
        file.name,
        model,
        joined.views,
        joined.observed,
        ids=None if joined.ids is None else list(joined.ids),
        made=provenance([command], files),
        evaluated=evaluated,
        most_subjects=subjects,
    )
    write_page(made, path)
