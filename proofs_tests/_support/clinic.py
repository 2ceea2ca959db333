"""Three tables of sixty subjects, with numbers, categories, counts and holes, and a model that has seen them."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
from synthetic import OPTIONS

from jpvae import JPVAE

RNG, N = np.random.default_rng(0), 60
U = RNG.standard_normal((N, 2))
INDEX = [f"s{i}" for i in range(N)]
CLINIC = pd.DataFrame(
    {
        "age": np.round(50 + 10 * U[:, 0]).astype(int),
        "sex": np.where(U[:, 1] > 0, "f", "m"),
        "bmi": (25 + 3 * U[:, 1]).astype(np.float32),
        "smoker": U[:, 0] > 0.3,
        "stage": pd.Categorical(np.asarray(["I", "II", "III"])[np.digitize(U[:, 0], [-0.5, 0.5])]),
        "site": np.asarray([10, 20, 40])[np.digitize(U[:, 1], [-0.5, 0.5])],
        "left": (U[:, 0] < 0).astype(int),
        "right": (U[:, 0] >= 0).astype(int),
    },
    index=INDEX,
)
READS = pd.DataFrame(RNG.poisson(np.exp(U @ RNG.standard_normal((2, 5)) + 1.5)), columns=list("vwxyz"), index=INDEX)
SCAN = U @ RNG.standard_normal((2, 4)) + 0.1 * RNG.standard_normal((N, 4))
MASK = RNG.random((N, 3)) < 0.75
MASK[~MASK.any(axis=1), 0] = True
CELL = RNG.random(N) < 0.2
GAPS = CLINIC.assign(sex=CLINIC["sex"].where(~CELL, None), age=CLINIC["age"].where(~CELL))
VIEWS = {"clinic": GAPS, "reads": READS, "scan": np.where(CELL[:, None] & (np.arange(4) == 2), np.nan, SCAN)}
LIKELIHOOD = {
    "clinic": {"site": "categorical", ("left", "right"): "categorical"},  # the other columns are inferred
    "reads": "negative_binomial",
    "scan": "student_t",
}
SHORT = OPTIONS | {"likelihood": LIKELIHOOD, "entries": "marginalise", "steps": 30, "backend": "numpy"}
TWO = {"likelihood": ["student_t", "poisson"], "latent_dims": 2}  # of these views


@functools.cache
def model():
    return JPVAE(**SHORT).fit(VIEWS, MASK)
