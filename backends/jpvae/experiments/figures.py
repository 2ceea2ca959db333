"""The demo's figure: digits with one half hidden, and what each model puts there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..estimator import JPVAE

_PAPER, _INK, _SEEN, _FILLED = "#ffffff", "#1b1b1f", "#1b1b1f", "#c8431b"


def digits_figure(views: list[np.ndarray], models: dict[str, JPVAE], path: Path) -> None:
    """Ten digits, twice: bottom half filled from the top, top half filled from the bottom. Seen ink is black, filled ink red.

    views: two (10, 392) arrays; models: by name, the last one also shows its predictive mean and three draws.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.colors import to_rgb

    def picture(halves: list[np.ndarray], filled: int | None) -> np.ndarray:
        parts = []
        for j, half in enumerate(halves):
            ink = half.reshape(14, 28, 1)
            colour = np.asarray(to_rgb(_FILLED if j == filled else _SEEN))
            parts.append(1.0 - ink * (1.0 - colour))
        return np.concatenate(parts)

    count = len(views[0])
    last = list(models.values())[-1]
    blocks: list[list[tuple[str, list[np.ndarray]]]] = []
    for hidden in (1, 0):
        given: list[np.ndarray | None] = [None if j == hidden else v for j, v in enumerate(views)]
        blank = [np.zeros_like(v) if j == hidden else v for j, v in enumerate(views)]

        def row(halves: list[np.ndarray], tint: int | None) -> list[np.ndarray]:
            return [picture([h[k] for h in halves], tint) for k in range(count)]

        rows = [("original", row(list(views), None)), ("seen", row(blank, None))]
        for name, model in models.items():
            rows.append((f"{name}\nplug-in", row(model.impute(given, method="plug-in"), hidden)))
        rows.append(("predictive mean", row(last.impute(given), hidden)))
        draws = last.sample_imputations(given, n_draws=3)
        for k in range(3):
            rows.append((f"draw {k + 1}", row([d[k] for d in draws], hidden)))
        blocks.append(rows)

    names = [name for name, _ in blocks[0]]
    figure, axes = plt.subplots(len(names), 2 * count + 1, figsize=(15.2, 6.6), width_ratios=[1] * count + [0.5] + [1] * count)
    figure.patch.set_facecolor(_PAPER)
    for axis in axes.flat:
        axis.set_axis_off()
    for side, rows in enumerate(blocks):
        for r, (_, pictures) in enumerate(rows):
            for k, image in enumerate(pictures):
                axes[r, side * (count + 1) + k].imshow(image, interpolation="nearest")
    figure.subplots_adjust(left=0.125, right=0.995, top=0.93, bottom=0.01, wspace=0.06, hspace=0.06)
    for r, name in enumerate(names):
        box = axes[r, 0].get_position()
        figure.text(0.118, (box.y0 + box.y1) / 2, name, ha="right", va="center", fontsize=10, color=_INK)
    for side, title in enumerate(("top half seen, bottom half imputed", "bottom half seen, top half imputed")):
        left, right = axes[0, side * (count + 1)].get_position(), axes[0, side * (count + 1) + count - 1].get_position()
        figure.text((left.x0 + right.x1) / 2, 0.96, title, ha="center", va="center", fontsize=12, color=_INK)
    figure.savefig(path, dpi=110)
    plt.close(figure)
