"""Every engine trains every example model as version 0.1.0 did: 200 steps in float64, all priors, objectives, masks.

200_steps.json holds what the hand-written engines of commit ec33972 gave (NumPy's; torch's were within 3e-15): losses along the
way, and the sum of every parameter's entries weighted by cosines of their position.
"""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jpvae.engines import ENGINES, engine
from jpvae.testing.examples import MODELS, PATTERNS, batches, parameters

STEPS, KEPT = 200, (0, 1, 20, 100, 199)
FILE = Path(__file__).with_name("200_steps.json")
# Encoders that read which cells there are, and the fused posterior, came later.
THEN = {name: replace(m, cell_bits=False) for name, m in MODELS.items() if m.posterior == "factorised"}
CASES = [f"{name} | {holes}, {objective}" for name in THEN for holes, objective in PATTERNS]


KINDS = ("every likelihood", "missing cells", "orthogonal, learned", "svd", "canonical")  # torch's: a model of each kind


def cases():
    """NumPy's engine: every model with the least and the most of a batch (the two between differ from these in one thing each).
    Engines slower than it: a model of each kind with the most. All others thoroughly."""
    for backend, case in itertools.product(sorted(ENGINES), CASES):
        name, _, pattern = case.partition(" | ")
        few = pattern == "holes, subset" and (backend == "numpy" or name in KINDS)
        few = few or (backend == "numpy" and pattern == "complete, elbo")
        yield pytest.param(backend, case, marks=() if few else pytest.mark.thorough)


def trained(backend, case):
    """The losses of steps KEPT, and the parameters' weighted sums after the last."""
    name, _, pattern = case.partition(" | ")
    made, data = engine(backend, THEN[name], "float64"), batches(THEN[name], *pattern.split(", "), level_weight=1.0)
    state = made.start(parameters(THEN[name]), None)
    rates = [{"beta": min(1.0, k / 50), "learning_rate": 1e-2 / (1 + k / 100), "coupling_rate": 0.5} for k in range(STEPS)]
    losses = [made.train_step(state, data.at(k), **rates[k])["loss"] for k in range(STEPS)]
    sums = {name: float(x.ravel() @ np.cos(np.arange(x.size))) for name, x in made.to_arrays(state)[0].items()}
    return {"losses": [losses[k] for k in KEPT], "sums": sums}


@pytest.mark.parametrize(("backend", "case"), list(cases()))
def test_two_hundred_steps_are_those_of_the_first_version(backend, case):
    """To 1e-9, as test_numpy_engine.py derives; of a sum, relative to its terms, each below 4 in size."""
    found, expected = trained(backend, case), json.loads(FILE.read_text())[case]
    assert found["losses"] == pytest.approx(expected["losses"], rel=1e-9)
    assert found["sums"].keys() == expected["sums"].keys()
    sizes = {name: 4.0 * max(1, x.size) for name, x in parameters(THEN[case.partition(" | ")[0]]).items()}
    for name, total in expected["sums"].items():
        assert found["sums"][name] == pytest.approx(total, rel=0, abs=1e-9 * sizes[name]), name
