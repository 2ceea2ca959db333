"""Figures 1 and 4 to 9, in our own design: colours of Okabe and Ito, a marker per variant, published numbers as diamonds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..figures import HIDDEN, tinted
from .measuring import unpack
from .pieces import PICTURED
from .results import Results
from .runs import VARIANTS
from .tables import LABELS, Cell, Table

_COLOURS = {"zero": "#999999", "svd": "#E69F00", "orthogonal": "#0072B2", "originals": "#000000"}
_MARKERS = {"zero": "s", "svd": "^", "orthogonal": "o", "originals": "D"}
_INK = "#1b1b1f"
_SIDES = {
    1: "bottom half (view 2) imputed from the top half (view 1)",
    0: "top half (view 1) imputed from the bottom half (view 2)",
}
DIGITS = {"figure1": (0, 1), "figure5": (1, 1), "figure6": (0, 0), "figure7": (1, 0)}  # seed, hidden view


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    return plt


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=110, facecolor="white", metadata={"Software": None})
    _pyplot().close(figure)


def digits(results: Results, protocol: str, name: str, path: Path) -> str | None:
    """Figures 1, 5, 6, 7: one test image of each class, a half of it imputed. -> what it shows, or None: nothing to show."""
    seed, hidden = DIGITS[name]
    found = {v: results.pieces(protocol, v, "digits").get(seed) for v in PICTURED}
    zero = found["zero"]
    if zero is None or any(piece is None for piece in found.values()):
        return None
    original = np.concatenate([unpack(zero["original"])], axis=0)
    imputed = {v: unpack(piece["imputed"]) for v, piece in found.items() if piece is not None}
    rows = [("original", _halves(original), None), ("seen", _blank(_halves(original), hidden), hidden)]
    rows += [(f"{LABELS[v]}", _with(_halves(original), _halves(x), hidden), hidden) for v, x in imputed.items()]
    plt = _pyplot()
    figure, axes = plt.subplots(len(rows), 10, figsize=(9.6, 4.3))
    for r, (label, (top, bottom), tint) in enumerate(rows):
        for k in range(10):
            paper = (HIDDEN,) if label == "seen" else ()
            axes[r, k].imshow(tinted([top[k], bottom[k]], tint, *paper), interpolation="nearest")
            axes[r, k].set_axis_off()
    figure.subplots_adjust(left=0.14, right=0.995, top=0.9, bottom=0.01, wspace=0.06, hspace=0.06)
    for r, (label, _, _) in enumerate(rows):
        box = axes[r, 0].get_position()
        figure.text(0.13, (box.y0 + box.y1) / 2, label, ha="right", va="center", fontsize=11, color=_INK)
    figure.text(0.57, 0.945, f"{_SIDES[hidden]}, seed {seed}", ha="center", va="center", fontsize=12, color=_INK)
    _save(figure, path)
    return _digits_caption(results, protocol, seed, hidden)


def _digits_caption(results: Results, protocol: str, seed: int, hidden: int) -> str:
    """The numbers below Figure 1: the loss of this model on the whole test set, and the classifier's accuracy, where known."""
    imputed, joined = (("2|1", "[1; 2] > [1; 2|1]"), ("1|2", "[1; 2] > [1|2; 2]"))[1 - hidden]
    texts = []
    for v in PICTURED:
        loss = results.values(protocol, v, f"imputation {imputed}").get(seed)
        accuracy = results.values(protocol, v, joined).get(seed)
        texts.append(
            f"{LABELS[v]}: {_or_missing(loss, '.1f')} nats on the whole test set, "
            f"accuracy {_or_missing(accuracy, '.2f')} % with the imputed half"
        )
    return f"{_SIDES[hidden].capitalize()}, seed {seed}. " + "; ".join(texts) + "."


def _or_missing(value: float | None, form: str) -> str:
    return "(missing)" if value is None else f"{value:{form}}"


def _halves(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return images[:, :14].reshape(len(images), -1), images[:, 14:].reshape(len(images), -1)


def _with(halves: tuple[np.ndarray, np.ndarray], new: tuple[np.ndarray, np.ndarray], j: int) -> tuple[np.ndarray, np.ndarray]:
    return (new[0], halves[1]) if j == 0 else (halves[0], new[1])


def _blank(halves: tuple[np.ndarray, np.ndarray], j: int) -> tuple[np.ndarray, np.ndarray]:
    return _with(halves, (np.zeros_like(halves[0]), np.zeros_like(halves[1])), j)


def correlations(results: Results, protocol: str, path: Path) -> str | None:
    """Figure 4: the 20 x 20 correlations of view 1's latents with view 2's, without and with a joint prior, seed 0."""
    pieces = {v: results.pieces(protocol, v, "latents").get(0) for v in VARIANTS}
    shown = {v: np.asarray(piece["cross_correlation"]) for v, piece in pieces.items() if piece is not None}
    if not shown:
        return None
    plt = _pyplot()
    figure, axes = plt.subplots(1, len(shown), figsize=(3.3 * len(shown) + 0.9, 3.7), squeeze=False, layout="constrained")
    for axis, (v, matrix) in zip(axes[0], shown.items(), strict=True):
        image = axis.imshow(matrix, cmap="PuOr_r", vmin=-1, vmax=1, interpolation="nearest")
        axis.set_title(f"{LABELS[v]}\nFrobenius norm {np.linalg.norm(matrix):.2f}", fontsize=11, color=_INK)
        axis.set_xlabel("latent of view 2")
        axis.set_xticks([0, 9, 19], ["1", "10", "20"])
        axis.set_yticks([0, 9, 19], ["1", "10", "20"])
    axes[0, 0].set_ylabel("latent of view 1")
    figure.colorbar(image, ax=list(axes[0]), label="correlation", shrink=0.85)
    _save(figure, path)
    norms = "; ".join(f"{LABELS[v]}: {np.linalg.norm(m):.3f}" for v, m in shown.items())
    return f"Correlation of sampled training latents, seed 0. Frobenius norms: {norms} (paper: C = 0 1.703, orthogonal 3.448)."


def accuracies(tables: list[Table], path: Path, title: str) -> str | None:
    """Figures 8 and 9: accuracy by what a classifier was tested on; a point and its standard deviation per variant."""
    variants = {label: cells for table in tables for label, cells in table.rows}
    if not any(cell.seeds for cells in variants.values() for cell in cells):
        return None
    columns = tables[0].columns
    plt = _pyplot()
    figure, axis = plt.subplots(figsize=(1.6 * len(columns) + 1.6, 4.6), layout="constrained")
    width = 0.22
    for i, cells in enumerate(variants.values()):
        _points(axis, cells, np.arange(len(columns)) + width * (i - (len(variants) - 1) / 2))
    axis.plot([], [], "D", markerfacecolor="none", color=_INK, label="published, five seeds")
    axis.set_xticks(range(len(columns)), [_typeset(column) for column in columns], fontsize=12)
    axis.set_ylabel("accuracy on the test set, %")
    axis.set_title(_typeset(title), fontsize=12, color=_INK)
    axis.grid(axis="y", color="#dddddd", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    for k in range(1, len(columns)):
        axis.axvline(k - 0.5, color="#eeeeee", linewidth=0.8)
    figure.legend(frameon=False, loc="outside lower center", ncols=4, fontsize=10)
    _save(figure, path)
    counts = sorted({cell.seeds for cells in variants.values() for cell in cells})
    if set(counts) == {1}:
        return "One seed, beside the published means and standard deviations."
    return f"Means of {' or '.join(map(str, counts))} seeds with their standard deviations, beside the published ones."


def _typeset(text: str) -> str:
    """X̃₁|₂ with all of its index below the line."""
    for index in ("₁|₂", "₂|₁", "₁", "₂"):
        plain = index.replace("₁", "1").replace("₂", "2")
        text = text.replace(f"X̃{index}", rf"$\tilde{{X}}_{{{plain}}}$")
    return text


def _points(axis: Any, cells: Any, at: np.ndarray) -> None:
    """One variant's points, and the published diamond right of each."""
    variant = cells[0].variant
    found: list[tuple[float, Cell]] = [(x, cell) for x, cell in zip(at, cells, strict=True) if cell.seeds]
    if found:
        axis.errorbar(
            [x for x, _ in found],
            [cell.mean for _, cell in found],
            [0.0 if math.isnan(cell.sd) else cell.sd for _, cell in found],
            fmt=_MARKERS[variant],
            color=_COLOURS[variant],
            capsize=3,
            markersize=7,
            label=LABELS[variant],
        )
    axis.errorbar(
        at + 0.08,
        [cell.files.mean for cell in cells],
        [cell.files.sd for cell in cells],
        fmt="D",
        markerfacecolor="none",
        color=_INK,
        markersize=5,
        capsize=2,
        linewidth=0.8,
    )
