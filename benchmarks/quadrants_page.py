"""The page docs/quadrants.md and its picture, from what quadrants.py measured: every method and pattern, won or lost.

python benchmarks/quadrants_page.py           draw both
python benchmarks/quadrants_page.py --check   only say whether the page shows what was measured
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from quadrants import KEPT, PATTERNS, SETTINGS, mean_score, name_of, read
from suites import ROOT

from jpvae.experiments.data import stitched

PAGE, PICTURE = ROOT / "docs/quadrants.md", ROOT / "docs/quadrants.png"
BEGIN, END = "<!-- measured: benchmarks/quadrants.py -->", "<!-- end of measured -->"
NAMES = {"jpvae": "JPVAE", "regressor": "regressors", "cvae": "CVAE", "mopoe": "MoPoE"}
SCORES = {"error": "{:.4f}", "pixel": "{:.2f}", "joint": "{:.2f}"}
GLYPHS = {  # quadrants that are seen: upper left, upper right, lower left, lower right
    **{"1000": "▘", "0100": "▝", "0010": "▖", "0001": "▗"},
    **{"1100": "▀", "0011": "▄", "1010": "▌", "0101": "▐", "1001": "▚", "0110": "▞"},
    **{"1110": "▛", "1101": "▜", "1011": "▙", "0111": "▟"},
}
SEEN = LinearSegmentedColormap.from_list("seen", ["white", "black"])
FILLED = LinearSegmentedColormap.from_list("filled", ["#fdf3ea", "#d55e00", "#3d1a00"])
Lines = Sequence[Mapping[str, Any]]


def of(lines: Lines, method: str) -> Lines:
    """A method's lines, one per seed."""
    return [line for line in lines if line["method"] == method]


def row(lines: Lines, score: str, value: Callable[[Mapping[str, Any]], float]) -> list[str]:
    """A cell per method, the mean over its seeds; the smallest in bold."""
    found = {method: SCORES[score].format(mean(map(value, of(lines, method)))) for method in SETTINGS if of(lines, method)}
    best = min(found.values(), key=float)
    return [f"**{x}**" if x == best else x for x in found.values()]


def summary(lines: Lines) -> list[str]:
    """A row per method: the means over the patterns, what it is and what it cost."""
    shown = [method for method in SETTINGS if of(lines, method)]
    head = ["", *SCORES, "parameters", "CPU seconds", "Adam steps", "seeds"]
    cells = [row(lines, score, lambda line, score=score: mean_score(line, score)) for score in SCORES]  # type: ignore[misc]
    text = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for method, *values in zip(shown, *cells, strict=True):
        first, seconds = of(lines, method)[0], mean(line["seconds"] for line in of(lines, method))
        about = [f"{first['parameters']:,}", f"{seconds:.0f}", f"{first['steps']:,}", str(len(of(lines, method)))]
        text.append("| " + " | ".join([NAMES[method], *values, *about]) + " |")
    return [*text, ""]


def by_pattern(lines: Lines) -> list[str]:
    """The one table: a row per pattern, error and joint of each method."""
    names = [NAMES[method] for method in SETTINGS if of(lines, method)]
    head = ["seen", *(f"error, {name}" for name in names), *(f"joint, {name}" for name in names)]
    text = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in GLYPHS:
        cells = [
            cell
            for score in ("error", "joint")
            for cell in row(lines, score, lambda line, s=score, n=name: line["patterns"][n][s])  # type: ignore[misc]
        ]
        text.append("| " + " | ".join([GLYPHS[name], *cells]) + " |")
    return [*text, ""]


def verdict(lines: Lines) -> list[str]:
    """On how many of the patterns each method has the smallest score; how far JPVAE is from the best of the others."""
    text = []
    for score in SCORES:
        means = {
            m: {n: mean(line["patterns"][n][score] for line in of(lines, m)) for n in GLYPHS} for m in SETTINGS if of(lines, m)
        }
        best = [min(means, key=lambda m, n=name: means[m][n]) for name in GLYPHS]  # type: ignore[misc]
        counts = ", ".join(f"{NAMES[m]} on {best.count(m)}" for m in means)
        whole = {m: mean(found.values()) for m, found in means.items()}
        other = min((m for m in whole if m != "jpvae"), key=lambda m: whole[m])
        change = 100 * (whole["jpvae"] / whole[other] - 1)
        beside = f"JPVAE's mean is {abs(change):.1f} % {'above' if change > 0 else 'below'} that of {NAMES[other]}"
        text.append(f"- {score}: smallest of {counts} of the {len(GLYPHS)} patterns; {beside}, the best of the others.")
    return [*text, ""]


def tried(lines: Lines) -> list[str]:
    """What was tried on validation images."""
    head = ["method", "setting", "parameters", "CPU seconds", *SCORES]
    text = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for line in lines:
        setting = ", ".join(f"{name} {value}" for name, value in line["setting"].items())
        chosen = " (chosen)" if line["setting"] == SETTINGS[line["method"]] else ""
        values = [form.format(mean_score(line, score)) for score, form in SCORES.items()]
        about = [NAMES[line["method"]], setting + chosen, f"{line['parameters']:,}", f"{line['seconds']:.0f}"]
        text.append("| " + " | ".join([*about, *values]) + " |")
    return text


def tables() -> str:
    """The markdown between the page's markers."""
    kept = read(KEPT)
    lines = kept["cases"]
    where = "; ".join(sorted({line["machine"] for line in lines}))
    commits = ", ".join(sorted({line["commit"] for line in lines}))
    steps = ", ".join(sorted({f"{line['steps']:,}" for line in kept["tried"]}))
    text = [f"Machine: {where}, one thread. Commits: {commits}.", "", "**Means over the 14 patterns, 1,000 test images**", ""]
    text += [*summary(lines), *verdict(lines), "**By pattern (black: seen)**", "", *by_pattern(lines)]
    text += [f"**Settings tried: 500 validation images, seed 0, {steps} steps, 16 draws**", "", *tried(kept["tried"])]
    return "\n".join(text)


def page() -> str:
    """docs/quadrants.md with the tables as they should be."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    return f"{before}{BEGIN}\n{tables()}\n{END}{rest.split(END)[1]}"


def plot() -> None:
    """Two test images: a column per pattern, a row per method; what is filled in is in colour."""
    kept = np.load(KEPT.with_suffix(".npz"))
    rows = ["truth", *(method for method in SETTINGS if method in kept)]
    order = [[name_of(seen) for seen in PATTERNS].index(name) for name in GLYPHS]
    shown = len(kept["truth"])
    figure = Figure(figsize=(11.4, 0.78 * len(rows) * shown + 0.9))
    axes = figure.subplots(len(rows) * shown, len(order), gridspec_kw={"wspace": 0.06, "hspace": 0.06})
    for image in range(shown):
        for r, method in enumerate(rows):
            for c, k in enumerate(order):
                axis = axes[image * len(rows) + r, c]
                filled = kept["truth"][image] if method == "truth" else kept[method][k, image]
                axis.imshow(coloured(filled, PATTERNS[k]))
                axis.set(xticks=[], yticks=[])
                axis.axhline(13.5, color="white", lw=0.5)
                axis.axvline(13.5, color="white", lw=0.5)
                axis.spines[:].set_color("#bbbbbb")
            label = "true image" if method == "truth" else NAMES[method]
            axes[image * len(rows) + r, 0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=11)
    figure.suptitle(
        "Fashion-MNIST, all 14 patterns of missing quadrants: black was seen, orange was hidden and is filled in",
        fontsize=13,
        y=0.985,
    )
    figure.subplots_adjust(left=0.095, right=0.995, bottom=0.01, top=0.94)
    figure.savefig(PICTURE, dpi=110)


def coloured(image: np.ndarray, seen: Sequence[bool]) -> np.ndarray:
    """(28, 28, 4) of (4, 196) bytes: dark is bright ink, in one scale where it was seen and in the other where not."""
    parts = [np.asarray((SEEN if s else FILLED)(x / 255)) for s, x in zip(seen, image, strict=True)]
    return np.stack([stitched([part[:, channel] for part in parts])[0] for channel in range(4)], axis=-1)


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(
            0 if PAGE.read_text(encoding="utf-8") == page() else f"{PAGE.name} does not show {KEPT.name}: run {sys.argv[0]}"
        )
    PAGE.write_text(page(), encoding="utf-8")
    plot()
