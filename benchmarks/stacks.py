"""A step of several of the paper's models at once, against one by one: results/stacks.json.

    python benchmarks/stacks.py                    on the CPU, one thread
    python benchmarks/stacks.py --device cuda      a replayed CUDA graph, with the step without graphs beside it

Milliseconds per step, the least of several repeats; CPU seconds of this process on the CPU, wall time on a GPU. Each device has
a line of its own in the file: measuring one keeps the others'.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jpvae.experiments.hvdmnist import provenance
from jpvae.experiments.protocols import PRIORS, of_estimator, options
from jpvae.model.model import Model
from jpvae.options import Options
from jpvae.planning import plan_of
from jpvae.training.batches import Batches
from jpvae_torch.engine import Engine
from jpvae_torch.stack import Stack

RESULT = Path(__file__).parent / "results" / "stacks.json"
ROWS, REPEATS = 5000, 5
CASES = [(protocol, variant) for protocol in ("published", "ours") for variant in ("zero", "svd", "orthogonal")]


def batches(protocol: str, variant: str, count: int) -> tuple[Model, list[Batches]]:
    """The model, and the batches of so many seeds, of random images."""
    given = Options(**of_estimator(options(variant, protocol)), likelihood="bernoulli")
    about = {"alpha": given.alpha, "learn_alpha": given.learn_alpha, "posterior": given.posterior}
    model = Model((392, 392), (20, 20), ("bernoulli",) * 2, hidden=(512, 512), prior=PRIORS[variant], **about)
    x = (np.random.default_rng(0).random((ROWS, 784)) < 0.2).astype(np.float32)
    views, observed = [x[:, :392], x[:, 392:]], np.ones((ROWS, 2), bool)
    plans = [plan_of(given, model, ROWS, ("top", "bottom"), seed) for seed in range(count)]
    return model, [Batches(views, observed, model, plan) for plan in plans]


def measured(step: Callable[[], Any], device: str, steps: int) -> float:
    """Milliseconds per call."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    best = float("inf")
    step()
    for _ in range(REPEATS):
        begin = clock()
        for _ in range(steps):
            step()
        if device != "cpu":
            torch.cuda.synchronize()
        best = min(best, (clock() - begin) / steps)
    return 1e3 * best


def case(protocol: str, variant: str, device: str, count: int) -> dict[str, Any]:
    """One model alone, and so many in a stack: per step of all of them."""
    model, every = batches(protocol, variant, count)
    engine = Engine(model, "float32", device, threads=1)
    states = [engine.start(model.initial_parameters(seed)) for seed in range(count)]
    given, settings = [each.at(0) for each in every], {"beta": 1.0, "learning_rate": 1e-3}
    steps = 3 if device == "cpu" else 50
    found = {"alone": measured(lambda: engine.train_step(states[0], given[0], **settings), device, steps)}
    found["batches of one model"] = measured(lambda: every[0].at(1), "cpu", steps)
    stack = Stack(engine, states, graphs=False)
    found["stacked"] = measured(lambda: stack.step(given, **settings), device, steps)
    if device != "cpu":
        graphs = Stack(engine, states, graphs=True)
        found["stacked, replayed"] = measured(lambda: graphs.step(given, **settings), device, steps)
    return {"protocol": protocol, "variant": variant, "models": count, "milliseconds": found}


def main() -> None:
    """Measure, print, and write the line of this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    cases = []
    for protocol, variant in CASES:
        cases.append(case(protocol, variant, asked.device, asked.models))
        print(cases[-1], flush=True)
    name = f"{platform.machine()}, {os.cpu_count()} cores" if asked.device == "cpu" else torch.cuda.get_device_name()
    kept = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    kept[name] = {"cases": cases, "made_by": provenance("torch")}
    RESULT.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
