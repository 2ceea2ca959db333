"""A figure as a file, for the commands' option --figure."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from ..atomic import check_folder, write_atomically
from ..errors import ConfigError, MissingDependency

FORMATS = (".png", ".pdf", ".svg", ".jpg")


def check(path: Path | None) -> None:
    """Raise ConfigError where a figure cannot be written there: before the work, not after it."""
    if path is None:
        return
    check_folder(path)
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"--figure is {str(path)!r}; expected a file that ends in one of {', '.join(FORMATS)}")


def save(draw: Callable[[Any], object], path: Path, size: tuple[float, float]) -> None:
    """What ``draw`` draws on an axis, in one of FORMATS by the path's ending. Raises MissingDependency without matplotlib."""
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise MissingDependency("--figure needs matplotlib: pip install 'jpvae[tables]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=size, facecolor="white", layout="constrained")
    draw(axis)
    content = BytesIO()
    figure.savefig(content, dpi=130, format=path.suffix.removeprefix(".").lower())
    plt.close(figure)
    write_atomically(path, content.getvalue())
