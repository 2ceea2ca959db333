"""The demo's figure: digits with one half hidden, and what each model puts there."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from ..estimator import JPVAE

_TILE, HIDDEN, _SEEN, _FILLED = "#f5f3ee", "#e2ded4", "#1b1b1f", "#c8431b"


def tinted(halves: list[np.ndarray], tint: int | None, paper: str = _TILE) -> np.ndarray:
    """A digit of two (392,) halves as (28, 28, 3); the half ``tint`` is what was filled in, red on ``paper``."""
    from matplotlib.colors import to_rgb

    parts = []
    for j, half in enumerate(halves):
        ink = half.reshape(14, 28, 1)
        ground, colour = (np.asarray(to_rgb(c)) for c in ((paper, _FILLED) if j == tint else (_TILE, _SEEN)))
        parts.append((1.0 - ink) * ground + ink * colour)
    return np.concatenate(parts)


def digits_figure(views: list[np.ndarray], models: dict[str, JPVAE], path: Path) -> None:
    """Ten digits, twice: bottom half filled from the top, top half filled from the bottom. Seen ink is black, filled ink red.

    views: two (10, 392) arrays; models: by name, one plug-in row each; the last also shows its predictive mean and draws.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    count = len(views[0])
    last = list(models.values())[-1]
    blocks: list[list[tuple[str, list[np.ndarray]]]] = []
    for hidden in (1, 0):
        given: list[np.ndarray | None] = [None if j == hidden else v for j, v in enumerate(views)]
        blank = [np.zeros_like(v) if j == hidden else v for j, v in enumerate(views)]

        def row(halves: list[np.ndarray], tint: int | None, paper: str = _TILE) -> list[np.ndarray]:
            return [tinted([h[k] for h in halves], tint, paper) for k in range(count)]

        rows = [("original", row(list(views), None)), ("seen", row(blank, hidden, HIDDEN))]
        for name, model in models.items():
            moments: Literal["prior", "training"] = (
                "prior" if model.model_.joint.couples else "training"
            )  # under C = 0 the prior itself says nothing
            filled = model.impute(given, method="plug-in", moments=moments)
            rows.append((name.replace(", ", ",\n"), row(filled, hidden)))
        rows.append(("predictive mean", row(last.impute(given), hidden)))
        draws = last.sample_imputations(given, n_draws=3)
        for k in range(3):
            rows.append((f"draw {k + 1}", row([d[k] for d in draws], hidden)))
        blocks.append(rows)

    names = [name for name, _ in blocks[0]]
    figure, axes = plt.subplots(len(names), 2 * count + 1, figsize=(15.2, 6.6), width_ratios=[1] * count + [0.5] + [1] * count)
    for axis in axes.flat:
        axis.set_axis_off()
    for side, rows in enumerate(blocks):
        for r, (_, pictures) in enumerate(rows):
            for k, image in enumerate(pictures):
                axes[r, side * (count + 1) + k].imshow(image, interpolation="nearest")
    figure.subplots_adjust(left=0.125, right=0.995, top=0.93, bottom=0.01, wspace=0.06, hspace=0.06)
    for r, name in enumerate(names):
        box = axes[r, 0].get_position()
        figure.text(0.118, (box.y0 + box.y1) / 2, name, ha="right", va="center", fontsize=10, color=_SEEN)
    for side, title in enumerate(("top half seen, bottom half imputed", "bottom half seen, top half imputed")):
        left, right = axes[0, side * (count + 1)].get_position(), axes[0, side * (count + 1) + count - 1].get_position()
        figure.text((left.x0 + right.x1) / 2, 0.96, title, ha="center", va="center", fontsize=12, color=_SEEN)
    figure.savefig(path, dpi=110)
    plt.close(figure)
