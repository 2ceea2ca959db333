"""The option --report of fit, impute and evaluate, and the command `jpvae report`: a model on tables, as one page.

fit and report test the model on held-out rows; where the tables have no rows for that, the page has a warning in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ..atomic import check_folder
from .arguments import typed

if TYPE_CHECKING:
    from ..estimator import JPVAE
    from ..predicting import Predicting
    from ..report.evaluated import Evaluated
    from ..tables.joining import Joined
    from ..tables.sources import Source

SUBJECTS = 30  # single subjects on a page
_HELP = "Also write a report, one .html file that opens without a network"

Report = Annotated[Path | None, typer.Option("--report", metavar="PATH", help=f"{_HELP}.")]
TestedReport = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="PATH",
        help=f"{_HELP}, as jpvae report does: a second model and simpler methods are trained without a fifth of the rows and "
        "tested on them, which takes about as long again.",
    ),
]


def check(path: Path | None) -> None:
    """Raise what would be raised when the report is written: before the work, not after it."""
    if path is not None:
        from ..report.page import check_installed

        check_installed()
        check_folder(path)


def evaluation(
    fitted: JPVAE, joined: Joined, *, part: float = 0.2, seed: int = 0, methods: Sequence[str] | None = None, quiet: bool
) -> Evaluated | str:
    """The model evaluated on a part of the rows; or why these tables do not allow it. quiet: no progress on the screen.

    Raises ConfigError, MissingDependency.
    """
    from ..errors import ViewError
    from ..report.evaluated import evaluated
    from ..tables.evaluation import USUAL

    fitted.set_params(progress=False if quiet else "auto")
    try:
        return evaluated(fitted, joined, part=part, seed=seed, methods=methods or USUAL, on_method=shows(quiet=quiet))
    except ViewError as error:
        return str(error)


def shows(*, quiet: bool) -> Callable[[str], object]:
    """What prints a method's name while it is being fitted, on a terminal."""
    shown = Console(stderr=True)
    return str if quiet or not shown.is_terminal else (lambda name: shown.print(f"fitting {name} ..."))


def write(
    path: Path | None,
    file: Path,
    model: Predicting,
    joined: Joined,
    given: Sequence[Source],
    *,
    evaluated: Evaluated | str | None = None,
    subjects: int = SUBJECTS,
) -> None:
    """Write the report of the model in ``file`` on these tables; nothing where there is no path.

    evaluated: what ``evaluation`` gave.
    """
    if path is None:
        return
    from ..report.content import content
    from ..report.page import write as write_page
    from ..report.provenance import provenance

    files = [("model", file), *((f"view {source.view}", source.path) for source in given)]
    made = content(
        file.name,
        model,
        joined.views,
        joined.observed,
        ids=None if joined.ids is None else list(joined.ids),
        made=provenance(typed(), model, files),
        evaluated=None if isinstance(evaluated, str) else evaluated,
        untested=evaluated if isinstance(evaluated, str) else None,
        most_subjects=subjects,
    )
    write_page(made, path)
