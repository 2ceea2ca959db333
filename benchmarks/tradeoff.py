"""Map the trade between reconstruction and imputation: the subset objective's weight and alpha, one full training each.

    python benchmarks/tradeoff.py 0.3 0.98          train and measure one point, add a line to results/hvdmnist/tradeoff.csv
    python benchmarks/tradeoff.py 0.3 0.98 --model runs/ours/checkpoint.safetensors     already trained by jpvae hvdmnist
    python benchmarks/tradeoff.py --plot            draw results/hvdmnist/tradeoff.png from the lines there are

A point is the "ours" protocol with subset_weights (1, w, w) and that alpha, seed 0, under the factorised posterior with one
draw in the cross terms and alpha fixed, as it was when the lines there were measured. Choices are made on the 10,000 training
images that no model is trained on (split "validation"); the test set's numbers stand beside them.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from jpvae import JPVAE
from jpvae.experiments.data import halves, mnist
from jpvae.experiments.hvdmnist import TRAINING_IMAGES
from jpvae.experiments.measures import measure
from jpvae.experiments.protocols import options

RESULTS = Path(__file__).parent / "results" / "hvdmnist"
BEFORE = {"posterior": "factorised", "cross_draws": 1, "learn_alpha": False}
MEASURES = ("reconstruction", "plug_in", "predictive", "conditional_nll")


def add_point(weight: float, alpha: float, trained: Path | None) -> None:
    """Train one point, or take a trained one, and append its measures on both splits."""
    images, _ = mnist("train")
    choice = options("orthogonal", "ours") | BEFORE | {"alpha": alpha, "subset_weights": (1.0, weight, weight)}
    if trained is None:
        model = JPVAE(**choice, seed=0).fit(halves(images[:TRAINING_IMAGES]))
    else:
        model = JPVAE.load(trained)
        if any(tuple(getattr(model, k)) != v if isinstance(v, tuple) else getattr(model, k) != v for k, v in choice.items()):
            raise SystemExit(f"{trained} was not trained with weight {weight} and alpha {alpha} under the ours protocol")
    table = RESULTS / "tradeoff.csv"
    for split, digits in (("validation", images[TRAINING_IMAGES:]), ("test", mnist("test")[0])):
        found = measure(model, halves(digits))
        row = {"weight": weight, "alpha": alpha, "split": split}
        row |= {f"{name}_{j + 1}": round(found[name][j], 3) for name in MEASURES for j in range(2)}
        new = not table.exists()
        with table.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)


def plot() -> None:
    """Reconstruction against predictive imputation and conditional NLL, both views added; one dot per point, test set."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    with (RESULTS / "tradeoff.csv").open() as file:
        rows = [{k: v if k == "split" else float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    rows = [row for row in rows if row["split"] == "test"]
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.0), sharex=True)
    for axis, name, title in zip(
        axes, ("predictive", "conditional_nll"), ("predictive imputation", "conditional NLL"), strict=True
    ):
        for alpha, marker in zip(sorted({row["alpha"] for row in rows}), "osD^v", strict=False):
            line = sorted((r for r in rows if r["alpha"] == alpha), key=lambda r: r["weight"])
            x = [r["reconstruction_1"] + r["reconstruction_2"] for r in line]
            y = [r[f"{name}_1"] + r[f"{name}_2"] for r in line]
            axis.plot(x, y, marker=marker, lw=1, ms=7, label=f"α = {alpha:g}")
            for xi, yi, r in zip(x, y, line, strict=True):
                lone = alpha == min(row["alpha"] for row in rows)
                place, side = ((0, -14), "center") if lone else ((7, 4), "left")
                axis.annotate(f"w = {r['weight']:g}", (xi, yi), xytext=place, textcoords="offset points", ha=side, fontsize=8)
        axis.set_xlabel("reconstruction, both halves (nats)")
        axis.set_ylabel(f"{title}, both directions (nats)")
        axis.margins(0.2)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    figure.suptitle("Subset objective, weights (1, w, w): lower left is better", fontsize=11)
    figure.tight_layout()
    figure.savefig(RESULTS / "tradeoff.png", dpi=130)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weight", type=float, nargs="?")
    parser.add_argument("alpha", type=float, nargs="?")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--plot", action="store_true")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if arguments.weight is not None and arguments.alpha is not None:
        add_point(arguments.weight, arguments.alpha, arguments.model)
    elif not arguments.plot:
        parser.error("give a weight and an alpha, or --plot")
    if arguments.plot:
        plot()
