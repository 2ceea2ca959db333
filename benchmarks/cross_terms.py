"""What the cross terms buy on halves of digits, and what they cost: one full training for each weight and number of draws.

    python benchmarks/cross_terms.py 0.3 2 --run runs/cross    train, go on, or take a finished run; measure, write the point
    python benchmarks/cross_terms.py --plot                    draw results/hvdmnist/cross_terms.png from the points there are

A point is the "ours" protocol (orthogonal, seed 0) with that cross_weight and cross_draws. cross_terms.csv has a line of it for
the 10,000 training images that no model is trained on (split "validation", by which the protocol was chosen) and one for the
test set.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from jpvae import JPVAE
from jpvae.experiments.data import halves, mnist
from jpvae.experiments.hvdmnist import TRAINING_IMAGES
from jpvae.experiments.measures import measure
from jpvae.experiments.protocols import of_estimator, options

RESULTS = Path(__file__).parent / "results" / "hvdmnist"
TABLE = RESULTS / "cross_terms.csv"
MEASURES = ("reconstruction", "reconstruction_alone", "predictive", "conditional_nll")


def add_point(weight: float, draws: int, run: Path) -> None:
    """Train, or go on from the run's checkpoint, and write the measures of both splits over what that point had."""
    images, _ = mnist("train")
    choice = of_estimator(options("orthogonal", "ours")) | {"cross_weight": weight, "cross_draws": draws}
    run.mkdir(parents=True, exist_ok=True)
    checkpoint = run / "checkpoint.safetensors"
    model = JPVAE(**choice, seed=0).fit(halves(images[:TRAINING_IMAGES]), checkpoint=checkpoint, checkpoint_every=500)
    point = {"cross_weight": str(weight), "cross_draws": str(draws)}
    rows = [row for row in _points() if {name: row[name] for name in point} != point]
    for split, digits in (("validation", images[TRAINING_IMAGES:]), ("test", mnist("test")[0])):
        found = measure(model, halves(digits))
        row = point | {"split": split, "negative_elbo": f"{found['negative_elbo']:.3f}"}
        rows.append(row | {f"{name}_{j + 1}": f"{found[name][j]:.3f}" for name in MEASURES for j in range(2)})
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _points() -> list[dict[str, str]]:
    """The lines there are."""
    if not TABLE.exists():
        return []
    with TABLE.open() as file:
        return list(csv.DictReader(file))


def _both(rows: list[dict[str, str]], name: str) -> list[float]:
    """The two views' sum."""
    return [float(row[f"{name}_1"]) + float(row[f"{name}_2"]) for row in rows]


def plot() -> None:
    """The bound and the reconstruction of each point against its imputations, test set."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = sorted((row for row in _points() if row["split"] == "test"), key=lambda row: float(row["cross_weight"]))
    across = _both(rows, "predictive")
    up = {
        "−ELBO of both halves": [float(row["negative_elbo"]) for row in rows],
        "reconstruction of each half alone": [
            float(r["reconstruction_alone_1"]) + float(r["reconstruction_alone_2"]) for r in rows
        ],
        "−log mean p of 64 draws": [float(row["conditional_nll_1"]) + float(row["conditional_nll_2"]) for row in rows],
    }
    figure, axes = plt.subplots(1, len(up), figsize=(11.5, 3.8), sharex=True)
    for axis, (title, values) in zip(axes, up.items(), strict=True):
        axis.plot(across, values, marker="o", lw=1, ms=7, color="#0072B2")
        for x, y, row in zip(across, values, rows, strict=True):
            label = f"{float(row['cross_weight']):g}, S = {row['cross_draws']}"
            axis.annotate(label, (x, y), xytext=(7, 5), textcoords="offset points", fontsize=8)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("predictive, both directions (nats)")
        axis.margins(0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("nats per image")
    figure.suptitle("Weight of the cross terms and draws S in them: lower left is better", fontsize=11)
    figure.tight_layout()
    figure.savefig(RESULTS / "cross_terms.png", dpi=130)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weight", type=float, nargs="?")
    parser.add_argument("draws", type=int, nargs="?")
    parser.add_argument("--run", type=Path, default=Path("runs/cross_terms"))
    parser.add_argument("--plot", action="store_true")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if arguments.weight is not None and arguments.draws is not None:
        add_point(arguments.weight, arguments.draws, arguments.run)
    elif not arguments.plot:
        parser.error("give a weight and a number of draws, or --plot")
    if arguments.plot:
        plot()
