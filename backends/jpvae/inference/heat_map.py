"""The correlations of all latents under a fitted prior, as a picture: Sigma, one block per pair of views."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

import jpvae_core as jc

from ..atomic import write_atomically
from ..errors import MissingDependency

FORMATS = (".png", ".pdf", ".svg", ".jpg")
_INK, _PAPER = "#1b1b1f", "#ffffff"


def correlation_figure(prior: jc.JointPrior, names: Sequence[str], path: Path) -> None:
    """Write the heat map of Sigma in one of FORMATS, by the path's ending. Raises MissingDependency without matplotlib."""
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise MissingDependency("--figure needs matplotlib: pip install 'jpvae[tables]'") from error
    from io import BytesIO

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    sigma = np.asarray(prior.covariance())
    ends = np.cumsum((0, *prior.dims))
    off_diagonal = sigma.copy()
    for a, b in pairwise(ends):
        off_diagonal[a:b, a:b] = np.nan  # the identity says nothing, and would drown what is to be seen
    limit = max(float(np.nanmax(np.abs(off_diagonal), initial=0.0)), 0.01)
    figure, axis = plt.subplots(figsize=(7.6, 6.4), facecolor=_PAPER)
    colours = plt.get_cmap("RdBu_r").with_extremes(bad="#efefec")
    image = axis.imshow(off_diagonal, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
    for end in ends[1:-1]:
        axis.axhline(end - 0.5, color=_PAPER, lw=3)
        axis.axvline(end - 0.5, color=_PAPER, lw=3)
    middles = [(a + b - 1) / 2 for a, b in pairwise(ends)]
    names = [name.replace("$", r"\$") for name in names]  # else a formula to matplotlib
    labels = [f"{name}\n{n} latents" for name, n in zip(names, prior.dims, strict=True)]
    axis.set_xticks(middles, labels, color=_INK)
    axis.set_yticks(middles, labels, color=_INK)
    axis.tick_params(length=0, pad=6)
    axis.spines[:].set_visible(False)
    for middle, name in zip(middles, names, strict=True):
        axis.text(middle, middle, f"{name}\nwith itself:\nidentity", ha="center", va="center", color="#9a9a94", fontsize=9)
    bar = figure.colorbar(image, ax=axis, fraction=0.046, pad=0.03)
    bar.outline.set_visible(False)
    bar.set_label("correlation", color=_INK)
    axis.set_title("Correlations between the views' latents under the joint prior", loc="left", color=_INK, fontsize=12, pad=12)
    figure.tight_layout()
    content = BytesIO()
    figure.savefig(content, dpi=130, format=path.suffix.removeprefix(".").lower())
    plt.close(figure)
    write_atomically(path, content.getvalue())
