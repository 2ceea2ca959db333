"""Both engines fed the same batches and noise on the paper's experiment, in float64: how far apart are they after some steps?

    python benchmarks/engines_agree.py [STEPS]      results/hvdmnist/engines_agree.json

In float32 two engines drift apart as two seeds do (a rounding grows by some per cent each step); in float64 the same
training is the same numbers. Measured on 1,000 test images.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from jpvae import JPVAE
from jpvae.experiments.data import halves, mnist
from jpvae.experiments.hvdmnist import TRAINING_IMAGES
from jpvae.experiments.measures import measure
from jpvae.experiments.protocols import PRIORS, options

RESULT = Path(__file__).parent / "results" / "hvdmnist" / "engines_agree.json"


def apart(a: object, b: object) -> float:
    """The largest relative difference of two numbers, lists or dicts of them."""
    if isinstance(a, dict):
        return max(apart(a[key], b[key]) for key in a if key != "seconds")
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return float(np.max(np.abs(x - y) / np.maximum(np.abs(x), 1e-300), initial=0.0))


def main() -> None:
    """Train the three variants twice each."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    train = halves(mnist("train")[0][:TRAINING_IMAGES])
    test = [view[:1000] for view in halves(mnist("test")[0])]
    found = {"steps": steps, "relative_difference": {}}
    for variant in PRIORS:
        chosen = options(variant, "published") | {"steps": steps, "dtype": "float64"}
        models = {name: JPVAE(**chosen, backend=name).fit(train) for name in ("torch", "numpy")}
        pair = list(models.values())
        found["relative_difference"][variant] = {
            "loss": max(apart(a["loss"], b["loss"]) for a, b in zip(*(m.history_ for m in pair), strict=True)),
            "test measures": apart(*(measure(m, test) for m in pair)),
        }
        print(variant, found["relative_difference"][variant], flush=True)
    RESULT.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
