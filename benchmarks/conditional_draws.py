"""-log mean_k p(x_j | z_j^k) of halves of digits with 64 draws and with 1,024, on the same test images.

    python benchmarks/conditional_draws.py NAME RUN [--images 1000]     measure a run of jpvae hvdmnist, write it under NAME

The mean over draws is a poor measure of p(x_j | x_i): few draws from the conditional come near a sharp target, and the number
falls with more of them. `jpvae reproduce` has the quantity meant, by importance weighting. The results are written to
results/hvdmnist/conditional_draws.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from suites import made_with

from jpvae import JPVAE
from jpvae.experiments.data import halves, mnist
from jpvae.experiments.measures import measure

OUT = Path(__file__).parent / "results" / "hvdmnist" / "conditional_draws.json"
DRAWS = (64, 1024)


def main() -> None:
    """Measure one run; the others in the file stay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("run", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    chosen = parser.parse_args()
    model = JPVAE.load(chosen.run / "checkpoint.safetensors")
    views = [half[: chosen.images] for half in halves(mnist("test")[0])]
    line = {name: made_with()[name] for name in ("commit", "machine")} | {"images": chosen.images}
    for draws in DRAWS:
        found = measure(model, views, draws)
        line |= {str(draws): {name: found[name] for name in ("predictive", "conditional_nll")}}
    lines = json.loads(OUT.read_text()) if OUT.exists() else {}
    OUT.write_text(json.dumps(lines | {chosen.name: line}, indent=1) + "\n")


if __name__ == "__main__":
    main()
