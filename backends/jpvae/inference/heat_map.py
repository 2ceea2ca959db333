"""The correlations of all latents under a fitted prior, as a picture: Sigma, one block per pair of views."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jpvae_core as jc

from ..atomic import write_atomically
from ..errors import MissingDependency
from ..figures.axes import draw_correlations
from ..figures.correlations import correlations

FORMATS = (".png", ".pdf", ".svg", ".jpg")


def correlation_figure(prior: jc.JointPrior, names: Sequence[str], path: Path) -> None:
    """Write the heat map of Sigma in one of FORMATS, by the path's ending. Raises MissingDependency without matplotlib."""
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise MissingDependency("--figure needs matplotlib: pip install 'jpvae[tables]'") from error
    from io import BytesIO

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7.6, 6.4), facecolor="white", layout="constrained")
    draw_correlations(correlations(prior, names, most=sum(prior.dims)), axis)
    content = BytesIO()
    figure.savefig(content, dpi=130, format=path.suffix.removeprefix(".").lower())
    plt.close(figure)
    write_atomically(path, content.getvalue())
