"""What the cross terms buy on halves of digits, and what they cost: one full training for each weight and number of draws.

    python benchmarks/cross_terms.py 0.3 2 --run runs/cross    train, go on, or take a finished run; measure, write the point

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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weight", type=float)
    parser.add_argument("draws", type=int)
    parser.add_argument("--run", type=Path, default=Path("runs/cross_terms"))
    arguments = parser.parse_args()
    add_point(arguments.weight, arguments.draws, arguments.run)
