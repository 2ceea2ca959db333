"""Classifiers of the paper's Table 3 per hour of one core: one by one as a user of torch writes them, alone, and stacked.

    python benchmarks/stacked_classifiers.py      results/stacked_classifiers.json

CPU time of one thread, the least of several repeats in turn, so that other work on the machine matters little. An hour of a
core trains 3600 / (seconds per step x 1,563 steps per pass x 50 passes) models.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch

from jpvae.experiments.reproduce.perceptrons import BATCH, CLASSES, HIDDEN, Perceptrons

RESULT = Path(__file__).parent / "results" / "stacked_classifiers.json"
FEATURES, STACKS, STEPS, REPEATS, STEPS_OF_A_MODEL = 392, (1, 2, 4, 12), 10, 12, 1563 * 50


def by_modules(x: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    """A step of torch.nn, autograd and torch.optim."""
    sizes = (FEATURES, *HIDDEN, CLASSES)
    layers = [layer for a, b in itertools.pairwise(sizes) for layer in (torch.nn.Linear(a, b), torch.nn.ReLU())][:-1]
    net = torch.nn.Sequential(*layers)
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-3)

    def step() -> None:
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(x), labels).backward()
        optimiser.step()

    return step


def programs() -> dict[str, tuple[int, Callable[[], None]]]:
    """By name: how many models a step trains, and the step."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (BATCH,), generator=generator)
    targets = torch.nn.functional.one_hot(labels, CLASSES).float()
    found = {"torch.nn, one by one": (1, by_modules(3 * torch.randn(BATCH, FEATURES, generator=generator), labels))}
    for size in STACKS:
        stack = Perceptrons.initial([(0, k) for k in range(size)], FEATURES)
        x = 3 * torch.randn(size, BATCH, FEATURES, generator=generator)
        found[f"stack of {size}"] = (size, lambda stack=stack, x=x: stack.step(x, targets))
    return found


def main() -> None:
    """Measure, print, and write the result."""
    torch.set_num_threads(1)
    every = programs()
    best = dict.fromkeys(every, float("inf"))
    for name, (models, step) in list(every.items()) * REPEATS:
        step()
        begin = time.process_time()
        for _ in range(STEPS):
            step()
        best[name] = min(best[name], (time.process_time() - begin) / STEPS / models)
    rows = {
        name: {"milliseconds_per_step": 1e3 * s, "models_per_core_hour": 3600 / (s * STEPS_OF_A_MODEL)}
        for name, s in best.items()
    }
    made_by = {"torch": torch.__version__, "machine": f"{platform.machine()}, {os.cpu_count()} cores", "threads": 1}
    RESULT.write_text(json.dumps({"programs": rows, "made_by": made_by}, indent=2) + "\n")
    for name, row in rows.items():
        print(f"{name:24} {row['milliseconds_per_step']:.2f} ms a step, {row['models_per_core_hour']:.0f} models per core hour")


if __name__ == "__main__":
    main()
