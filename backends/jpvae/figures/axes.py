"""The figures as matplotlib axes: each function draws one record of this package on an axis and gives the axis back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import MissingDependency
from .calibration import Calibration
from .correlations import Correlations
from .cross_view import CrossView
from .distributions import Column
from .latent_map import LatentMap
from .patterns import Patterns
from .subjects import Shown
from .training import Training

# The colours of the page, in light (report/templates/page.css).
OBSERVED, IMPUTED, INK, FAINT = "#0b63a5", "#b84a00", "#4d5462", "#c9ced8"
NEGATIVE, NONE, POSITIVE = "#8a4300", "#eef0f3", "#10508a"
SERIES = (OBSERVED, IMPUTED, "#00755a", "#9a3f87", "#6b6b00", "#4b4f9e", "#8c2d2d", "#565b66")
MARKERS = "os^DPvX<"
LONGEST, MOST_SERIES = 28, 7  # letters of a level's name; levels that have a colour of their own


def new_axis(ax: Any, size: tuple[float, float] = (6.4, 4.0)) -> Any:
    """The axis given, or one of a new figure. Raises MissingDependency without matplotlib."""
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot as plt
    except ModuleNotFoundError as error:
        raise MissingDependency("figures need matplotlib: pip install 'jpvae[tables]'") from error
    return plt.subplots(figsize=size, layout="constrained")[1]


def draw_patterns(found: Patterns, ax: Any) -> Any:
    """Bars of the number of subjects, a dot for each view that they have."""
    M, rows = len(found.names), len(found.shown)
    counts = [p.rows for p in found.shown]
    top = max(counts)
    ax.barh(range(rows), [c / top * 2 * M for c in counts], left=M, height=0.55, color=OBSERVED, alpha=0.6)
    for k, pattern in enumerate(found.shown):
        ax.text(M + counts[k] / top * 2 * M + 0.08 * M, k, f"{pattern.rows:,}", va="center", color=INK)
        for j, has in enumerate(pattern.has):
            ax.scatter(j, k, s=70, facecolor=OBSERVED if has else "none", edgecolor=OBSERVED if has else FAINT, linewidth=1.5)
    ax.set_xticks(range(M), list(map(text, found.names)), rotation=0 if M < 6 else 45)
    ax.xaxis.tick_top()
    ax.set_yticks([])
    ax.set_xlim(-0.6, 3.6 * M)
    ax.set_ylim(rows - 0.4, -0.6)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def draw_training(found: Training, ax: Any) -> Any:
    """The loss, and that of held-out rows."""
    ax.plot(found.steps, found.loss, color=OBSERVED, label="training rows")
    if found.held_out:
        ax.plot(found.held_out_steps, found.held_out, color=IMPUTED, linestyle="--", label="held-out rows")
        if found.best is not None:
            ax.axvline(found.best, color=INK, linewidth=0.8, linestyle=":")
        ax.legend(frameon=False)
    top = float(np.quantile([*found.loss, *found.held_out], 0.97))
    low = min((*found.loss, *found.held_out))
    if top > low:  # the first steps would press the rest flat
        ax.set_ylim(low - 0.03 * (top - low), top + 0.1 * (top - low))
    ax.set(xlabel="step", ylabel="loss, nats per row")
    return _plain(ax)


def draw_correlations(found: Correlations, ax: Any) -> Any:
    """The heat map; within a view nothing is drawn."""
    from matplotlib.colors import LinearSegmentedColormap

    limit = max(found.strongest, 0.01)
    colours = LinearSegmentedColormap.from_list("correlation", [NEGATIVE, NONE, POSITIVE]).with_extremes(bad="white")
    image = ax.imshow(found.matrix, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
    counts = [int((found.owner == j).sum()) for j in range(len(found.names))]
    ends = np.cumsum([0, *counts])
    for end in ends[1:-1]:
        ax.axhline(end - 0.5, color="white", lw=3)
        ax.axvline(end - 0.5, color="white", lw=3)
    middles = [(a + b - 1) / 2 for a, b in pairwise(ends)]
    labels = [f"{text(name)}\n{n} latents" for name, n in zip(found.names, counts, strict=True)]
    ax.set_xticks(middles, labels)
    ax.set_yticks(middles, labels)
    ax.tick_params(length=0, pad=6)
    ax.spines[:].set_visible(False)
    for middle, name in zip(middles, found.names, strict=True):
        ax.text(middle, middle, f"{text(name)}\nwith itself:\nidentity", ha="center", va="center", color="#8a8a84", fontsize=9)
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03)
    bar.outline.set_visible(False)
    bar.set_label("correlation")
    ax.set_title("Correlations between the views' latents under the joint prior", loc="left", fontsize=12, pad=12)
    return ax


def draw_cross_view(found: CrossView, ax: Any) -> Any:
    """R^2 of the view below, filled from the view on the left alone; the last line from all others."""
    table = np.vstack([found.r2, found.together[None]])
    ax.imshow(np.clip(table, 0.0, 1.0), cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (i, j), value in np.ndenumerate(table):
        if np.isfinite(value):
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", color="white" if value > 0.6 else "black")
    ax.set_xticks(range(len(found.names)), list(map(text, found.names)))
    ax.set_yticks(range(len(table)), [*(f"{text(name)} alone" for name in found.names), "all others"])
    ax.set(xlabel="view that is filled", ylabel="filled from")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def draw_calibration(found: Calibration, ax: Any) -> Any:
    """Promised against found."""
    ax.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
    for k, (name, parts) in enumerate(zip(found.names, found.found, strict=True)):
        if np.isfinite(parts).any():
            marker = MARKERS[k % len(MARKERS)]
            ax.plot(found.levels, parts, marker=marker, markersize=4, label=text(name), clip_on=False)  # a marker at 1 is whole
    ax.set(xlabel="the interval promises", ylabel="true values inside it", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    if found.cells.any():
        ax.legend(frameon=False)
    else:
        ax.text(0.5, 0.75, "no hidden numbers to check", ha="center", bbox={"color": "white"})
    return _plain(ax)


def draw_latents(
    found: LatentMap, ax: Any, colour: np.ndarray | None = None, label: str = "", levels: Mapping[float, str] | None = None
) -> Any:
    """The map; colour (R,): numbers, NaN drawn faint; levels: the names of a category's codes."""
    x, y = found.places.T
    if colour is None:
        ax.scatter(x, y, s=12, color=OBSERVED, alpha=0.8)
    elif levels is not None:
        _draw_levels(ax, x, y, colour, levels)
        ax.legend(frameon=False, title=text(label), loc="center left", bbox_to_anchor=(1.0, 0.5))
    else:
        known = ~np.isnan(colour)
        ax.scatter(x[~known], y[~known], s=10, color=FAINT)
        image = ax.scatter(x[known], y[known], s=12, c=colour[known], cmap="viridis")
        bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label(text(label))
    words = [f"direction {k + 1} ({part:.0%} of the variance)" for k, part in enumerate(found.explained)]
    ax.set(xlabel=words[0], ylabel=words[1])
    return _plain(ax)


def draw_distribution(found: Column, ax: Any) -> Any:
    """Observed values filled, imputed ones outlined."""
    both = (("observed", found.observed), ("imputed", found.imputed))
    styles = {"observed": {"color": OBSERVED, "alpha": 0.45}, "imputed": {"facecolor": "none", "edgecolor": IMPUTED, "lw": 1.8}}
    for k, (kind, shares) in enumerate(both):
        if found.labels:
            places = np.arange(len(shares)) + (k - 0.5) * 0.4
            ax.barh(places, shares, 0.38, label=kind, **styles[kind])
        else:
            edges = np.linspace(found.low, found.high, len(shares) + 1)
            ax.bar(edges[:-1], shares, np.diff(edges), align="edge", label=kind, **styles[kind])
    if found.labels:
        ax.set_yticks(range(len(found.labels)), [text(name) for name in shortened(found.labels)])
        ax.invert_yaxis()
        ax.set(ylabel=text(found.name), xlabel="share of values")
    else:
        ax.set(xlabel=text(found.name), ylabel="share of values")
    ax.legend(frameon=False)
    return _plain(ax)


def draw_subject(found: Shown, ax: Any) -> Any:
    """Filled values with intervals, the truth as a hollow diamond; standard deviations from the columns' means."""
    for k, v in enumerate(found.values):
        filled, low, high, truth = ((x - v.mean) / v.deviation for x in (v.filled, v.low, v.high, v.truth))
        ax.plot([low, high], [k, k], color=IMPUTED, alpha=0.5, linewidth=3, solid_capstyle="butt")
        ax.plot(filled, k, "o", color=IMPUTED, label="filled, 95 % interval" if k == 0 else None)
        if np.isfinite(truth):
            ax.plot(truth, k, "D", markerfacecolor="none", color=OBSERVED, label="observed" if k == 0 else None)
    ax.axvline(0.0, color=FAINT, linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(found.values)), [text(v.column) for v in found.values])
    ax.invert_yaxis()
    ax.set(
        xlabel="standard deviations from the column's mean",
        title=f"{text(found.view)}, {'hidden' if found.present else 'missing'}",
    )
    if found.values:
        ax.legend(frameon=False)
    return _plain(ax)


def _draw_levels(ax: Any, x: np.ndarray, y: np.ndarray, colour: np.ndarray, levels: Mapping[float, str]) -> None:
    """A marker and a colour for each level, the rarest of many in one, those of unknown level faint."""
    counts = {code: int((colour == code).sum()) for code in levels}
    own = sorted(levels, key=lambda code: -counts[code])[: MOST_SERIES if len(levels) <= MOST_SERIES else MOST_SERIES - 1]
    own = [code for code in levels if code in own]
    rest = ~np.isin(colour, own)
    unknown = np.isnan(colour)
    for label, which in (("missing", unknown), ("other", rest & ~unknown)):
        if which.any():
            ax.scatter(x[which], y[which], s=10, color=FAINT, marker="." if label == "missing" else "x", label=label)
    for k, (code, name) in enumerate(zip(own, shortened([levels[code] for code in own]), strict=True)):
        at = colour == code
        ax.scatter(x[at], y[at], s=16, color=SERIES[k], marker=MARKERS[k], alpha=0.85, label=text(name))


def shortened(names: Sequence[str], longest: int = LONGEST) -> list[str]:
    """Long names without their middles; numbered where several would then be alike."""
    half = (longest - 1) // 2
    cut = [name if len(name) <= longest else f"{name[:half]}…{name[-half:]}" for name in names]
    twice = {short for short, count in Counter(cut).items() if count > 1}
    return [f"{k + 1}: {short}" if short in twice else short for k, short in enumerate(cut)]


def text(name: object) -> str:
    """A name from a file; else what stands between dollars in it is a formula to matplotlib."""
    return str(name).replace("$", r"\$")


def _plain(ax: Any) -> Any:
    ax.spines[["top", "right"]].set_visible(False)
    return ax
