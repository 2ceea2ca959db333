"""The demo: three models on 4,000 real digits, measured on 1,000 others, in about a minute on two cores."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import write_atomically
from ..estimator import JPVAE
from .data import halves, small_digits
from .figures import digits_figure
from .measures import latent_report, measure

TRAINING_DIGITS = 4_000
STEPS = 400
IMAGES: dict[str, Any] = {  # the paper's networks and rates for images; the estimator's defaults are for tables
    "latent_dims": 20,
    "alpha": 0.95,
    "hidden": (512, 512),
    "linear_skip": False,
    "batch_size": 64,
    "learning_rate": 2e-3,
    "coupling_rate": 0.1,
    "max_gradient_norm": None,
    "weight_decay": 0.0,
    "calibration": 0.0,
    "subset_weights": (1.0, 0.5, 0.5),
    "cross_draws": 1,
    "cross_weight": 1.0,
    "level_weight": 1.0,
    "likelihood": "bernoulli",
}
MODELS = {
    "C = 0": {"prior": "independent", "objective": "elbo"},
    "joint prior": {"prior": "orthogonal", "objective": "elbo"},
    "joint prior, subset objective": {"prior": "orthogonal", "objective": "subset"},
}


def run(
    out: Path, *, seed: int = 0, steps: int = STEPS, backend: str = "torch", progress: bool | str = "auto"
) -> dict[str, Any]:
    """Train, measure, write ``out``/demo.json and ``out``/digits.png; return what the JSON holds."""
    out.mkdir(parents=True, exist_ok=True)
    images, labels = small_digits()
    train_views, test_views = halves(images[:TRAINING_DIGITS]), halves(images[TRAINING_DIGITS:])
    begin = time.perf_counter()
    models, rows = {}, []
    for name, choice in MODELS.items():
        options: dict[str, Any] = {**IMAGES, **choice, "steps": steps, "seed": seed, "backend": backend, "progress": progress}
        model = JPVAE(**options)
        models[name] = model.fit(train_views)
        rows.append({"name": name, "latents": 40})
        rows[-1] |= measure(model, test_views) | latent_report(model, train_views)
    seconds = time.perf_counter() - begin
    chosen = one_of_each(labels[TRAINING_DIGITS:])
    figure = out / "digits.png"
    digits_figure([v[chosen] for v in test_views], models, figure)
    result = {"models": rows, "seconds": seconds, "figure": str(figure)}
    write_atomically(out / "demo.json", (json.dumps(result, indent=2) + "\n").encode())
    return result


def one_of_each(labels: np.ndarray) -> np.ndarray:
    """The row of the first digit of each class, 0 to 9."""
    return np.asarray([int(np.flatnonzero(labels == k)[0]) for k in range(10)])
